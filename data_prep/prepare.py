"""A folder of images → a folder of shards, in one pass over the images and in bounded memory.

Each file is read once: decoded, hashed, scaled and compressed by a few threads, and put aside in one temporary file. Only
then, when duplicates are known and sides are chosen, are the shards filled from there. The result appears under its name
when it is complete, and not before.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import shutil
import tempfile
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from data_prep.duplicates import find_duplicates, merge_subjects
from data_prep.sources import Found, SourceImage, compile_subject_pattern, find_images, read_subjects
from data_prep.splits import split_groups
from scratchnet.command_line import as_option
from scratchnet.data import (
    Manifest,
    PackedImage,
    Remark,
    ShardFile,
    ShardHeader,
    Split,
    pack_image,
    write_manifest,
    write_shard,
)
from scratchnet.data.images import UnusableImage, decode, fit_to_square
from scratchnet.draws import generator
from scratchnet.errors import ConfigError, DataError
from scratchnet.files import sync_folder

SAMPLE = Path(__file__).parent / "sample"
SPLITS = ("subject", "random")
FITS = ("pad", "stretch")


@dataclass(frozen=True)
class Settings:
    """How to prepare. The command line `python -m data_prep --help` says what each means; the defaults are the same.

    Raises ConfigError, with the remedy, for a value that cannot work.
    """

    image_size: int = 64
    split: str = "subject"
    test_fraction: float = 0.2
    seed: int = 0
    subject_pattern: str | None = None
    subjects: str | os.PathLike[str] | None = None
    fit: str = "pad"
    shard_size: int = 1024
    keep_duplicates: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, lowest, highest in (
            ("image_size", 1, 1024),
            ("seed", 0, 2**32 - 1),
            ("shard_size", 1, 2**16),
            ("threads", 1, 256),
        ):
            value = getattr(self, name)
            if value is not None and not lowest <= value <= highest:
                raise ConfigError(f"{as_option(name)} is {value}; choose a whole number from {lowest} to {highest}")
        if not 0 < self.test_fraction < 1:
            raise ConfigError(f"--test-fraction is {self.test_fraction}; choose a number between 0 and 1, such as 0.2")
        for name, choices in (("split", SPLITS), ("fit", FITS)):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{as_option(name)} is {getattr(self, name)!r}; choose {' or '.join(choices)}")
        if self.subject_pattern is not None:
            compile_subject_pattern(self.subject_pattern)


@dataclass(frozen=True)
class Prepared:
    """One image, ready for a shard; its compressed pixels lie in the temporary file.

    content: hash of the original pixels. sums, squares: per channel, Σx and Σx² over the scaled pixels, exact integers.
    """

    source: SourceImage
    content: bytes
    alterations: tuple[str, ...]
    checksum: int
    sums: tuple[int, ...]
    squares: tuple[int, ...]
    offset: int = 0
    length: int = 0


def prepare(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    quiet: bool = False,
) -> Manifest:
    """Prepares the images below `source` into the new folder `out`; `describe(manifest)` tells what came of it.

    The same images and settings give the same dataset_id and the same shards, on any number of threads.
    quiet: no progress bar (there is none either if standard error is not a terminal).

    Raises DataError if there is nothing to prepare, `out` exists, a class has too few subjects, or the disk is full;
    ConfigError for settings that cannot work. Then, and when interrupted, nothing is left behind.
    """
    settings = settings or Settings()
    source, out = Path(source), Path(out)
    if os.path.lexists(out):
        raise DataError(f"{out}: exists already, and is never overwritten. Choose another name, or remove it first.")
    above = next((folder for folder in out.parents if os.path.lexists(folder)), None)
    if above and not above.is_dir():
        raise DataError(f"{out}: cannot be made, because {above} is not a folder. Choose a place in a folder.")
    if out.resolve().is_relative_to(source.resolve()):
        raise DataError(
            f"{out}: lies inside {source}, where it would be taken for images the next time. Choose a place outside."
        )
    table = read_subjects(Path(settings.subjects)) if settings.subjects is not None else None
    found = find_images(source, subject_pattern=settings.subject_pattern, subjects=table)
    try:
        with _new_folder(out) as folder, tempfile.TemporaryFile(dir=folder) as spool:
            prepared, left_out = _prepare_images(found, settings, spool, quiet)
            manifest = _write_dataset(folder, source, found, prepared, left_out, settings, spool)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "Free some space or choose another place." if full else "Choose another place."
        raise DataError(f"{out}: cannot be written: {error.strerror or error}. {remedy}") from error
    return manifest


def prepare_sample(out: str | os.PathLike[str], settings: Settings | None = None, *, quiet: bool = False) -> Manifest:
    """Prepares the leukaemia cells that come with this program (`data_prep/sample`): the 246 of its training folds."""
    return prepare(SAMPLE, out, settings, quiet=quiet)


@contextlib.contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name at the end, or is removed, with the parents made for it, if anything goes wrong."""
    missing = [parent for parent in out.parents if not parent.exists()]
    folder = out.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        folder.mkdir(parents=True)
        yield folder
        os.rename(folder, out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in missing:  # from the inside out
            with contextlib.suppress(OSError):  # never made, or in use by now
                parent.rmdir()
        raise
    sync_folder(out.parent)


def _prepare_images(
    found: Found, settings: Settings, spool: IO[bytes], quiet: bool
) -> tuple[list[Prepared], list[Remark]]:
    """Decodes, scales and compresses every image; the ones that cannot be used are returned as remarks."""
    prepared: list[Prepared] = []
    left_out: list[Remark] = []
    workers = settings.threads or min(os.cpu_count() or 1, 8)
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[tuple[PackedImage, Prepared] | Remark]] = deque()

    def collect() -> None:
        result = waiting.popleft().result()
        if isinstance(result, Remark):
            left_out.append(result)
        else:
            packed, image = result
            prepared.append(replace(image, offset=spool.tell(), length=len(packed.stored)))
            spool.write(packed.stored)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata; what matters is checked in images.py
            for image in tqdm(found.images, desc="Reading images", unit=" images", disable=True if quiet else None):
                waiting.append(pool.submit(_prepare_image, image, settings))
                if len(waiting) >= 4 * workers:  # results wait in memory: not too many
                    collect()
            while waiting:
                collect()
    finally:
        pool.shutdown(cancel_futures=True)
    return prepared, left_out


