"""python -m scratchnet search DATA: which settings are best, judged on validation subjects and never on the test side."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scratchnet.commands.plan import Plan, carry_out_all
from scratchnet.commands.several import Networks, add_common, opened, settings_of
from scratchnet.data import read_manifest
from scratchnet.errors import ConfigError
from scratchnet.prepare import cache
from scratchnet.random import generator
from scratchnet.storage.csv_text import csv_text
from scratchnet.storage.files import write_text_atomically
from scratchnet.terminal import invocation
from scratchnet.terminal.text_table import text_table
from scratchnet.terminal.wording import percent
from scratchnet.training import Run
from scratchnet.training.config import Config
from scratchnet.training.options import given_hyper_parameters
from scratchnet.training.run import read_table
from scratchnet.training.selection import best_epoch

SETTINGS = (
    "split", "test_fraction", "test_fold", "validation_fraction", "layout", "subject_pattern", "subjects", "fit", "crop", "bits",
    "keep_duplicates",
)  # fmt: skip
VALIDATION = 0.2  # of the training side, where nothing is said
RANGES = {"learning_rate": (1e-4, 3e-3), "weight_decay": (1e-5, 1e-3), "dropout": (0.2, 0.6)}
WIDE = 10  # a range whose ends differ by such a factor is drawn from by powers
FILE = "search.csv"
KINDS: dict[str, Any] = {one.name: type(one.default) for one in fields(Config)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.description = (
        "Trains once for each combination of a grid, or for random draws, and compares the best epochs on the validation side. "
        "Runs that are complete stay; the same command goes on."
    )
    add = parser.add_argument
    add(
        "--grid", metavar="NAME=V,V", action="append", default=[],
        help="values of a hyper-parameter, such as dropout=0.3,0.5; given again, all combinations are tried",
    )  # fmt: skip
    add("--random", type=int, metavar="N", help="draw N settings at random instead (Bergstra & Bengio 2012)")
    add(
        "--range", metavar="NAME=A,B", action="append", default=[],
        help="with --random: draw a hyper-parameter from A to B, by powers where they differ tenfold (learning_rate, weight_decay "
        "and dropout, around their defaults)",
    )  # fmt: skip
    add_common(parser, "runs/search", SETTINGS)


def run(options: argparse.Namespace) -> int:
    """Trains what is open, and writes and prints the table."""
    asked = _trials(options)
    source, common = opened(options)
    if options.split == "kfold":
        raise ConfigError("search needs one division, and --split kfold makes several: leave it out")
    if cache.is_dataset(source) and "validation" not in read_manifest(source).splits:
        raise ConfigError(f"{source} has no validation side to choose by: prepare it with --validation-fraction 0.2")
    fraction = options.validation_fraction if options.validation_fraction is not None else VALIDATION
    if fraction == 0:
        raise ConfigError("--validation-fraction 0 leaves nothing to choose by: say 0.2, or leave it out")
    settings = settings_of(options, common, SETTINGS, validation_fraction=fraction)
    prepared = Path(options.prepared) if options.prepared else None
    given = {*given_hyper_parameters(options), *(asked[0] if options.grid or options.range else ())}
    networks = Networks(
        [(common | trial).get("model") for trial in asked],
        given,
        lambda: source if cache.is_dataset(source) else cache.kept(source, settings, prepared),
    )
    asked = [{name: trial[name] for name in trial if name in given or networks.have(name)} for trial in asked]
    plans = []
    for trial in asked:
        # Of any value, such as nets/mine.py:net, one folder, on any system.
        name = ",".join(f"{key}={quote(str(value), safe='')}" for key, value in trial.items())
        run = Run(Path(options.out) / name)
        plans.append(Plan(name, networks.config(common | trial), settings, run, source, prepared, side="validation"))
    for plan in plans:
        plan.require_same()
    write = _Table(plans, asked, Path(options.out))
    code = carry_out_all(plans, invocation.command(*options.arguments), write)
    if code != 130:
        print(write())
    return code


def _trials(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The settings of each run. Raises ConfigError for a name or value that cannot be."""
    if (options.random is None) == (not options.grid):
        raise ConfigError(
            "say what to try: --grid learning_rate=0.0003,0.001, given again for another setting, or --random 10"
        )
    if options.random is None:
        if options.range:
            raise ConfigError("--range means nothing without --random: leave it out")
        grid = _all_named(options.grid, "--grid")
        return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if options.random < 1:
        raise ConfigError(f"--random must be at least 1, got {options.random}")
    ranges = _all_named(options.range, "--range") or RANGES
    for name, ends in ranges.items():
        if len(ends) != 2 or KINDS[name] is str or not ends[0] < ends[1]:
            raise ConfigError(
                f"--range {name}=A,B takes two numbers, the smaller first, got {','.join(map(str, ends))}"
            )
    seed = options.seed if options.seed is not None else 0
    return [{name: _drawn(seed, n, name, *ends) for name, ends in ranges.items()} for n in range(options.random)]


