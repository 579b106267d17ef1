"""What all tests share: how hypothesis runs, random numbers, other processes, and real images beside the repository."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import settings

from scratchnet.kernels.machine.threads import most_threads, set_threads
from scratchnet.nn.models import MODELS
from scratchnet.storage import files
from scratchnet.training import compile_kernels
from scratchnet.training.config import Config
from tests.small_networks import small_report
from tests.small_runs import plots_once, without_pages

REPOSITORY = Path(__file__).resolve().parents[1]

# The first call of a kernel compiles it, which takes seconds: no deadline. In CI the same examples each time.
settings.register_profile("here", deadline=None, max_examples=40)
settings.register_profile("ci", deadline=None, max_examples=40, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs in as many processes as there are processors; tests that somebody names run in this one."""
    return (os.cpu_count() or 1) if _whole(config) else 0


def _whole(config: pytest.Config) -> bool:
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS


def _files(*names: str) -> list[Path]:
    return [Path(__file__).parent / f"{name}.py" for name in names]


# Files that take long for their few tests: of whole programs, of pages, of memory. Where several Pythons run the tests, one of
# them runs these (`-m "not slow and not once"` leaves them out).
ONCE = _files(
    "faults/test_kill", "faults/test_memory", "faults/test_hostile_memory", "test_table1", "test_report_runs",
    "test_explain_command", "test_benchmarks", "test_course_grade", "test_course_check", "test_readme",
)  # fmt: skip
# These and the other large ones are begun first: in the end a process would wait for the one that is alone with one of them.
LONG = [*ONCE, *_files("faults/test_ranks", "test_winograd", "test_ranks", "test_train_script")]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which xdist deals out files; within a file nothing changes. Without a compiler, what is about it is skipped."""
    assert all(path.is_file() for path in LONG), "a file of LONG is gone"
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in LONG, -tests[item.path], item.path))
    for item in items:
        if item.path in ONCE:
            item.add_marker("once")
    if numba.config.DISABLE_JIT:
        for item in items:
            if item.get_closest_marker("compiled"):
                item.add_marker(pytest.mark.skip(reason="of what Numba compiles, and NUMBA_DISABLE_JIT is set"))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before several processes run the whole suite, and each compiles what training needs, it is compiled once, by two."""
    config = session.config
    if _whole(config) and config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        for dtype in ("float32", "float64"):
            compile_kernels(Config(dtype=dtype))


# A shell starts what runs in its background with Ctrl-C ignored, and the programs under test respect that.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Tables are as wide as the terminal; tests read them as they are where there is room.
os.environ["COLUMNS"] = "200"


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same ones in each run."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds scratchnet/ and tests/."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images that are not in the repository; tests that need them are skipped where they are absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    return folder


@dataclass(frozen=True)
class TrainedRun:
    """A run that train.py has left: its folder, and the folder of its prepared shards."""

    folder: Path
    data: Path


@pytest.fixture(scope="session", autouse=True)
def disk_sync() -> Iterator[Callable[[int], None]]:
    """Nobody waits for the disk: files are forced to it only in the programs that tests start, and in tests of that itself,
    which get the function that does it from here."""
    with pytest.MonkeyPatch.context() as patch:
        sync = files._sync
        patch.setattr(files, "_sync", lambda descriptor: None)
        yield sync


@pytest.fixture
def small_model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model "report" is a small one, in this process, for tests that are not about the network: its checkpoints are of
    0.4 MB and not of 71. For all of a module: `pytestmark = pytest.mark.usefixtures("small_model")`."""
    if not request.node.get_closest_marker("whole_model"):
        # By the test's own monkeypatch: what both have changed is put back in order.
        monkeypatch.setitem(MODELS, "report", small_report)


@pytest.fixture
def thread_counts() -> Iterator[Iterator[int]]:
    """1, 2 and 3, or as many threads as there are: kernels have each number from when it comes, and all threads afterwards."""
    yield (set_threads(count) for count in range(1, min(3, most_threads()) + 1))
    set_threads(0)


@pytest.fixture
def no_pages() -> Iterator[None]:
    """Runs in this process leave neither a page nor curves, which take seconds."""
    with without_pages():
        yield


@pytest.fixture(scope="module", name="plots_once")
def draw_plots_once() -> Iterator[None]:
    """A module's pages share their plots: each takes a quarter of a second, and most are the same."""
    with plots_once():
        yield


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, prepared at 32 × 32 pixels, which tests read and do not change."""
    from scratchnet.prepare import Settings, prepare_sample

    folder = tmp_path_factory.mktemp("shards") / "sample"
    prepare_sample(folder, Settings(image_size=32), quiet=True)
    return folder


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A small run on the sample, 32 × 32 pixels, without a page, whose folder tests read and do not change."""
    import train

    folder = tmp_path_factory.mktemp("trained")
    where = ["--runs", str(folder / "runs"), "--prepared", str(folder / "prepared"), "--name", "small"]
    small = ["--image-size", "32", "--epochs", "2", "--batch-size", "48", "--micro-batch", "32"]
    with without_pages():
        assert train.main([*small, *where]) == 0
    (data,) = (folder / "prepared").iterdir()
    return TrainedRun(folder / "runs" / "small", data)


@pytest.fixture(scope="session")
def run_python() -> Callable[..., str]:
    """Runs a program in a Python of its own, with other environment variables, and answers what it printed."""

    def run(program: str, *arguments: str, package_root: Path = REPOSITORY, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, *arguments],
            cwd=package_root, env={**os.environ, "PYTHONPATH": str(package_root), **environment},
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; the test is skipped where there is none, or no playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    quiet += ["--disable-component-update", "--disable-sync"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, headless=True, args=quiet)
        yield chromium
        chromium.close()
