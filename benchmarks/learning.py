"""What a recipe learns: python -m benchmarks.learning SHARDS --preset report-64 --seeds 0 1 2 --systems scratchnet torch

One line for each system, each set of options and each seed, and a table of their means at the end.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.systems.learners import LEARNERS, Learner, require_shared
from scratchnet.commands.shared import require_writable
from scratchnet.data import read_manifest
from scratchnet.errors import ConfigError, DataError, NonFiniteError
from scratchnet.kernels.machine.threads import set_threads
from scratchnet.storage.files import write_text_atomically
from scratchnet.terminal.command_line import Parser
from scratchnet.terminal.entry_point import enter, own_process
from scratchnet.terminal.wording import counted
from scratchnet.training import Experiment, compile_kernels
from scratchnet.training.config import PRESETS, Config
from scratchnet.training.selection import choosing_side

DESCRIPTION = """\
Trains the network on prepared shards under a preset as it is and with each --change, for each seed and
system, and prints what the test side says after the last epoch. A training has left chance where its balanced accuracy
is then more than a tenth above that of a constant answer (55 % of two classes). Where the shards have a
validation side, that is used instead, and the test side is never looked at. Nothing is averaged over symmetries, except
with --symmetries the answers after the last epoch.
PyTorch is given the same images in the same order, the same first weights and the same dropout masks.
"""

NAME = "python -m benchmarks.learning"
LEFT_CHANCE = 1.1  # times the balanced accuracy of one answer to every image, which is 1 / classes
MEASURES = ("loss", "accuracy", "balanced_accuracy")  # of the side that is watched
NO_CHANGE = (
    "seed", "epochs", "image_size", "test_symmetries", "best_metric", "patience", "checkpoint_minutes", "keep_every",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 a training has diverged, 2 it cannot be done as asked, 130 interrupted."""

    def work() -> int:
        return 1 if any(row["diverged"] for row in measure(command_line().parse_args(arguments))) else 0

    return enter(work, NAME, "stopped; --out holds the trainings that were finished")


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All trainings, one after the other; those that --out holds already are not done again."""
    require_writable(options.out)
    shards, out = Path(options.shards), Path(options.out) if options.out else None
    set_threads(options.threads)
    wanted = [
        (system, change, config_of(options, change, seed))
        for change in ("", *options.change)
        for seed in options.seeds
        for system in options.systems
    ]
    for system, _, config in wanted:
        if system == "torch":
            require_shared(config)
    dataset_id = read_manifest(shards).dataset_id
    asked: list[dict[str, Any]] = []
    done = earlier(out) if out and out.exists() else []
    for system, change, config in wanted:
        key = {
            "system": system, "preset": options.preset, "image_size": config.image_size, "change": change,
            "seed": config.seed, "epochs": config.epochs, "dataset_id": dataset_id, "config": asdict(config),
            "symmetries": options.symmetries,
        }  # fmt: skip
        row = next((row for row in done if key.items() <= row.items()), None)
        if row is None:
            row = key | train(system, config, shards, options.threads, symmetries=options.symmetries)
            done.append(row)
            if out:
                write_text_atomically(out, json.dumps(done, indent=1) + "\n")
            curve = " ".join(f"{loss:.3f}" for loss in row["train_loss"][:8])
            print(f"{title(row)}, seed {row['seed']}: {result(row)}; loss {curve}", flush=True)
        asked.append(row)
    print(f"\n{table(asked)}")
    return asked


def train(system: str, config: Config, shards: Path, threads: int, *, symmetries: bool = False) -> dict[str, Any]:
    """One training: by epoch the mean loss over the steps, and loss and accuracies of the side that is watched.

    symmetries: whether the last epoch's are averaged over them.
    """
    experiment = Experiment(config, shards)
    if system == "torch":
        import torch

        torch.set_num_threads(threads or torch.get_num_threads())
    else:
        compile_kernels(config)
    found: dict[str, Any] = {
        "side": choosing_side(experiment.sides),
        "classes": len(experiment.train_set.class_names),
        "diverged": False,
        "images_per_second": 0.0,
        **{name: [] for name in ("train_loss", *MEASURES)},
    }
    try:
        learn(LEARNERS[system](experiment), experiment, found, f"{system}, seed {config.seed}", symmetries)
    except NonFiniteError:
        found["diverged"] = True
    return found


def learn(learner: Learner, experiment: Experiment, found: dict[str, Any], title: str, symmetries: bool) -> None:
    """The epochs, each with its evaluation, which are added to what was `found`.

    Raises NonFiniteError if training has diverged.
    """
    epochs, images, seconds = experiment.config.epochs, len(experiment.train_set), 0.0
    with tqdm(total=epochs * images, unit="image", desc=title, leave=False, disable=None) as bar:
        for epoch in range(epochs):
            began, losses = time.perf_counter(), []
            for batch in experiment.data.train.epoch(epoch):
                losses.append(learner.step(batch, epoch))
                bar.update(len(batch))
            seconds += time.perf_counter() - began
            if not math.isfinite(math.fsum(losses)):
                raise NonFiniteError(f"the loss in epoch {epoch + 1} is not a number")
            batches = experiment.data.checks[found["side"]].epoch(0)
            evaluation = learner.evaluate(batches, symmetries=symmetries and epoch == epochs - 1)
            found["train_loss"].append(math.fsum(losses) / len(losses))
            for name in MEASURES:
                found[name].append(getattr(evaluation, name))
            found["images_per_second"] = (epoch + 1) * images / seconds


def result(row: dict[str, Any]) -> str:
    """The result of a training."""
    return "diverged" if row["diverged"] else f"{row['accuracy'][-1]:.1%}"


def earlier(out: Path) -> list[dict[str, Any]]:
    """The trainings that a file of --out holds."""
    try:
        rows = [{"symmetries": False, **row} for row in json.loads(out.read_text(encoding="utf-8"))]
        table(rows)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f"{out} is not what --out writes ({error!r}): name another file") from None
    return list(rows)


def config_of(options: argparse.Namespace, change: str, seed: int) -> Config:
    """The preset with the changes of one --change, "batch_size=32, pixels='standardised'", and a seed."""
    settings = dict(PRESETS[options.preset])
    settings["image_size"] = read_manifest(Path(options.shards)).image_shape[0]
    try:
        changed = tomllib.loads(change.replace(",", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"--change {change!r} cannot be read ({error}); write it so: batch_size=32, pixels='standardised'"
        ) from error
    for name in changed:
        if name in NO_CHANGE:
            raise ConfigError(
                f"--change {name} would change nothing here: leave it out (seeds and epochs have options)"
            )
    settings |= changed
    if options.epochs:
        settings["epochs"] = options.epochs
    return Config.from_dict(settings | {"seed": seed})


def title(row: dict[str, Any]) -> str:
    """The training's name, without the seed."""
    size, change = row["image_size"], row["change"] or "as it is"
    averaged = ", averaged over symmetries" if row["symmetries"] else ""
    return f"{row['system']}, {row['preset']} at {size}×{size}, {change}, {counted(row['epochs'], 'epoch')}{averaged}"


