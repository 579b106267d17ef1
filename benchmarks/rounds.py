"""Systems side by side: each at its best batch, in turns, so that what slows the machine for a while slows all of them."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from benchmarks.process import Worker, WorkerError
from benchmarks.settings import Settings, say
from benchmarks.work import Work

TRIAL_SECONDS = 1.5  # for each batch that is tried
WORSE = 0.95  # of the best rate so far: below it, no larger batches are tried
REST_SECONDS = 0.3  # between turns: until then, threads of the last one may spin in wait for work


def compare(work: Work, settings: Settings) -> dict[str, Any]:
    """One work in all systems: for each its batch, images/s of every turn, and peak memory; or why it is not available."""
    systems = {name: best_batch(name, work, settings) for name in settings.systems}
    able = {name: replace(work, batch=one["batch"]) for name, one in systems.items() if "batch" in one}
    say(f"{work.title}: {settings.rounds} rounds of {', '.join(able)}")
    turns = {name: max(1, round(settings.turn_seconds * systems[name]["trial"] / able[name].batch)) for name in able}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name, settings.threads)) for name in able}
        for name in list(workers):
            try:
                workers[name].ask("begin", **asdict(able[name]))
            except WorkerError as error:  # it could while it was alone: too little memory for all together
                systems[name] = {"not_available": str(error)}
                del workers[name]
        rates = take_turns(workers, able, turns, settings.rounds)
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
        try:
            tried.append({"batch": batch, **trial(system, replace(work, batch=batch), settings)})
        except WorkerError as error:
            why = str(error)
            break  # if a batch is too large, a larger one is too
        if tried[-1]["images_per_s"] < WORSE * max(one["images_per_s"] for one in tried):
            break
    if not tried:
        say(f"{system} is not available: {why}")
        return {"not_available": why}
    best = max(tried, key=lambda one: one["images_per_s"])
    return {"batch": best["batch"], "trial": best["images_per_s"], "peak_bytes": best["peak_bytes"], "tried": tried}


def trial(system: str, work: Work, settings: Settings) -> dict[str, Any]:
    """Images/s in a fresh process, and the most memory it took."""
    with Worker(system, settings.threads) as worker:
        worker.ask("begin", **asdict(work))
        seconds, steps = worker.ask("run", steps=1), 1
        more = 0 if settings.tiny else round(TRIAL_SECONDS / seconds)
        if more:
            seconds, steps = worker.ask("run", steps=more), more
        return {"images_per_s": work.batch * steps / seconds, "peak_bytes": worker.ask("peak")}


def take_turns(
    workers: dict[str, Worker], works: dict[str, Work], steps: dict[str, int], rounds: int
) -> dict[str, list[float]]:
    """Images/s of every worker in each round. Every other round goes backwards, so that nobody is always after the same one."""
    rates: dict[str, list[float]] = {name: [] for name in workers}
    for number in range(rounds):
        for name in list(workers) if number % 2 == 0 else reversed(list(workers)):
            time.sleep(REST_SECONDS)
            seconds = workers[name].ask("run", steps=steps[name])
            rates[name].append(works[name].batch * steps[name] / seconds)
    return rates


def paired(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Median, least and greatest of ours ÷ theirs, round by round.

    >>> paired([20.0, 30.0, 28.0], [5.0, 6.0, 7.0])
    {'median': 4.0, 'min': 4.0, 'max': 5.0}
    """
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
