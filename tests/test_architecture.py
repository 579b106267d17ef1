"""The rules of the architecture, read from the source: who may import whom, what stands nowhere, and what is documented."""

import ast
import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import scratchnet
from scratchnet import reference

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(
        [
            *(ROOT / "scratchnet").rglob("*.py"),
            *(
                path for path in (ROOT / "course").rglob("*.py") if "lessons" not in path.relative_to(ROOT).parts
            ),  # they are a reader's
            ROOT / "train.py",
            ROOT / "data_prep.py",
        ]
    )
}
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in SOURCES.items()}
NODES = {module: list(ast.walk(tree)) for module, tree in TREES.items()}


def imports(module):
    """Every module that `module` imports, anywhere in it, by its full name."""
    found = set()
    for node in NODES[module]:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import in line {node.lineno}"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in TREES else node.module for name in names}
    return found


def within(module, *packages):
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def modules(*packages):
    return [module for module in TREES if within(module, *packages)]


def test_the_rules_have_something_to_rule():
    """A file that was moved would otherwise be free of its rules."""
    for place in MAY_IMPORT:
        assert modules(f"scratchnet.{place}"), place
    assert imports("scratchnet.kernels.direct") >= {
        "numpy",
        "scratchnet.kernels.machine.jit",
        "scratchnet.kernels.matmul",
    }
    assert "scratchnet.kernels.convolution" in imports("scratchnet.nn.conv")


TOP = ["errors", "extras", "random", "reference", "textbook", "version"]  # files that stand in no folder

# What each may import of scratchnet; the standard library and NumPy go without saying. A folder may import itself.
MAY_IMPORT = {
    "errors": [],
    "version": [],
    "random": [],
    "reference": ["random"],
    "extras": ["errors", "terminal.invocation"],
    "storage": ["terminal", "errors"],
    "terminal": ["errors", "version"],
    "kernels.machine": ["errors"],
    "kernels.winograd": ["kernels.machine", "kernels.matmul", "kernels.transpose"],
    "kernels": ["errors"],
    "textbook": ["reference", "random", "errors"],
    "nn.arguments": ["errors"],
    "nn.thread_check": ["errors"],
    "nn.initializers": ["errors"],
    "nn.schedules": ["errors", "nn.arguments"],
    "nn.losses": ["errors", "reference", "nn.arguments", "nn.thread_check"],
    "nn.gradient_check": ["errors", "nn.base"],
    "nn.optimizers": ["errors", "kernels", "nn.base"],
    "nn.base": ["errors", "kernels", "reference", "nn.arguments", "nn.thread_check"],
    "nn.whole": [
        "nn.optimizers",
        "nn.transfer",
        "use.network",
    ],  # the one place that knows of what is above, when it is called
    "nn": ["kernels", "reference", "random", "errors"],
    "data": ["storage", "terminal", "random", "errors"],
    "measures": ["data", "storage", "terminal", "nn.losses", "reference", "random", "errors"],
    "ranks": ["extras", "terminal", "errors"],
    "drawing": ["measures", "terminal", "reference", "extras", "errors"],
    "training": ["ranks", "drawing", "measures", "data", "nn", "kernels", "storage", "terminal", *TOP],
    "use": ["training", "drawing", "measures", "data", "nn", "kernels", "storage", "terminal", *TOP],
    "pages": ["use", "training", "drawing", "measures", "data", "nn", "storage", "terminal", *TOP],
    "prepare": ["data", "storage", "terminal", "random", "version", "errors"],
}
ENTRY_POINTS = ["scratchnet.commands"]  # they may import everything of scratchnet


@pytest.mark.parametrize("place", MAY_IMPORT)
def test_arrows_point_down(place):
    package = f"scratchnet.{place}"
    allowed = [f"scratchnet.{name}" for name in MAY_IMPORT[place]]
    inner = [f"scratchnet.{name}" for name in MAY_IMPORT if name.startswith(f"{place}.")]
    for module in modules(package):
        if not within(module, *inner):  # they have a rule of their own
            ours = {name for name in imports(module) if name.startswith("scratchnet.")}
            upwards = {name for name in ours if not within(name, package, *allowed)}
            assert not upwards, f"{module} imports {upwards}"


