"""The targets, and whether they were reached: from the figures of `sections.py` to the rows of the table."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass
from typing import Any

from benchmarks.systems import LABELS, LOWER_PRECISION

# Images/s as a multiple of PyTorch's (the best of its variants) and TensorFlow's.
FASTER: dict[tuple[str, str, int], tuple[float, float | None]] = {
    ("train", "report", 256): (4.5, 3.0),
    ("train", "report-wide", 256): (4.5, 3.5),
    ("train", "report", 64): (4.0, 3.0),
    ("train", "report", 32): (4.0, 3.0),
    ("infer", "report", 256): (4.0, 3.5),
    ("infer", "report", 64): (3.0, None),
}
FASTER_AT = {
    (64, 32): (3.0, None),
    (32, 32): (3.0, None),
    (256, 16): (4.0, None),
}  # image size and batch, for all alike
LEARNT = 0.95  # of the rate from fresh weights
FASTER_TRAINED = {"torch-channels-last": 6.0, "torch-flush": 3.5}
SHARE = 0.6  # of the machine's limit
SCALING = {2: 1.9, 16: 11.0}  # images/s as a multiple of one thread's
MEMORY = 1.3e9  # bytes
READER = 20.0  # images/s of the reader alone as a multiple of the training step's
WARM, COLD = 3.0, 15.0  # seconds
ERROR = 2e-4  # of the root mean square
CURVES = 0.02  # mean distance of two loss curves that count as one; a training goes down from 0.69


@dataclass(frozen=True)
class Row:
    """A line of the table. met: None if there is no target, or if the peer was not measured."""

    work: str
    target: str
    reached: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """In a word."""
        return {True: "met", False: "missed", None: "not judged"}[self.met]


def rows(sections: dict[str, Any]) -> list[Row]:
    """The table of the sections that were run."""
    made = []
    for name, figures in sections.items():
        made += ROWS[name](figures)
    return made


def per_second(rate: float) -> str:
    """Images/s, to three digits.

    >>> per_second(1304.2), per_second(28.04)
    ('1,304', '28.0')
    """
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:#.3g}"


def compared(figures: dict[str, Any]) -> list[Row]:
    """Of the sections steps and inference."""
    return [faster(one) for one in figures["works"]]


def faster(one: dict[str, Any]) -> Row:
    """Our images/s beside the peers'."""
    ours, ratios = one["systems"]["scratchnet"], one["ratios"]
    work = one["work"]
    wanted: tuple[float | None, float | None]
    if "batch" in one:
        wanted = FASTER_AT.get((work["image_size"], one["batch"]), (None, None))
    else:
        wanted = FASTER.get((work["kind"], work["model"], work["image_size"]), (None, None))
    if "median" not in ours:
        return Row(one["title"], "—", f"not available: {ours['not_available']}", None)
    full = [name for name in ratios if name.startswith("torch") and name not in LOWER_PRECISION]
    torch = min(full, key=lambda n: ratios[n]["median"], default="")
    targets: list[str] = []
    said: list[str] = []
    met: list[bool | None] = []
    for family, name, factor in zip(("PyTorch", "TensorFlow"), (torch, "tensorflow"), wanted, strict=True):
        if factor is not None:
            targets.append(f"{factor:g}× {family}")
        if name not in ratios:
            met += [] if factor is None else [None]
            continue
        ratio = ratios[name]
        said.append(f"{ratio['median']:.2f}× {LABELS[name]} ({ratio['min']:.2f}–{ratio['max']:.2f})")
        if factor is not None:
            met.append(ratio["median"] >= factor)
    reached = f"{per_second(ours['median'])} images/s" + ("".join(f", {text}" for text in said) or ", no peer measured")
    judged = together(met) if targets else None
    return Row(one["title"], f"at least {', '.join(targets)}" if targets else "—", reached, judged)


def learnt(figures: dict[str, Any]) -> list[Row]:
    """Of the section trained: beside fresh weights, and beside PyTorch as it comes and with denormal numbers flushed."""
    made = []
    for fresh, one in itertools.pairwise(figures["works"]):
        if fresh["work"]["weights"] or "median" not in one["systems"]["scratchnet"]:
            continue
        share = one["systems"]["scratchnet"]["median"] / fresh["systems"]["scratchnet"]["median"]
        said = [f"{per_second(one['systems']['scratchnet']['median'])} images/s, {share:.0%} of fresh"]
        met: list[bool | None] = [share >= LEARNT]
        for name, factor in FASTER_TRAINED.items():
            ratio = one["ratios"].get(name)
            met.append(ratio["median"] >= factor if ratio else None)
            said += [f"{ratio['median']:.2f}× {LABELS[name]}"] if ratio else []
        wanted = ", ".join(f"{factor:g}× {LABELS[name]}" for name, factor in FASTER_TRAINED.items())
        made.append(Row(one["title"], f"at least {LEARNT:.0%} of fresh, {wanted}", ", ".join(said), together(met)))
    return made


def together(met: list[bool | None]) -> bool | None:
    """Missed if one is, else not judged if one is not, else met.

    >>> together([True, None]), together([False, None]), together([True, True])
    (None, False, True)
    """
    return False if False in met else None if None in met else True


