"""Images of 10 to 16 bits a channel: every value is read, one window scales them all, and prediction scales as training did."""

import io
import json
import zlib

import numpy as np
import pytest
from image_kinds import png
from PIL import Image
from small_data import save_image
from tiff_files import page, tiff

import train
from data_prep import main as data_prep
from scratchnet.__main__ import main
from scratchnet.data import Dataset
from scratchnet.data.images import UnusableImage, decode, decode_deep, preprocessing, read_pixels, require_repeatable
from scratchnet.data.window import VALUES, Window
from scratchnet.errors import DataError, DtypeError
from scratchnet.prepare import Settings, prepare, prepare_folds
from scratchnet.prepare.estimate import TRIED, estimate
from scratchnet.prepare.sources import find_images
from scratchnet.use.predictor import Predictor

DEFLATE = {"compression": 8, "pack": zlib.compress}


@pytest.fixture
def values(rng):
    return rng.integers(0, 2**16, (12, 16, 3), dtype=np.uint16)


def write(path, content):
    path.write_bytes(content)
    return path


def differenced(values, order):
    """As TIFF's predictor 2 stores rows: each value less the one before it of the same channel."""
    before = np.concatenate([np.zeros_like(values[:, :1]), values[:, :-1]], axis=1)
    return (values - before).astype(f"{order}u2")


def packed_12_bits(values):
    bits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 4:]
    return np.packbits(bits.reshape(len(values), -1), axis=1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("options", [{}, DEFLATE, {"planar": 2}, {"planar": 2, **DEFLATE}])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_bit_of_a_tiff_is_read(tmp_path, values, order, big, options, channels):
    stored = values[:, :, :channels]
    content = tiff(page(stored.astype(f"{order}u2"), 2 if channels == 3 else 1, **options), big=big, order=order)
    np.testing.assert_array_equal(decode_deep(write(tmp_path / "a.tif", content)), stored)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_whose_rows_are_differences(tmp_path, values, order):
    content = tiff(page(differenced(values, order), 2, more={317: (3, [2])}, **DEFLATE), order=order)
    np.testing.assert_array_equal(decode_deep(write(tmp_path / "a.tif", content)), values)


@pytest.mark.parametrize("options", [{}, DEFLATE])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_that_counts_from_white(tmp_path, values, options, order):
    content = tiff(page(values[:, :, :1].astype(f"{order}u2"), 0, **options), order=order)
    np.testing.assert_array_equal(decode_deep(write(tmp_path / "a.tif", content)), 65535 - values[:, :, :1])


@pytest.mark.parametrize("extra", [[0], [2], None])
@pytest.mark.parametrize("options", [{}, DEFLATE, {"planar": 2}])
def test_a_fourth_channel_of_16_bits(tmp_path, values, extra, options):
    fourth = np.full((12, 16, 1), 65535, np.uint16)
    if extra == [0]:
        fourth[3, 4] = 5
    content = tiff(page(np.dstack([values, fourth]), 2, extra=extra, **options))
    np.testing.assert_array_equal(decode_deep(write(tmp_path / "a.tif", content)), values)
    fourth[3, 4] = 65534  # the upper byte alone says opaque
    content = tiff(page(np.dstack([values, fourth]), 2, extra=[2], **options))
    with pytest.raises(UnusableImage, match="transparent"):
        decode_deep(write(tmp_path / "a.tif", content))


def test_12_bits_without_gaps(tmp_path, rng):
    values = rng.integers(0, 4096, (12, 16), dtype=np.uint16)
    content = tiff(page(np.zeros((12, 16, 1), np.uint8), 1, bits=12, pack=lambda _: packed_12_bits(values).tobytes()))
    np.testing.assert_array_equal(decode_deep(write(tmp_path / "a.tif", content))[:, :, 0], values)


@pytest.mark.parametrize("bits", [9, 10, 14])
def test_other_bits_without_gaps_are_left_out(tmp_path, bits):
    content = tiff(page(np.zeros((12, 16, 2), np.uint8)[:, :, :1], 1, bits=bits, pack=lambda raw: raw * 2))
    with pytest.raises(UnusableImage, match=f"{bits} bits a channel without gaps"):
        decode_deep(write(tmp_path / "a.tif", content))


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3)])
def test_every_bit_of_a_png_is_read(tmp_path, values, colour, channels):
    rows = [b"\0" + row.tobytes() for row in values[:, :, :channels].astype(">u2")]
    png(tmp_path / "a.png", 16, 12, depth=16, colour=colour, data=b"".join(rows))
    np.testing.assert_array_equal(decode_deep(tmp_path / "a.png"), values[:, :, :channels])