def test_every_place_has_its_rule_and_says_it():
    """At the top of the package a reader meets twenty names at most, and every folder says what it may import."""
    names = {module.split(".")[1] for module in modules("scratchnet") if "." in module}
    assert len(names) <= 20
    assert names - {"__main__", "commands"} == {name for name in MAY_IMPORT if "." not in name}
    for name in names:
        if SOURCES[f"scratchnet.{name}"].name == "__init__.py":
            assert "It may import" in ast.get_docstring(TREES[f"scratchnet.{name}"]), name


def test_nothing_of_the_package_imports_what_stands_beside_it():
    for module in TREES:
        if within(module, "scratchnet"):
            assert not {
                name for name in imports(module) if within(name, "data_prep", "train", "tests", "benchmarks", "course")
            }, module


def test_the_course_stands_on_the_package_alone():
    """Above it is nothing: nobody imports the course, and it imports scratchnet, the standard library and NumPy."""
    assert "course" in TREES
    for module, path in SOURCES.items():
        above = {
            name for name in imports(module) if within(name, "course", "data_prep", "train", "tests", "benchmarks")
        }
        if within(module, "course"):
            above = {name for name in above if not within(name, "course")}
        assert not above, f"{path} imports {above}"
    for path in (ROOT / "benchmarks").rglob("*.py"):
        assert "import course" not in (text := path.read_text(encoding="utf-8")), path
        assert "from course" not in text, path


def test_nothing_imports_an_entry_point():
    for module in TREES:
        if module not in ("scratchnet.__main__", "data_prep", "train"):
            above = {name for name in imports(module) if within(name, *ENTRY_POINTS)}
            assert not above or within(module, *ENTRY_POINTS), f"{module} imports {above}"


def test_numba_stays_in_the_kernels():
    for module in TREES:
        compilers = {name for name in imports(module) if within(name, "numba", "llvmlite")}
        assert not compilers or within(module, "scratchnet.kernels"), f"{module} imports {compilers}"


def test_every_bar_is_one_that_a_signal_may_stop():
    assert [module for module in TREES if within("tqdm", *imports(module))] == ["scratchnet.terminal.bar"]


def test_no_frameworks_and_no_pickle():
    banned = [
        "torch",
        "tensorflow",
        "jax",
        "keras",
        "sklearn",
        "scipy",
        "cupy",
        "pickle",
        "dill",
        "joblib",
        "shelve",
        "marshal",
    ]
    for module in TREES:
        assert not {name for name in imports(module) if within(name, *banned)}, module


def test_no_unpickling_and_no_dishonest_arithmetic():
    """`fastmath=True` would turn a check for NaN into "no"; `allow_pickle=True` would run what a file says."""
    for module in TREES:
        for node in NODES[module]:
            if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "fastmath"):
                assert not (isinstance(node.value, ast.Constant) and node.value.value is True), (
                    f"{module}, line {node.value.lineno}"
                )


def test_texts_are_utf8_on_every_system():
    """Python would take the system's own encoding, which is cp1252 on Windows."""
    for module in TREES:
        for node in NODES[module]:
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                modes = [ast.unparse(argument) for argument in node.args[1:2]]
                text = name == "open" and not any("b" in mode for mode in modes)
                if text or name.endswith(".write_text") or (name.endswith(".read_text") and not node.args):
                    assert {"encoding"} & {word.arg for word in node.keywords}, f"{module}, line {node.lineno}"


