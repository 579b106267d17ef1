"""How many patients a test of AUC > 0.5 needs: python -m benchmarks.power DATA

DATA: prepared shards, or a predictions.csv with subjects, such as `scratchnet folds` leaves. The cells of each subject, and how alike
the answers to the cells of one subject are, say how sure an area under the ROC curve can be: by Hanley & McNeil 1982 if all
cells were independent, and by simulated studies of the same patients, each judged by the program's own bootstrap over subjects.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from scratchnet.data import Dataset, read_manifest
from scratchnet.errors import ConfigError
from scratchnet.measures.bootstrap import interval, resamples, strata
from scratchnet.measures.metrics import roc_auc
from scratchnet.measures.predictions import Predictions
from scratchnet.terminal.command_line import Parser
from scratchnet.terminal.entry_point import enter, own_process
from scratchnet.terminal.text_table import text_table

NAME = "python -m benchmarks.power"
NORMAL = NormalDist()
ASSUMED = (0.0, 0.3, 0.5)  # correlations
MOST = 40  # times these subjects: what would take so many more is not looked for
SURE, POWER = 0.975, 0.8  # an interval of 95 %; the usual power that a study is planned for


def hanley_mcneil(area: float, positives: int, negatives: int) -> float:
    """The standard error of an AUC of independent images.

    SE² = (A(1 − A) + (n₊ − 1)(Q₁ − A²) + (n₋ − 1)(Q₂ − A²)) / (n₊ n₋),  Q₁ = A / (2 − A),  Q₂ = 2A² / (1 + A)
    Source: Hanley & McNeil 1982, "The meaning and use of the area under a ROC curve", formula 2.

    >>> round(hanley_mcneil(0.6, 176, 70), 4)
    0.0387
    """
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = (positives - 1) * (first - area**2) + (negatives - 1) * (second - area**2)
    return math.sqrt((area * (1 - area) + spread) / (positives * negatives))


def alike(score: NDArray[np.float64], labels: NDArray[np.int64], owner: NDArray[np.int64]) -> float | None:
    """The intraclass correlation ρ: how much of the spread of the scores within a class is between its subjects, 0 to 1.

    None where it is not defined: each subject has one cell, each class one subject, or all scores are equal.

    By the analysis of variance: ρ = (MSB − MSW) / (MSB + (m₀ − 1) MSW), with the mean squares between subjects and within, pooled over
    classes, and m₀ the size of a subject (corrected where they differ). Source: Donner 1986, "A review of inference procedures for the
    intraclass correlation coefficient in the one-way random effects model", section 2.
    """
    between = within = sizes = 0.0
    groups = images = 0
    for label in np.unique(labels):
        mine, of = score[labels == label], np.unique(owner[labels == label], return_inverse=True)[1]
        counts = np.bincount(of)
        means = np.bincount(of, weights=mine) / counts
        between += float((counts * (means - mine.mean()) ** 2).sum())
        within += float(((mine - means[of]) ** 2).sum())
        groups, images = groups + len(counts) - 1, images + len(mine) - len(counts)
        sizes += len(mine) - float((counts**2).sum()) / len(mine)
    if not groups or not images or between + within == 0:
        return None
    between, within = between / groups, within / images
    return min(1.0, max(0.0, (between - within) / (between + (sizes / groups - 1) * within)))


@dataclass(frozen=True)
class Power:
    """Of simulated studies: the standard deviation of their AUC, and the share whose interval lies above 0.5."""

    error: float
    found: float


def simulated(
    labels: NDArray[np.int64],
    owner: NDArray[np.int64],
    area: float,
    rho: float,
    *,
    studies: int,
    draws: int,
    seed: int = 0,
) -> Power:
    """Studies of these cells of these subjects, whose true AUC is `area`, and whose cells have the intraclass correlation rho.

    score = √2 Φ⁻¹(A) · [positive] + √ρ · subject + √(1 − ρ) · cell, all normal: so its variance within a class is 1, and cells of two
    subjects are in order with probability A. labels (N,): 0 is positive. draws: resamples of each bootstrap.
    """
    rng, subjects = np.random.default_rng(seed), owner.max() + 1
    shift = math.sqrt(2) * NORMAL.inv_cdf(area) * (labels == 0)
    groups, areas, above = strata(labels, owner, 2), [], 0
    for study in range(studies):
        score = (
            shift
            + math.sqrt(rho) * rng.normal(size=subjects)[owner]
            + math.sqrt(1 - rho) * rng.normal(size=len(labels))
        )
        areas.append(float(roc_auc(labels == 0, score)))
        blocks = resamples(groups, draws, study, images=len(labels))
        drawn = np.concatenate([roc_auc(labels == 0, score, times[:, owner].astype(float)) for times in blocks])
        above += interval(drawn)[0] > 0.5
    return Power(float(np.std(areas)), above / studies)


def measure(options: argparse.Namespace) -> int:
    """Prints the cells by subject, the standard error and the power at several correlations, and how many subjects are needed."""
    if not 0.5 < options.auc < 1:
        raise ConfigError(f"--auc must be between 0.5 and 1, got {options.auc}")
    if min(options.studies, options.draws) < 1:
        raise ConfigError(f"--studies and --draws must be at least 1, got {options.studies} and {options.draws}")
    names, labels, owner, found = cells_of(Path(options.data))
    if set(labels) != {0, 1}:
        raise ConfigError(f"{options.data}: an area under the curve needs cells of two classes, {' and '.join(names)}")
    for k, name in enumerate(names):
        of = labels == k
        print(f"{name}: {of.sum()} cells of {len(np.unique(owner[of]))} subjects")
    if found is not None:
        print(f"The answers of a subject's cells have a correlation of {found:.2f} (intraclass, of the logits).")
    alone = hanley_mcneil(options.auc, int((labels == 0).sum()), int((labels == 1).sum()))
    wanted = (options.auc - 0.5) / (NORMAL.inv_cdf(SURE) + NORMAL.inv_cdf(POWER))
    rows = [["correlation", "standard error", "design effect", "power", "subjects for 80 %", "power with them"]]
    how = {"studies": options.studies, "draws": options.draws}
    for rho in sorted({*ASSUMED, *([] if found is None else [round(found, 2)])}):
        one = simulated(labels, owner, options.auc, rho, **how)
        least = max(1, math.ceil((one.error / wanted) ** 2))
        for times in range(least, MOST):  # from what the standard error alone asks for
            several = (owner + (owner.max() + 1) * np.arange(times)[:, None]).reshape(-1)
            there = simulated(np.tile(labels, times), several, options.auc, rho, **how)
            if there.found >= POWER:
                needed = f"{several.max() + 1} ({times} times these)", f"{there.found:.0%}"
                break
        else:
            needed = f"more than {(MOST - 1) * (owner.max() + 1)}", "–"
        effect = f"{(one.error / alone) ** 2:.1f}"
        rows.append([f"{rho:.2f}", f"{one.error:.3f}", effect, f"{one.found:.0%}", *needed])
    print("\n".join(["", *text_table(rows), ""]))
    print(f"A true AUC of {options.auc}; standard error of independent cells, by Hanley & McNeil 1982: {alone:.3f}.")
    print(
        f"{options.studies} simulated studies, each with {options.draws} resamples; power: how many have an interval (95 %) above 0.5."
    )
    return 0


def cells_of(path: Path) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64], float | None]:
    """The classes; label and subject of each cell, (N,); and the correlation of their answers, None for shards.

    Raises ConfigError where the subjects are not known, or there are not two classes.
    """
    found, subjects = None, None
    if path.is_dir():
        sides = [Dataset(path, name) for name in read_manifest(path).splits]
        names, labels = sides[0].class_names, np.concatenate([side.labels for side in sides])
        if sides[0].manifest.subjects_known:
            subjects = [subject for side in sides for subject in side.subjects]
    else:
        said = Predictions.read(path)
        names, labels, subjects = said.class_names, said.labels, list(said.subjects or ()) or None
    if subjects is None or len(names) != 2:
        raise ConfigError(f"{path}: expected cells of two classes, whose subjects are known")
    owner = np.unique(subjects, return_inverse=True)[1].reshape(-1)
    if not path.is_dir():
        p = np.clip(said.probabilities[:, 0], 1e-9, 1 - 1e-9)
        found = alike(np.log(p / (1 - p)), labels, owner)
    return tuple(names), labels, owner, found


def command_line() -> Parser:
    """All options."""
    parser = Parser(prog=NAME, description=__doc__)
    parser.add_argument("data", metavar="DATA", help="prepared shards, or a predictions.csv with subjects")
    parser.add_argument("--auc", type=float, default=0.6, metavar="A", help="the true AUC that is to be shown (0.6)")
    parser.add_argument("--studies", type=int, default=500, metavar="N", help="simulated studies for each figure (500)")
    parser.add_argument("--draws", type=int, default=200, metavar="N", help="resamples in each of them (200)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 2 it cannot be done as asked, 130 interrupted."""
    return enter(lambda: measure(command_line().parse_args(arguments)), NAME, "stopped")


if __name__ == "__main__":
    own_process()
    sys.exit(main())
