"""A cross-validation: python -m benchmarks.folds FOLDS --preset recommended --out FOLDER

Trains on each of the folds that `python -m data_prep … --split kfold` has written, puts the answers to all test sides
together, so that each image is judged once by a network that has not seen its subject, and prints them beside answers
that anyone could give: always the larger class, and logistic regressions on what needs no network, to which both classes
count the same: the image's mean red, green and blue, and how much of it is not black, the size of a cell that was cut out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.process import ROOT
from benchmarks.settings import say
from scratchnet.commands.shared import require_writable_folder
from scratchnet.data import Dataset, Manifest, read_manifest
from scratchnet.data.images import CROP
from scratchnet.errors import ConfigError, DataError
from scratchnet.extras import require
from scratchnet.measures.predictions import Predictions, predictions_of, together
from scratchnet.storage.files import write_text_atomically
from scratchnet.terminal.command_line import Parser
from scratchnet.terminal.entry_point import enter, own_process
from scratchnet.training import Evaluation
from scratchnet.training.config import PRESETS

NAME = "python -m benchmarks.folds"
OURS = ("--data", "--runs", "--name", "--resume", "--config")
MEASURES = ("accuracy", "balanced_accuracy", "roc_auc")


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 a training has diverged, 2 it cannot be done as asked, 130 interrupted."""
    return enter(
        lambda: measure(*command_line().parse_known_args(arguments)), NAME, "stopped; the same command goes on"
    )


def measure(options: argparse.Namespace, for_training: list[str]) -> int:
    """Trains what is still to do, and prints the table. for_training: the options for train.py."""
    for name in OURS:
        if any(one == name or one.startswith(name + "=") for one in for_training):
            raise ConfigError(f"{name} is chosen here for each fold: leave it out")
    folds = [manifest.parent for manifest in sorted(Path(options.folds).glob("fold-*/manifest.json"))]
    if len(folds) < 2:
        raise DataError(f"{options.folds} holds no folds: write them by python -m data_prep … --split kfold")
    manifests = {fold.name: read_manifest(fold) for fold in folds}
    require_whole(options.folds, manifests)
    require_writable_folder(options.out)
    regression, out = logistic_regression(), Path(options.out)
    remember(out, manifests, options.preset, for_training)
    answers: dict[str, list[Predictions]] = {"the network": [], **{name: [] for name in FEATURES}}
    for shards in folds:
        run = out / shards.name
        if not (run / "predictions.csv").exists():
            say(f"{shards.name}: training")
            began = ["--resume", str(run)] if run.exists() else fresh(options.preset, shards, run) + for_training
            code = train(began)
            if code:
                return code
        answers["the network"].append(Predictions.read(run / "predictions.csv"))
        for name, said in by_regressions(shards, regression).items():
            answers[name].append(said)
    print(table({name: together(parts) for name, parts in answers.items()}))
    return 0


def remember(out: Path, manifests: dict[str, Manifest], preset: str, options: list[str]) -> None:
    """Records in `out` what its runs are of. Raises ConfigError if they are of something else."""
    asked = {
        "folds": {name: manifest.dataset_id for name, manifest in manifests.items()},
        "preset": PRESETS[preset],
        "options": options,
    }
    note = out / "folds.json"
    try:
        before = json.loads(note.read_text(encoding="utf-8")) if note.exists() else asked
    except ValueError as error:
        raise DataError(f"{note} is damaged ({error}): name another folder with --out") from None
    if before != asked and any(out.glob("fold-*")):
        different = [name for name in asked if before.get(name) != asked[name]]
        raise ConfigError(f"the runs in {out} have other {' and '.join(different)}: name another folder with --out")
    if not note.exists() and out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} holds something else: name another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    write_text_atomically(note, json.dumps(asked, indent=1) + "\n")