def test_a_file_is_read_in_one_go():
    for path in [*SOURCES.values(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 450, path


def test_the_map_of_the_tests_is_whole():
    """tests/README.md: every file of tests stands in one row, and every name there is a file."""
    tests = ROOT / "tests"
    files = {path.relative_to(tests).with_suffix("").as_posix() for path in tests.rglob("test_*.py")}
    table = [line.split("|") for line in (tests / "README.md").read_text(encoding="utf-8").splitlines() if "|" in line]
    named = [name for row in table[2:] for name in re.findall(r"`([^`]+)`", row[2])]
    assert "faults/test_kill" in files
    assert files == set(named), files ^ set(named)
    assert len(named) == len(files), [name for name in files if named.count(name) > 1]


def public_definitions(tree):
    """Public functions and classes, and the public methods of the classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def test_everything_public_has_a_docstring():
    for module in TREES:
        assert ast.get_docstring(TREES[module]), module
        bare = [node.name for node in public_definitions(TREES[module]) if not ast.get_docstring(node)]
        assert not bare, module


def test_every_kernel_stands_in_a_kernels_file():
    """Whatever is compiled is decorated with @kernel, whose flags stand in one place."""
    compiled = {}
    for module, nodes in NODES.items():
        for node in nodes:
            if isinstance(node, ast.FunctionDef):
                names = {
                    re.sub(r"\(.*", "", ast.unparse(decorator)).split(".")[-1] for decorator in node.decorator_list
                }
                assert not names & {"njit", "jit", "vectorize", "guvectorize", "stencil", "cfunc"}, (
                    f"{module}.{node.name}"
                )
                if "kernel" in names:
                    compiled[node.name] = module
    assert compiled["product_in_tasks"] == "scratchnet.kernels.matmul"
    assert all(within(module, "scratchnet.kernels") for module in compiled.values())


def test_the_loop_over_tasks_is_the_end_of_its_kernel():
    """Each thread runs the whole kernel, for the rounds that it has taken: what stands before the loop only names values."""
    loops = 0
    for module in modules("scratchnet.kernels"):
        for node in NODES[module]:
            if isinstance(node, ast.FunctionDef) and "kernel" in [ast.unparse(d) for d in node.decorator_list]:
                *before, last = node.body[1:]
                assert isinstance(last, ast.For), node.name
                assert ast.unparse(last.iter).startswith("prange("), node.name
                assert ast.unparse(node).count("prange(") == 1, node.name
                inside = [n for part in before for n in ast.walk(part)]
                assert not [n for n in inside if isinstance(n, ast.AugAssign)], node.name
                stored = [n for n in inside if isinstance(getattr(n, "ctx", None), ast.Store)]
                assert all(isinstance(n, ast.Name | ast.Tuple) for n in stored), node.name
                called = {ast.unparse(n.func).split(".")[-1] for n in inside if isinstance(n, ast.Call)}
                assert called <= {"reshape", "type", "lanes_of", "points"}, (
                    node.name
                )  # nothing that makes an array, or writes to one
                loops += 1
    calls = [n for nodes in NODES.values() for n in nodes if isinstance(n, ast.Call)]
    assert loops == sum(ast.unparse(n.func) == "prange" for n in calls) > 30  # and none in a helper


def test_every_kernel_says_what_the_textbook_calls_its_result():
    """Its docstring names the function of reference.py, or the expression of NumPy, whose result it computes or is a step of."""
    silent = []
    for module in modules("scratchnet.kernels"):
        for node in NODES[module]:
            decorators = [ast.unparse(d) for d in getattr(node, "decorator_list", [])]
            if isinstance(node, ast.FunctionDef) and "kernel" in decorators:
                first = (ast.get_docstring(node) or "").split("\n\n")
                names = re.findall(r"`(reference|np)\.(\w+)", " ".join(first[:2]))
                where = {"reference": reference, "np": np}
                if not any(hasattr(where[package], name) for package, name in names):
                    silent.append(f"{module}.{node.name}")
    assert not silent


DOCTESTED = ["scratchnet", *(info.name for info in pkgutil.walk_packages(scratchnet.__path__, "scratchnet."))]


@pytest.mark.parametrize("name", DOCTESTED)
def test_examples_in_docstrings(name):
    failures, _ = doctest.testmod(importlib.import_module(name))
    assert failures == 0


def test_the_examples_of_the_layers_are_among_them():
    finder = doctest.DocTestFinder(exclude_empty=True)
    counts = {
        name: sum(len(test.examples) for test in finder.find(importlib.import_module(name))) for name in DOCTESTED
    }
    for name in ("conv", "dense", "dropout", "flatten", "pool", "relu"):
        assert counts[f"scratchnet.nn.{name}"] > 0
