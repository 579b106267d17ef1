"""python -m scratchnet evaluate: the figures of training again, from shards and from files, and what is said of them."""

import csv
import json
import shutil

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.__main__ import main
from scratchnet.data import Dataset, read_manifest
from scratchnet.measures.predictions import Predictions
from scratchnet.prepare import SAMPLE, Settings, prepare
from tests.small_data import save_image


@pytest.fixture
def evaluate(trained_run, capsys):
    """Runs the command; returns its exit code, and what it printed to standard output and standard error."""

    def run(*arguments):
        code = main(["evaluate", str(trained_run.folder), *map(str, arguments)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_the_figures_of_training(evaluate, trained_run, tmp_path):
    code, out, _ = evaluate(trained_run.data, "--json", tmp_path / "e.json", "--predictions", tmp_path / "p.csv")
    assert code == 0
    last = list(csv.DictReader((trained_run.folder / "metrics.csv").read_text(encoding="utf-8").splitlines()))[-1]
    found = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    assert found["images"]["accuracy"]["value"] == pytest.approx(float(last["test_accuracy"]), abs=1e-12)
    assert found["images"]["balanced_accuracy"]["value"] == pytest.approx(float(last["test_balanced_accuracy"]))
    assert found["images"]["log_loss"]["value"] == pytest.approx(float(last["test_loss"]), rel=1e-5)
    assert found["subjects_seen_in_training"] == []
    assert found["split"] == "test"
    for expected in ("49 images (35 all, 14 hem) of 11 subjects", "None of these subjects", "ROC AUC", "always 'all'"):
        assert expected in out
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()))
    with Dataset(trained_run.data, "test") as dataset:
        assert [row["path"] for row in rows] == list(dataset.paths)
        assert [row["subject"] for row in rows] == list(dataset.subjects)
        p = sn.load(trained_run.folder).predict_proba(dataset.read(np.arange(len(dataset))))
    np.testing.assert_array_equal([float(row["probability of hem"]) for row in rows], p[:, 1])
    assert (tmp_path / "p.csv").read_bytes() == (trained_run.folder / "predictions.csv").read_bytes()
    assert np.mean([row["label"] == row["prediction"] for row in rows]) == found["images"]["accuracy"]["value"]


def test_images_give_what_shards_give(evaluate, trained_run, tmp_path):
    """The images of the test side, copied into a tree of their own."""
    with Dataset(trained_run.data, "test") as dataset:
        for path in dataset.paths:
            (tmp_path / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SAMPLE / path, tmp_path / "tree" / path)
    options = ("--symmetries", "--bootstrap", 0, "--json")
    assert evaluate(trained_run.data, *options, tmp_path / "shards.json")[0] == 0
    code, out, _ = evaluate(tmp_path / "tree", *options, tmp_path / "images.json")
    assert code == 0
    assert "None of these subjects was trained on" in out
    shards, images = (
        json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8")) for name in ("shards", "images")
    )
    assert images["images"]["confusion"] == shards["images"]["confusion"]
    assert images["subjects"]["count"] == shards["subjects"]["count"]
    assert images["images"]["log_loss"]["value"] == pytest.approx(shards["images"]["log_loss"]["value"], rel=1e-5)


def test_subjects_that_were_trained_on_are_noticed(evaluate, trained_run, tmp_path):
    assert "CAUTION: 43 of these subjects were trained on" in evaluate(trained_run.data, "--split", "train")[1]
    assert "CAUTION: 43 of these subjects were trained on" in evaluate(SAMPLE)[1]


@pytest.fixture(scope="module")
def with_validation(trained_run, tmp_path_factory):
    """The run's data with a validation side, and weights in a run's folder that were trained on it, for all they say."""
    folder = tmp_path_factory.mktemp("validation")
    prepare(SAMPLE, folder / "data", Settings(image_size=32, validation_fraction=0.2), quiet=True)
    stored = sn.load(trained_run.folder)
    manifest = read_manifest(folder / "data")
    stored.about |= {"data": str(folder / "data"), "dataset_id": manifest.dataset_id}
    (folder / "run").mkdir()
    for name in ("weights.h5", "best.h5"):
        stored.save(folder / "run" / name)
    return folder, manifest


