"""Systems side by side: each at its best batch, in turns, so that what slows the machine for a while slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from benchmarks.process import Worker, WorkerError
from benchmarks.settings import Settings, say
from benchmarks.work import Work

WORSE = 0.95  # of the best rate so far: below it, no larger batches are tried
REST_SECONDS = 0.3  # between turns: until then, threads of the last one may spin in wait for work


def compare(work: Work, settings: Settings) -> dict[str, Any]:
    """One work in all systems: for each its batch, images/s of every turn, and peak memory; or why it is not available.

    Each turn is a process of its own. Some processes are slower than others from beginning to end, for how the machine has
    placed their memory, and one would speak for all rounds.
    """
    systems = {name: best_batch(name, work, settings) for name in settings.systems}
    able = {name: replace(work, batch=one["batch"]) for name, one in systems.items() if "batch" in one}
    say(f"{work.title}: {settings.rounds} rounds of {', '.join(able)}")
    rates: dict[str, list[float]] = {name: [] for name in able}
    for name in order(able, settings.rounds):
        rates[name].append(trial(name, able[name], settings.turn_seconds, settings.threads)["images_per_s"])
    for name, measured in rates.items():
        systems[name] |= {"images_per_s": measured, "median": statistics.median(measured)}
    peers = [name for name in rates if name != "scratchnet"]
    ratios = {name: paired(rates["scratchnet"], rates[name]) for name in peers if "scratchnet" in rates}
    return {"work": asdict(work), "title": work.title, "systems": systems, "ratios": ratios}


def best_batch(system: str, work: Work, settings: Settings) -> dict[str, Any]:
    """The batch at which a system does most images/s, and what was tried: a fresh process each, for the sake of its peak memory."""
    tried: list[dict[str, Any]] = []
    why = ""
    for batch in settings.batches(work.image_size):
        say(f"{work.title}: {system}, batch {batch}")
        asked = (system, replace(work, batch=batch), settings.turn_seconds / 2, settings.threads)
        try:
            one = trial(*asked)
            if tried and one["images_per_s"] < WORSE * best(tried)["images_per_s"]:
                one = best([one, trial(*asked)])  # a bad moment of the machine is not to end the search
        except WorkerError as error:
            why = str(error)
            break  # if a batch is too large, a larger one is too
        tried.append({"batch": batch, **one})
        if one["images_per_s"] < WORSE * best(tried)["images_per_s"]:
            break
    if not tried:
        say(f"{system} is not available: {why}")
        return {"not_available": why}
    found = best(tried)
    return {"batch": found["batch"], "peak_bytes": found["peak_bytes"], "tried": tried}


def best(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """The one with most images/s."""
    return max(trials, key=lambda one: one["images_per_s"])


def trial(system: str, work: Work, seconds: float, threads: int) -> dict[str, Any]:
    """Images/s of a fresh process over some seconds, and the most memory it took. Its first step, when all memory is new, is not timed."""
    with Worker(system, threads) as worker:
        worker.ask("begin", **asdict(work))
        worker.ask("run", steps=1)
        took, steps = worker.ask("run", steps=1), 1
        if took < seconds / 2:
            steps = round(seconds / took)
            took = worker.ask("run", steps=steps)
        return {"images_per_s": work.batch * steps / took, "peak_bytes": worker.ask("peak")}


def take_turns(
    workers: dict[str, Worker], works: dict[str, Work], steps: dict[str, int], rounds: int
) -> dict[str, list[float]]:
    """Images/s of every worker in each round."""
    rates: dict[str, list[float]] = {name: [] for name in workers}
    for name in order(workers, rounds):
        time.sleep(REST_SECONDS)
        seconds = workers[name].ask("run", steps=steps[name])
        rates[name].append(works[name].batch * steps[name] / seconds)
    return rates


def order(names: Iterable[str], rounds: int) -> list[str]:
    """Each name once a round. Every other round goes backwards, so that nobody is always after the same one.

    >>> order(["a", "b"], rounds=3)
    ['a', 'b', 'b', 'a', 'a', 'b']
    """
    there = list(names)
    return [name for number in range(rounds) for name in (there if number % 2 == 0 else reversed(there))]


def paired(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Median, least and greatest of ours ÷ theirs, round by round.

    >>> paired([20.0, 30.0, 28.0], [5.0, 6.0, 7.0])
    {'median': 4.0, 'min': 4.0, 'max': 5.0}
    """
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
