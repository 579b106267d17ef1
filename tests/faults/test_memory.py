"""A night of training needs no more memory than its first epochs."""

import json
from pathlib import Path

import pytest

# Trains on the sample and notes after each epoch what the process holds (Linux), and what Python has allocated.
PROGRAM = """
import json, sys, tracemalloc
from pathlib import Path
from scratchnet.training.config import Config
from scratchnet.errors import MissingExtraError
from scratchnet.training import Display, Experiment, Progress, Run, compile_kernels, fit
from scratchnet.training.event_files import EventFiles

shards, folder, epochs, trace = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "python"
config = Config(image_size=32, epochs=epochs, checkpoint_minutes=0.05)
compile_kernels(config)
resident, python = [], []

class Watching(Display):
    def epoch_line(self, *arguments):
        if trace:
            python.append(tracemalloc.get_traced_memory()[0])
        else:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            resident.append(pages * 4096)

if trace:
    tracemalloc.start()
run, experiment = Run.create(folder, config), Experiment(config, shards)
try:
    events = EventFiles(run.events_folder, 0) if sys.argv[4] == "drawing" else None
except MissingExtraError:
    events = None
fit(experiment, run, Progress(), Watching(epochs, total=1), events)
print(json.dumps(python or resident))
"""


def growth(run_python, shards, folder, epochs, kind):
    """Bytes after each epoch, and by how much any of them exceeds that after the second one."""
    held = json.loads(run_python(PROGRAM, str(shards), str(folder), str(epochs), kind).splitlines()[-1])
    assert len(held) == epochs
    print(f"\n{kind}: {', '.join(f'{size / 2**20:.1f}' for size in held)} MB after each epoch")
    return max(held[2:]) - held[1]


EPOCHS = [5, pytest.param(24, marks=pytest.mark.slow)]


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux tells what a process holds")
@pytest.mark.parametrize("epochs", EPOCHS)
def test_the_process_does_not_grow(run_python, shards, tmp_path, epochs):
    assert growth(run_python, shards, tmp_path / "run", epochs, "resident") < 8 * 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux tells what a process holds")
@pytest.mark.parametrize("epochs", EPOCHS)
def test_drawing_for_tensorboard_grows_in_steps_that_end(run_python, shards, tmp_path, epochs):
    """The heap of what draws gets its shape slowly: 12 MB were seen over 24 epochs, of which 0.5 in the last eight."""
    pytest.importorskip("matplotlib")  # without it nothing is drawn: that is the test above
    assert growth(run_python, shards, tmp_path / "run", epochs, "drawing") < 24 * 2**20


@pytest.mark.parametrize("epochs", EPOCHS)
def test_python_allocates_nothing_more(run_python, shards, tmp_path, epochs):
    """The rows of the metrics are kept, about a kilobyte an epoch; threads, buffers and what draws the pictures come and go."""
    assert growth(run_python, shards, tmp_path / "run", epochs, "python") < 2**20
