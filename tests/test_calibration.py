"""Temperature, operating point and reliability: what validation images teach, where it is kept, and who uses it."""

import csv
import importlib.util
import json
import math

import numpy as np
import pytest
from PIL import Image

import scratchnet as sn
import train
from scratchnet.__main__ import main
from scratchnet.data import Dataset
from scratchnet.data.images import preprocessing
from scratchnet.errors import ConfigError, DataError
from scratchnet.measures import metrics
from scratchnet.measures.calibration import HOTTEST, KEY, Calibration, fitted_temperature, tempered, threshold_for
from scratchnet.measures.reliability import reliability
from scratchnet.pages import Results, report_page
from scratchnet.training import read_about
from scratchnet.training.checkpoint import load_checkpoint, save_checkpoint
from scratchnet.use import predictor
from tests.small_runs import make_run, make_sides, weights

pytestmark = pytest.mark.usefixtures("small_model")


def overconfident(rng, temperature=3.0, count=4000, classes=2):
    """Labels drawn from probabilities, and those of a network that is surer by this temperature."""
    truth = rng.dirichlet(np.ones(classes), count)
    labels = np.array([rng.choice(classes, p=row) for row in truth])
    return labels, tempered(truth, 1 / temperature)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_temperature_is_found_again_and_the_error_falls(rng, classes):
    labels, p = overconfident(rng, classes=classes)
    found = fitted_temperature(labels, p)
    assert found == pytest.approx(3, rel=0.1)
    losses = [metrics.log_loss(labels, tempered(p, found * factor)) for factor in (0.98, 1.0, 1.02)]
    assert min(losses) == losses[1]
    answer, sure = labels == p.argmax(axis=1), p.max(axis=1)
    assert reliability(answer, sure).error > 0.1 > 0.04 > reliability(answer, tempered(p, found).max(axis=1)).error
    np.testing.assert_array_equal(tempered(p, found).argmax(axis=1), p.argmax(axis=1))
    np.testing.assert_allclose(tempered(tempered(p, found), 1 / found), p, atol=1e-9)


def test_where_there_is_no_best_temperature_nobody_is_made_surer():
    """All right: the surer, the better, without end. Wrong as often as right, or more: the less sure, the better."""
    right, wrong = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.01, 0.99], [0.99, 0.01]])
    assert fitted_temperature([0, 1], right) == 1
    assert fitted_temperature([0, 1], np.full((2, 2), 0.5)) == 1
    for chances in (wrong, np.concatenate([wrong, 1 - wrong])):
        found = fitted_temperature([0, 1] * (len(chances) // 2), chances)
        assert found == HOTTEST
        assert tempered(chances, found).max() < 0.56


def test_the_threshold_is_the_highest_that_finds_the_share(rng):
    positive, p = rng.random(500) < 0.4, rng.random(500).round(2)  # with ties
    for sensitivity in (0.5, 0.95, 1.0):
        threshold = threshold_for(sensitivity, positive, p)
        assert (p[positive] >= threshold).mean() >= sensitivity
        assert (p[positive] > threshold).mean() < sensitivity
    with pytest.raises(ConfigError, match=r"such as 0\.95"):
        threshold_for(95, positive, p)
    with pytest.raises(DataError, match="no image of the class"):
        threshold_for(0.9, np.zeros(3, bool), [0.1, 0.2, 0.3])


def test_the_expected_calibration_error_is_the_textbooks(rng):
    true, p = rng.random(300) < 0.5, np.r_[rng.random(298), 0.0, 1.0]
    found, total = reliability(true, p, bins=7), 0.0
    for k in range(7):
        inside = (p >= k / 7) & ((p < (k + 1) / 7) | (k == 6))
        total += inside.sum() / 300 * abs(true[inside].mean() - p[inside].mean())
    assert found.error == pytest.approx(total, rel=1e-12)
    assert found.images.sum() == 300


@pytest.fixture(autouse=True)
def no_least_size(monkeypatch):
    """The small network has fewer weights than any that is believed to be of its size."""
    whole = predictor.network_of
    monkeypatch.setattr(predictor, "network_of", lambda about, weights=None, own=None: whole(about, own=own))


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 0.0}, {"temperature": math.nan}, {"temperature": "1"}, {"threshold": 0.5},
        {"positive": "else", "threshold": 0.5, "sensitivity": 0.9}, {"positive": "all", "threshold": 2.0, "sensitivity": 0.9},
    ],
)  # fmt: skip
def test_what_a_strangers_file_says_is_checked(tmp_path, wrong):
    run = make_run(tmp_path / "run", "nowhere")
    checkpoint = load_checkpoint(run.weights_path)
    save_checkpoint(run.weights_path, checkpoint.weights, checkpoint.about | {KEY: Calibration().to_dict() | wrong})
    with pytest.raises(DataError, match=r"weights\.h5.*(calibration|threshold|temperature)"):
        sn.load(run.folder)