def _drawn(seed: int, n: int, name: str, low: float, high: float) -> Any:
    """Draw n of a setting, which depends on nothing but these: more draws leave the first as they were."""
    share = float(generator(seed, f"search {name}", n).random())
    wide = low > 0 and high / low >= WIDE
    value = low * math.exp(share * math.log(high / low)) if wide else low + share * (high - low)
    return round(value) if KINDS[name] is int else float(f"{value:.3g}")


def _all_named(texts: Sequence[str], option: str) -> dict[str, Sequence[Any]]:
    """Hyper-parameters with their values. Raises ConfigError for one that is named twice."""
    found: dict[str, Sequence[Any]] = {}
    for text in texts:
        name, values = _named(text, option)
        if name in found:
            raise ConfigError(f"{option} {text}: {name} is there already: say all its values in one {option}")
        found[name] = values
    return found


def _named(text: str, option: str) -> tuple[str, Sequence[Any]]:
    """A hyper-parameter with its values, in its own type."""
    name, _, values = text.partition("=")
    name = name.replace("-", "_")
    if name not in KINDS or not values:
        raise ConfigError(
            f"{option} {text}: expected NAME=VALUE,VALUE with a hyper-parameter's name, as train.py --help lists them"
        )
    if name == "image_size":
        raise ConfigError(f"{option} {text}: images of another size are prepared anew: search once for each size")
    try:
        found = [KINDS[name](value) for value in values.split(",")]
    except ValueError as error:
        raise ConfigError(f"{option} {text}: {error}") from error
    return name, list(dict.fromkeys(found))


class _Table:
    """The results so far, the best first: called, it writes them and returns them as a text."""

    def __init__(self, plans: Sequence[Plan], asked: Sequence[dict[str, Any]], out: Path) -> None:
        self.plans, self.asked, self.out = plans, asked, out

    def __call__(self) -> str:
        metric = self.plans[0].config.best_metric
        measured, others = [], []
        for plan, trial in zip(self.plans, self.asked, strict=True):
            rows = read_table(plan.run.folder / "metrics.csv")
            if not rows:
                others.append([*map(str, trial.values()), "diverged" if plan.diverged else "to do", "", ""])
                continue
            best = rows[best_epoch(rows, metric) - 1]
            value = best[f"validation_{metric}"]
            texts = (f"{value:.4f}" if metric == "loss" else percent(value), f"{best['epoch']:g} of {len(rows)}")
            shown = [*map(str, trial.values()), *texts, "" if plan.finished else "not finished"]
            measured.append((value if metric == "loss" else -value, shown, plan, value))
        measured.sort(key=lambda one: one[0])
        head = [*self.asked[0], f"validation {metric.replace('_', ' ')}", "best epoch", ""]
        lines = text_table([head, *(shown for _, shown, *_ in measured), *others], left=(), beside=True)
        columns = ["run", *self.asked[0], f"validation_{metric}"]
        table = [[plan.run.folder, *shown[: len(self.asked[0])], value] for _, shown, plan, value in measured]
        self.out.mkdir(parents=True, exist_ok=True)
        write_text_atomically(self.out / FILE, csv_text([columns, *table]))
        if measured:
            lines += ["", "Chosen on the validation side alone. The best again, with another --seed or more --epochs:"]
            lines.append(f"  {invocation.command('train', '--config', measured[0][2].run.config_path)}")
        return "\n".join([*lines, f"Written to {self.out / FILE}."])