def least_seconds(layer: dict[str, Any], flop_per_s: float) -> list[float]:
    """How long a layer's multiplications, each with its addition, take forward and backward at the machine's rate."""
    return [2 * count / flop_per_s for count in layer["multiplications"]]


def shares(figures: dict[str, Any]) -> dict[str, Any]:
    """Of the section limit: the least and the measured seconds of the whole step, and the first by the second."""
    least = sum(sum(least_seconds(layer, figures["flop_per_s"])) for layer in figures["layers"])
    measured = sum(sum(layer["seconds"]) for layer in figures["layers"])
    return {"least": least, "measured": measured, "share": least / measured}


def limited(figures: dict[str, Any]) -> list[Row]:
    """Of the section limit."""
    share = shares(figures)["share"]
    reached = f"{share:.0%} of {figures['flop_per_s'] / 1e9:.3g} GFLOP/s (sgemm, {figures['threads']} threads)"
    return [Row("share of the machine's own limit, training step", f"at least {SHARE:.0%}", reached, share >= SHARE)]


def scaled(figures: dict[str, Any]) -> list[Row]:
    """Of the section threads."""
    made = []
    for count, ratio in figures["ratios"].items():
        wanted = SCALING.get(int(count))
        if count != "1":
            reached = f"{ratio['median']:.2f}× ({ratio['min']:.2f}–{ratio['max']:.2f})"
            met = ratio["median"] >= wanted if wanted else None
            made.append(Row(f"one thread → {count}", f"at least {wanted:g}×" if wanted else "—", reached, met))
    return made


def remembered(figures: dict[str, Any]) -> list[Row]:
    """Of the section memory."""
    work, ours = figures["work"], figures["systems"]["scratchnet"]
    title = f"peak memory, training batch {work['batch']}, `{work['model']}`, {work['image_size']}×{work['image_size']}"
    if ours["peak_bytes"] is None:
        return [Row(title, f"under {MEMORY / 1e9:g} GB", "this system does not tell", None)]
    said = [f"{ours['peak_bytes'] / 1e9:.2f} GB"]
    for name, peer in figures["systems"].items():
        if name != "scratchnet" and "peak_bytes" in peer:
            at = "" if peer["batch"] == work["batch"] else f" at batch {peer['batch']}"
            said.append(f"{LABELS[name]} {peer['peak_bytes'] / 1e9:.1f}{at}")
    return [Row(title, f"under {MEMORY / 1e9:g} GB", "; ".join(said), ours["peak_bytes"] < MEMORY)]


def started(figures: dict[str, Any]) -> list[Row]:
    """Of the section start."""
    warm = figures["median"]
    made = [Row("start, warm: launch → first step", f"within {WARM:g} s", f"{warm:.1f} s", warm <= WARM)]
    if "cold_compile_s" in figures:
        cold = figures["cold_compile_s"]
        reached = f"{cold:.1f} s; launch → first step {figures['cold_first_step_s']:.1f} s"
        made.append(Row("start, cold: compilation", f"within {COLD:g} s", reached, cold <= COLD))
    return made


def read(figures: dict[str, Any]) -> list[Row]:
    """Of the section reader: at each size, the slowest way of reading decides."""
    made = []
    for one in figures["sizes"]:
        step = statistics.median(one["images_per_s"]["step"])
        said = [f"training step {per_second(step)} images/s"]
        for name, ratio in one["ratios"].items():
            said.append(f"{name} {per_second(statistics.median(one['images_per_s'][name]))}: {ratio['median']:.0f}×")
        slowest = min(ratio["median"] for ratio in one["ratios"].values())
        title = f"reader alone, {one['image_size']}×{one['image_size']}"
        made.append(Row(title, f"at least {READER:g}× the training step", "; ".join(said), slowest >= READER))
    return made


def accurate(figures: dict[str, Any]) -> list[Row]:
    """Of the section accuracy."""
    error, where = max((e, f"{name} {what}") for name, one in figures["errors"].items() for what, e in one.items())
    fast, direct = figures["losses"]["winograd"], figures["losses"]["direct"]
    apart = [abs(a - b) for a, b in zip(fast, direct, strict=True)]
    mean = sum(apart) / len(apart)
    title = "accuracy of the fast path: output and gradients, relative to the root mean square"
    curves = f"loss {direct[0]:.3f} → {direct[-1]:.3f} direct, {fast[-1]:.3f} fast; apart {mean:.4f} on average, {max(apart):.4f} at most"
    return [
        Row(title, f"within {ERROR:.0e} of float64".replace("e-0", "e-"), f"{error:.1e} ({where})", error <= ERROR),
        Row(
            f"{len(fast)} training steps beside the direct kernels",
            f"{CURVES:g} apart on average",
            curves,
            mean <= CURVES,
        ),
    ]


ROWS = {
    "steps": compared,
    "batches": compared,
    "inference": compared,
    "trained": learnt,
    "limit": limited,
    "threads": scaled,
    "memory": remembered,
    "start": started,
    "reader": read,
    "accuracy": accurate,
}