def test_training_calibrates_on_the_validation_side_alone(tmp_path, monkeypatch, no_pages):
    def temperature(labels, p):
        """A number that changes with every answer, as random pictures have no best temperature."""
        return 1 + p[np.arange(len(labels)), labels].mean()

    monkeypatch.setattr("scratchnet.training.experiment.fitted_temperature", temperature)
    data, folder = make_sides(tmp_path / "data", train=48, validation=40, test=24), tmp_path / "run"
    assert train.main(["--data", str(data), "--epochs", "3", "--runs", str(tmp_path), "--name", "run"]) == 0
    for name in ("weights.h5", "best.h5"):
        one = sn.load(folder / name, raw=True)
        with Dataset(data, "validation") as side:
            expected = temperature(side.labels, one.probabilities(side.read(np.arange(40))))
        assert read_about(folder / name)[0][KEY] == Calibration(expected, 40, 20).to_dict()
    raw, scaled = sn.load(folder, raw=True), sn.load(folder)
    with Dataset(data, "test") as side:
        images = side.read(np.arange(24))
    lines = list(csv.DictReader((folder / "predictions.csv").read_text(encoding="utf-8").splitlines()))
    p = raw.predict_proba(images)
    np.testing.assert_array_equal([float(line["probability of hem"]) for line in lines], p[:, 1])
    np.testing.assert_array_equal(scaled.predict_proba(images), tempered(p, scaled.calibration.temperature))
    averaged = [one.predict_proba(images, symmetries=True) for one in (raw, scaled)]
    np.testing.assert_array_equal(*averaged)  # the temperature is of single positions
    with Results.read(folder) as results:
        np.testing.assert_array_equal(results.predictions.probabilities, scaled.predict_proba(images))
        np.testing.assert_allclose(results.predictions.raw, p, atol=1e-9)


@pytest.fixture
def run(tmp_path):
    """A run of random weights, whose data have a validation side."""
    return make_run(tmp_path / "run", make_sides(tmp_path / "data", validation=40, test=24)).folder


