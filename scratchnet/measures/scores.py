"""All measures of a set of answers in one table: per image and per subject, each with its interval, beside a constant answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet.data.class_labels import labelled
from scratchnet.errors import ConfigError, ShapeError
from scratchnet.measures import metrics
from scratchnet.measures.bootstrap import interval, margin, strata
from scratchnet.measures.metrics import Floats, PrecisionRecall, RocCurve
from scratchnet.measures.observations import Measured, Observations, of_subjects, resampled
from scratchnet.nn.losses import checked_labels
from scratchnet.terminal.text_table import text_table, wrapped
from scratchnet.terminal.wording import counted, percent

NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "f1": "F1",
}
NOT_A_SHARE = ("roc_auc", "average_precision", "log_loss")  # printed as 0.912; all others as 91.2 %
BIASED = ("average_precision",)  # in resamples: `interval` moves theirs
NO_WIDTH = 1e-9  # less is rounding


@dataclass(frozen=True)
class Score:
    """A measure and its 95 % interval. NaN where they are not defined.

    resamples: of the bootstrap, those in which it is defined. rests_on: on whom it rests, such as "6 subjects", if
    the bootstrap's interval has no width and says nothing. The interval is then `margin`, which has one end: for a
    share of 1 from `low` to 1, for one of 0 from 0 to `high`. It is (NaN, NaN) for everything else without a width.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    resamples: int = 0
    rests_on: str = ""

    def text(self, *, share: bool = True) -> str:
        """For people: a share in per cent, anything else with three digits, "–" if it is not defined.

        >>> Score(0.878, 0.78, 0.95, 1000).text(), Score(0.91).text(share=False), Score(math.nan).text()
        ('87.8 % (78.0–95.0 %)', '0.910', '–')
        >>> Score(1.0, 0.607, 1.0, 1000, "6 subjects").text()
        '100.0 % (at least 60.7 %: 6 subjects)'
        """
        ends = self.interval_text(share=share)
        return f"{self.value_text(share=share)} ({ends})" if ends else self.value_text(share=share)

    def value_text(self, *, share: bool = True) -> str:
        """`text` without the interval."""
        if math.isnan(self.value):
            return "–"
        return percent(self.value) if share else f"{self.value:.3f}"

    def interval_text(self, *, share: bool = True) -> str:
        """The interval alone, or why there is none; "" if none was asked for."""
        if math.isnan(self.value):
            return ""
        if self.rests_on:
            if math.isnan(self.low):
                return f"no interval: {self.rests_on}"
            bound = f"at least {percent(self.low)}" if self.value else f"at most {percent(self.high)}"
            return f"{bound}: {self.rests_on}"
        if math.isnan(self.low):
            return ""
        return f"{100 * self.low:.1f}–{percent(self.high)}" if share else f"{self.low:.3f}–{self.high:.3f}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which has no NaN: None."""
        value, low, high = (None if math.isnan(one) else one for one in (self.value, self.low, self.high))
        return {"value": value, "low": low, "high": high, "resamples": self.resamples, "rests_on": self.rests_on}