def test_every_bit_of_a_filtered_png_is_read(tmp_path, rng):
    """Pillow filters rows when it writes greyscale; colours, each row by the filter `up`."""
    smooth = rng.integers(0, 300, (12, 16), dtype=np.uint16).cumsum(axis=1).astype(np.uint16)
    Image.fromarray(smooth).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(decode_deep(tmp_path / "grey.png")[:, :, 0], smooth)
    colours = np.dstack([smooth, smooth + 7, smooth.T.reshape(12, 16)]).astype(">u2")
    raw = np.frombuffer(colours.tobytes(), np.uint8).reshape(12, -1)
    up = np.diff(raw.astype(int), axis=0, prepend=0).astype(np.uint8)
    png(tmp_path / "rgb.png", 16, 12, depth=16, data=b"".join(b"\2" + row.tobytes() for row in up))
    np.testing.assert_array_equal(decode_deep(tmp_path / "rgb.png"), colours)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: save_image(path), "8 bits a channel or fewer"), (lambda path: save_image(path, format="JPEG"), "8 bits"),
        (lambda path: save_image(path, format="BMP"), "8 bits"), (lambda path: png(path, 4, 4, depth=16, colour=6), "transparent"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "damaged"), (lambda path: path.write_text("x", encoding="utf-8"), "a text"),
        (lambda path: path.write_bytes(tiff(page(np.zeros((4, 4, 1), np.uint32), 1))), "32 bits a channel: scale it"),
        (lambda path: path.write_bytes(tiff(page(np.zeros((4, 4, 4), np.uint16), 5))), "CMYK"),
    ],
)  # fmt: skip
def test_what_has_no_16_bits_is_left_out_with_the_reason(tmp_path, write, said):
    write(tmp_path / "a.png")
    for read in (decode_deep, lambda file: decode(file, Window(0, 100))):
        with pytest.raises(UnusableImage, match=said):
            read(tmp_path / "a.png")


def test_the_window_scales_by_its_equation(rng):
    for low, high in ((0, 65535), (0, 1), (100, 4095), (65534, 65535), (7, 262)):
        x = np.concatenate([rng.integers(0, VALUES, 1000), [0, low, high, 65535]]).astype(np.uint16)
        exact = np.floor(255 * (x.astype(float).clip(low, high) - low) / (high - low) + 0.5)
        np.testing.assert_array_equal(Window(low, high).apply(x), exact)


def counts_of(*pixels):
    return np.bincount(np.concatenate(pixels).astype(np.int64), minlength=VALUES)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        ((np.arange(100, 4000),), (100, 3999)),  # few pixels: all of them
        ((np.repeat(np.arange(100, 4000), 10), [0, 1, 65535]), (100, 3999)),  # three of 39,003 are defects
        ((np.repeat(np.arange(100, 4000), 10), [65535] * 4), (100, 65535)),  # four are not
        (([7] * 50,), (7, 8)), (([65535] * 50,), (65534, 65535)), (([7] * 50_000, [9]), (7, 9)), (([],), (0, 65535)),
    ],
)  # fmt: skip
def test_the_window_of_a_set(pixels, expected):
    assert Window.measured(counts_of(*pixels)) == Window(*expected)


@pytest.mark.parametrize(
    "stored", [5, {}, {"low": 3, "high": 3}, {"low": -1, "high": 9}, {"low": 0, "high": 65536}, {"low": 0, "high": 1.5}]
)
def test_a_window_that_nobody_measured_is_refused(stored):
    with pytest.raises(DataError, match="--bits 16"):
        require_repeatable(preprocessing(8) | {"window": stored})


