"""A trained network in use: the same answers as in training, from arrays and from files, good ones and bad ones."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import scratchnet as sn
from scratchnet.data import Dataset, PixelScaling, symmetry
from scratchnet.errors import ConfigError, DataError, DtypeError, ShapeError
from scratchnet.prepare import SAMPLE
from scratchnet.training import Experiment, Progress, load_checkpoint, save_checkpoint
from scratchnet.training.config import Config
from scratchnet.use.predictor import Predictor, weights_file
from tests.small_data import random_images


@pytest.fixture(scope="module")
def predictor(trained_run):
    return sn.load(trained_run.folder)


@pytest.fixture(scope="module")
def test_set(trained_run):
    with Dataset(trained_run.data, "test") as dataset:
        yield dataset


def untrained(dtype="float32", seed=0, size=32):
    network = sn.models.report(size)
    network.build(seed=seed, dtype=dtype)
    return Predictor(network, ("all", "hem"), PixelScaling("unit"))


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_bits_of_training_s_own_evaluation(trained_run, predictor, test_set):
    """Batches of 48 are run in parts of 32 and 16: another cut would round differently."""
    checkpoint = load_checkpoint(trained_run.folder / "weights.h5")
    experiment = Experiment(Config(**checkpoint.about["config"]), trained_run.data)
    experiment.network.load_state_dict(checkpoint.weights)
    evaluation = experiment.evaluate("test")
    assert predictor.logits(test_set.read(np.arange(len(test_set)))).tobytes() == evaluation.logits.tobytes()


def test_one_file_is_no_list(predictor):
    with pytest.raises(ShapeError, match=r"one file 'one.png'"):
        predictor.stream("one.png")


def test_a_file_has_no_best(trained_run, tmp_path):
    file = trained_run.folder / "weights.h5"
    with pytest.raises(ConfigError, match="not a run's folder"):
        sn.load(file, "best")
    with pytest.raises(DataError, match="no such run or file"):
        sn.load(tmp_path / "nowhere")


def test_a_run_that_was_judged_by_averages(trained_run, predictor, test_set, tmp_path):
    """Unless told otherwise, the answers are those of training's evaluation, averages included."""
    checkpoint = load_checkpoint(trained_run.folder / "weights.h5")
    config = checkpoint.about["config"] | {"test_symmetries": "average"}
    save_checkpoint(tmp_path / "averaged.h5", checkpoint.weights, checkpoint.about | {"config": config})
    experiment = Experiment(Config(**config), trained_run.data)
    experiment.network.load_state_dict(checkpoint.weights)
    averaged, pixels = sn.load(tmp_path / "averaged.h5"), test_set.read(np.arange(len(test_set)))
    assert averaged.logits(pixels).tobytes() == experiment.evaluate("test").logits.tobytes()
    assert averaged.logits(pixels, symmetries=False).tobytes() == predictor.logits(pixels).tobytes()
    assert predictor.logits(pixels, symmetries=True).tobytes() == averaged.logits(pixels).tobytes()


def test_files_give_what_the_shards_give(predictor, test_set):
    expected = softmax(predictor.logits(test_set.read(np.arange(len(test_set)))))
    files = [SAMPLE / path for path in test_set.paths]
    np.testing.assert_allclose(predictor.predict_proba(files), expected, rtol=0, atol=1e-6)
    originals = np.stack([np.asarray(Image.open(file)) for file in files[:5]])
    assert originals.shape[1:] == (450, 450, 3)
    np.testing.assert_allclose(predictor.predict_proba(originals), expected[:5], rtol=0, atol=1e-5)


def test_probabilities_and_classes_agree(predictor, test_set):
    pixels = test_set.read(np.arange(10))
    p = predictor.predict_proba(pixels)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert predictor.predict(pixels).tolist() == [predictor.class_names[k] for k in p.argmax(axis=1)]