def table(rows: list[dict[str, Any]]) -> str:
    """In Markdown: one line for what was trained alike but for the seed."""
    lines = [
        "| training | seeds | left chance | accuracy | mean | images/s |",
        "|---|---:|---:|---|---:|---:|",
    ]
    for one in dict.fromkeys(map(title, rows)):
        alike = [row for row in rows if title(row) == one]
        learnt = [row for row in alike if not row["diverged"]]
        left = sum(row["balanced_accuracy"][-1] > LEFT_CHANCE / row["classes"] for row in learnt)
        mean = f"{math.fsum(row['accuracy'][-1] for row in learnt) / len(learnt):.1%}" if learnt else ""
        speed = sorted(row["images_per_second"] for row in alike)[len(alike) // 2]
        lines.append(f"| {one} | {len(alike)} | {left} | {', '.join(map(result, alike))} | {mean} | {speed:.0f} |")
    return "\n".join(lines)


def command_line() -> Parser:
    """The options, with their defaults."""
    parser = Parser(prog=NAME, description=DESCRIPTION)
    add = parser.add_argument
    add("shards", metavar="SHARDS", help="what python -m data_prep has written")
    add("--preset", choices=tuple(PRESETS), default="report-64", help="the recipe (default: %(default)s)")
    add(
        "--change",
        action="append",
        default=[],
        metavar="OPTIONS",
        help="options that differ from the preset, as in TOML: \"batch_size=32, pixels='standardised'\"; for one "
        "more training of each seed, beside the preset as it is; may be given again",
    )
    add("--seeds", type=int, nargs="+", default=[0], metavar="N", help="one training each (default: 0)")
    add(
        "--systems", nargs="+", choices=tuple(LEARNERS), default=["scratchnet"], help="who trains (default: scratchnet)"
    )
    add("--epochs", type=int, default=0, metavar="N", help="instead of the preset's")
    add(
        "--symmetries", action="store_true", help="average the last epoch's answers over the 8 symmetries of each image"
    )
    add("--threads", type=int, default=0, metavar="N", help="threads of each system (default: 0, all)")
    add("--out", metavar="FILE", help="JSON: each training as soon as it is finished; what it holds is not done again")
    return parser


if __name__ == "__main__":
    own_process()
    sys.exit(main())