def microscope(folder, *, channels=1, seed=0, subjects=5):
    """12-bit images of two classes, the second brighter; two defective pixels."""
    rng = np.random.default_rng(seed)
    for label, name in enumerate(("mitotic", "normal")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for subject in range(subjects):
            for image in range(2):
                values = rng.integers(300, 2000, (40, 40, channels), dtype=np.uint16) + np.uint16(900 * label)
                file = folder / name / f"P{label}{subject}_{image}.tif"
                file.write_bytes(tiff(page(values, 2 if channels == 3 else 1)))
    return folder


@pytest.mark.parametrize("channels", [1, 3])
def test_a_set_of_16_bits_is_prepared_with_one_window(tmp_path, channels):
    source = microscope(tmp_path / "m", channels=channels)
    save_image(source / "normal" / "8-bit.png")
    asked = Settings(image_size=32, bits=16)
    manifest = prepare(source, tmp_path / "out", asked, quiet=True)
    counts = sum(np.bincount(decode_deep(file).ravel(), minlength=VALUES) for file in source.rglob("*.tif"))
    window = Window.measured(counts)
    assert manifest.preprocessing["window"] == window.to_dict()
    assert counts[: window.low].sum() <= counts.sum() / 10_000
    assert counts[window.high + 1 :].sum() <= counts.sum() / 10_000
    assert 300 <= window.low < 310
    assert [remark.path for remark in manifest.left_out] == ["normal/8-bit.png"]
    assert {remark.path for remark in manifest.altered} == {
        str(file.relative_to(source).as_posix()) for file in source.rglob("*.tif")
    }
    assert all(f"scaled from {window.low} … {window.high}" in remark.reason for remark in manifest.altered)
    for side in ("train", "test"):
        with Dataset(tmp_path / "out", side) as dataset:
            for pixels, path in zip(dataset.read(range(len(dataset))), dataset.paths, strict=True):
                np.testing.assert_array_equal(read_pixels(source / path, manifest.preprocessing), pixels)


def test_the_window_is_the_same_on_any_number_of_threads_and_in_all_folds(tmp_path):
    source = microscope(tmp_path / "m")
    ids = set()
    for threads in (1, 4):
        ids.add(
            prepare(
                source, tmp_path / str(threads), Settings(image_size=32, bits=16, threads=threads), quiet=True
            ).dataset_id
        )
    assert len(ids) == 1
    folds = prepare_folds(source, tmp_path / "k", Settings(image_size=32, bits=16, split="kfold", folds=3), quiet=True)
    assert len({json.dumps(fold.preprocessing) for fold in folds}) == 1


def test_without_the_option_it_is_named_as_the_remedy(tmp_path, capsys):
    source = microscope(tmp_path / "m")
    assert data_prep([str(source), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "16 bits a channel; 8 are expected" in said
    assert said.rstrip().endswith("Choose --bits 16, which scales such images by one window.")
    assert "move it out" not in said


def test_classes_of_different_bits_are_not_made_one_set(tmp_path, capsys):
    source = microscope(tmp_path / "m")
    for file in (source / "normal").iterdir():
        Image.fromarray((decode_deep(file)[:, :, 0] >> 4).astype(np.uint8)).save(file)
    for bits, remedy in (
        ("8", "Choose --bits 16"),
        ("16", "leave it out, or bring all classes to the same number of bits"),
    ):
        assert data_prep([str(source), str(tmp_path / "out"), "--bits", bits]) == 2
        assert remedy in capsys.readouterr().err


def test_training_predicting_and_evaluating_use_one_window(tmp_path, monkeypatch, capsys):
    """From train.py to predict, to the bit; and files of another number of bits are left out by either network."""
    monkeypatch.chdir(tmp_path)
    source = microscope(tmp_path / "m", subjects=5)
    asked = [
        "--image-size",
        "32",
        "--epochs",
        "1",
        "--batch-size",
        "8",
        "--name",
        "deep",
        "--subject-pattern",
        r"(P\d+)_",
    ]
    assert train.main(["--data", "m", "--bits", "16", *asked]) == 0
    capsys.readouterr()
    (shards,) = (tmp_path / "prepared").iterdir()
    predictor = Predictor.load("runs/deep")
    with Dataset(shards, "test") as dataset:
        expected = predictor.probabilities(dataset.read(range(len(dataset))))
        files = [source / path for path in dataset.paths]
    np.testing.assert_array_equal(predictor.predict_proba(files), expected)
    arrays = [np.repeat(decode_deep(file), 3, axis=2) for file in files]
    np.testing.assert_array_equal(predictor.predict_proba(arrays), expected)
    assert main(["evaluate", "runs/deep", str(source), "--subject-pattern", r"(P\d+)_"]) == 0
    assert "left out" not in capsys.readouterr().err
    save_image(tmp_path / "eight.png")
    assert main(["predict", "runs/deep", "eight.png"]) != 0
    assert "8 bits a channel or fewer; more are expected" in capsys.readouterr().err
    with pytest.raises(DtypeError, match="more than 8 bits a channel"):
        predictor.pixels(np.zeros((40, 40, 3), np.uint8))


def test_a_network_of_8_bits_says_that_a_file_has_more(trained_run, tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "a.tif")
    predictor = Predictor.load(trained_run.folder)
    with pytest.raises(DataError, match="16 bits a channel; 8 are expected"):
        predictor.pixels(tmp_path / "a.tif")
    with pytest.raises(DtypeError, match="uint8 from 0 to 255"):
        predictor.pixels(np.zeros((40, 40, 3), np.uint16))


def test_damage_to_16_bits_is_either_named_or_yields_values(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**16, (12, 16, 3), dtype=np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(values[:, :, 0]).save(buffer, "PNG")
    for good in (buffer.getvalue(), tiff(page(values, 2)), tiff(page(values, 2, planar=2, **DEFLATE))):
        for _ in range(60):
            bad = bytearray(good)
            for position in rng.integers(len(bad), size=3):
                bad[position] = rng.integers(256)
            try:
                assert decode_deep(write(tmp_path / "a", bytes(bad[: rng.integers(1, len(bad) + 1)]))).ndim == 3
            except UnusableImage as caught:
                said = str(caught)
                assert said


def test_how_long_preparing_takes_is_measured_on_such_images(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(
        "scratchnet.prepare.estimate.read_pixels", lambda file, how: read.append(read_pixels(file, how))
    )
    source = microscope(tmp_path / "m")
    assert estimate(find_images(source), Settings(image_size=32, bits=16)).seconds > 0
    assert len(read) == TRIED
