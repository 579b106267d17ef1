"""How often is the caution "unlike the images of the training" wrong on new subjects, and right on other things?

    python -m benchmarks.familiar CELLS OTHERS [--size 64] [--splits 5] [--subject-pattern …] [--subjects …]

CELLS, OTHERS: folders of images, as for `python -m data_prep`; of OTHERS the classes don't matter. For each split of CELLS by
subject, the statistics are taken from the training side, as training does; the caution is then asked for on the test side,
whose subjects are new (false alarms), on OTHERS, and on what may be given by mistake: made-up screenshots, blank
pictures and noise (detections).
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from scratchnet.data import Dataset
from scratchnet.data.familiar import Familiar
from scratchnet.data.images import decode, preprocess, preprocessing
from scratchnet.prepare import Settings, prepare
from scratchnet.prepare.sources import find_images

SHOWN = 400  # images of OTHERS, evenly spread


def main() -> None:
    """Prints a line for each kind of image."""
    options = command_line().parse_args()
    how = preprocessing(options.size)
    files = [image.file for image in find_images(options.others).images]
    chosen = np.unique(np.linspace(0, len(files) - 1, min(SHOWN, len(files))).round().astype(int))
    kinds = {
        str(options.others.name): np.stack([preprocess(decode(files[k]).image, how) for k in chosen]),
        "screenshots, made up": prepared([screenshot(seed) for seed in range(100)], options.size),
        "blank pictures": prepared([Image.new("RGB", (300, 300), (v, v, v)) for v in range(0, 256, 5)], options.size),
        "noise": np.random.default_rng(0).integers(0, 256, (100, options.size, options.size, 3), dtype=np.uint8),
    }
    rates: dict[str, list[float]] = {name: [] for name in ("training", "new subjects", *kinds)}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.splits):
            shards = Path(folder, str(seed))
            settings = Settings(
                image_size=options.size,
                seed=seed,
                subject_pattern=options.subject_pattern,
                subjects=options.subjects,
            )
            prepare(options.cells, shards, settings, quiet=True)
            with Dataset(shards, "train") as train, Dataset(shards, "test") as test:
                familiar = Familiar.measured(train)
                assert familiar is not None
                rates["training"].append(cautioned(familiar, train.read(np.arange(len(train)))))
                rates["new subjects"].append(cautioned(familiar, test.read(np.arange(len(test)))))
            for name, pixels in kinds.items():
                rates[name].append(cautioned(familiar, pixels))
    print(
        f"{options.cells.name}, {options.size}×{options.size}, {options.splits} splits by subject: share with a caution"
    )
    for name, values in rates.items():
        print(f"  {name:<24} mean {np.mean(values):7.2%}   from {min(values):.2%} to {max(values):.2%}")


def cautioned(familiar: Familiar, pixels: NDArray[np.uint8]) -> float:
    """The share of the images that get the caution."""
    return float((familiar.distances(pixels) > 1).mean())


def prepared(pictures: list[Image.Image], size: int) -> NDArray[np.uint8]:
    """The pictures as a network of that size gets them."""
    return np.stack([preprocess(picture, preprocessing(size)) for picture in pictures])


def screenshot(seed: int) -> Image.Image:
    """A window with a title bar, lines of text and a few boxes, light or dark."""
    rng = np.random.default_rng(seed)
    paper, ink = ((245, 245, 245), (30, 30, 30)) if rng.random() < 0.6 else ((30, 30, 34), (220, 220, 220))
    picture = Image.new("RGB", (int(rng.integers(600, 1400)), int(rng.integers(400, 1000))), paper)
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    draw.rectangle((0, 0, width, 34), fill=tuple(int(v) for v in rng.integers(60, 200, 3)))
    for y in range(50, height - 20, 18):
        if rng.random() < 0.8:
            draw.text((20, y), "the quick brown fox jumps over it "[: int(rng.integers(5, 34))] * 3, fill=ink)
    for _ in range(int(rng.integers(0, 6))):
        x, y = int(rng.integers(0, width)), int(rng.integers(40, height))
        draw.rectangle((x, y, x + 120, y + 60), fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
    return picture


def command_line() -> argparse.ArgumentParser:
    """All options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.familiar", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cells", metavar="CELLS", type=Path)
    parser.add_argument("others", metavar="OTHERS", type=Path)
    parser.add_argument("--size", type=int, default=64, help="pixels (64)")
    parser.add_argument("--splits", type=int, default=5, help="by subject, with other seeds (5)")
    parser.add_argument("--subject-pattern", help="of CELLS")
    parser.add_argument("--subjects", type=Path, help="of CELLS: a table of file and subject")
    return parser


if __name__ == "__main__":
    main()