@pytest.mark.parametrize("weights", ["last", "best"])
def test_subjects_that_chose_the_epoch_were_not_trained_on(with_validation, capsys, weights, tmp_path):
    folder, manifest = with_validation
    run, count = str(folder / "run"), len(manifest.splits["validation"].subjects)
    arguments = ["--weights", weights, "--bootstrap", "0", "--json", str(tmp_path / "e.json")]
    assert main(["evaluate", run, str(folder / "data"), "--split", "validation", *arguments]) == 0
    out = capsys.readouterr().out
    assert "None of these subjects was trained on." in out
    assert f"{count} of them were used to choose the best epoch" in out or weights == "best"
    assert ("CAUTION: best.h5 is the epoch that did best on images of" in out) == (weights == "best")
    found = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    assert found["subjects_seen_in_training"] == []
    assert found["subjects_seen_in_choosing"] == sorted(manifest.splits["validation"].subjects)
    assert main(["evaluate", run, str(folder / "data"), *arguments]) == 0
    assert "choose" not in (out := capsys.readouterr().out)
    assert "CAUTION" not in out
    assert main(["evaluate", run, str(folder / "data"), "--split", "train", *arguments]) == 0
    assert "were trained on, such as" in capsys.readouterr().out


def test_best_was_chosen_on_the_test_side(evaluate, trained_run):
    """Where there is no validation side."""
    caution = "CAUTION: best.h5 is the epoch that did best on images of 11 of these subjects"
    assert caution in evaluate(trained_run.data, "--weights", "best", "--bootstrap", 0)[1]
    assert caution not in evaluate(trained_run.data, "--bootstrap", 0)[1]


def test_what_cannot_be_known_is_said(trained_run, tmp_path, capsys):
    stored = sn.load(trained_run.folder)
    stored.about["data"] = str(tmp_path / "gone")
    stored.save(tmp_path / "moved.h5")
    assert main(["evaluate", str(tmp_path / "moved.h5"), str(SAMPLE)]) == 0
    assert "cannot be known" in capsys.readouterr().out


def test_classes_are_matched_by_name(evaluate, tmp_path):
    """HEM comes first here, and in capitals; a class that the network does not know is refused."""
    for folder, source in (("HEM", "hem"), ("All", "all")):
        (tmp_path / "two" / folder).mkdir(parents=True)
        for number, file in enumerate((SAMPLE / "fold_0" / source).iterdir()):  # names that tell no subject
            shutil.copy(file, tmp_path / "two" / folder / f"{number}.png")
    (tmp_path / "two" / "HEM" / "broken.png").write_bytes(b"x")
    code, out, err = evaluate(tmp_path / "two", "--json", tmp_path / "e.json")
    assert code == 1
    counts = [len(list((SAMPLE / "fold_0" / name).iterdir())) for name in ("all", "hem")]
    assert f"{sum(counts)} images ({counts[0]} all, {counts[1]} hem)" in out
    assert "broken.png: " in err
    assert json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))["unreadable"] == 1
    assert "It cannot be known" in out  # no subjects in these names
    (tmp_path / "two" / "All").rename(tmp_path / "two" / "other")
    code, _, err = evaluate(tmp_path / "two")
    assert code == 2
    assert (
        f"'other' with {counts[0]} images is not one of the network's classes, which are all, hem: leave it out with --without other"
        in err
    )


def test_shards_of_another_kind(evaluate, tmp_path):
    for k in range(8):
        save_image(tmp_path / "tall" / ("all", "hem")[k % 2] / f"{k}.png", seed=k, size=(30, 60))
    prepare(tmp_path / "tall", tmp_path / "64", Settings(image_size=64), quiet=True)
    code, _, err = evaluate(tmp_path / "64")
    assert code == 2
    assert "images of 64 pixels, the network is for 32" in err
    settings = Settings(image_size=32, fit="stretch")
    prepare(tmp_path / "tall", tmp_path / "stretched", settings, quiet=True)
    code, _, err = evaluate(tmp_path / "stretched")
    assert code == 0
    assert "CAUTION" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "no such"], "no split 'no such'"),
        (["--subject-pattern", "(x)"], "leave out --subject-pattern"),
        (["--positive", "cat"], "--positive 'cat' is not one of the network's classes"),
        (["--bootstrap", "-1"], "bootstrap"),
    ],
)
def test_misuse(evaluate, trained_run, arguments, message):
    code, _, err = evaluate(trained_run.data, *arguments)
    assert code == 2
    assert message in err.splitlines()[-1]


