"""A run's folder without the training: a network as it was drawn, and metrics that were made up."""

import contextlib
import re
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from scratchnet.data import Manifest, PixelScaling, Split, write_manifest
from scratchnet.drawing import plots
from scratchnet.nn.models import MODELS
from scratchnet.pages import Results, report_page
from scratchnet.training import Progress, Run, experiment, load_checkpoint
from scratchnet.training.config import Config
from tests.small_data import make_shard, random_images, shard_file
from tests.small_networks import report_is_small

HOSTILE = ('<script>alert("1")</script>', "$x_1^2$ & 'höhe'\n=1+1")  # names of classes
NAMES = ("all", "hem")
CHANNELS = (0.5, 0.5, 0.5), (0.3, 0.3, 0.3)  # mean and deviation


def make_sides(
    folder,
    class_names=NAMES,
    *,
    size=32,
    train=12,
    test=10,
    validation=0,
    shared=False,
    known=True,
    copies=0,
    dataset_id="id-1",
    added=None,
):
    """Prepared images of two sides, or with a validation side of three: two images a subject, subjects of one class each."""
    folder.mkdir()
    splits = {}
    sides = {"train": train, "test": test, **({"validation": validation} if validation else {})}
    for seed, (name, count) in enumerate(sides.items()):
        labels = np.arange(count) // 2 % len(class_names)
        subjects = [f"{'' if shared else name}{k // 2}" for k in range(count)]
        paths = [f"{class_names[label][:1]}/<img src=x onerror=alert(2)>{k}.png" for k, label in enumerate(labels)]
        path = make_shard(
            folder / f"{name}-0000.h5",
            random_images(count, size, seed),
            labels,
            subjects,
            paths,
            dataset_id,
            name,
            class_names,
        )
        splits[name] = Split(
            tuple(np.bincount(labels, minlength=len(class_names)).tolist()),
            tuple(sorted(set(subjects))),
            (shard_file(path, count),),
        )
    manifest = Manifest(
        dataset_id=dataset_id, image_shape=(size, size, 3), class_names=tuple(class_names), channel_mean=CHANNELS[0],
        channel_std=CHANNELS[1], splits=splits, preprocessing={"image_size": size}, preparation={
            "source": "<b>cells</b>", "augmented": added or {}, "split": "subject", "test_images_with_a_copy_in_training": copies,
        },
        subjects_known=known, merged_subjects=(), left_out=(), altered=(),
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


def make_rows(epochs):
    return [
        {
            "epoch": k + 1, "learning_rate": 0.001, "train_loss": 0.7 - 0.02 * k, "train_accuracy": 0.5 + 0.02 * k,
            "train_balanced_accuracy": 0.5, "test_loss": 0.7 - 0.01 * k, "test_accuracy": 0.5 + 0.1 * (k == 1),
            "test_balanced_accuracy": 0.5 + 0.1 * (k == 1),
        }
        for k in range(epochs)
    ]  # fmt: skip


def make_run(
    folder, data, class_names=NAMES, *, epochs=3, finished=True, dataset_id="id-1", about=None, rows=None, **settings
):
    """The run in `folder` on the shards in `data`: best.h5 is of epoch 2, with other weights than the last ones.

    about: what its files say of it besides. rows: its metrics, in place of `make_rows`, of as many epochs as it has.
    """
    config = Config(**{"image_size": 32, "epochs": epochs} | settings)
    run = Run.create(folder, config)
    size = config.image_size
    network, best = MODELS["report"](size, classes=len(class_names)), MODELS["report"](size, classes=len(class_names))
    network.build(seed=config.seed)
    best.build(seed=config.seed + 1)
    about = {
        "command": "python train.py --name '<i>x'", "config": asdict(config), "class_names": list(class_names),
        "pixel_scaling": PixelScaling.measured(config.pixels, *CHANNELS).to_dict(), "preprocessing": {"image_size": size},
        "data": str(data), "dataset_id": dataset_id, "versions": {"scratchnet": "0"},
    } | (about or {})  # fmt: skip
    rows = rows or make_rows(epochs)
    times = {"training_seconds": 40.0, "evaluation_seconds": 2.0, "training_images_per_second": 100.0}
    timings = [{"epoch": k + 1, **times} for k in range(len(rows))]
    progress = Progress(epoch=len(rows), rows=rows, timings=timings)
    run.write_tables(progress)
    run.save_best(best.state_dict(), about | {"epoch": 2})
    if finished:
        run.save_weights(network.state_dict(), about | {"epoch": len(rows)})
    else:
        run.save(network.state_dict(), {}, about, progress)
    return run


def page_of(run):
    """The run's report.html, which is not kept."""
    with Results.read(run.folder) as results:
        return report_page(results)


def without_tags(page):
    return re.sub("<[^>]*>", "", page)


@contextlib.contextmanager
def without_pages():
    """Within the block runs in this process leave neither a page nor curves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scratchnet.commands.session._open_event_files", lambda *_: (None, {"report.html": ""}))
        yield


@contextlib.contextmanager
def plots_once():
    """Within the block a plot that was drawn before is not drawn again: the same call has the same bytes (test_plots.py)."""
    with pytest.MonkeyPatch.context() as patch:
        for draw in (plots.learning_curves, plots.roc, plots.precision_recall, plots.reliability):
            patch.setattr(plots, draw.__name__, _once(draw))
        yield


def _once(draw):
    drawn = {}

    def once(*arguments, **options):
        with np.printoptions(threshold=sys.maxsize, floatmode="unique"):  # every digit of every number
            call = repr((arguments, options))
        if call not in drawn:
            drawn[call] = draw(*arguments, **options)
        return drawn[call]

    return once


@contextlib.contextmanager
def quick_training():
    """Within the block train.py has a small network, a real sample of the training side, and makes no page and no curves."""
    with report_is_small(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "SAMPLE", 1)  # as many images as there are on the side beside them
        for name in ("matplotlib", "tensorboard"):
            patch.setitem(sys.modules, name, None)
        yield


SAME = ("weights.h5", "best.h5", "metrics.csv", "predictions.csv", "config.toml")


def weights(run):
    """The weights of a finished run, in its folder, as bytes."""
    return contents(Path(run) / "weights.h5")


def contents(path):
    """What must be the same: arrays as bytes; a table as it is; settings without the command, which names the run."""
    if path.suffix == ".h5":
        return {name: (array.dtype, array.tobytes()) for name, array in load_checkpoint(path).weights.items()}
    return re.sub(r"(?m)^command = .*$", "", path.read_text(encoding="utf-8"))


def require_same(run, other, names=SAME):
    """Two finished runs have the same bits."""
    for name in names:
        assert contents(other / name) == contents(run / name), name