def _prepare_image(image: SourceImage, settings: Settings) -> tuple[PackedImage, Prepared] | Remark:
    """What one thread does with one file: the packed pixels and the facts about them, or why it is left out."""
    try:
        decoded = decode(image.file)
    except UnusableImage as reason:
        return Remark(image.path, str(reason))
    pixels = fit_to_square(decoded.image, settings.image_size, settings.fit)
    packed = pack_image(pixels, image.label)
    counts = np.array(Image.fromarray(pixels).histogram(), np.int64).reshape(
        3, 256
    )  # how often each value occurs in each channel
    value = np.arange(256, dtype=np.int64)
    sums, squares = (tuple(map(int, counts @ power)) for power in (value, value**2))
    return packed, Prepared(image, decoded.content_hash(), decoded.alterations, packed.checksum, sums, squares)


def _write_dataset(
    folder: Path,
    source: Path,
    found: Found,
    prepared: list[Prepared],
    left_out: list[Remark],
    settings: Settings,
    spool: IO[bytes],
) -> Manifest:
    """Leaves out duplicates, chooses sides, fills the shards, and writes the manifest that it returns."""
    duplicates = find_duplicates(
        [image.source.path for image in prepared],
        [image.content for image in prepared],
        [image.source.label for image in prepared],
        found.class_names,
        keep=settings.keep_duplicates,
    )
    all_left_out = sorted([*found.left_out, *left_out, *duplicates.values()], key=lambda remark: remark.path)
    merged = merge_subjects([_own_subject(image) for image in prepared], [image.content for image in prepared])
    images = [image for position, image in enumerate(prepared) if position not in duplicates]
    labels = np.array([image.source.label for image in images], np.int64)
    subjects = ["+".join(merged[_own_subject(image)]) for image in images]
    _check_classes(source, found.class_names, labels, all_left_out)

    groups = subjects if settings.split == "subject" else [image.content for image in images]
    in_test = split_groups(labels, groups, settings.test_fraction, settings.seed, found.class_names)
    # Shuffled once for good, so that every shard holds a mixture of classes and subjects.
    order = generator(settings.seed, "shards").permutation(len(images))
    sides = {"train": order[~in_test[order]], "test": order[in_test[order]]}

    preprocessing = {
        "image_size": settings.image_size,
        "fit": settings.fit,
        "background": 0,
        "shrink": "area average",
        "enlarge": "bilinear",
    }
    dataset_id = _dataset_id(found.class_names, preprocessing, settings.shard_size, images, subjects, sides)
    splits = {}
    for split, members in sides.items():
        header = ShardHeader(dataset_id, split, found.class_names, preprocessing)
        splits[split] = _write_split(
            folder, header, [images[k] for k in members], [subjects[k] for k in members], settings, spool
        )

    mean, std = _channel_statistics([images[k] for k in sides["train"]], settings.image_size**2)
    training_subjects = set(splits["train"].subjects)
    subjects_known = all(image.source.subject is not None for image in prepared)
    manifest = Manifest(
        dataset_id=dataset_id,
        image_shape=(settings.image_size, settings.image_size, 3),
        class_names=found.class_names,
        channel_mean=mean,
        channel_std=std,
        splits=splits,
        preprocessing=preprocessing,
        preparation=_preparation(source, found, settings)
        | {"test_images_of_training_subjects": sum(subjects[k] in training_subjects for k in sides["test"])},
        subjects_known=subjects_known,
        merged_subjects=tuple(sorted({group for group in merged.values() if len(group) > 1})) if subjects_known else (),
        left_out=tuple(all_left_out),
        altered=tuple(Remark(image.source.path, "; ".join(image.alterations)) for image in images if image.alterations),
    )
    write_manifest(folder, manifest)
    return manifest


