"""The package's front: what `scratchnet.…` offers, and that a name costs no more than what it needs."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import course
import scratchnet as sn
import scratchnet.training

SOURCE = Path(sn.__file__)


def loaded_by(code):
    """The modules that a fresh Python has loaded after `code`."""
    script = f"import sys\n{code}\nprint(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=SOURCE.parents[1]
    )
    return set(answer.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import scratchnet",
        "import scratchnet.reference",
        "from scratchnet import reference",
        "import scratchnet as sn; sn.reference.relu, sn.ScratchnetError, sn.Schedule, sn.__version__, dir(sn)",
        "from scratchnet.errors import ScratchnetError",
        "import scratchnet.textbook",
        "import course; course.judge, course.exercises",
        "import contextlib, io; from scratchnet.__main__ import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main(['--help'])",
    ],
)
def test_what_needs_no_kernels_loads_no_numba(code):
    loaded = loaded_by(code)
    assert "scratchnet" in loaded
    assert not loaded & {"numba", "llvmlite", "h5py", "PIL", "matplotlib", "scratchnet.kernels"}


def test_what_needs_kernels_loads_them():
    assert "numba" in loaded_by("import scratchnet; scratchnet.Dense")


@pytest.mark.parametrize("package", [sn, scratchnet.training])
def test_python_and_type_checkers_read_the_same_table(package):
    """The names under TYPE_CHECKING, the table of `__getattr__` and `__all__` are one list."""
    for_checkers = {}
    for node in ast.walk(ast.parse(Path(package.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                for_checkers |= {alias.name: line.module for alias in line.names}
    assert for_checkers == {name: module for module, names in package._DEFINED_IN.items() for name in names}
    assert set(package.__all__) - {"__version__"} == set(for_checkers)


def test_a_name_is_imported_once():
    """And is then there as in any module."""
    for package, name in ((sn, "Dense"), (scratchnet.training, "Run"), (course, "judge")):
        vars(package).pop(name, None)
        found = getattr(package, name)
        assert vars(package)[name] is found


@pytest.mark.parametrize("name", sn.__all__)
def test_every_public_name_is_there(name):
    assert getattr(sn, name) is getattr(sn, name)
    assert not isinstance(getattr(sn, name), type(sys)) or name == "models"


def test_completion_offers_the_public_names_only():
    importlib.import_module("scratchnet.measures.metrics")
    assert dir(sn) == sorted(sn.__all__)


def test_star_imports_what_it_always_did():
    names = {}
    exec("from scratchnet import *", names)
    assert set(sn.__all__) <= set(names)
    assert names["gradient_check"] is sn.gradient_check
    assert "metrics" not in names
    assert "sys" not in names


def test_no_module_hides_a_public_name():
    """Python writes a submodule into its package once it is loaded: `scratchnet.load` the module would hide the function."""
    modules = {path.stem for path in SOURCE.parent.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert "nn" in modules
    assert not modules & set(sn.__all__)


def test_modules_are_attributes_without_an_import():
    assert "True" in subprocess.run(
        [sys.executable, "-c", "import scratchnet as sn; print(sn.measures.__name__ == 'scratchnet.measures', sn.data.Dataset)"],
        capture_output=True, text=True, check=True, cwd=SOURCE.parents[1],
    ).stdout  # fmt: skip


@pytest.mark.parametrize("name", ["MaxPool", "no_such_module", "__wrapped__", "_private", "a b", "data.shards", ""])
def test_an_unknown_name_is_an_attribute_error(name):
    assert not hasattr(sn, name)
    with pytest.raises(AttributeError, match="module 'scratchnet' has no attribute") as caught:
        getattr(sn, name)
    assert caught.value.name == name  # from which Python makes "Did you mean: 'MaxPool2D'?"
    assert caught.value.obj is sn


def test_an_unknown_name_cannot_be_imported():
    with pytest.raises(ImportError, match="cannot import name 'MaxPool'"):
        exec("from scratchnet import MaxPool")


def test_the_version_to_cite_is_the_version():
    """CITATION.cff cannot ask the package, so this asks whether it says the same."""
    root = SOURCE.parents[1]
    cited = re.search(r"^version: (\S+)$", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None
    assert cited[1] == sn.__version__
    # and the changelog knows it, as a release or as the one to come
    assert sn.__version__ in (root / "CHANGELOG.md").read_text(encoding="utf-8")
