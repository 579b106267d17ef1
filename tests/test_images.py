"""Pictures of each format: used as they are, converted and said so, or left out with the reason."""

import io
import json

import numpy as np
import pytest
from image_kinds import CONVERTED, LEFT_OUT, alpha, with_orientation
from PIL import Image, WebPImagePlugin, features
from small_data import save_image
from small_runs import make_sides

from scratchnet.__main__ import main
from scratchnet.data.images import (
    CROP,
    EXTENSIONS,
    FORMATS,
    MAX_PIXELS,
    UnusableImage,
    crop_to_content,
    decode,
    preprocess,
    preprocessing,
)
from scratchnet.data.scaling import fit_to_square
from scratchnet.errors import DataError
from scratchnet.prepare import SAMPLE
from scratchnet.training import Experiment, load_checkpoint, save_checkpoint
from scratchnet.training.config import Config
from scratchnet.training.messages import sides_text


def pixels_of(decoded):
    assert decoded.image.mode == "RGB"
    return np.asarray(decoded.image)


def reason(path):
    with pytest.raises(UnusableImage) as caught:
        decode(path)
    return str(caught.value)


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_every_format_is_used_as_it_is(tmp_path, extension):
    options = {"lossless": True} if extension == ".webp" else {}
    decoded = decode(save_image(tmp_path / f"a{extension}", **options))
    assert decoded.alterations == ()
    assert decoded.image.size == (12, 10)
    if EXTENSIONS[extension] != "JPEG":
        expected = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        np.testing.assert_array_equal(pixels_of(decoded), expected)


def test_a_pillow_that_lacks_a_library_is_not_a_damaged_file(tmp_path, monkeypatch):
    file = save_image(tmp_path / "a.webp", lossless=True)
    monkeypatch.setattr(WebPImagePlugin, "SUPPORTED", False)
    monkeypatch.setattr(features, "check", lambda name: name != "webp")
    assert reason(file).startswith(
        "a WEBP, for which the Pillow that is installed here was built without webp: python -m pip"
    )


def test_upper_case_extension(tmp_path):
    assert decode(save_image(tmp_path / "a.BMP")).alterations == ()


@pytest.mark.parametrize("name", sorted(CONVERTED))
def test_converted_and_said(tmp_path, name):
    write, said = CONVERTED[name]
    write(tmp_path / name)
    decoded = decode(tmp_path / name)
    assert pixels_of(decoded).dtype == np.uint8
    assert any(said in alteration for alteration in decoded.alterations)


def test_conversions_keep_the_picture(tmp_path):
    save_image(tmp_path / "grey.png", mode="L")
    grey = np.asarray(Image.open(tmp_path / "grey.png"))
    np.testing.assert_array_equal(pixels_of(decode(tmp_path / "grey.png")), grey[:, :, None].repeat(3, axis=2))
    alpha(tmp_path / "opaque.png", "RGB", 255)
    np.testing.assert_array_equal(pixels_of(decode(tmp_path / "opaque.png")), np.full((10, 12, 3), 9))


def test_turned_upright(tmp_path):
    plain = np.asarray(Image.open(save_image(tmp_path / "a.png")))
    with_orientation(tmp_path / "b.png", 6)  # the camera lay on its side: turn clockwise
    np.testing.assert_array_equal(pixels_of(decode(tmp_path / "b.png")), np.rot90(plain, -1))
    with_orientation(tmp_path / "c.png", 1)
    assert decode(tmp_path / "c.png").alterations == ()


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_left_out_with_the_reason(tmp_path, name):
    write, said = LEFT_OUT[name]
    write(tmp_path / name)
    assert said in reason(tmp_path / name)


def test_a_file_that_cannot_be_opened(tmp_path):
    assert "cannot be opened" in reason(tmp_path / "missing.png")
    (tmp_path / "folder.png").mkdir()
    assert "cannot be opened" in reason(tmp_path / "folder.png")


def test_a_picture_at_the_limit_is_read(tmp_path):
    side = int(MAX_PIXELS**0.5)
    Image.new("RGB", (side, side)).save(tmp_path / "a.png", compress_level=1)
    assert decode(tmp_path / "a.png").image.size == (side, side)


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_is_either_named_or_yields_an_image(tmp_path, kind):
    """No damage to a file gets out of `decode` as anything but UnusableImage."""
    buffer = io.BytesIO()
    Image.open(save_image(tmp_path / "a.png", size=(20, 20))).save(buffer, kind)
    good, random = buffer.getvalue(), np.random.default_rng(0)
    path = tmp_path / "damaged"
    for _ in range(100):
        bad = bytearray(good)
        for position in random.integers(len(bad), size=3):
            bad[position] = random.integers(256)
        path.write_bytes(bad[: random.integers(1, len(bad) + 1)])
        try:
            assert pixels_of(decode(path)).ndim == 3
        except UnusableImage as caught:
            said = str(caught)
            assert said