def _write_split(
    folder: Path, header: ShardHeader, images: list[Prepared], subjects: list[str], settings: Settings, spool: IO[bytes]
) -> Split:
    """Writes the shards of one split, with these images in this order, and returns what the manifest says of it."""
    labels = np.array([image.source.label for image in images], np.int64)
    shards: list[ShardFile] = []
    for start in range(0, len(images), settings.shard_size):
        part = slice(start, start + settings.shard_size)
        path = folder / f"{header.split}-{len(shards):04d}.h5"
        write_shard(
            path,
            _packed(images[part], spool),
            image_shape=(settings.image_size, settings.image_size, 3),
            labels=labels[part],
            subjects=subjects[part],
            paths=[image.source.path for image in images[part]],
            header=header,
        )
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        shards.append(ShardFile(path.name, len(labels[part]), path.stat().st_size, sha256))
    per_class = np.bincount(labels, minlength=len(header.class_names))
    return Split(tuple(per_class.tolist()), tuple(sorted(set(subjects))), tuple(shards))


def _own_subject(image: Prepared) -> str:
    """The subject of an image; an image of unknown subject counts as a subject of its own."""
    return image.source.path if image.source.subject is None else image.source.subject


def _check_classes(
    source: Path, class_names: tuple[str, ...], labels: NDArray[np.int64], left_out: list[Remark]
) -> None:
    """Raises DataError if a class has no image left."""
    for label, name in enumerate(class_names):
        if not (labels == label).any():
            of_class = [
                remark
                for remark in left_out
                if name in remark.path.lower().split("/") or name in remark.path.split("/")
            ]
            reasons = "; ".join(f"{remark.path!r}: {remark.reason}" for remark in of_class[:3])
            raise DataError(
                f"{source}: class {name!r} has no usable image{f' ({reasons})' if reasons else ''}. "
                "If that folder is no class, move it out of the source."
            )


def _packed(images: Iterable[Prepared], spool: IO[bytes]) -> Iterator[PackedImage]:
    """The compressed pixels of these images, one at a time, back from the temporary file."""
    for image in images:
        spool.seek(image.offset)
        yield PackedImage(spool.read(image.length), image.checksum)


def _dataset_id(
    class_names: tuple[str, ...],
    preprocessing: dict[str, Any],
    shard_size: int,
    images: list[Prepared],
    subjects: list[str],
    sides: dict[str, NDArray[np.int64]],
) -> str:
    """A hash of all that a training run depends on: pixels before and after scaling, labels, subjects, sides, order, shards."""
    digest = hashlib.blake2b(
        json.dumps([class_names, preprocessing, shard_size], sort_keys=True).encode(), digest_size=16
    )
    for split, members in sides.items():
        for k in members:
            image = images[k]
            facts = [split, image.source.path, image.source.label, subjects[k], image.content.hex(), image.checksum]
            digest.update(json.dumps(facts).encode())
    return digest.hexdigest()


def _channel_statistics(
    images: list[Prepared], pixels: int
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each channel over all these images, in [0, 1].

    With n values x of 0 … 255:  mean = Σx / (255·n),  variance = (n·Σx² − (Σx)²) / (255·n)².
    The sums are exact integers, so that neither the order of the images nor their number costs precision.
    """
    n = pixels * len(images)
    mean, std = [], []
    for channel in range(3):
        total = sum(image.sums[channel] for image in images)
        squares = sum(image.squares[channel] for image in images)
        mean.append(total / (255 * n))
        std.append(math.sqrt((n * squares - total**2) / (255 * n) ** 2))
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def _preparation(source: Path, found: Found, settings: Settings) -> dict[str, Any]:
    """Everything that was asked for, for the manifest; of paths only the names, which mean something on another machine.

    sample: whether these are the images that come with this program, and not some folder called "sample".
    """
    asked = asdict(settings) | {"subjects": Path(settings.subjects).name if settings.subjects is not None else None}
    asked.pop("threads")
    return {
        "source": source.resolve().name,
        "sample": source.resolve() == SAMPLE.resolve(),
        "layout": found.layout,
        **asked,
        "pillow": PIL.__version__,
        "numpy": np.__version__,
    }
