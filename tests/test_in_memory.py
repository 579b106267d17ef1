"""Images in memory: Pillow images as files are read, and arrays of other shapes with the hint that helps."""

import numpy as np
import pytest
from PIL import Image

from scratchnet.data import PixelScaling
from scratchnet.errors import DataError, DtypeError, ShapeError
from scratchnet.nn.models import MODELS
from scratchnet.use.classifier import Classifier, as_pixels
from scratchnet.use.predictor import Predictor
from tests.small_data import random_images


@pytest.fixture(scope="module")
def predictor():
    network = MODELS["report"](32)
    network.build(seed=0)
    return Predictor(network, ("all", "hem"), PixelScaling("unit"))


def pictures(mode="RGB", size=(45, 40), count=3):
    pixels = random_images(count, max(size))[:, : size[1], : size[0]]
    return [Image.fromarray(one).convert(mode) for one in pixels]


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA"])
def test_a_picture_says_what_its_file_says(predictor, tmp_path, mode):
    made = pictures(mode)
    files = [tmp_path / f"{k}.png" for k in range(len(made))]
    for one, file in zip(made, files, strict=True):
        one.save(file)
    np.testing.assert_array_equal(predictor.predict_proba(made), predictor.predict_proba(files))


def test_an_orientation_is_followed(predictor, tmp_path):
    (one,) = pictures(count=1)
    exif = one.getexif()
    exif[0x0112] = 6
    one.save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as opened:
        np.testing.assert_array_equal(predictor.pixels(opened), predictor.pixels(tmp_path / "a.jpg"))


def test_pictures_files_and_arrays_mix(predictor, tmp_path):
    one, two, three = pictures()
    one.save(tmp_path / "1.png")
    np.testing.assert_array_equal(
        predictor.predict_proba([tmp_path / "1.png", two, np.asarray(three)]),
        predictor.predict_proba([one, two, three]),
    )


@pytest.mark.parametrize("made", [
    Image.new("RGBA", (9, 9), (1, 2, 3, 0)), Image.new("I;16", (9, 9)), Image.new("F", (9, 9)), Image.new("CMYK", (9, 9)),
])  # fmt: skip
def test_a_picture_that_no_file_could_be_is_refused(predictor, made):
    with pytest.raises(DataError, match=r"transparent pixels|a picture of mode"):
        predictor.predict_proba([made])


def test_one_picture_is_not_several(predictor):
    with pytest.raises(ShapeError, match="put it into a list"):
        predictor.predict_proba(pictures()[0])


HINTS = [
    ((5, 32, 32), r"greyscale\? np.repeat\(x\[..., None\], 3, axis=-1\)"),
    ((5, 32, 32, 1), r"greyscale\? np.repeat\(x, 3, axis=-1\)"),
    ((5, 32, 32, 4), r"with alpha\? x\[..., :3\]"),
    ((5, 3, 32, 32), r"channels first\? x.transpose\("),
    ((32, 32, 3), r"one image is a batch of one, x\[None\]"),
]


@pytest.mark.parametrize(("shape", "hint"), HINTS)
def test_an_array_of_another_shape_gets_the_hint_that_helps(predictor, shape, hint):
    x = np.zeros(shape, np.uint8)
    for ask in (predictor.predict_proba, as_pixels):
        with pytest.raises(ShapeError, match=hint):
            ask(x)


def test_the_hints_are_right(predictor):
    x = random_images(5, 32)
    grey = x[..., 0]
    assert predictor.predict_proba(np.repeat(grey[..., None], 3, axis=-1)).shape == (5, 2)
    np.testing.assert_array_equal(np.repeat(grey[..., None], 3, axis=-1)[..., 2], grey)
    np.testing.assert_array_equal(x.transpose(0, 3, 1, 2).transpose(0, 2, 3, 1), x)


def test_a_classifier_takes_pictures():
    made = pictures(size=(32, 32), count=8)
    np.testing.assert_array_equal(as_pixels(made), np.stack([np.asarray(one) for one in made]))
    assert as_pixels([one.convert("L") for one in made]).shape == (8, 32, 32, 3)
    fitted = Classifier(epochs=1, batch_size=4).fit(made, np.arange(8) % 2)
    np.testing.assert_array_equal(fitted.predict_proba(made), fitted.predict_proba(as_pixels(made)))
    with pytest.raises(ShapeError, match="of one size"):
        as_pixels([*made, *pictures(size=(40, 40), count=1)])
    with pytest.raises(DataError, match="transparent"):
        as_pixels([Image.new("RGBA", (32, 32))])
    with pytest.raises(DtypeError, match=r"files are for train.py"):
        as_pixels(["a.png", "b.png"])
