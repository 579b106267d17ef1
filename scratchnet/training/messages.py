"""Messages about a run: what is about to happen, and what the result is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from scratchnet.data import Dataset
from scratchnet.data.class_labels import KEY, labelled
from scratchnet.data.images import require_repeatable
from scratchnet.errors import DataError
from scratchnet.measures.evaluation import Evaluation
from scratchnet.measures.predictions import in_words
from scratchnet.nn.base import layers_in
from scratchnet.terminal.invocation import command
from scratchnet.terminal.text_table import wrapped
from scratchnet.terminal.wording import counted
from scratchnet.training.checkpoint import Progress
from scratchnet.training.config import Config
from scratchnet.training.display import STAR
from scratchnet.training.experiment import Experiment
from scratchnet.training.options import ASKED, beside_the_report, settings_table
from scratchnet.training.run import Run
from scratchnet.training.selection import TRAIN_SAMPLE, beats_constant, best_epoch, choosing_side, watched_side


def announcement(experiment: Experiment, threads: int, run: Path, progress: Progress, *, verbose: bool = False) -> str:
    """What is about to happen, on one screen: data, network, and what differs from the defaults and from the report.

    threads: of the kernels. run: the folder of the results. verbose: every layer and every hyper-parameter besides.
    """
    config = experiment.config
    lines = [
        sides_text(experiment),
        *_paragraph("network", _network(experiment)),
        *_paragraph("training", f"{_steps(experiment)}; {counted(threads, 'thread')}"),
        *_paragraph("changed", _changed(config)),
        *_paragraph("report", _beside(config)),
        *_paragraph(
            "results", f"{run}; config.toml there holds every setting" + (", --verbose shows all" * (not verbose))
        ),
    ]
    if verbose:
        held = f"In memory together: {counted(experiment.trainer.micro_batch, 'image')} at most (micro_batch)."
        lines += ["", experiment.network.summary_table(), "", *settings_table(asdict(config)), "", held]
    steps = config.epochs * len(experiment.train_batches)
    if config.warmup >= steps:
        lines += wrapped(
            f"CAUTION: the warm-up of {counted(config.warmup, 'step')} is longer than the training, "
            f"{counted(steps, 'step')}: lower --warmup"
        )
    if progress.epoch >= config.epochs:
        done = "its 1 epoch is" if progress.epoch == 1 else f"its {progress.epoch:,} epochs are"
        lines += _paragraph("resumed", f"{done} done; --epochs adds more")
    elif progress.epoch or progress.batches_done:
        lines += _paragraph("resumed", f"going on from epoch {progress.epoch + 1}, batch {progress.batches_done + 1}")
    return "\n".join([*lines, "", *wrapped(_legend(experiment)), ""])


def _paragraph(label: str, text: str) -> list[str]:
    """Lines with a label before the first one."""
    return wrapped(f"{label:<9} {text}", indent=" " * 10)


def _network(experiment: Experiment) -> str:
    """The network in a line."""
    network, config = experiment.network, experiment.config
    kinds = [getattr(layer, "kind", "") for layer in layers_in(network)]
    weights = sum(parameter.value.size for parameter in network.parameters())
    size = config.image_size
    return (
        f"{config.model}: {counted(kinds.count('conv'), 'convolution')}, {counted(kinds.count('dense'), 'dense layer')}, "
        f"{weights:,} weights; images of {size} × {size} pixels; {config.dtype}"
    )


def _steps(experiment: Experiment) -> str:
    """How many steps on how many images, and how many of them at a time if memory requires parts."""
    config, together = experiment.config, experiment.trainer.micro_batch
    batch = min(config.batch_size, len(experiment.train_set))
    parts = f", {together} in memory at a time" if together < batch else ""
    each = f"{counted(len(experiment.train_batches), 'step')} with {counted(batch, 'image')}{parts}"
    return f"{counted(config.epochs, 'epoch')} of {each}"


def _changed(config: Config) -> str:
    """The hyper-parameters that are not the defaults, with these."""
    changed = [
        f"{one.name} {value} (default {one.default})"
        for one in ASKED
        if (value := getattr(config, one.name)) != one.default
    ]
    return ", ".join(changed) or "nothing, every setting is the default"


def _beside(config: Config) -> str:
    """Where the report differs, as far as it tells."""
    other = [
        f"{name} {report}" for name, value, report in beside_the_report(asdict(config)) if report not in ("", value)
    ]
    return f"for its 256 × 256 images it has {', '.join(other)}" if other else "the same, as far as it tells"


def _legend(experiment: Experiment) -> str:
    """How to read the lines of the epochs."""
    metric, watched = experiment.config.best_metric, choosing_side(experiment.sides)
    means = {"balanced_accuracy": ' "Balanced" is the mean over the classes of the share recognised.'}
    best = f"{STAR} is the best {metric.replace('_', ' ')} of the {watched} side so far (best.h5)."
    checks = experiment.data.checks
    trained = (
        f" Of the training side, {len(checks[TRAIN_SAMPLE].dataset):,} images that the seed has drawn (--train-evaluation)."
        if TRAIN_SAMPLE in checks
        else ""
    )
    return f"After each epoch: loss and accuracy of each side.{trained}{means.get(metric, '')} {best}"


def sides_text(experiment: Experiment) -> str:
    """The images of each side, what was left out, and whether a subject stands on two."""
    labels = experiment.about[KEY]
    sides = [f"  {name:<10} {_side(dataset, labels)}" for name, dataset in experiment.sides.items()]
    manifest = experiment.train_set.manifest
    told = [
        f"{len(remarks):,} {what}"
        for what, remarks in (("left out", manifest.left_out), ("converted", manifest.altered))
        if remarks
    ]
    remarks = [f"  of the source: {', '.join(told)} (manifest.json names each)"] if told else []
    return "\n".join(
        [f"data      {experiment.folder}", *sides, f"  {_apart(experiment)}", *remarks, *_outdated(experiment)]
    )


def _outdated(experiment: Experiment) -> list[str]:
    """Whether these images were prepared in another way than files are today."""
    try:
        require_repeatable(experiment.train_set.preprocessing)
    except DataError as error:
        return [f"  CAUTION: the network will be of no use for image files: {error}"]
    return []


def _side(dataset: Dataset, labels: Mapping[str, str]) -> str:
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    names = labelled(dataset.class_names, labels)
    classes = ", ".join(f"{count} {name}" for count, name in zip(counts, names, strict=True))
    subjects = f" of {counted(len(set(dataset.subjects)), 'subject')}" if dataset.manifest.subjects_known else ""
    return f"{counted(len(dataset), 'image')} ({classes}){subjects}"


def _apart(experiment: Experiment) -> str:
    """Whether the test says something about new subjects."""
    if not experiment.train_set.manifest.subjects_known:
        return "CAUTION: the subjects are not known; images of one subject may stand on both sides."
    shared = experiment.shared_subjects()
    if shared:
        return f"CAUTION: {counted(len(shared), 'subject')} on both sides: the test accuracy says little about new subjects."
    return "no subject stands on both sides"


def conclusion(
    experiment: Experiment, progress: Progress, evaluation: Evaluation, run: Path, *, side: str = "test"
) -> str:
    """How good the network is on the images of a side, beside a constant answer, and which epoch was the best.

    evaluation: of that side, after the last epoch. side: "validation" says nothing of the test side.
    """
    train_set, images = experiment.train_set, experiment.sides[side]
    new_subjects = side == "test" and train_set.manifest.subjects_known and not experiment.shared_subjects()
    lines = [
        f"On {len(images):,} {'images of subjects never seen in training' if new_subjects else f'{side} images'}:",
        *_measures(experiment, images, evaluation),
        *(_best(experiment, progress, side) if len(progress.rows) > 1 else []),
    ]
    if images.manifest.preparation.get("sample"):
        few = "The cells of the sample are a demonstration: everything works, and they are too few for a result."
        lines += ["", *wrapped(few)]
    return "\n".join([*lines, f"\nWeights, metrics and settings are in {run}.", *_kept(run)])


def _kept(run: Path) -> list[str]:
    """Which checkpoints have stayed, and what for."""
    checkpoints = Run(run).checkpoints()
    if not checkpoints:
        return wrapped("No checkpoint was kept (--keep-last 0), so the run cannot be trained longer.")
    size = sum(path.stat().st_size for path in checkpoints) / 1e6
    stayed = "the checkpoint" if len(checkpoints) == 1 else f"{len(checkpoints)} checkpoints"
    return [
        f"To train it longer, from {stayed} of {size:.0f} MB that stayed there (--keep-last 0 keeps none):",
        f"  {command('train', '--resume', run, '--epochs', 'N')}",
    ]


def _measures(experiment: Experiment, images: Dataset, evaluation: Evaluation) -> list[str]:
    names = labelled(images.class_names, experiment.about[KEY])
    counts = np.bincount(images.labels, minlength=len(names))
    larger = int(np.bincount(experiment.train_set.labels, minlength=len(names)).argmax())
    chance, constant = counts[larger] / counts.sum(), 1 / np.count_nonzero(counts)
    lines = [
        f"  accuracy {evaluation.accuracy:.1%}; always answering '{names[larger]}' would be right in {chance:.1%}",
        f"  balanced accuracy {evaluation.balanced_accuracy:.1%}; a constant answer has {constant:.1%}",
    ]
    for k, (name, answers) in enumerate(zip(names, evaluation.confusion(), strict=True)):
        lines.append(f"  {name}: {in_words(answers, k, names)}")
    if len(np.unique(evaluation.predictions)) == 1:
        lines += wrapped(
            "  The network gives the same answer to every image: it has learnt nothing from them.", indent="  "
        )
    return lines


def _best(experiment: Experiment, progress: Progress, shown: str) -> list[str]:
    metric = experiment.config.best_metric
    best = progress.rows[best_epoch(progress.rows, metric) - 1]
    side = watched_side(best)
    if not beats_constant(best, metric, len(np.unique(experiment.sides[side].labels))):
        return [f"  no epoch was better than a constant answer (best.h5 is of epoch {best['epoch']})"]
    value = f"{best[f'{side}_{metric}']:.{'4f' if metric == 'loss' else '1%'}}"
    lines = [f"  best {metric.replace('_', ' ')} of the {side} side: {value}, after epoch {best['epoch']} (best.h5)"]
    if side == "test":
        return [*lines, "  (chosen on the test side, it flatters; it is not a result)"]
    return [*lines, *([f"  its accuracy on the test side: {best['test_accuracy']:.1%}"] if shown == "test" else [])]
