"""One division of the images → one folder of shards with its manifest."""

import hashlib
import json
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.data import (
    Manifest,
    PackedImage,
    Remark,
    ShardFile,
    ShardHeader,
    Split,
    write_manifest,
    write_shard,
)
from scratchnet.data.image_set import statistics_of_sums
from scratchnet.data.prefetch import in_order
from scratchnet.prepare.augment import Item
from scratchnet.prepare.sides import Division, Usable
from scratchnet.prepare.spool import Spool
from scratchnet.terminal.bar import Bar


def write_dataset(
    folder: Path,
    division: Division,
    usable: Usable,
    spool: Spool,
    shard_size: int,
    left_out: Sequence[Remark],
    preparation: dict[str, Any],
) -> Manifest:
    """Fills the shards of each side from the spool, and writes the manifest that it returns.

    left_out: to be listed in addition to what the division leaves out. preparation: all settings.
    Raises OSError if the disk is full.
    """
    size = spool.preprocessing["image_size"]
    dataset_id = _dataset_id(division, usable.class_names, spool.preprocessing, shard_size)
    splits = {}
    for name, items in division.sides.items():
        header = ShardHeader(dataset_id, name, usable.class_names, spool.preprocessing)
        splits[name] = _write_split(folder, header, items, spool, shard_size)

    train = division.sides["train"]
    totals = [sum(channel) for channel in zip(*(item.image.sums for item in train), strict=True)]
    squares = [sum(channel) for channel in zip(*(item.image.squares for item in train), strict=True)]
    mean, std = statistics_of_sums(totals, squares, size**2 * len(train))
    used = {item.image.source.path: item.image.alterations for items in division.sides.values() for item in items}
    manifest = Manifest(
        dataset_id=dataset_id,
        image_shape=(size, size, 3),
        class_names=usable.class_names,
        channel_mean=mean,
        channel_std=std,
        splits=splits,
        preprocessing=spool.preprocessing,
        preparation=preparation | division.facts,
        subjects_known=usable.subjects_known,
        merged_subjects=usable.merged_subjects,
        left_out=tuple(sorted([*left_out, *division.left_out], key=lambda remark: remark.path)),
        altered=tuple(Remark(path, "; ".join(what)) for path, what in sorted(used.items()) if what),
    )
    write_manifest(folder, manifest)
    return manifest


def _write_split(folder: Path, header: ShardHeader, items: Sequence[Item], spool: Spool, shard_size: int) -> Split:
    """Writes the shards of one side, with these images in this order, and returns what the manifest says of it."""
    size = spool.preprocessing["image_size"]
    labels = np.array([item.label for item in items], np.int64)
    bar = Bar(total=len(items), desc=f"Writing {header.split}", unit=" images", disable=True if spool.quiet else None)
    shards: list[ShardFile] = []
    with bar:
        for start in range(0, len(items), shard_size):
            part = items[start : start + shard_size]
            path = folder / f"{header.split}-{len(shards):04d}.h5"
            with closing(_packed(part, spool)) as images:
                write_shard(
                    path,
                    images,
                    image_shape=(size, size, 3),
                    labels=labels[start : start + shard_size],
                    subjects=[item.subject for item in part],
                    paths=[item.path for item in part],
                    header=header,
                )
            with open(path, "rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            shards.append(ShardFile(path.name, len(part), path.stat().st_size, sha256))
            bar.update(len(part))
    per_class = np.bincount(labels, minlength=len(header.class_names))
    return Split(tuple(per_class.tolist()), tuple(sorted({item.subject for item in items})), tuple(shards))


def _packed(items: Sequence[Item], spool: Spool) -> Generator[PackedImage, None, None]:
    """The compressed pixels of these items, in order; the spool is read here, and several threads turn the turned copies."""
    stored = ((spool.packed(item.image), item) for item in items)
    return in_order(lambda one: spool.turned(one[0], one[1].label, one[1].symmetry), stored, spool.threads)


def _dataset_id(
    division: Division, class_names: tuple[str, ...], preprocessing: dict[str, Any], shard_size: int
) -> str:
    """A hash of all that a training run depends on: pixels before and after scaling, labels, subjects, sides, order, shards."""
    digest = hashlib.blake2b(
        json.dumps([class_names, preprocessing, shard_size], sort_keys=True).encode(), digest_size=16
    )
    for split, items in division.sides.items():
        for item in items:
            picture = item.image.picture
            shown = [picture.cell.hex(), picture.positions, item.symmetry, item.image.checksum]
            digest.update(json.dumps([split, item.path, item.label, item.subject, *shown]).encode())
    return digest.hexdigest()
