"""What is measured, one function a section. Each returns plain figures, in seconds, bytes and images/s, fit for JSON."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.machine import memory as machine_memory
from benchmarks.process import Worker, WorkerError
from benchmarks.rounds import compare, paired, take_turns
from benchmarks.settings import Settings, processors, say
from benchmarks.trained import trained
from benchmarks.work import Work

STEPS = (("report", 256), ("report-wide", 256), ("report", 64), ("report", 32))
USUAL = ((64, 32), (32, 32), (256, 16))  # image size and batch, of people who leave the batch as it is
SIZES = (32, 64, 128, 256)  # of the images that are read
READS = {  # whether images are kept in memory, and whether they are augmented
    "shards": {"kept": False, "augmented": False},
    "shards, augmented": {"kept": False, "augmented": True},
    "memory, augmented": {"kept": True, "augmented": True},
}
HELD = 0.85  # of the memory that is free: more is not asked of a peer


def steps(settings: Settings) -> dict[str, Any]:
    """The training step of all systems."""
    works = STEPS[-1:] if settings.tiny else STEPS
    return {"works": [compare(Work("train", model, size, 0), settings) for model, size in works]}


def batches(settings: Settings) -> dict[str, Any]:
    """The training step of all systems at one batch for all, that of `train.py` first."""
    asked = USUAL[1:2] if settings.tiny else USUAL
    works = []
    for size, batch in asked:
        one = compare(Work("train", "report", size, 0), replace(settings, batch=4 if settings.tiny else batch))
        works.append({**one, "title": f"{one['title']}, batch {batch} for all", "batch": batch})
    return {"works": works}


def inference(settings: Settings) -> dict[str, Any]:
    """The forward pass of all systems."""
    sizes = (32,) if settings.tiny else (256, 64)
    return {"works": [compare(Work("infer", "report", size, 0), settings) for size in sizes]}


def limit(settings: Settings) -> dict[str, Any]:
    """Our training step by layer, and the sgemm rate of the machine, measured before it and after it."""
    work = Work("train", "report", settings.size(256), settings.usual_batch())
    sgemm = {"size": 128 if settings.tiny else 2048, "rounds": 2 if settings.tiny else 10}
    say(f"time by layer, batch {work.batch}")
    with Worker("layers", settings.threads) as worker:
        before = worker.ask("sgemm", **sgemm)
        layers = worker.ask("step", rounds=settings.rounds, **asdict(work))
        rate = max(before, worker.ask("sgemm", **sgemm))
    return {"work": asdict(work), "threads": settings.threads, "flop_per_s": rate, "layers": layers}


def threads(settings: Settings) -> dict[str, Any]:
    """Our training step on 1, 2, 4, … threads and on all, in turns."""
    most = min(processors(), 2) if settings.tiny else processors()
    counts = sorted({most, *(2**i for i in range(most.bit_length()))})
    work = Work("train", "report", settings.size(256), settings.usual_batch())
    with ExitStack() as stack:
        workers = {str(count): stack.enter_context(Worker("scratchnet", count)) for count in counts}
        turns = {}
        for name, worker in workers.items():
            say(f"{name} thread(s), batch {work.batch}")
            worker.ask("begin", **asdict(work))
            turns[name] = max(1, round(settings.turn_seconds / worker.ask("run", steps=1)))
        rates = take_turns(workers, dict.fromkeys(workers, work), turns, settings.rounds)
    ratios = {name: paired(rates[name], rates["1"]) for name in rates}
    return {"work": asdict(work), "images_per_s": rates, "ratios": ratios}


def memory(settings: Settings) -> dict[str, Any]:
    """Peak memory of a training on batches of 256; the peers' at that batch, or at the largest that they can hold."""
    work = Work("train", "report", settings.size(256), 4 if settings.tiny else 256)
    found: dict[str, Any] = {"scratchnet": {"batch": work.batch, "peak_bytes": peak("scratchnet", work, settings)}}
    for name in settings.peers:
        try:
            found[name] = largest_batch(name, work, settings)
        except WorkerError as error:
            say(f"{name} is not available: {error}")
            found[name] = {"not_available": str(error)}
    return {"work": asdict(work), "systems": found}


