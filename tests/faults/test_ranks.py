"""What befalls training on several ranks: each time another number of them goes on, and the end has the bits of one process."""

import contextlib
import os
import re
import shutil
import signal
import sys
import time

import pytest

import train
from scratchnet.training.run import Run
from tests.launching import ROOT, SETTINGS, finished, is_open_mpi, needs_mpi, process_of, ragged_sides, start, until
from tests.small_runs import SAME, quick_training, require_same
from tests.two_machines import cable, can_be_had, two_machines

pytestmark = needs_mpi
TRAIN = (str(ROOT / "tests" / "ranks_worker.py"), "train")
DEADLINE = 3  # seconds; a rank on a loaded machine is never silent for so long
EPOCHS = 20


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return ragged_sides(tmp_path_factory.mktemp("ranks") / "shards")


def words(shards, folder, *more):
    return ["--data", str(shards), "--runs", str(folder), "--epochs", str(EPOCHS), *SETTINGS, *more]


@pytest.fixture(scope="module")
def alone(shards, tmp_path_factory):
    """The run of one process, in this one."""
    folder = tmp_path_factory.mktemp("alone")
    with quick_training():
        assert train.main(words(shards, folder, "--name", "run")) == 0
    assert "mpi4py" not in sys.modules
    return folder / "run"


def begin(shards, run, ranks, *more, **variables):
    """The run of `alone` from its beginning, or from where it was left."""
    again = ["--resume", str(run), *more]
    first = words(shards, run.parent, "--name", run.name, *more)
    return start(ranks, *(again if run.exists() else first), program=TRAIN, **variables)


def asked_to_stop(shards, run, ranks, number, whom):
    """A signal to mpiexec, or to the rank `whom`: saved, and the command that goes on is said, once.

    Open MPI's mpiexec passes on SIGUSR1 alone, as the announcement says.
    """
    process = begin(shards, run, ranks)
    said = until(process, r"^epoch  +\d")
    if is_open_mpi():
        assert f"To stop and save: kill -USR1 {process.pid}." in said
        number = number if whom is not None else signal.SIGUSR1
    assert said.count("network   report") == said.count(f"{ranks} ranks on 1 machine") == 1
    os.kill(process.pid if whom is None else process_of(said, whom), number)
    code, out, err = finished(process)
    assert code == 130, (number, whom, out, err)
    # A launcher passes SIGTERM on to all; rank 0 says so where it was told, and where another was, its own end says it.
    assert err.count("Stopping after this step") == (whom in (None, 0))
    assert out.count("--resume") == out.count(f"mpiexec -n {ranks} ") == 1
    assert not (run / "weights.h5").exists()


def stands_still(shards, run, ranks):
    """Rank 1 stops, as one whose machine has gone to sleep does."""
    process = begin(shards, run, ranks, SCRATCHNET_DEADLINE=str(DEADLINE))
    os.kill(process_of(until(process, r"^epoch  +\d"), 1), signal.SIGSTOP)
    began = time.monotonic()
    code, _, err = finished(process, timeout=60)
    assert time.monotonic() - began < DEADLINE + 20
    assert code not in (0, 130)
    assert re.search(rf"rank 0 on \S+: no answer from rank 1 on \S+ for {DEADLINE} s", err), err


