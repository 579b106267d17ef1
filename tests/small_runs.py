"""A run's folder without the training: a network as it was drawn, and metrics that were made up."""

from dataclasses import asdict

import numpy as np

from scratchnet.config import Config
from scratchnet.data import Manifest, Split, write_manifest
from scratchnet.models import MODELS
from scratchnet.training import Progress, Run
from tests.small_data import make_shard, random_images, shard_file

HOSTILE = ('<script>alert("1")</script>', "$x_1^2$ & 'höhe'\n=1+1")  # names of classes
NAMES = ("all", "hem")


def make_sides(
    folder, class_names=NAMES, *, size=32, train=12, test=10, shared=False, known=True, copies=0, dataset_id="id-1"
):
    """Prepared images of two sides: two images a subject, subjects of one class each."""
    folder.mkdir()
    splits = {}
    for seed, (name, count) in enumerate({"train": train, "test": test}.items()):
        labels = np.arange(count) // 2 % 2
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
            tuple(np.bincount(labels).tolist()), tuple(sorted(set(subjects))), (shard_file(path, count),)
        )
    manifest = Manifest(
        dataset_id=dataset_id, image_shape=(size, size, 3), class_names=tuple(class_names), channel_mean=(0.5, 0.5, 0.5),
        channel_std=(0.3, 0.3, 0.3), splits=splits, preprocessing={"image_size": size}, preparation={
            "source": "<b>cells</b>", "augmented": {"all": 3, "hem": 4}, "test_images_with_a_copy_in_training": copies,
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


def make_run(folder, data, class_names=NAMES, *, epochs=3, finished=True, dataset_id="id-1", **settings):
    """The run in `folder` on the shards in `data`."""
    config = Config(image_size=32, epochs=epochs, **settings)
    run = Run.create(folder, config)
    network = MODELS["report"](32, classes=2)
    network.build(seed=config.seed)
    about = {
        "command": "python train.py --name '<i>x'", "config": asdict(config), "class_names": list(class_names),
        "pixel_scaling": {"kind": "unit", "mean": [], "std": []}, "preprocessing": {"image_size": 32}, "data": str(data),
        "dataset_id": dataset_id, "versions": {"scratchnet": "0"},
    }  # fmt: skip
    times = {"training_seconds": 40.0, "evaluation_seconds": 2.0, "training_images_per_second": 100.0}
    timings = [{"epoch": k + 1, **times} for k in range(epochs)]
    progress = Progress(epoch=epochs, rows=make_rows(epochs), timings=timings)
    run.write_tables(progress)
    if finished:
        run.save_weights(network.state_dict(), about | {"epoch": epochs})
    else:
        run.save(network.state_dict(), {}, about, progress)
    return run