def test_batches_do_not_matter(predictor, test_set):
    pixels = test_set.read(np.arange(49))
    one_by_one = np.concatenate([predictor.predict_proba(pixels[k : k + 1]) for k in range(49)])
    np.testing.assert_allclose(predictor.predict_proba(pixels), one_by_one, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_symmetries_are_the_mean_over_eight(dtype):
    predictor, pixels = untrained(dtype), random_images(3, 32)
    each = [predictor.predict_proba(symmetry(pixels, which)) for which in range(8)]
    averaged = predictor.predict_proba(pixels, symmetries=True)
    assert averaged.dtype == np.float64
    np.testing.assert_allclose(averaged, np.mean(each, axis=0), atol=1e-6)
    assert not np.allclose(averaged, each[0], atol=1e-5)
    # Turned as you like, the answer stays.
    np.testing.assert_allclose(predictor.predict_proba(symmetry(pixels, 5), symmetries=True), averaged, atol=1e-6)


def test_an_iterator_is_read_a_batch_at_a_time(predictor, monkeypatch):
    monkeypatch.setattr(predictor, "batch_size", 48)
    taken = []

    def images():
        for k, image in enumerate(random_images(100, 32)):
            taken.append(k)
            yield image

    probabilities = predictor.probabilities
    most = 0

    def watched(pixels, **options):
        nonlocal most
        most = max(most, len(pixels))
        return probabilities(pixels, **options)

    predictor.probabilities = watched
    try:
        assert predictor.predict_proba(images()).shape == (100, 2)
    finally:
        del predictor.probabilities
    assert most == 48
    assert predictor.predict_proba([]).shape == (0, 2)
    assert predictor.predict(iter(())).shape == (0,)


def test_bad_files_do_not_stop_the_stream(predictor, tmp_path):
    good = sorted((SAMPLE / "fold_0" / "hem").iterdir())[:3]
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(good[0].read_bytes()[:500])
    files = [good[0], tmp_path / "empty.png", good[1], tmp_path / "cut.png", tmp_path / "nowhere.png", good[2]]
    found = list(predictor.stream(files))
    assert [one.path for one in found] == files
    assert [one.problem is None for one in found] == [True, False, True, False, False, True]
    assert "zero bytes" in found[1].problem
    assert found[1].probabilities is None
    expected = predictor.predict_proba(good)
    np.testing.assert_allclose(np.stack([found[k].probabilities for k in (0, 2, 5)]), expected, atol=1e-6)
    assert [one.problem for one in predictor.stream([files[1]] * 100)] == [found[1].problem] * 100


def test_the_stream_reads_only_a_little_ahead(predictor):
    asked = 0

    def endless():
        nonlocal asked
        while True:
            asked += 1
            yield SAMPLE / "no such file.png"

    stream = predictor.stream(endless())
    for _ in range(200):
        next(stream)
    assert asked <= 200 + 3 * predictor.batch_size
    stream.close()


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        ("cell.png", ShapeError, "put it into a list"),
        (np.zeros((8, 8, 3), np.uint8), ShapeError, r"x\[None\]"),
        (np.zeros((2, 8, 8, 3), np.float32), DtypeError, "got float32"),
        (np.zeros((2, 3, 8, 8), np.uint8), ShapeError, r"\(N, H, W, 3\)"),
        (np.zeros((2, 0, 8, 3), np.uint8), ShapeError, r"\(H, W, 3\)"),
        (None, DtypeError, "got NoneType"),
        ([None], DtypeError, "got NoneType"),
        (["nowhere.png"], DataError, "nowhere.png: cannot be opened"),
    ],
)
def test_a_wrong_input_says_so(images, error, message):
    with pytest.raises(error, match=message) as raised:
        untrained().predict_proba(images)
    assert "\n" not in str(raised.value)


def test_what_is_saved_loads_again(predictor, test_set, tmp_path):
    predictor.save(tmp_path / "copy.h5")
    again = sn.load(tmp_path / "copy.h5")
    pixels = test_set.read(np.arange(20))
    assert again.predict_proba(pixels).tobytes() == predictor.predict_proba(pixels).tobytes()
    assert again.source == tmp_path / "copy.h5"
    with pytest.raises(ConfigError, match="no configuration"):
        untrained().save(tmp_path / "other.h5")


def test_which_file_of_a_run(tmp_path):
    def saved(name, epoch=0, batch=0, **about):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        save_checkpoint(path, {"w": np.zeros(1)}, about, progress=Progress(epoch, batch))
        return path

    with pytest.raises(DataError, match="holds no weights"):
        weights_file(tmp_path)
    newest = saved("checkpoints/epoch-0010-batch-00009.h5", 10, 9)
    saved("checkpoints/epoch-0010.h5", 10)
    saved("checkpoints/epoch-0009.h5", 9)
    assert weights_file(tmp_path) == newest
    ended = saved("weights.h5", epoch=10)
    assert weights_file(tmp_path) == ended
    saved("weights.h5", 0, 0, **{"class_names": []})  # an early version did not say after which epoch
    assert weights_file(tmp_path) == ended
    with pytest.raises(DataError, match=r"no best\.h5"):
        weights_file(tmp_path, "best")
    assert weights_file(saved("best.h5").parent, "best").name == "best.h5"
    with pytest.raises(ConfigError, match="last, best"):
        weights_file(tmp_path, "first")


@pytest.mark.parametrize(("epoch", "taken"), [(11, "weights.h5"), (10, "epoch-0010-batch-00001.h5")])
def test_a_run_that_went_on_after_its_end(tmp_path, epoch, taken):
    (tmp_path / "checkpoints").mkdir()
    save_checkpoint(tmp_path / "weights.h5", {}, {"epoch": epoch})
    save_checkpoint(tmp_path / "checkpoints/epoch-0010-batch-00001.h5", {}, {}, progress=Progress(10, 1))
    assert weights_file(tmp_path).name == taken


def test_what_cannot_be_loaded(trained_run, tmp_path):
    checkpoint = load_checkpoint(trained_run.folder / "weights.h5")
    for about, message in (
        ({}, "lacks 'config'"),
        (checkpoint.about | {"class_names": ["a", "b", "c"]}, "another image size or preset"),
        (checkpoint.about | {"config": {"model": "other"}}, "model must be one of"),
        (
            checkpoint.about | {"config": checkpoint.about["config"] | {"image_size": 4096}},
            "more weights than the 5932354 that it holds",
        ),
        (checkpoint.about | {"config": checkpoint.about["config"] | {"new": 1}}, "no option 'new'"),
        (checkpoint.about | {"preprocessing": {"image_size": 64}}, "prepared in 64 pixels"),
        (checkpoint.about | {"pixel_scaling": {"kind": "sepia"}}, "pixel scaling"),
        (checkpoint.about | {"config": []}, "table of options"),
    ):
        save_checkpoint(tmp_path / "odd.h5", checkpoint.weights, about)
        with pytest.raises(DataError, match=message) as raised:
            sn.load(tmp_path / "odd.h5")
        assert "odd.h5" in str(raised.value)
        assert "\n" not in str(raised.value)
    for path in (tmp_path / "nowhere", Path(__file__)):
        with pytest.raises(DataError, match=path.name):
            sn.load(path)
    shutil.copy(trained_run.folder / "weights.h5", tmp_path / "cut.h5")
    with open(tmp_path / "cut.h5", "r+b") as file:
        file.truncate(100_000)
    with pytest.raises(DataError, match=r"cut\.h5"):
        sn.load(tmp_path / "cut.h5")
