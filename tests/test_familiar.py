"""Images unlike those of the training get a caution, from every command; images like them, and old weights, do not."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import scratchnet as sn
from benchmarks.familiar import screenshot
from scratchnet.__main__ import main
from scratchnet.data import ArrayImages
from scratchnet.data.familiar import CAUTION, KEY, Familiar, describe
from scratchnet.data.images import preprocess, preprocessing
from tests.small_runs import make_run, make_sides


def cells(count, seed=0, size=32, colour=(150, 90, 170)):
    """Discs of one colour, more or less, on black."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    images = np.zeros((count, size, size, 3), np.uint8)
    for image in images:
        radius, middle = rng.uniform(0.3, 0.45) * size, rng.uniform(0.45, 0.55, 2) * size
        inside = (y - middle[0]) ** 2 + (x - middle[1]) ** 2 < radius**2
        noise = rng.normal(0, 12, (size, size, 3)) + rng.normal(0, 10)
        image[inside] = np.clip(np.array(colour) + noise, 0, 255)[inside]
    return images


def of(images):
    return ArrayImages(images, np.arange(len(images)) % 2, ("all", "hem"))


@pytest.mark.parametrize("count", [16, 60, 1500])
def test_new_cells_are_familiar_and_other_things_are_not(count):
    familiar = Familiar.measured(of(cells(count)))
    assert familiar is not None
    assert (familiar.distances(cells(200, seed=1)) > 1).mean() <= (0.1 if count < 50 else 0.03)
    others = [
        cells(20, seed=2, colour=(220, 180, 140)),
        np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8),
        np.full((1, 32, 32, 3), 255, np.uint8),
        np.zeros((1, 32, 32, 3), np.uint8),
        np.stack([preprocess(screenshot(seed), preprocessing(32)) for seed in range(20)]),
        255 - cells(20, seed=3),
    ]
    for images in others:
        assert (familiar.distances(images) > 1).all()


def test_a_turned_image_is_as_familiar():
    images = cells(5)
    for turned in (images[:, ::-1], images.transpose(0, 2, 1, 3), np.rot90(images, axes=(1, 2))):
        np.testing.assert_allclose(describe(turned), describe(images), rtol=1e-5)


def test_it_survives_json_and_a_stranger():
    familiar = Familiar.measured(of(cells(40)))
    again = Familiar.from_about({KEY: json.loads(json.dumps(familiar.to_dict()))})
    np.testing.assert_array_equal(again.distances(cells(9, seed=1)), familiar.distances(cells(9, seed=1)))
    good = familiar.to_dict()
    for stored in (None, 3, [], {}, good | {"mean": [1]}, good | {"limit": 0}, good | {"inverse": "x"},
                   good | {"limit": float("nan")}, good | {"mean": [float("nan")] * 8}):  # fmt: skip
        assert Familiar.from_about({KEY: stored}) is None


def test_too_few_or_equal_images_do_no_harm():
    assert Familiar.measured(of(cells(8))) is None
    equal = Familiar.measured(of(np.zeros((30, 32, 32, 3), np.uint8)))
    assert equal is None or np.isfinite(equal.distances(cells(3))).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose weights know discs; one file that is such a disc, one that is a screenshot, one that is no image."""
    folder = tmp_path_factory.mktemp("familiar")
    about = {KEY: Familiar.measured(of(cells(60))).to_dict(), "preprocessing": preprocessing(32)}
    made = make_run(folder / "run", make_sides(folder / "data"), about=about)
    (folder / "files" / "all").mkdir(parents=True)
    Image.fromarray(cells(1, seed=5)[0]).save(folder / "files/all/1.png")
    screenshot(1).save(folder / "files/all/2.png")
    (folder / "files/all/3.png").write_bytes(b"x")
    return made.folder, folder / "files"


def test_predict_says_it_in_its_row_and_at_the_end(run, tmp_path, capsys):
    network, files = run
    assert main(["predict", str(network), str(files), "--out", str(tmp_path / "p.csv")]) == 1
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["caution"] for row in rows] == ["", CAUTION, ""]
    assert [bool(row["problem"]) for row in rows] == [False, False, True]
    assert f"CAUTION: 1 of 2 images is {CAUTION}, such as" in capsys.readouterr().err
    assert main(["predict", str(network), str(files), "--out", str(tmp_path / "p.json")]) == 1
    objects = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert [one.get("caution") for one in objects] == [None, CAUTION, None]


def test_evaluate_says_it(run, tmp_path, capsys):
    network, files = run
    facts = tmp_path / "e.json"
    assert main(["evaluate", str(network), str(files), "--json", str(facts), "--bootstrap", "0"]) == 1
    assert f"CAUTION: 1 of 2 images is {CAUTION}" in capsys.readouterr().out
    assert json.loads(facts.read_text(encoding="utf-8"))["unlike_training"] == 1


def test_the_predictor_says_it(run):
    predictor = sn.load(run[0])
    files = [run[1] / "all/1.png", run[1] / "all/2.png"]
    assert predictor.unlike_training(files).tolist() == [False, True]
    assert [one.caution for one in predictor.stream(files)] == [None, CAUTION]


def test_weights_that_do_not_know_are_silent(tmp_path, run, capsys):
    old = make_run(tmp_path / "old", make_sides(tmp_path / "data"), about={"preprocessing": preprocessing(32)})
    assert not sn.load(old.folder).unlike_training(np.full((2, 9, 9, 3), 255, np.uint8)).any()
    assert main(["predict", str(old.folder), str(run[1] / "all/2.png"), "--out", str(tmp_path / "p.csv")]) == 0
    assert "CAUTION" not in capsys.readouterr().err


def test_training_records_it_and_a_classifier_too(trained_run):
    predictor = sn.load(trained_run.folder)
    assert predictor.familiar is not None
    white = np.full((1, 32, 32, 3), 255, np.uint8)
    assert predictor.unlike_training(white).all()
    images = cells(30)
    classifier = sn.Classifier(epochs=1, batch_size=15).fit(images, np.arange(30) % 2)
    assert not classifier.predictor_.unlike_training(images).any()
    assert classifier.predictor_.unlike_training(white).all()