def test_preprocessing_is_followed(rng):
    image = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    for fit in ("pad", "stretch"):
        np.testing.assert_array_equal(preprocess(image, preprocessing(8, fit=fit)), fit_to_square(image, 8, fit))
    stored = json.loads(json.dumps(preprocessing(8, crop=True)))
    np.testing.assert_array_equal(preprocess(image, stored), preprocess(image, preprocessing(8, crop=True)))


@pytest.mark.parametrize(
    "changed",
    [{"image_size": 0}, {"image_size": 8.0}, {"image_size": True}, {"image_size": 10**6}, {"image_size": None}, {"fit": "x"},
     {"fit": []}, {"crop": True}, {"crop": {}}, {"crop": {"brighter_than": 8, "margin": 1e9}}, {"shrink": "area average"}],
)  # fmt: skip
def test_preprocessing_that_nobody_made_is_refused(changed):
    with pytest.raises(DataError, match="cannot repeat"):
        preprocess(Image.new("RGB", (4, 4)), preprocessing(8) | changed)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["predict"], 2), (["explain"], 2), (["export", "x.onnx"], 2), (["export", "x.safetensors"], 0)],
)
def test_weights_of_images_that_were_scaled_otherwise(trained_run, tmp_path, monkeypatch, capsys, arguments, code):
    """One line, and not one for each image; what shows the network no file goes on."""
    for library in ("matplotlib", "onnx", "onnxruntime", "safetensors"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    good = load_checkpoint(trained_run.folder / "weights.h5")
    how = good.about["preprocessing"] | {"shrink": "area average"}
    save_checkpoint(tmp_path / "old.h5", good.weights, good.about | {"preprocessing": how})
    command, *file = arguments
    images = [] if command == "export" else [str(SAMPLE / "fold_0")]
    assert main([command, "old.h5", *file, *images]) == code
    said = capsys.readouterr().err
    assert said.count("cannot repeat") == (1 if code else 0)


def test_before_training_on_images_that_were_scaled_otherwise_there_is_a_warning(trained_run, tmp_path):
    make_sides(tmp_path / "old")  # says nothing of how its images were scaled
    for folder, warned in ((tmp_path / "old", True), (trained_run.data, False)):
        text = sides_text(Experiment(Config(image_size=32), folder))
        assert ("CAUTION: the network will be of no use for image files" in text) == warned


def test_stored_preprocessing_of_before_cropping_still_works():
    old = {name: value for name, value in preprocessing(8).items() if name != "crop"}
    assert preprocess(Image.new("RGB", (4, 4)), old).shape == (8, 8, 3)


def cell_on_black(size, box, noise=0):
    image = Image.new("RGB", size, (noise, 0, noise))
    image.paste((90, 9, 200), box)
    return image


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ((450, 450), (100, 200, 300, 300), (240, 240)),  # 200 × 100, 20 on each side
        ((450, 450), (0, 0, 100, 100), (110, 110)),  # in the corner: cut off where the image ends
        ((450, 450), (225, 225, 226, 226), (1, 1)),
        ((60, 40), (10, 0, 50, 40), (48, 40)),
        ((60, 40), (0, 0, 60, 40), (60, 40)),  # nothing black
        ((60, 40), (0, 0, 0, 0), (60, 40)),  # nothing but black
    ],
)
@pytest.mark.parametrize("noise", [0, 8])
def test_cropping_keeps_the_cell_and_a_margin(size, box, expected, noise):
    cropped = crop_to_content(cell_on_black(size, box, noise), **CROP)
    assert cropped.size == expected
    cell = (np.asarray(cropped) == (90, 9, 200)).all(axis=2)
    assert cell.sum() == (box[2] - box[0]) * (box[3] - box[1])


def test_a_cropped_cell_is_in_the_middle_and_large():
    pixels = preprocess(cell_on_black((450, 450), (100, 100, 148, 148)), preprocessing(58, crop=True))
    np.testing.assert_array_equal(pixels.any(axis=2).nonzero()[0][[0, -1]], (5, 52))
    np.testing.assert_array_equal(pixels.any(axis=2).nonzero()[1][[0, -1]], (5, 52))