def test_an_operating_point_is_chosen_kept_and_used(run, tmp_path, capsys):
    before = weights(run)
    assert main(["calibrate", str(run), "--sensitivity", "0.9", "--positive", "HEM", "--bootstrap", "50"]) == 0
    out = capsys.readouterr().out
    assert "chosen for a sensitivity of 90.0 % on 40 validation images of 20 subjects" in out
    assert weights(run) == before
    found = Calibration.from_about(read_about(run / "weights.h5")[0])
    network = sn.load(run)
    with Dataset(tmp_path / "data", "validation") as side:
        p = network.probabilities(side.read(np.arange(40)))[:, 1]
        assert found.threshold == threshold_for(0.9, side.labels == 1, p)
    with Dataset(tmp_path / "data", "test") as side:
        images, labels = side.read(np.arange(24)), side.labels
    called = np.array(network.class_names)[(network.predict_proba(images)[:, 1] >= found.threshold).astype(int)]
    assert network.predict(images).tolist() == called.tolist()
    assert sn.load(run, raw=True).predict(images).tolist() != called.tolist()

    files = {name: str(tmp_path / name) for name in ("e.json", "patients.csv")}
    done = main(
        ["evaluate", str(run), str(tmp_path / "data"), "--json", files["e.json"], "--patients", files["patients.csv"]]
    )
    assert done == 0
    printed = capsys.readouterr()
    assert "'hem' from" in printed.err
    facts = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    assert facts["positive"] == "hem"
    sensitivity = ((called == "hem") & (labels == 1)).sum() / (labels == 1).sum()
    assert facts["images"]["sensitivity"]["value"] == sensitivity
    assert facts["images"]["sensitivity"]["rests_on"] or facts["images"]["sensitivity"]["low"] < sensitivity
    assert [one["of"] for one in facts["calibration"]] == ["hem", None]
    assert facts["calibration"][0]["scaled"]["expected_calibration_error"] > 0
    lines = list(csv.DictReader((tmp_path / "patients.csv").read_text(encoding="utf-8").splitlines()))
    assert len(lines) == 12 == len(facts["patients"])
    for line in lines:
        mean = float(line["mean probability of hem"])
        assert line["verdict"] == ("hem" if mean >= found.threshold else "all")
        assert line["right"] == ("yes" if line["verdict"] == line["label"] else "no")
        assert line["subject"] in printed.out
    if importlib.util.find_spec("matplotlib"):
        with Results.read(run) as results:
            page = report_page(results)
            assert results.scores.images.overall["sensitivity"].value == sensitivity
        assert "chosen there for a sensitivity of 90.0" in page
        assert "Patient by patient" in page
        assert "Precision and recall per image and per subject" in page

    assert main(["calibrate", str(run)]) == 0  # without the option it is the more probable class again
    assert Calibration.from_about(read_about(run / "weights.h5")[0]).threshold is None
    capsys.readouterr()
    assert main(["evaluate", str(run), str(tmp_path / "data"), "--raw", "--bootstrap", "0"]) == 0
    assert "temperature" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("sides", "options", "said"),
    [
        ({}, [], "no validation side: train with --validation-fraction"),
        ({"validation": 8}, ["--positive", "all"], "without --sensitivity"),
        ({"validation": 8}, ["--sensitivity", "95"], "such as 0.95"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_in_a_line(tmp_path, capsys, sides, options, said):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data", **sides))
    assert main(["calibrate", str(run.folder), *options]) == 2
    err = capsys.readouterr().err
    assert said in err.splitlines()[-1]


def test_several_classes_have_a_temperature_and_no_threshold(tmp_path, capsys):
    names = ("a", "b", "c")
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data", names, validation=40, test=24), names)
    assert main(["calibrate", str(run.folder), "--sensitivity", "0.9"]) == 2
    assert "of two classes, and the network knows 3" in capsys.readouterr().err
    assert main(["calibrate", str(run.folder)]) == 0
    assert main(["evaluate", str(run.folder), str(tmp_path / "data"), "--patients", str(tmp_path / "p.csv")]) == 0
    assert "Of the probability of the most probable class" in capsys.readouterr().out
    assert "called c" in (tmp_path / "p.csv").read_text(encoding="utf-8")


def test_runs_answer_together(tmp_path, capsys):
    data = make_sides(tmp_path / "data", validation=20, test=12)
    how = {"preprocessing": preprocessing(32)}
    runs = [
        str(make_run(tmp_path / name, data, seed=seed, about=how).folder) for name, seed in (("one", 1), ("two", 2))
    ]
    (tmp_path / "one" / "report.html").touch()
    assert main(["calibrate", runs[0], "--sensitivity", "0.9"]) == 0
    assert " ".join(["report.html", "shows", "it", "after"]) in " ".join(capsys.readouterr().out.split())
    both = sn.load(runs)
    with Dataset(data, "test") as side:
        images = side.read(np.arange(12))
    expected = np.mean([sn.load(one).predict_proba(images) for one in runs], axis=0)
    np.testing.assert_array_equal(both.predict_proba(images), expected)
    np.testing.assert_array_equal(sn.load(runs[1:]).predict_proba(images), sn.load(runs[1]).predict_proba(images))
    (tmp_path / "cells").mkdir()
    Image.fromarray(images[0]).save(tmp_path / "cells" / "1.png")
    capsys.readouterr()
    assert main(["predict", *runs, str(tmp_path / "cells")]) == 0
    printed = capsys.readouterr()
    assert "its threshold is its own, and not used" in printed.err
    assert "chosen for a sensitivity" not in printed.err
    (line,) = csv.DictReader(printed.out.splitlines())
    assert float(line["probability of hem"]) == pytest.approx(expected[0, 1])
    assert main(["evaluate", *runs, str(data), "--json", str(tmp_path / "e.json")]) == 0
    facts = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    labels = np.arange(12) // 2 % 2
    assert facts["images"]["accuracy"]["value"] == (expected.argmax(axis=1) == labels).mean()
    other = make_run(tmp_path / "other", data, ("all", "else"), about=how)
    assert main(["predict", runs[0], str(other.folder), str(tmp_path / "cells")]) == 2
    (*_, line) = capsys.readouterr().err.splitlines()
    assert "has class names all, else" in line
    assert main(["predict", runs[0], f"{runs[0]}/weights.h5", str(tmp_path / "cells")]) == 2
    assert "named twice" in capsys.readouterr().err