def largest_batch(system: str, work: Work, settings: Settings) -> dict[str, Any]:
    """The largest power-of-two part of work.batch that fits into the free memory, judged by an eighth of it; and its peak memory."""
    small = max(1, work.batch // 8)
    least = peak(system, replace(work, batch=small), settings)
    free = machine_memory("MemAvailable")
    batch = work.batch
    while batch > small and (free is None or least is None or least * batch / small > HELD * free):
        batch //= 2
    while batch > small:
        try:
            return {"batch": batch, "peak_bytes": peak(system, replace(work, batch=batch), settings)}
        except WorkerError as error:
            say(f"{system} cannot hold a batch of {batch}: {error}")
            batch //= 2
    return {"batch": small, "peak_bytes": least}


def peak(system: str, work: Work, settings: Settings) -> int | None:
    """The most bytes that a fresh process takes for a training: for its second step, when Adam's moments are there."""
    say(f"memory: {system}, batch {work.batch}")
    with Worker(system, settings.threads) as worker:
        worker.ask("begin", **asdict(work))
        worker.ask("run", steps=1)
        found: int | None = worker.ask("peak")
        return found


def start(settings: Settings) -> dict[str, Any]:
    """From the launch of a process to the end of its first training step; and the compilation of the kernels from nothing."""
    work = Work("train", "report", settings.size(64), settings.usual_batch())
    say("start, warm")
    launches = [first_step(work, settings)[0] for _ in range(2 if settings.tiny else 4)]
    found: dict[str, Any] = {"work": asdict(work), "warm_s": launches[1:], "median": statistics.median(launches[1:])}
    if not settings.tiny:
        say("start, cold")
        with tempfile.TemporaryDirectory() as empty:
            seconds, compilation = first_step(work, settings, compile_first=True, NUMBA_CACHE_DIR=empty)
        found |= {"cold_compile_s": compilation, "cold_first_step_s": seconds}
    return found


def first_step(
    work: Work, settings: Settings, *, compile_first: bool = False, **environment: str
) -> tuple[float, float]:
    """Seconds from launch to the end of the first step, and seconds of that for `compile_kernels` if it is called before."""
    began = time.perf_counter()
    with Worker("scratchnet", settings.threads, **environment) as worker:
        compilation = worker.ask("compile") if compile_first else 0.0
        worker.ask("begin", **asdict(work))
        return time.perf_counter() - began, compilation


def reader(settings: Settings) -> dict[str, Any]:
    """Images/s of the reader alone at every size, in turns with our training step."""
    return {"sizes": [reading(size, settings) for size in (SIZES[:1] if settings.tiny else SIZES)]}


def reading(image_size: int, settings: Settings) -> dict[str, Any]:
    """At one size: images/s of the training step and of each way of reading, and the second by the first."""
    work = Work("train", "report", image_size, settings.usual_batch())
    with tempfile.TemporaryDirectory() as empty, ExitStack() as stack:
        workers = {name: stack.enter_context(Worker("reader", settings.threads)) for name in READS}
        folder = str(Path(empty) / "sample")
        say(f"reading, {image_size}×{image_size}")
        images = next(iter(workers.values())).ask("prepare", folder=folder, image_size=image_size)
        for name, worker in workers.items():
            worker.ask("begin", folder=folder, **READS[name])
        workers["step"] = stack.enter_context(Worker("scratchnet", settings.threads))
        workers["step"].ask("begin", **asdict(work))
        works = {**dict.fromkeys(READS, replace(work, batch=images)), "step": work}
        turns = {
            name: max(1, round(settings.turn_seconds / worker.ask("run", steps=1))) for name, worker in workers.items()
        }
        rates = take_turns(workers, works, turns, settings.rounds)
    ratios = {name: paired(rates[name], rates["step"]) for name in READS}
    return {"image_size": image_size, "images": images, "images_per_s": rates, "ratios": ratios}


def accuracy(settings: Settings) -> dict[str, Any]:
    """The error of each layer's fast path, and the loss of the same training by the fast and by the direct path."""
    say("error of each layer")
    with Worker("accuracy", settings.threads) as worker:
        errors = worker.ask("errors", model="report", image_size=settings.size(256), images=2)
    curves = {}
    training = {"image_size": settings.size(64), "batch": settings.usual_batch(), "steps": 3 if settings.tiny else 200}
    for path in ("winograd", "direct"):
        say(f"{training['steps']} training steps, {path}")
        with Worker("accuracy", settings.threads) as worker:
            curves[path] = worker.ask("curve", path=path, **training)
    return {"errors": errors, "training": training, "losses": curves}


SECTIONS: dict[str, Callable[[Settings], dict[str, Any]]] = {
    "steps": steps,
    "batches": batches,
    "inference": inference,
    "trained": trained,
    "limit": limit,
    "threads": threads,
    "memory": memory,
    "start": start,
    "reader": reader,
    "accuracy": accuracy,
}
