"""Small files for the tests of reading and preparing: shards, datasets, trees of images."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from scratchnet.data import Manifest, Shard, ShardFile, ShardHeader, Split, pack_image, write_manifest, write_shard


def random_images(count, size=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def mean_over_areas(pixels, size):
    """A square image (H, H, C), shrunk to (size, size, C) float64 by its definition: integrals over each new pixel."""
    old = len(pixels)
    edges = np.arange(size + 1) * old / size
    inside = np.minimum(edges[1:, None], np.arange(1, old + 1)) - np.maximum(edges[:-1, None], np.arange(old))
    weights = np.maximum(inside, 0) * size / old
    return np.einsum("ip,jq,pqc->ijc", weights, weights, pixels.astype(np.float64), optimize=True)


def make_shard(
    path, images, labels, subjects=None, paths=None, dataset_id="id-1", split="train", class_names=("all", "hem")
):
    labels = np.asarray(labels, np.int64)
    write_shard(
        path,
        [pack_image(image, label) for image, label in zip(images, labels, strict=True)],
        image_shape=images.shape[1:],
        labels=labels,
        subjects=subjects or [f"S{k}" for k in range(len(labels))],
        paths=paths or [f"a/{k}.png" for k in range(len(labels))],
        header=ShardHeader(dataset_id, split, tuple(class_names), {"image_size": images.shape[1]}),
    )
    return path


def shard_file(path, images):
    return ShardFile(path.name, images, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def make_dataset(folder, sizes=(5, 4, 3), size=8):
    """A dataset with one split "train" of shards with these sizes; returns its images and labels."""
    folder.mkdir(exist_ok=True)
    images = random_images(sum(sizes), size)
    labels = np.arange(sum(sizes)) % 2
    shards, first = [], 0
    for k, count in enumerate(sizes):
        path = make_shard(folder / f"train-{k:04d}.h5", images[first : first + count], labels[first : first + count])
        shards.append(shard_file(path, count))
        first += count
    split = Split(tuple(np.bincount(labels, minlength=2).tolist()), ("S0",), tuple(shards))
    manifest = Manifest(
        dataset_id="id-1", image_shape=(size, size, 3), class_names=("all", "hem"), channel_mean=(0.5, 0.4, 0.3),
        channel_std=(0.2, 0.2, 0.1), splits={"train": split}, preprocessing={"image_size": size}, preparation={"seed": 0},
        subjects_known=True, merged_subjects=(), left_out=(), altered=(),
    )  # fmt: skip
    write_manifest(folder, manifest)
    return images, labels


def shards_of(folder, split):
    """What the shards on the disk say, whatever the manifest says: (label, subject, path, pixels) of each image."""
    images = []
    for path in sorted(folder.glob(f"{split}-*.h5")):
        with Shard(path) as shard:
            assert shard.header.split == split
            for k in range(len(shard)):
                images.append((int(shard.labels[k]), shard.subjects[k], shard.paths[k], shard.read(k)))
    return images


def save_image(path, seed=0, size=(12, 10), mode="RGB", **options):
    """A picture of random pixels, another one for each seed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
    Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels, mode).save(path, **options)
    return path


def make_cnmc(folder, subjects=5, images=3):
    """A C-NMC tree of small BMP files: `subjects` of each class, in two folds, with `images` each."""
    seed = 0
    for label, prefix in (("all", ""), ("hem", "H")):
        for subject in range(1, subjects + 1):
            for image in range(images):
                seed += 1
                name = f"UID_{prefix}{subject}_{image}_1_{label}.bmp"
                save_image(folder / f"fold_{subject % 2}" / label / name, seed)
    return folder