def require_whole(folder: str, manifests: dict[str, Manifest]) -> None:
    """Raises DataError unless these are all folds of one cross-validation."""
    made = [manifest.preparation for manifest in manifests.values()]
    apart = {tuple(one.get(name) for name in ("source", "image_size", "fit", "crop", "seed", "folds")) for one in made}
    there = [one.get("fold") for one in made]
    if len(apart) > 1 or set(there) != set(range(made[0].get("folds") or 0)):
        raise DataError(
            f"{folder} holds the folds {there}, not all of one cross-validation: write them again by "
            "python -m data_prep … --split kfold"
        )


def train(options: list[str]) -> int:
    """Runs train.py; returns its exit code. Ctrl-C reaches it too, and it gets time to save."""
    with subprocess.Popen([sys.executable, str(ROOT / "train.py"), *options]) as process:
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                return process.wait()


def fresh(preset: str, shards: Path, run: Path) -> list[str]:
    """The options of train.py for a new run."""
    return ["--data", str(shards), "--preset", preset, "--runs", str(run.parent), "--name", run.name]


def logistic_regression() -> Any:
    """scikit-learn's, on features of mean 0 and variance 1."""
    linear, pipeline, preprocessing = (
        require(f"sklearn.{name}") for name in ("linear_model", "pipeline", "preprocessing")
    )
    return pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear.LogisticRegression(class_weight="balanced", max_iter=1000)
    )


def by_regressions(shards: Path, regression: Any) -> dict[str, Predictions]:
    """The predictions for the test side of the regression on each of FEATURES, fitted to the training side."""
    answers = {}
    with Dataset(shards, "train") as train, Dataset(shards, "test") as test:
        on_train, on_test = features_of(train), features_of(test)
        for name in FEATURES:
            regression.fit(on_train[name], train.labels)
            logits = np.log(regression.predict_proba(on_test[name]))
            answers[name] = predictions_of(Evaluation(float("nan"), logits, test.labels), test)
    return answers


def features_of(images: Dataset) -> dict[str, NDArray[np.float64]]:
    """Each of FEATURES for all images, which are read once: (N, …)."""
    rows = [
        [feature(pixels) for feature in FEATURES.values()]
        for pixels in (images.read([n])[0] for n in range(len(images)))
    ]
    return {name: np.array(column) for name, column in zip(FEATURES, zip(*rows, strict=True), strict=True)}


def mean_colours(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean red, green and blue of an image (H, W, 3), 0 to 255: (3,)."""
    mean: NDArray[np.float64] = pixels.mean((0, 1))
    return mean


def part_not_black(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The part of an image (H, W, 3) that is brighter than noise in any channel, 0 to 1: (1,)."""
    return np.array([(pixels.max(axis=-1) > CROP["brighter_than"]).mean()])


Feature = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
FEATURES: dict[str, Feature] = {
    "logistic regression on mean colours": mean_colours,
    "logistic regression on the part that is not black": part_not_black,
}


def table(answers: dict[str, Predictions]) -> str:
    """In Markdown, with 95 % intervals from the bootstrap over subjects."""
    found = {name: one.scores() for name, one in answers.items()}
    first = next(iter(found.values()))
    lines = [
        "| who answers | " + " | ".join(name.replace("_", " ") for name in MEASURES) + " |",
        "|---|---:|---:|---:|",
    ]
    constant = {name: first.images.baseline[name] for name in MEASURES}
    for name, measures in {
        f"always '{first.majority}'": constant,
        **{k: v.images.overall for k, v in found.items()},
    }.items():
        cells = [measures[one].text(share=one != "roc_auc") for one in MEASURES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{first.images.count} images.", *first.notes])


def command_line() -> Parser:
    """The options; every other one goes to train.py."""
    parser = Parser(
        passes_on=True,
        prog=NAME,
        description="Cross-validation over prepared folds. Options that are not listed here go to train.py.",
    )
    parser.add_argument("folds", metavar="FOLDS", help="what python -m data_prep … --split kfold has written")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="recommended", help="the recipe (%(default)s)")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="for the runs; those that are finished stay")
    return parser


if __name__ == "__main__":
    own_process()
    sys.exit(main())
