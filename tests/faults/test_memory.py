"""A night of training needs no more memory than its first epochs."""

import json
from pathlib import Path

import pytest

# Trains on the sample and notes after each epoch what the process holds (Linux), and what Python has allocated.
PROGRAM = """
import contextlib, json, sys, tracemalloc
from pathlib import Path
from scratchnet.training.config import Config
from scratchnet.errors import MissingExtraError
from scratchnet.training import Display, Experiment, Progress, Run, compile_kernels, fit
from scratchnet.training.event_files import EventFiles

from tests.small_networks import report_is_small

shards, folder, epochs, drawing = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "drawing"
config = Config(image_size=32, epochs=epochs, checkpoint_minutes=0.05)
compile_kernels(config)
resident, python, statm = [], [], Path("/proc/self/statm")

class Watching(Display):
    def epoch_line(self, *arguments):
        if not drawing:
            python.append(tracemalloc.get_traced_memory()[0])
        if statm.is_file():
            resident.append(int(statm.read_text().split()[1]) * 4096)

if not drawing:
    tracemalloc.start()
with report_is_small() if drawing else contextlib.nullcontext():  # no picture shows the network
    run, experiment = Run.create(folder, config), Experiment(config, shards)
try:
    events = EventFiles(run.events_folder, 0) if drawing else None
except MissingExtraError:
    events = None
fit(experiment, run, Progress(), Watching(epochs, total=1), events)
print(json.dumps({"python": python, "process": resident}))
"""


def growth(run_python, shards, folder, epochs, kind):
    """By how many bytes any epoch exceeds the second one, of what Python has allocated and of what the process holds."""
    found = {}
    for what, held in json.loads(
        run_python(PROGRAM, str(shards), str(folder), str(epochs), kind).splitlines()[-1]
    ).items():
        if held:
            assert len(held) == epochs
            print(f"\n{kind}, {what}: {', '.join(f'{size / 2**20:.1f}' for size in held)} MB after each epoch")
            found[what] = max(held[2:]) - held[1]
    return found


pytestmark = pytest.mark.timeout(900)  # tracemalloc is slow: on one core beside two other programs 217 s were seen
EPOCHS = [5, pytest.param(24, marks=pytest.mark.slow)]


@pytest.mark.parametrize("epochs", EPOCHS)
def test_neither_the_process_nor_what_python_allocates_grows(run_python, shards, tmp_path, epochs):
    """The rows of the metrics are kept, about a kilobyte an epoch; threads, buffers and what draws the pictures come and go."""
    grown = growth(run_python, shards, tmp_path / "run", epochs, "training")
    assert grown["python"] < 2**20
    assert grown.get("process", 0) < 8 * 2**20  # only Linux tells what a process holds


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux tells what a process holds")
@pytest.mark.parametrize("epochs", EPOCHS)
def test_drawing_for_tensorboard_grows_in_steps_that_end(run_python, shards, tmp_path, epochs):
    """The heap of what draws gets its shape slowly: 12 MB were seen over 24 epochs, of which 0.5 in the last eight."""
    pytest.importorskip("matplotlib")  # without it nothing is drawn: that is the test above
    assert growth(run_python, shards, tmp_path / "run", epochs, "drawing")["process"] < 24 * 2**20
