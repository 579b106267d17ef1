"""What a person is told of a run: what is about to happen, and what came of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from scratchnet.class_labels import KEY, labelled
from scratchnet.data import Dataset
from scratchnet.data.images import require_repeatable
from scratchnet.errors import DataError
from scratchnet.options import settings_table
from scratchnet.training.checkpoint import Progress
from scratchnet.training.experiment import Experiment
from scratchnet.training.selection import best_epoch, choosing_side, watched_side
from scratchnet.training.trainer import Evaluation


def announcement(experiment: Experiment, threads: int, run: Path, progress: Progress) -> str:
    """Data, network and hyper-parameters, and where the run begins or goes on."""
    config = experiment.config
    lines = [
        sides_text(experiment),
        f"\nnetwork   {config.model}, {config.dtype}",
        experiment.network.summary_table(),
        "",
        *settings_table(asdict(config)),
        f"\nmicro-batch {experiment.trainer.micro_batch}, {threads} thread{'s' if threads > 1 else ''}, results in {run}",
    ]
    steps = config.epochs * len(experiment.train_batches)
    if config.warmup >= steps:
        lines.append(
            f"CAUTION: the warm-up of {config.warmup} steps is longer than the training, {steps} steps: lower --warmup"
        )
    if progress.epoch >= config.epochs:
        lines.append(f"its {progress.epoch} epochs are done; --epochs adds more")
    elif progress.epoch or progress.batches_done:
        lines.append(f"going on from epoch {progress.epoch + 1}, batch {progress.batches_done + 1}")
    watched = choosing_side(experiment.sides)
    lines.append(
        "\nAfter each epoch: loss and accuracy of each side; "
        f"★ where the {config.best_metric.replace('_', ' ')} of the {watched} side is the best so far"
    )
    return "\n".join([*lines, ""])


def sides_text(experiment: Experiment) -> str:
    """The images of each side, and whether a subject stands on two."""
    sides = [f"  {name:<10} {_side(dataset)}" for name, dataset in experiment.sides.items()]
    return "\n".join([f"data      {experiment.folder}", *sides, f"  {_apart(experiment)}", *_outdated(experiment)])


def _outdated(experiment: Experiment) -> list[str]:
    """Whether these images were prepared in another way than files are today."""
    try:
        require_repeatable(experiment.train_set.preprocessing)
    except DataError as error:
        return [f"  CAUTION: the network will be of no use for image files: {error}"]
    return []


def _side(dataset: Dataset) -> str:
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    classes = ", ".join(f"{count} {name}" for count, name in zip(counts, dataset.class_names, strict=True))
    return f"{len(dataset)} images ({classes}) of {len(set(dataset.subjects))} subjects"


def _apart(experiment: Experiment) -> str:
    """Whether the test says something about new subjects."""
    if not experiment.train_set.manifest.subjects_known:
        return "CAUTION: the subjects are not known; images of one subject may stand on both sides."
    shared = experiment.shared_subjects()
    if shared:
        return f"CAUTION: {len(shared)} subjects stand on both sides: the test accuracy says little about new subjects."
    return "no subject stands on both sides"


def conclusion(experiment: Experiment, progress: Progress, evaluation: Evaluation, run: Path) -> str:
    """How good the network is on the test images, beside a constant answer, and which epoch was the best.

    evaluation: of the test side, after the last epoch.
    """
    train_set, test_set = experiment.train_set, experiment.test_set
    new_subjects = train_set.manifest.subjects_known and not experiment.shared_subjects()
    lines = [
        f"On {len(test_set)} {'images of subjects never seen in training' if new_subjects else 'test images'}:",
        *_measures(experiment, evaluation),
        *(_best(progress, experiment.config.best_metric) if len(progress.rows) > 1 else []),
    ]
    if test_set.manifest.preparation.get("sample"):
        lines += ["\nThe cells of the sample are a demonstration: everything works, and they are too few for a result."]
    return "\n".join([*lines, f"\nWeights, metrics and configuration are in {run}."])


def _measures(experiment: Experiment, evaluation: Evaluation) -> list[str]:
    names = labelled(experiment.test_set.class_names, experiment.about[KEY])
    counts = np.bincount(experiment.test_set.labels, minlength=len(names))
    larger = int(np.bincount(experiment.train_set.labels, minlength=len(names)).argmax())
    chance, constant = counts[larger] / counts.sum(), 1 / np.count_nonzero(counts)
    lines = [
        f"  accuracy {evaluation.accuracy:.1%}; always answering '{names[larger]}' would be right in {chance:.1%}",
        f"  balanced accuracy {evaluation.balanced_accuracy:.1%}; a constant answer has {constant:.1%}",
    ]
    width = max(map(len, names))
    for name, answers in zip(names, evaluation.confusion(), strict=True):
        shares = ", ".join(f"{count} as {other}" for count, other in zip(answers, names, strict=True))
        lines.append(f"  {name:<{width}}  {shares}")
    if len(np.unique(evaluation.predictions)) == 1:
        lines.append("  The network gives the same answer to every image: it has learnt nothing from them.")
    return lines


def _best(progress: Progress, metric: str) -> list[str]:
    best = progress.rows[best_epoch(progress.rows, metric) - 1]
    side = watched_side(best)
    value = f"{best[f'{side}_{metric}']:.{'4f' if metric == 'loss' else '1%'}}"
    caution = (
        "(chosen on the test side, it flatters; it is no result)"
        if side == "test"
        else f"its accuracy on the test side: {best['test_accuracy']:.1%}"
    )
    return [f"  best {metric} of the {side} side: {value}, after epoch {best['epoch']} (best.h5)", f"  {caution}"]