def test_labels_in_doubt_are_listed_and_left_out(evaluate, trained_run, tmp_path):
    """The list is a table that --without takes, of shards and of images alike."""
    doubtful, said = tmp_path / "doubtful.csv", tmp_path / "said.csv"
    options = ("--split", "train", "--bootstrap", 0)
    code, out, _ = evaluate(trained_run.data, *options, "--predictions", said, "--doubtful", doubtful)
    assert code == 0
    rows = list(csv.DictReader(doubtful.read_text(encoding="utf-8").splitlines()))
    assert 0 < len(rows) < 50
    assert f"Labels in doubt by these answers: {len(rows)} of 197" in out
    assert "CAUTION: the network agrees with labels that it has learnt" in " ".join(out.split())
    assert all(row["label"] != row["looks like"] for row in rows)
    kept = tmp_path / "kept.csv"
    assert evaluate(trained_run.data, *options, "--predictions", kept, "--without", doubtful)[0] == 0
    before, after = (Predictions.read(path) for path in (said, kept))
    assert set(before.paths) - set(after.paths) == {row["path"] for row in rows}
    assert len(after.paths) == 197 - len(rows)
    code, out, err = evaluate(SAMPLE, "--without", doubtful, "--bootstrap", 0)
    assert code == 0
    assert f"left out: {len(rows)} images that the table names" in err
    assert f"CAUTION: {len(rows)} images left out" in out
    code, _, err = evaluate(SAMPLE, "--without", doubtful, "--without", "hem", "--bootstrap", 0)
    assert code == 0  # counted are those that would have been judged else
    assert f"left out: {sum(row['label'] == 'all' for row in rows)} images that the table names" in err
    facts = tmp_path / "facts.json"
    code, out, err = evaluate(trained_run.data, "--without", doubtful, "--bootstrap", 0, "--json", facts)
    assert code == 0  # a list of folds names images of all sides, and perhaps none of this one
    assert "left out: 0 images that the table names" in err
    assert "the table names none of these images" in err
    assert "left out" not in out
    said = json.loads(facts.read_text(encoding="utf-8"))
    assert (said["without"], said["left_out_by_table"]) == ([str(doubtful)], 0)
    (tmp_path / "other.csv").write_text("label\na\n", encoding="utf-8")
    assert "needs a column 'path'" in evaluate(SAMPLE, "--without", tmp_path / "other.csv")[2]
    code, _, err = evaluate(trained_run.data, "--without", "hme")
    assert code == 2
    assert "has no such class, only all, hem; a table of images must end in .csv" in " ".join(err.split())


def test_the_preliminary_set_of_c_nmc(evaluate, tmp_path):
    """Only its images, of a tree that holds folds too."""
    for folder, source in (("fold_0", "fold_0"), ("prelim_test", "fold_1")):
        for name in ("all", "hem"):
            shutil.copytree(SAMPLE / source / name, tmp_path / folder / name)
    counts = [len(list((SAMPLE / "fold_1" / name).iterdir())) for name in ("all", "hem")]
    code, out, _ = evaluate(tmp_path, "--split", "prelim", "--positive", "HEM", "--bootstrap", 0)
    assert code == 0
    assert f"{sum(counts)} images ({counts[0]} all, {counts[1]} hem)" in out
    code, _, err = evaluate(tmp_path / "fold_0", "--split", "prelim")
    assert code == 2
    assert "has no fold_0/all, fold_0/hem" in err


def test_where_to_write_is_looked_at_before_the_work(evaluate, tmp_path):
    for name, message in (("", "is a folder"), ("no/e.json", "is not a folder: make it first")):
        for option in ("--json", "--predictions"):
            code, _, err = evaluate(SAMPLE, option, tmp_path / name)
            assert code == 2
            assert message in err
            assert str(tmp_path) in err
            assert "weights of" not in err  # nothing was done


def test_sides_are_of_shards(evaluate):
    code, _, err = evaluate(SAMPLE, "--split", "test")
    assert code == 2
    assert "leave out --split" in err
