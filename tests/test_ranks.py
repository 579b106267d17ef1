"""Training on several ranks: the bits of one process, and what is said and left when something goes wrong on one of them."""

import contextlib
import os
import re
import shutil
import signal
import sys
import time

import pytest

import train
from scratchnet.terminal.launcher import launched, without_launcher
from scratchnet.training.checkpoint import load_checkpoint
from scratchnet.training.run import Run
from tests.launching import ROOT, finished, launch, needs_mpi, process_of, start, until
from tests.small_runs import make_sides

WORKER = (str(ROOT / "tests" / "ranks_worker.py"),)
SETTINGS = ("--micro-batch", "8", "--batch-size", "24", "--warmup", "2", "--learning-rate", "0.001")
SAME = ("weights.h5", "best.h5", "metrics.csv", "predictions.csv", "config.toml")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """31 images to learn from: the last batch of an epoch is ragged, and so is its last leaf."""
    return make_sides(tmp_path_factory.mktemp("ranks") / "shards", train=31, test=11)


@pytest.fixture(scope="module")
def alone(shards, tmp_path_factory):
    """The run of one process, in this one."""
    folder = tmp_path_factory.mktemp("alone")
    arguments = ["--data", str(shards), "--epochs", "2", *SETTINGS, "--runs", str(folder), "--name", "run"]
    assert train.main(arguments) == 0
    assert "mpi4py" not in sys.modules
    return folder / "run"


def contents(path):
    """What must be the same: arrays as bytes; a table as it is; settings without the command, which names the run."""
    if path.suffix == ".h5":
        return {name: (array.dtype, array.tobytes()) for name, array in load_checkpoint(path).weights.items()}
    return re.sub(r"(?m)^command = .*$", "", path.read_text())


def require_same(run, other, names=SAME):
    for name in names:
        assert contents(other / name) == contents(run / name), name


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


@needs_mpi
def test_a_step_has_the_bits_of_one_process():
    """Adam, AdamW and SGD, clipped or not, both dtypes; every way in which gradients travel; saved and loaded on the way."""
    code, out, err = finished(start(3, "compare", program=WORKER))
    assert (code, out.strip()) == (0, "3 ranks: the same"), err


@needs_mpi
def test_a_divergence_on_one_rank_is_everyones():
    code, out, err = finished(start(2, "diverge", program=WORKER))
    assert (code, out.strip()) == (0, "2 ranks: the same"), err


@needs_mpi
def test_stopped_on_three_ranks_and_resumed_on_two_is_the_run_of_one(shards, alone, tmp_path):
    arguments = ["--data", str(shards), "--epochs", "2", *SETTINGS, "--runs", str(tmp_path)]
    process = start(3, *arguments, "--name", "three")
    said = until(process, "^epoch   1")
    assert said.count("network   report") == said.count("3 ranks on 1 machine") == said.count("After each epoch") == 1
    process.send_signal(signal.SIGTERM)
    code, out, err = finished(process)
    assert code == 130, err
    assert err.count("Stopping after this step") == 1
    assert f"mpiexec -n 3 {sys.executable}" in out
    assert out.count("--resume") == 1
    assert not (tmp_path / "three" / "weights.h5").exists()

    code, out, err = finished(start(2, "--resume", str(tmp_path / "three")))
    assert code == 0, err
    assert out.count("going on from epoch 2") == out.count("epoch   2") == 1
    require_same(alone, tmp_path / "three")


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
    lines = [line for line in err.splitlines() if line]
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
    line = refused([here, (*here, "-env", "NUMBA_CPU_NAME", "nehalem")], tmp_path)
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
    with open(edited / "scratchnet" / "kernels" / "pool.py", "a") as source:
        source.write("# edited\n")
    here = ("-wdir", str(tmp_path))
    line = refused([here, (*here, "-env", "PYTHONPATH", str(edited))], tmp_path, scripts=(ROOT, edited))
    assert "rank 1 on " in line
    assert "sources of the kernels" in line
    command = [sys.executable, str(ROOT / "train.py"), "--data", str(shards), "--runs", str(tmp_path / "runs")]
    code, _, err = finished(launch([["-n", "1", *command], ["-n", "1", *command, "--seed", "3"]]))
    assert code == 2
    assert err.count("\n") == 1
    assert "rank 1 on " in err
    assert "--seed 3" in err


@needs_mpi
def test_a_rank_that_stands_still_is_named(shards, tmp_path):
    arguments = ["--data", str(shards), "--epochs", "500", *SETTINGS, "--runs", str(tmp_path), "--name", "still"]
    process = start(2, *arguments, SCRATCHNET_DEADLINE="3")
    pid = process_of(until(process, "^epoch   1"), 1)
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    code, _, err = finished(process, timeout=60)
    assert time.monotonic() - began < 3 + 5
    assert code not in (0, 130)
    assert re.search(r"rank 0 on \S+: no answer from rank 1 on \S+ for 3 s", err), err


@needs_mpi
def test_a_launcher_of_another_library_is_refused(shards, tmp_path):
    """As where mpiexec and mpi4py belong to different libraries: each process would train by itself."""
    process = launch([["-n", "1", "-genv", "OMPI_COMM_WORLD_SIZE", "2", "-genv", "OMPI_COMM_WORLD_RANK", "0", sys.executable,
                       str(ROOT / "train.py"), "--data", str(shards), "--runs", str(tmp_path)]])  # fmt: skip
    code, out, err = finished(process)
    assert code == 2, out + err
    assert "has started 2 processes, and MPI sees 1" in err


def kill_and_resume(shards, folder, rng, epochs):
    """Kills ranks at random moments until a run of random numbers of ranks is done; returns how often, and the longest end."""
    run, kills, longest = folder / "killed", 0, 0.0
    arguments = ["--data", str(shards), "--epochs", str(epochs), *SETTINGS, "--runs", str(folder), "--name", "killed"]
    while not (run / "predictions.csv").exists():
        ranks = int(rng.integers(2, 5))
        again = ["--resume", str(run)] if Run(run).checkpoints() else arguments
        if again is arguments and run.exists():
            shutil.rmtree(run)
        process = start(ranks, *again, "--checkpoint-minutes", "0.001")
        said = until(process, "Expected")
        time.sleep(float(rng.uniform(0, 6)))
        began = time.monotonic()
        victim = int(rng.integers(ranks))
        pid = process_of(said, victim)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        code, more, err = finished(process, timeout=60)
        if (run / "predictions.csv").exists():  # it had come to its end before
            break
        kills += 1
        longest = max(longest, time.monotonic() - began)
        assert code != 0
        assert re.search(rf"rank {victim} on \S+ \(process {pid}\) has died without a word", err), said + more + err
    return kills, longest


@needs_mpi
@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the witness needs pidfds")
def test_ranks_are_killed_at_random_moments(shards, alone, rng, tmp_path):
    kills, longest = kill_and_resume(shards, tmp_path, rng, 2)
    assert longest < 5
    require_same(alone, tmp_path / "killed", SAME[:-1])  # its settings say that it saves more often
    print(f"{kills} kills, the slowest end after {longest:.1f} s")
