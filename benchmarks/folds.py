"""A cross-validation: python -m benchmarks.folds FOLDS --preset recommended --out FOLDER

Trains on each of the folds that `python -m data_prep … --split kfold` has written, puts the answers to all test sides
together, so that each image is judged once by a network that has not seen its subject, and prints them beside two answers
that anyone could give: always the larger class, and a logistic regression on the image's mean red, green and blue.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.process import ROOT
from benchmarks.settings import say
from scratchnet.command_line import Parser, one_line
from scratchnet.config import PRESETS
from scratchnet.data import Dataset
from scratchnet.errors import DataError, MissingExtraError, ScratchnetError
from scratchnet.predictions import Predictions, predictions_of
from scratchnet.training import Evaluation

MEASURES = ("accuracy", "balanced_accuracy", "roc_auc")


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 a training failed, 2 something that was asked for can't be, 130 interrupted."""
    options, for_training = command_line().parse_known_args(arguments)
    try:
        folds = sorted(Path(options.folds).glob("fold-*/manifest.json"))
        if len(folds) < 2:
            raise DataError(f"{options.folds} holds no folds: write them by python -m data_prep … --split kfold")
        regression = logistic_regression()
        answers: dict[str, list[Predictions]] = {"the network": [], "logistic regression on mean colours": []}
        for shards in (manifest.parent for manifest in folds):
            run = Path(options.out) / shards.name
            if not (run / "predictions.csv").exists():
                say(f"{shards.name}: training")
                began = ["--resume", str(run)] if run.exists() else fresh(options.preset, shards, run) + for_training
                code = subprocess.run([sys.executable, str(ROOT / "train.py"), *began], check=False).returncode
                if code:
                    return 130 if code == 130 else 1
            answers["the network"].append(Predictions.read(run / "predictions.csv"))
            answers["logistic regression on mean colours"].append(by_colour(shards, regression))
        print(table({name: together(parts) for name, parts in answers.items()}))
    except (ScratchnetError, OSError) as error:
        print(f"python -m benchmarks.folds: {one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("python -m benchmarks.folds: stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


def fresh(preset: str, shards: Path, run: Path) -> list[str]:
    """The options of train.py for a new run."""
    return ["--data", str(shards), "--preset", preset, "--runs", str(run.parent), "--name", run.name]


def logistic_regression() -> Any:
    """scikit-learn's, on features of mean 0 and variance 1."""
    try:
        linear, pipeline, preprocessing = (
            importlib.import_module(f"sklearn.{name}") for name in ("linear_model", "pipeline", "preprocessing")
        )
    except ModuleNotFoundError as error:
        raise MissingExtraError("scikit-learn is not installed: pip install -e '.[parity]'") from error
    return pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear.LogisticRegression(class_weight="balanced", max_iter=1000)
    )


def by_colour(shards: Path, regression: Any) -> Predictions:
    """What the regression, fitted to the training side, says of the test side."""
    with Dataset(shards, "train") as train, Dataset(shards, "test") as test:
        regression.fit(mean_colours(train), train.labels)
        logits = np.log(regression.predict_proba(mean_colours(test)))
        return predictions_of(Evaluation(float("nan"), logits, test.labels), test)


def mean_colours(images: Dataset) -> NDArray[np.float64]:
    """Mean red, green and blue of each image, 0 to 255: (N, 3)."""
    return np.array([images.read([n])[0].mean((0, 1)) for n in range(len(images))])


def together(parts: Iterable[Predictions]) -> Predictions:
    """The answers of all folds as those of one test. Raises DataError where an image is judged twice."""
    parts = list(parts)
    paths = tuple(path for part in parts for path in part.paths)
    if len(set(paths)) < len(paths):
        raise DataError("the folds share test images: write them again by python -m data_prep … --split kfold")
    known = all(part.subjects is not None for part in parts)
    return Predictions(
        parts[0].class_names,
        paths,
        tuple(one for part in parts for one in part.subjects or ()) if known else None,
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
    )


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
        prog="python -m benchmarks.folds",
        description="Cross-validation over prepared folds. Options that are not listed here go to train.py.",
    )
    parser.add_argument("folds", metavar="FOLDS", help="what python -m data_prep … --split kfold has written")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="recommended", help="the recipe (%(default)s)")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="for the runs; those that are finished stay")
    return parser


if __name__ == "__main__":
    sys.exit(main())
