"""Training on several ranks: a step has the bits of one process, and ranks that differ are refused by name."""

import re
import shutil
import sys
import time
from pathlib import Path

import pytest

import data_prep
import train
from scratchnet import __main__
from scratchnet.data import Batches
from scratchnet.nn.watcher import Watcher
from scratchnet.terminal.launcher import launched, without_launcher
from scratchnet.training.config import Config
from scratchnet.training.experiment import Experiment
from scratchnet.training.shared import opening
from scratchnet.training.trainer import Trainer
from tests.launching import ROOT, SETTINGS, finished, launch, needs_mpi, of_the_program, ragged_sides, start
from tests.small_runs import quick_training, require_same

WORKER = (str(ROOT / "tests" / "ranks_worker.py"),)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return ragged_sides(tmp_path_factory.mktemp("ranks") / "shards")


def test_what_launchers_say():
    hydra = {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2", "HOME": "/h"}
    assert (launched(hydra).rank, launched(hydra).size, launched(hydra).local_size) == (3, 4, 2)
    assert without_launcher(hydra) == {"HOME": "/h"}
    open_mpi = {
        "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "0", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"
    }  # fmt: skip
    assert launched(open_mpi).by == "mpiexec -n 2"
    srun = {
        "SLURM_PROCID": "5",
        "SLURM_STEP_NUM_TASKS": "8",
        "SLURM_LOCALID": "1",
        "SLURM_STEP_TASKS_PER_NODE": "2(x4)",
    }
    assert (launched(srun).rank, launched(srun).local_size, launched(srun).by) == (5, 2, "srun")
    assert launched({"PMI_RANK": "0", "PMI_SIZE": "1"}) is None  # mpiexec -n 1
    assert launched({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}) is None  # a batch script before srun


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("program", "variables", "remedy"),
    [
        (["search", "S"], {"PMI_RANK": "{}", "PMI_SIZE": "2"}, "leave out mpiexec -n 2"),
        (["predict", "R"], {"OMPI_COMM_WORLD_RANK": "{}", "OMPI_COMM_WORLD_SIZE": "4"}, "leave out mpiexec -n 4"),
        (None, {"SLURM_PROCID": "{}", "SLURM_STEP_NUM_TASKS": "2"}, "say srun -n 1, or, .* unset SLURM_STEP_NUM_TASKS"),
        (
            ["folds", "S"],  # srun --mpi=pmi2 sets both
            {"PMI_RANK": "{}", "PMI_SIZE": "2", "SLURM_STEP_NUM_TASKS": "2"},
            "say srun -n 1, or, .* unset PMI_SIZE SLURM_STEP_NUM_TASKS",
        ),
        (
            ["folds", "S"],  # mpiexec within Slurm, which has started its helpers by srun
            {"PMI_RANK": "{}", "PMI_SIZE": "2", "MPI_LOCALNRANKS": "2", "SLURM_STEP_NUM_TASKS": "2"},
            "leave out mpiexec -n 2",
        ),
    ],
)
def test_what_is_one_process_is_refused_as_several(program, variables, remedy, rank, capsys, monkeypatch):
    """By the first of them alone, before it looks at what it was given; any program but train.py (None: data_prep)."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(rank))
    with pytest.raises(SystemExit) as refused:
        __main__.main(program) if program else data_prep.main(["S", "O"])
    assert refused.value.code == 2
    said = rf".*: only train.py shares its work among processes, and \d of this were started: {remedy}\n"
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch("" if rank else said, err), err


def test_where_open_mpi_does_otherwise_it_is_said(monkeypatch):
    monkeypatch.setattr(opening, "launcher", lambda: 123)
    assert opening._of_open_mpi(["lab1", "lab2"], [0, 7]) == []
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    stop = "To stop and save: kill -USR1 123. At Ctrl-C Open MPI ends the ranks before they can."
    assert " ".join(opening._of_open_mpi(["lab1", "lab2"], [0, 0])).split() == stop.split()
    said = " ".join(opening._of_open_mpi(["lab1", "lab2"], [0, 7]))
    assert "7 cores of lab2 stay idle: mpiexec --bind-to none" in " ".join(said.split())


@needs_mpi
def test_a_step_has_the_bits_of_one_process():
    """Adam, AdamW and SGD, clipped or not, with frozen layers, both dtypes; every way in which gradients travel; saved and loaded on
    the way. And what diverges on one rank is everyone's."""
    code, out, err = finished(start(3, program=WORKER))
    assert (code, out.split("\n")) == (0, ["compare: the same on 3 ranks", "diverge: the same on 3 ranks", ""]), err


OWN = """
import scratchnet as sn

class Square(sn.Layer):
    def _forward(self, x, training):
        self._x = x
        return x * x

    def _backward(self, dy, need_dx, accumulate):
        return 2 * self._x * dy

def mine(classes):
    block = sn.Residual([sn.BatchNorm2D(), sn.Conv2D(4, 3)], shortcut=[sn.Conv2D(4, 1)])
    return sn.Sequential([sn.MaxPool2D(4), block, Square(), sn.Flatten(), sn.Dense(classes)])
"""


