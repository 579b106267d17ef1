"""The paragraph that a training on several ranks begins with: who takes part, what travels, and what it will gain."""

from __future__ import annotations

import json
import math
import os

from scratchnet.ranks.witness import launcher
from scratchnet.terminal.launcher import by_open_mpi, launched
from scratchnet.terminal.text_table import wrapped
from scratchnet.terminal.wording import counted
from scratchnet.training.experiment import Experiment
from scratchnet.training.shared.forecast import Forecast, forecast, leaf_seconds, probe
from scratchnet.training.shared.trainer import SharedTrainer

REASONS = {
    "plain": "gradients travel whole",
    "factors": "dense layers travel by their factors",
    "hybrid": "the largest dense layer stays with its owners",
}
WORTH = 1.1  # a speed-up below it isn't worth several machines


def get_ready(experiment: Experiment, threads: int) -> str:
    """Measures network and computing, deals out the parameters, and says in a paragraph what to expect; "" for one process.

    A meeting of all ranks; the kernels must be compiled.
    """
    trainer = experiment.trainer
    if not isinstance(trainer, SharedTrainer):
        return ""
    ranks = trainer.ranks
    config, images = experiment.config, min(trainer.micro_batch, experiment.config.batch_size)
    batch = min(config.batch_size, len(experiment.train_set))
    found, leaf = probe(ranks), leaf_seconds(trainer, ranks, images)
    leaves = math.ceil(batch / trainer.micro_batch)
    with ranks.each():
        expected = forecast(trainer.network, found, leaf, leaves, images, list(ranks.hosts))
    trainer.prepare(expected.way)
    places = [json.loads(text) for text in ranks.texts(json.dumps([os.getpid(), threads]))]
    idle = [int(text) for text in ranks.texts(str(ranks.idle))]
    said = _paragraph(expected, list(ranks.hosts), places, leaves, images)
    return "\n".join([*said, *_of_open_mpi(list(ranks.hosts), idle), ""])


def _paragraph(found: Forecast, hosts: list[str], places: list[list[int]], leaves: int, images: int) -> list[str]:
    machines = list(dict.fromkeys(hosts))
    who = ", ".join(
        f"rank {rank} on {host} ({counted(threads, 'thread')}, process {process})"
        for rank, (host, (process, threads)) in enumerate(zip(hosts, places, strict=True))
    )
    mega = found.load.total / 1e6
    others = ", ".join(f"{way} {1e3 * seconds:,.0f}" for way, seconds in found.others.items())
    why = "as the variable asks" if found.forced else "the fastest by the model"
    lines = [
        f"{counted(len(hosts), 'rank')} on {counted(len(machines), 'machine')}: {who}.",
        f"A batch is {counted(leaves, 'part')} of {counted(images, 'image')} at most, dealt out in turn: the weights are those of one "
        f"process with --micro-batch {images}, to the bit.",
        f"Network: {found.network.bandwidth * 8 / 1e9:.2g} Gbit/s from each rank, {1e3 * found.network.latency:.1f} ms for a word to "
        f"all. A rank sends {mega:,.3g} MB a step; {REASONS[found.way]}, {why} (ms a step: {others}).",
        f"Expected: {found.speed_up:.2g} times one machine.",
    ]
    cautions = []
    if leaves < len(hosts):
        idle = counted(len(hosts) - leaves, "rank")
        cautions.append(
            f"CAUTION: {idle} of {len(hosts)} will have nothing to do: a smaller --micro-batch gives each a part."
        )
    if len(machines) > 1 and found.speed_up < WORTH:
        cautions.append(
            "CAUTION: several machines don't pay here: sending takes longer than they save. Larger images, a larger "
            "--batch-size or a faster network would change that."
        )
    if len(machines) == 1 and found.speed_up < WORTH:
        slower = found.speed_up < 1 / WORTH
        here = launched()
        started_by = here.by if here else "the launcher"
        cautions.append(
            f"One process with all threads of this machine is {f'faster: leave out {started_by}' if slower else 'as fast'}."
        )
    text = wrapped(f"{'ranks':<9} {' '.join(lines)}", indent=" " * 10)
    return [*text, *(line for caution in cautions for line in wrapped(caution, indent="  "))]


def _of_open_mpi(hosts: list[str], idle: list[int]) -> list[str]:
    """Where its mpiexec does other than one would think. idle: of each rank's machine, cores that none may use."""
    if not by_open_mpi():
        return []
    said = f"kill -USR1 {launcher()}" if launcher() else "send SIGUSR1 to mpiexec"
    lines = [f"To stop and save: {said}. At Ctrl-C Open MPI ends the ranks before they can."]
    if any(idle):
        count, host = max(zip(idle, hosts, strict=True))
        lines.append(
            f"CAUTION: Open MPI has bound the ranks to cores, and {counted(count, 'core')} of {host} stay idle: "
            "mpiexec --bind-to none frees them."
        )
    return [line for one in lines for line in wrapped(one, indent="  ")]