@dataclass(frozen=True)
class Level:
    """The measures of images, or of subjects.

    count: how many. confusion (classes, classes): row = its class, column = the answer. overall: by the measure's name.
    per_class: by class, then by measure. baseline: `overall` of the constant answer. curves, precision_recall: the ROC and the
    precision-recall curve by class.
    """

    count: int
    confusion: Floats
    overall: dict[str, Score]
    per_class: dict[str, dict[str, Score]]
    baseline: dict[str, Score]
    curves: dict[str, RocCurve]
    precision_recall: dict[str, PrecisionRecall]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the curves."""
        return {
            "count": self.count,
            "confusion": self.confusion.astype(int).tolist(),
            **{name: score.to_dict() for name, score in self.overall.items()},
            "per_class": {one: {name: s.to_dict() for name, s in of.items()} for one, of in self.per_class.items()},
            "baseline": {name: score.to_dict()["value"] for name, score in self.baseline.items()},
        }


@dataclass(frozen=True)
class Row:
    """A line of the table: what is measured, whether it is a share, and, per image and per subject if there are any, its
    score and that of the constant answer, which a measure of one class does not have."""

    label: str
    share: bool
    pairs: tuple[tuple[Score, Score | None], ...]

    def cells(self) -> list[str]:
        """The line as texts: label; score and constant answer of the images, then of the subjects."""
        texts = [one.text(share=self.share) if one else "" for pair in self.pairs for one in pair]
        return [self.label, *texts]


@dataclass(frozen=True)
class Scores:
    """What `scores` found.

    positive: the class whose recall is the sensitivity; None if there are more than two classes. majority: the answer
    of the baseline. images; subjects: None if they are not known, or a class has none of its own. notes: what a
    reader has to know about the figures, a sentence each. class_labels: what is shown in place of a class's name; the
    keys of `to_dict` stay the names.
    """

    class_names: tuple[str, ...]
    positive: str | None
    majority: str
    images: Level
    subjects: Level | None
    notes: tuple[str, ...]
    class_labels: Mapping[str, str] = field(default_factory=dict)

    def shown(self, name: str) -> str:
        """What people see as a class's name: its label, or its own name if it has no label."""
        return self.class_labels.get(name, name)

    def rows(self) -> list[Row]:
        """The table, line by line, for whoever prints it."""
        levels = [self.images, *([self.subjects] if self.subjects else [])]
        rows = []
        for name in self.images.overall:
            pairs = tuple((level.overall[name], level.baseline[name]) for level in levels)
            rows.append(Row(self._label(name), name not in NOT_A_SHARE, pairs))
        several = np.count_nonzero(self.images.confusion.sum(axis=1)) > 1  # only the recall is of one class
        for one in self.class_names if several else ():
            for name in self.images.per_class[one]:
                if self.positive is None or name != "recall":  # of two classes it is sensitivity or specificity
                    of_class = tuple((level.per_class[one][name], None) for level in levels)
                    rows.append(
                        Row(f"{NAMES.get(name, name)} of {self.shown(one)!r}", name not in NOT_A_SHARE, of_class)
                    )
        return rows

    def titles(self) -> list[str]:
        """The head of the table, for the cells of each of `rows`."""
        counts = [counted(self.images.count, "image")]
        if self.subjects:
            counts.append(counted(self.subjects.count, "subject"))
        return ["", *(title for count in counts for title in (count, f"always {self.shown(self.majority)!r}"))]

    def table(self, width: int | None = None) -> str:
        """The measures as text: value (interval) per image and per subject, each beside the constant answer, then the notes.

        width: of the terminal (None: ask it); if it has no room for both, the subjects stand below the images.

        >>> found = scores([0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], class_names=("all", "hem"), bootstrap=0)
        >>> print(found.table().splitlines()[1])
        accuracy                         66.7 %        66.7 %
        """
        lines = text_table([self.titles(), *(row.cells() for row in self.rows())], together=2, width=width)
        return "\n".join([*lines, *(line for note in self.notes for line in wrapped(note, width=width))])

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what is not defined is None."""
        return {
            "class_names": list(self.class_names),
            "positive": self.positive,
            "majority": self.majority,
            "images": self.images.to_dict(),
            "subjects": self.subjects.to_dict() if self.subjects else None,
            "notes": list(self.notes),
        }

    def _label(self, name: str) -> str:
        if name in ("sensitivity", "specificity"):
            other = next(one for one in self.class_names if one != self.positive)
            return f"{name} (recall of {self.shown(str(self.positive) if name == 'sensitivity' else other)!r})"
        return NAMES.get(name, name)


def scores(
    labels: ArrayLike,
    probabilities: ArrayLike,
    subjects: Sequence[str] | None = None,
    class_names: Sequence[str] = (),
    *,
    positive: str | None = None,
    threshold: float | None = None,
    prior: ArrayLike | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    class_labels: Mapping[str, str] | None = None,
) -> Scores:
    """Every measure of these answers, per image and per subject, with 95 % intervals over resampled subjects.

    labels (N,): integers, positions in class_names. probabilities (N, classes): the network's; its answer is the largest
    one, the first among equals. subjects: N names, or None if they are not known; each image counts as a subject then.
    positive: of two classes the one that a test looks for (the first). threshold: its probability from which on it is the answer,
    of images and of subjects (None: the more probable class is). prior (classes,): how often each class occurs in
    training; the baseline answers this to every image (None: the frequencies among the labels). bootstrap: resamples, 0
    for no intervals. seed: the same seed gives the same intervals. class_labels: what people are shown for a class.

    A subject's probabilities are the mean over its images, and its class is that of its images. A subject with images
    of several classes has no class: it counts in the measures per image and their intervals, not in those per subject.
    Those are left out if a class has no subject of its own, as when every infected patient has healthy cells too:
    they would measure only the other kind of subject.

    Raises ShapeError, LabelError or ConfigError if the arguments do not fit each other.

    >>> p = np.array([0.9, 0.6, 0.4, 0.3])
    >>> found = scores([0, 0, 0, 1], np.stack([p, 1 - p], axis=1), ["Ann", "Ann", "Bob", "Eve"], ("all", "hem"))
    >>> found.images.overall["accuracy"].value, found.subjects.overall["accuracy"].value
    (0.75, 0.6666666666666666)
    """
    given, chances, names = _checked_answers(labels, probabilities, class_names)
    positive, frequencies = _checked_options(
        names, positive, prior if prior is not None else np.bincount(given, minlength=len(names))
    )
    if subjects is not None and len(subjects) != len(given):
        raise ShapeError(f"expected a subject for each of the {len(given)} images, got {len(subjects)}")
    if bootstrap < 0:
        raise ConfigError(f"bootstrap must be a number of resamples from 0 up, got {bootstrap}")
    owner = np.unique(np.asarray(subjects), return_inverse=True)[1] if subjects is not None else np.arange(len(given))
    whole = of_subjects(given, chances, owner) if subjects is not None else None
    both = [
        Observations(*one, names, positive, threshold) for one in ((given, chances, owner), whole) if one is not None
    ]
    groups = strata(given, owner, len(names))
    drawn = resampled(both, groups, bootstrap, seed)
    kinds = ("subject" if subjects is not None else "image", "subject")
    levels = [
        _level(observed, values, frequencies, kind) for observed, values, kind in zip(both, drawn, kinds, strict=False)
    ]
    if len(np.unique(given)) == 1:
        levels = [_of_one_class(level) for level in levels]
    return Scores(
        names,
        positive,
        names[int(frequencies.argmax())],
        levels[0],
        levels[1] if len(levels) == 2 else None,
        (
            *_missing(given, names, class_labels or {}),
            *_notes(levels, groups, bootstrap, seed, known=subjects is not None, own=prior is None),
        ),
        class_labels or {},
    )


def _level(observed: Observations, drawn: Measured, prior: Floats, kind: str) -> Level:
    """kind: what the resamples were drawn of, "subject" or "image"."""
    overall, of_class = observed.measure()
    constant, _ = observed.measure(probabilities=np.tile(prior, (len(observed.labels), 1)))
    indices = range(len(observed.names)) if observed.positive is None else [observed.names.index(observed.positive)]
    everyone, behind = observed.behind()

    def score(name: str, value: Any, values: Floats | None, subjects: int | None) -> Score:
        if values is None:
            return Score(float(value))
        rests_on = counted(everyone if subjects is None else subjects, kind)
        return _with_interval(float(value), values, subjects, rests_on, biased=name in BIASED)

    return Level(
        count=len(observed.labels),
        confusion=metrics.confusion_matrix(observed.labels, observed.answers, len(observed.names)),
        overall={name: score(name, value, drawn[0].get(name), behind.get(name)) for name, value in overall.items()},
        per_class={
            one: {
                name: score(name, values[k], drawn[1][name][:, k] if drawn[1] else None, behind.get(f"{name} {k}"))
                for name, values in of_class.items()
            }
            for k, one in enumerate(observed.names)
        },
        baseline={name: Score(float(value)) for name, value in constant.items()},
        curves={
            observed.names[k]: metrics.roc_curve(observed.labels == k, observed.probabilities[:, k]) for k in indices
        },
        precision_recall={
            observed.names[k]: metrics.precision_recall_curve(observed.labels == k, observed.probabilities[:, k])
            for k in indices
        },
    )


def _of_one_class(level: Level) -> Level:
    """Without the measures that mean nothing for images of a single class: without images of another class, precision is always
    1, and F1, balanced accuracy and the area under the ROC curve only repeat the recall, or are not defined."""
    none = Score(math.nan)
    kept = ("accuracy", "sensitivity", "specificity", "log_loss")
    return replace(
        level,
        overall={name: score if name in kept else none for name, score in level.overall.items()},
        per_class={
            one: {name: score if name == "recall" else none for name, score in of.items()}
            for one, of in level.per_class.items()
        },
        baseline={name: score if name in kept else none for name, score in level.baseline.items()},
    )


def _missing(labels: NDArray[np.int64], names: tuple[str, ...], shown: Mapping[str, str]) -> list[str]:
    """What cannot be measured if some classes have no image."""
    counts = np.bincount(labels, minlength=len(names))
    absent = [repr(shown.get(name, name)) for name, count in zip(names, counts, strict=True) if not count]
    if len(absent) == len(names) - 1:
        only = repr(labelled(names, shown)[int(counts.argmax())])
        return [
            f"All images are of {only}: what can be measured is its recall, which is the accuracy here. Balanced accuracy, "
            "precision, F1, ROC AUC and average precision are not defined without images of another class (–), and a network that always "
            f"answers {only} would be right each time."
        ]
    if absent:
        return [f"There is no image of {', '.join(absent)}: measures that need one are not defined (–)."]
    return []


def _with_interval(value: float, drawn: Floats, subjects: int | None, rests_on: str, *, biased: bool) -> Score:
    """The measure with the interval of its resamples or, if that has no width, with its `margin`.

    subjects: of how many the value is a share; None if it is not a share of subjects. biased: in resamples, see `interval`.
    """
    low, high = interval(drawn, middle=value if biased else None)
    resamples = int((~np.isnan(drawn)).sum())
    if math.isnan(value) or high - low > NO_WIDTH:
        return Score(value, low, high, resamples)
    low = high = math.nan
    if subjects and value in (0, 1):
        low, high = (1 - margin(subjects), 1.0) if value else (0.0, margin(subjects))
    return Score(value, low, high, resamples, rests_on)


def _notes(
    levels: list[Level], groups: NDArray[np.int64], count: int, seed: int, *, known: bool, own: bool
) -> list[str]:
    """What a reader has to know about the figures."""
    notes = []
    if count:
        who = counted(len(groups), "subject" if known else "image")
        notes.append(f"Intervals: 95 %, by the bootstrap, {count:,} resamples of the {who}, seed {seed}.")
        tables = [of for level in levels for of in (level.overall, *level.per_class.values())]
        if any(not math.isnan(of[name].low) for of in tables for name in BIASED if name in of):
            notes.append("That of average precision is moved so that the median of its resamples is its value.")
        if not known:
            notes.append("The subjects are not known: the intervals are too narrow if images of one subject are alike.")
        sizes = np.bincount(groups)
        if known and sizes.min() < 5:
            smallest = f"the smallest has {sizes.min()}"
            notes.append(f"Subjects are drawn within their class; {smallest}: intervals that rest on it say little.")
        rare = sum(0 < score.resamples < count for level in levels for score in _all_scores(level))
        if rare:
            notes.append(
                f"{counted(rare, 'measure')} did not exist in some resamples, which their intervals leave out."
            )
    if any(score.rests_on and not math.isnan(score.low) for level in levels for score in _all_scores(level)):
        notes.append(
            "A share of 100 % or 0 % has a bound, at 95 % and exact (in short, the rule of three: 3 / n of others may differ, "
            "Hanley & Lippman-Hand 1983), because a bootstrap only knows mistakes that the test holds."
        )
    if any(score.rests_on and math.isnan(score.low) for level in levels for score in _all_scores(level)):
        notes.append(
            "'No interval' means that every resample gives the same value, which says nothing about its spread."
        )
    if own:
        notes.append(
            "How often each class occurs in training is not known: the constant answer uses these images' own classes."
        )
    subjects = levels[1] if len(levels) == 2 else None
    if known and subjects is None:
        notes.append("Nothing is measured per subject: for some class, no subject has images of that class alone.")
    elif subjects and (mixed := len(groups) - subjects.count):
        notes.append(
            f"{counted(mixed, 'subject')} with images of several classes {'has' if mixed == 1 else 'have'} no class, and "
            f"{'is' if mixed == 1 else 'are'} counted per image only."
        )
    return notes


def _all_scores(level: Level) -> list[Score]:
    return [*level.overall.values(), *(score for of in level.per_class.values() for score in of.values())]


def _checked_answers(
    labels: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str]
) -> tuple[NDArray[np.int64], Floats, tuple[str, ...]]:
    chances = np.asarray(probabilities, np.float64)
    if chances.ndim != 2 or len(chances) == 0 or chances.shape[1] < 2:
        raise ShapeError(
            f"probabilities must be (N, classes), N at least 1 and classes at least 2, got {chances.shape}"
        )
    names = tuple(class_names) or tuple(str(k) for k in range(chances.shape[1]))
    if len(names) != chances.shape[1] or len(set(names)) < len(names):
        raise ShapeError(f"expected {chances.shape[1]} different class_names, one for each probability, got {names}")
    if not (chances >= 0).all() or np.abs(chances.sum(axis=1) - 1).max() > 1e-3:
        raise ShapeError(
            "probabilities must be at least 0 and add up to 1 in each row: are they logits? Take their softmax"
        )
    return checked_labels(np.asarray(labels), *chances.shape), chances, names


def _checked_options(names: tuple[str, ...], positive: str | None, prior: ArrayLike) -> tuple[str | None, Floats]:
    """The positive class, None if there are more than two, and the prior as shares that add up to 1."""
    if positive is not None and (positive not in names or len(names) != 2):
        raise ConfigError(f"positive must be one of two classes, got {positive!r} for {', '.join(names)}")
    frequencies = np.asarray(prior, np.float64)
    if frequencies.shape != (len(names),) or not (frequencies >= 0).all() or not frequencies.sum() > 0:
        raise ShapeError(f"prior must hold a frequency for each of the {len(names)} classes, got {prior!r}")
    return positive or (names[0] if len(names) == 2 else None), frequencies / frequencies.sum()