@needs_mpi
def test_a_network_of_ones_own_that_starts_from_another(shards, tmp_path, monkeypatch):
    """With buffers and an own layer, judged by a sample of the training side; rank 0 alone reads what it starts from."""
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN, encoding="utf-8")
    words = ["--data", str(shards), "--model", "own.py:mine", "--epochs", "2", *SETTINGS]
    with quick_training():
        assert train.main([*words, "--seed", "7", "--name", "first"]) == 0
        words += ["--start-from", "runs/first"]
        assert train.main([*words, "--name", "alone"]) == 0
    (tmp_path / "there").mkdir()
    shutil.copy("own.py", "there")
    ranks = [["-n", "1", "-wdir", str(place), sys.executable, *WORKER, "train", *words, "--name", "ranks"]
             for place in (tmp_path, tmp_path / "there")]  # fmt: skip
    code, out, err = finished(launch(ranks))
    assert code == 0, out + err
    assert out.count("started from runs/first") == 1
    require_same(Path("runs/alone"), Path("runs/ranks"))
    assert "train_sample_loss" in Path("runs/ranks/metrics.csv").read_text(encoding="utf-8")
    assert [path.name for path in Path("there").iterdir() if path.name != "__pycache__"] == ["own.py"]

    shutil.rmtree("runs/ranks")
    Path("there/own.py").write_text(OWN.replace("return x * x", "return x * x * x"), encoding="utf-8")
    code, _, err = finished(launch(ranks))
    assert code == 2
    assert re.search(r"rank 1 on \S+: own layers: .* copy the same file of --model or --layers to all", err), err


def test_one_process_has_nothing_of_it(shards):
    with quick_training():
        experiment = Experiment(Config(image_size=32), shards)
    assert (type(experiment.trainer), type(experiment.data.train)) == (Trainer, Batches)
    assert type(experiment.network.watcher) is Watcher
    assert "mpi4py" not in sys.modules


def refused(parts, tmp_path, scripts=(ROOT, ROOT)):
    """What rank 0 says if rank 1 differs in `parts`, and nothing has been begun."""
    words = ["--data", "shards", "--runs", str(tmp_path / "runs"), *SETTINGS]
    began = time.monotonic()
    ranks = [
        ["-n", "1", *part, sys.executable, str(folder / "train.py"), *words]
        for part, folder in zip(parts, scripts, strict=True)
    ]
    code, out, err = finished(launch(ranks))
    assert time.monotonic() - began < 60
    assert code == 2, out + err
    lines = [line for line in of_the_program(err).splitlines() if line]
    assert len(lines) == 1, err
    assert not (tmp_path / "runs").exists()
    return lines[0]


@needs_mpi
def test_a_truncated_shard_on_one_rank(shards, tmp_path):
    for folder in ("here", "there"):
        shutil.copytree(shards, tmp_path / folder / "shards")
    broken = tmp_path / "there" / "shards" / "train-0000.h5"
    broken.write_bytes(broken.read_bytes()[:-1000])
    line = refused([("-wdir", str(tmp_path / "here")), ("-wdir", str(tmp_path / "there"))], tmp_path)
    assert line.startswith("train.py: rank 1 on ")
    assert "train-0000.h5" in line
    assert "truncated" in line


@needs_mpi
def test_another_processor_on_one_rank(shards, tmp_path):
    shutil.copytree(shards, tmp_path / "shards")
    here = ("-wdir", str(tmp_path))
    line = refused([here, (*here, "env", "NUMBA_CPU_NAME=nehalem")], tmp_path)
    assert re.match(
        r"train.py: rank 1 on \S+: processor: nehalem.* here, .* on rank 0 \(.*\): set NUMBA_CPU_NAME", line
    )


@needs_mpi
@pytest.mark.slow
def test_other_settings_and_other_kernels_on_one_rank(shards, tmp_path):
    shutil.copytree(shards, tmp_path / "shards")
    edited = tmp_path / "edited"
    shutil.copytree(ROOT / "scratchnet", edited / "scratchnet", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "train.py", edited)
    with open(edited / "scratchnet" / "kernels" / "pool.py", "a", encoding="utf-8") as source:
        source.write("# edited\n")
    here = ("-wdir", str(tmp_path))
    line = refused([here, (*here, "env", f"PYTHONPATH={edited}")], tmp_path, scripts=(ROOT, edited))
    assert "rank 1 on " in line
    assert "sources of the kernels" in line
    command = [sys.executable, str(ROOT / "train.py"), "--data", str(shards), "--runs", str(tmp_path / "runs")]
    code, _, err = finished(launch([["-n", "1", *command], ["-n", "1", *command, "--seed", "3"]]))
    assert code == 2
    assert of_the_program(err).count("\n") == 1
    assert "rank 1 on " in err
    assert "--seed 3" in err


@needs_mpi
def test_a_launcher_of_another_library_is_refused(shards, tmp_path):
    """As where mpiexec and mpi4py belong to different libraries: each process would train by itself."""
    process = launch([["-n", "1", "env", "OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK=0", sys.executable,
                       str(ROOT / "train.py"), "--data", str(shards), "--runs", str(tmp_path)]])  # fmt: skip
    code, out, err = finished(process)
    assert code == 2, out + err
    assert "has started 2 processes, and MPI sees 1" in err