def has_a_full_disk(shards, run, ranks):
    """No file of rank 0 may be larger than a few kilobytes from now on: one caution an epoch, and exit code 2 at the end."""
    import resource

    process = begin(shards, run, ranks)
    said = until(process, r"^epoch  +\d")
    saved = Run(run).load().progress.epoch
    resource.prlimit(process_of(said, 0), resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    code, out, err = finished(process)
    assert code == 2, out + err
    cautions, epochs = out.count("CAUTION: the run could not be saved"), len(re.findall(r"(?m)^epoch  +\d", out))
    assert 1 <= cautions <= epochs + 1
    assert f"epoch {EPOCHS:3} " in out
    assert err.count("the run cannot be saved") == err.count("--resume") == 1
    assert saved <= Run(run).load().progress.epoch < EPOCHS


def test_stopped_stuck_and_full_and_still_the_run_of_one_process(shards, alone, tmp_path):
    run = tmp_path / "run"
    asked_to_stop(shards, run, 3, signal.SIGTERM, None)
    stands_still(shards, run, 2)
    asked_to_stop(shards, run, 2, signal.SIGINT, 1)
    if sys.platform.startswith("linux"):
        has_a_full_disk(shards, run, 2)
    with quick_training():
        assert train.main(["--resume", str(run)]) == 0
    require_same(alone, run)


@pytest.mark.slow
@pytest.mark.parametrize("whom", [None, 0, 1])
def test_every_way_to_stop_it(shards, alone, tmp_path, whom):
    run = tmp_path / "run"
    for ranks, number in zip((2, 3, 4), (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1), strict=True):
        asked_to_stop(shards, run, ranks, number, whom)
    code, out, err = finished(begin(shards, run, 2))
    assert code == 0, out + err
    assert out.count(f"epoch {EPOCHS:3} ") == 1
    require_same(alone, run)


def kill_until_done(shards, run, rng):
    """Kills a rank at a random moment, of random numbers of ranks, until the run is done; returns the seconds that each end took."""
    ends = []
    done = run / "weights.h5"  # the last file of a finished run
    while not done.exists():
        if run.exists() and not Run(run).checkpoints():
            shutil.rmtree(run)
        ranks = int(rng.integers(2, 5))
        process = begin(shards, run, ranks, "--checkpoint-minutes", "0.0001")
        said = until(process, "Expected")
        time.sleep(float(rng.uniform(0, 2)))
        victim = int(rng.integers(ranks))
        pid = process_of(said, victim)
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        code, more, err = finished(process, timeout=60)
        if done.exists():  # it had come to its end before
            break
        ends.append(time.monotonic() - began)
        print(f"kill {len(ends)}: rank {victim} of {ranks}, over after {ends[-1]:.2f} s", flush=True)
        assert code != 0
        assert re.search(rf"rank {victim} on \S+ \(process {pid}\) has died without a word", err), said + more + err
    return ends


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the witness needs pidfds")
def test_ranks_are_killed_at_random_moments(shards, alone, rng, tmp_path):
    """SCRATCHNET_KILLS: how many, at least; 60."""
    ends, runs = [], 0
    while len(ends) < int(os.environ.get("SCRATCHNET_KILLS", "60")):
        runs += 1
        ends += kill_until_done(shards, tmp_path / f"killed-{runs}", rng)
        require_same(alone, tmp_path / f"killed-{runs}", SAME[:-1])  # its settings say that it saves more often
    print(
        f"{len(ends)} kills in {runs} runs, over after {sum(ends) / len(ends):.2f} s on average, {max(ends):.2f} s at most"
    )
    assert max(ends) < 5


@pytest.mark.slow
@pytest.mark.skipif(not can_be_had(), reason="two network namespaces need Linux and root")
def test_a_cable_that_is_pulled(shards, alone, tmp_path):
    run = tmp_path / "run"
    with two_machines() as start:
        ranks = ["-n", "2", sys.executable, *TRAIN, *words(shards, tmp_path, "--name", "run")]
        process = start(ranks, SCRATCHNET_DEADLINE=str(DEADLINE))
        said = until(process, r"^epoch  +\d")
        assert "2 ranks on 2 machines: rank 0 on machine1" in said
        cable("down")
        began = time.monotonic()
        code, _, err = finished(process, timeout=60)
        assert time.monotonic() - began < DEADLINE + 20
        assert code not in (0, 130)
        assert f"rank 0 on machine1: no answer from rank 1 on machine2 for {DEADLINE} s" in err
    with quick_training():
        assert train.main(["--resume", str(run)]) == 0
    require_same(alone, run)
