"""The table of scores: per image, per subject, with intervals from resampled subjects."""

import json
import math
import time

import numpy as np
import pytest

from scratchnet.errors import ConfigError, LabelError, ShapeError
from scratchnet.measures import metrics
from scratchnet.measures.bootstrap import interval, margin, resamples, strata
from scratchnet.measures.scores import scores


def study(rng, subjects=20, images=12, spread=1.0):
    """Answers for cells of patients, half of them of each class, whose cells share the patient's own shift."""
    labels = np.repeat(np.arange(subjects) % 2, images)
    shift = np.repeat(rng.normal(size=subjects) * spread, images)
    p = 1 / (1 + np.exp(-((1 - 2.0 * labels) + shift + rng.normal(size=len(labels)))))
    return labels, np.stack([p, 1 - p], axis=1), [f"P{k // images}" for k in range(len(labels))]


def test_values_are_those_of_the_metrics(rng):
    labels, probabilities, subjects = study(rng)
    found = scores(labels, probabilities, subjects, ("all", "hem"), bootstrap=10)
    confusion = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), 2)
    assert found.images.overall["sensitivity"].value == metrics.recall(confusion)[0]
    assert found.images.overall["specificity"].value == metrics.recall(confusion)[1]
    assert found.images.overall["roc_auc"].value == metrics.roc_auc(labels == 0, probabilities[:, 0])
    assert found.images.per_class["hem"]["f1"].value == metrics.f1(confusion)[1]
    other = scores(labels, probabilities, subjects, ("all", "hem"), positive="hem", bootstrap=0)
    assert other.images.overall["sensitivity"].value == metrics.recall(confusion)[1]
    assert list(other.images.curves) == ["hem"]


def test_a_subject_is_the_mean_of_its_images(rng):
    """Also where one has one image and another twelve: each subject counts once."""
    labels, probabilities, subjects = (part[11:-5] for part in study(rng, subjects=6))
    found = scores(labels, probabilities, subjects, ("all", "hem"), bootstrap=0)
    means = np.stack([probabilities[np.array(subjects) == f"P{k}"].mean(axis=0) for k in range(6)])
    expected = metrics.confusion_matrix(np.arange(6) % 2, means.argmax(axis=1), 2)
    np.testing.assert_array_equal(found.subjects.confusion, expected)
    np.testing.assert_allclose(found.subjects.overall["log_loss"].value, metrics.log_loss(np.arange(6) % 2, means))
    assert found.subjects.count == 6


def test_subjects_of_two_classes_have_none(rng):
    labels, probabilities, subjects = study(rng, subjects=6)
    labels[0] = 1 - labels[0]
    found = scores(labels, probabilities, subjects, ("all", "hem"), bootstrap=20)
    assert found.subjects.count == 5
    assert found.images.count == len(labels)
    assert any(note.startswith("1 subject with images of several classes") for note in found.notes)
    both = scores([0, 1], [[0.9, 0.1], [0.4, 0.6]], ["P", "P"], ("all", "hem"), bootstrap=20)
    assert both.subjects is None
    assert "subjects" not in both.titles()
    assert any("Nothing is measured per subject" in note for note in both.notes)
    sick = scores([0, 1, 1, 1], [[0.9, 0.1]] * 4, ["P", "P", "Q", "R"], ("sick", "sound"), bootstrap=20)
    assert sick.subjects is None  # Q and R alone would say how well the sound are recognised


def test_intervals_are_over_subjects(rng):
    """Cells of a patient share a shift: resampling cells as if they were patients promises too much."""
    labels, probabilities, subjects = study(rng, subjects=20, images=50, spread=2.0)
    by_subject = scores(labels, probabilities, subjects, ("all", "hem")).images.overall["accuracy"]
    by_image = scores(labels, probabilities, None, ("all", "hem"))
    naive = by_image.images.overall["accuracy"]
    assert by_subject.value == naive.value
    assert by_subject.low < by_subject.value < by_subject.high
    assert by_subject.high - by_subject.low > 2 * (naive.high - naive.low)
    assert any("not known" in note for note in by_image.notes)


def test_intervals_hold_what_they_promise():
    """200 studies with 40 independent subjects: about 95 % of the intervals hold the true accuracy."""
    rng = np.random.default_rng(1)
    truth, held = 0.8, 0
    for study_number in range(200):
        right = rng.random(40) < truth
        labels = np.arange(40) % 2
        chances = np.where(right[:, None], np.eye(2)[labels], 1 - np.eye(2)[labels]) * 0.8 + 0.1
        subjects = [str(k) for k in range(40)]
        found = scores(labels, chances, subjects, bootstrap=400, seed=study_number).images.overall["accuracy"]
        held += found.low <= truth <= found.high
    assert 175 <= held <= 199


def test_the_seed_decides(rng):
    case = study(rng)
    first, again, other = (scores(*case, ("all", "hem"), bootstrap=50, seed=seed).to_dict() for seed in (3, 3, 4))
    assert first == again
    assert first["images"]["accuracy"]["low"] != other["images"]["accuracy"]["low"]


def test_blocks_change_nothing_that_is_seen(rng, monkeypatch):
    groups = np.array([0] * 5 + [1] * 3)
    assert sum(len(block) for block in resamples(groups, 1000, seed=0)) == 1000
    monkeypatch.setattr("scratchnet.measures.bootstrap.BLOCK", 80)
    blocks = list(resamples(groups, 25, seed=0))
    assert [len(block) for block in blocks] == [10, 10, 5]
    for block in blocks:
        assert (block[:, :5].sum(axis=1) == 5).all()
        assert (block[:, 5:].sum(axis=1) == 3).all()


def test_each_subject_is_drawn_equally_often():
    times = np.concatenate(list(resamples(np.array([0, 1, 0, 1, 1]), 20_000, seed=0)))
    np.testing.assert_allclose(times.mean(axis=0), 1, atol=0.03)
    np.testing.assert_allclose(times[:, 0].var(), 2 * 0.5 * 0.5, atol=0.03)  # binomial(2, 1/2)
    assert len(np.unique(times, axis=0)) > 20


def test_no_resample_lacks_a_class(rng):
    """Three subjects of one class among twenty: drawn without strata, one resample in twenty would hold none of them."""
    labels = np.array([1] * 3 + [0] * 17)
    chances = rng.dirichlet([1, 1], 20)
    found = scores(labels, chances, [str(k) for k in range(20)], ("all", "hem"))
    assert found.images.overall["roc_auc"].resamples == 1000
    assert found.images.overall["specificity"].resamples == 1000
    assert any("the smallest has 3" in note for note in found.notes)


def test_strata_are_sets_of_classes():
    groups = strata(np.array([0, 0, 1, 0, 1, 2]), np.array([0, 1, 2, 3, 3, 4]), classes=3)
    assert groups[0] == groups[1]
    assert len(set(groups)) == 4


def test_measures_that_do_not_exist_everywhere(rng):
    """One subject alone is ever called 'hem': resamples without it have no precision of 'hem'."""
    labels = np.arange(10) % 2
    chances = np.tile([0.9, 0.1], (10, 1))
    chances[1] = [0.2, 0.8]
    found = scores(labels, chances, [str(k) for k in range(10)], ("all", "hem"))
    precision = found.images.per_class["hem"]["precision"]
    assert precision.value == 1
    assert 500 < precision.resamples < 900  # 1 − (4/5)⁵ = 0.67
    assert any("did not exist in some resamples" in note for note in found.notes)
    never = scores(labels, np.tile([0.9, 0.1], (10, 1)), None, ("all", "hem"), bootstrap=30)
    assert math.isnan(never.images.per_class["hem"]["precision"].value)
    assert never.to_dict()["images"]["per_class"]["hem"]["precision"]["value"] is None


def test_one_class_alone():
    found = scores([0, 0, 0], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], ["a", "b", "b"], ("all", "hem"), bootstrap=40)
    assert math.isnan(found.images.overall["roc_auc"].value)
    assert "–" in found.table()
    json.dumps(found.to_dict(), allow_nan=False)


def test_three_classes(rng):
    labels, chances = rng.integers(0, 3, 60), rng.dirichlet([1, 1, 1], 60)
    found = scores(labels, chances, [str(k // 2) for k in range(60)], ("a", "b", "c"), bootstrap=50)
    assert found.positive is None
    assert "sensitivity" not in found.images.overall
    areas = [metrics.roc_auc(labels == k, chances[:, k]) for k in range(3)]
    assert found.images.overall["roc_auc"].value == pytest.approx(np.mean(areas))
    assert found.images.per_class["b"]["roc_auc"].value == areas[1]
    assert set(found.images.curves) == {"a", "b", "c"}
    assert "recall of 'c'" in found.table()


def test_the_baseline_is_what_a_constant_answer_gets():
    labels = np.array([0] * 30 + [1] * 10)
    chances = np.full((40, 2), 0.5)
    found = scores(labels, chances, None, ("all", "hem"), bootstrap=0)
    baseline = {name: score.value for name, score in found.images.baseline.items()}
    assert found.majority == "all"
    assert baseline["accuracy"] == 0.75
    assert baseline["balanced_accuracy"] == 0.5
    assert baseline["roc_auc"] == 0.5
    assert baseline["log_loss"] == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    trained = scores(labels, chances, None, ("all", "hem"), prior=[100, 900], bootstrap=0)
    assert trained.majority == "hem"
    assert trained.images.baseline["accuracy"].value == 0.25


def all_right(subjects=12):
    """Answers that are all right, two images a subject: classes, probabilities, subjects."""
    labels = np.arange(2 * subjects) // 2 % 2
    return labels, np.eye(2)[labels] * 0.8 + 0.1, [str(k // 2) for k in range(2 * subjects)]


def test_the_margin_is_the_exact_bound():
    stats = pytest.importorskip("scipy.stats")
    for subjects in (1, 2, 6, 41, 1000):
        result = stats.binomtest(0, subjects, alternative="less").proportion_ci(0.95, method="exact")
        assert margin(subjects) == pytest.approx(result.high)


def test_no_mistake_is_no_proof():
    """12 subjects, 6 of each class, without a mistake: of others at least 0.05^(1/6) = 60.7 % are recognised."""
    found = scores(*all_right(), ("all", "hem"), bootstrap=50)
    for level in (found.images, found.subjects):
        assert level.overall["sensitivity"].text() == "100.0 % (at least 60.7 %: 6 subjects)"
        assert level.overall["specificity"].text() == "100.0 % (at least 60.7 %: 6 subjects)"
        assert level.overall["accuracy"].text() == "100.0 % (at least 77.9 %: 12 subjects)"
        assert level.per_class["hem"]["precision"].text() == "100.0 % (at least 60.7 %: 6 subjects)"
        assert level.overall["roc_auc"].text(share=False) == "1.000 (no interval: 12 subjects)"
        assert level.overall["balanced_accuracy"].text() == "100.0 % (no interval: 12 subjects)"
    assert any("rule of three" in note for note in found.notes)
    assert "100.0–100.0" not in found.table()
    assert "1.000–1.000" not in found.table()


def test_nothing_right_is_no_proof_either():
    """One answer to every image: no 'hem' was found, of which others may still be found."""
    labels, _, subjects = all_right()
    found = scores(labels, np.tile([0.9, 0.1], (24, 1)), subjects, ("all", "hem"), bootstrap=50)
    assert found.images.overall["specificity"].text() == "0.0 % (at most 39.3 %: 6 subjects)"
    assert found.images.overall["balanced_accuracy"].text() == "50.0 % (no interval: 12 subjects)"


def test_where_subjects_are_not_known_the_images_are_named():
    labels, chances, _ = all_right()
    found = scores(labels, chances, None, ("all", "hem"), bootstrap=50)
    assert found.images.overall["sensitivity"].text() == "100.0 % (at least 77.9 %: 12 images)"
    assert any("not known" in note for note in found.notes)


def test_a_single_subject_has_no_interval():
    """Of one patient of a class, all of whose cells are in every resample, 80 % were recognised."""
    labels = np.array([0] * 5 + [1] * 6)
    chances = np.eye(2)[labels] * 0.8 + 0.1
    chances[0] = [0.2, 0.8]
    chances[5] = [0.7, 0.3]
    found = scores(labels, chances, ["a"] * 5 + list("bbccdd"), ("all", "hem"), bootstrap=50)
    assert found.images.overall["sensitivity"].text() == "80.0 % (no interval: 1 subject)"
    assert found.images.overall["specificity"].low < found.images.overall["specificity"].high


def test_no_interval_has_no_width(rng):
    """Whatever the answers are: an interval has two different ends, or says what stands in its place."""
    for subjects in (2, 3, 8):
        for sure in (0.6, 3.0, 50.0):
            labels, probabilities, names = study(rng, subjects, images=3)
            chances = probabilities**sure / (probabilities**sure).sum(axis=1, keepdims=True)
            found = scores(labels, chances, names, ("all", "hem"), bootstrap=60)
            for row in found.rows():
                for score, _ in row.pairs:
                    assert math.isnan(score.value) or score.low < score.high or score.rests_on, row


def test_both_levels_have_their_own_constant_answer():
    """Three images of the one 'all' patient, one each of two 'hem' ones: 'all' is right on 3 of 5 images, 1 of 3 patients."""
    labels = np.array([0, 0, 0, 1, 1])
    found = scores(labels, np.full((5, 2), 0.5), ["a", "a", "a", "b", "c"], ("all", "hem"), bootstrap=0)
    assert found.titles() == ["", "5 images", "always 'all'", "3 subjects", "always 'all'"]
    assert found.rows()[0].cells() == ["accuracy", "60.0 %", "60.0 %", "33.3 %", "33.3 %"]
    assert found.to_dict()["subjects"]["baseline"]["accuracy"] == pytest.approx(1 / 3)
    line = found.table().splitlines()[1]
    assert line.split() == ["accuracy", "60.0", "%", "60.0", "%", "33.3", "%", "33.3", "%"]


def test_where_the_constant_answer_comes_from_is_said():
    labels, chances, subjects = all_right()
    own = scores(labels, chances, subjects, bootstrap=0).notes
    assert any("in training is not known" in note for note in own)
    assert not any("in training" in note for note in scores(labels, chances, subjects, prior=[3, 1], bootstrap=0).notes)


def test_the_table_is_a_table(rng):
    found = scores(*study(rng), ("all", "hem"), bootstrap=100)
    lines = found.table().splitlines()
    assert "240 images" in lines[0]
    assert "20 subjects" in lines[0]
    assert "always" in lines[0]
    rows = lines[1 : 1 + len(found.rows())]
    assert all(len(line) <= len(lines[0]) for line in rows)
    assert any(line.startswith("sensitivity (recall of 'all')") for line in rows)
    assert "20 subjects, seed 0" in found.table()


def test_two_thousand_resamples_take_a_moment(rng):
    case = study(rng, subjects=200, images=10)
    began = time.perf_counter()
    scores(*case, ("all", "hem"), bootstrap=2000)
    assert time.perf_counter() - began < 8  # 0.5 s on two cores; a machine under load gets its time


def test_an_interval_leaves_out_what_does_not_exist():
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert all(map(math.isnan, interval(np.array([np.nan]))))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": [0, 1, 2]}, LabelError, "out of range"),
        ({"labels": [0, 1]}, LabelError, "one for each image"),
        ({"probabilities": [[2.0, -1.0]] * 3}, ShapeError, "are they logits"),
        ({"probabilities": [[np.nan, 1.0]] * 3}, ShapeError, "are they logits"),
        ({"probabilities": [0.1, 0.2, 0.7]}, ShapeError, "classes"),
        ({"subjects": ["a"]}, ShapeError, "a subject for each of the 3"),
        ({"class_names": ("x",)}, ShapeError, "2 different class_names"),
        ({"class_names": ("x", "x")}, ShapeError, "2 different class_names"),
        ({"positive": "z"}, ConfigError, "one of two classes"),
        ({"bootstrap": -1}, ConfigError, "from 0 up"),
        ({"prior": [1, 2, 3]}, ShapeError, "a frequency for each"),
        ({"prior": [0, 0]}, ShapeError, "a frequency for each"),
    ],
)
def test_wrong_arguments_are_one_line(change, error, message):
    arguments = {"labels": [0, 1, 1], "probabilities": [[0.5, 0.5]] * 3, "class_names": ("x", "y"), **change}
    with pytest.raises(error, match=message) as caught:
        scores(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("subjects", [None, "cells"])
def test_an_interval_of_average_precision_holds_its_value(subjects):
    """Of a network that is worse than chance too, where nearly every resample with copies looks better than the study."""
    positive = np.arange(40) < 10
    p = np.where(positive, 0.2, 0.8) + np.linspace(-0.1, 0.1, 40)
    owner = None if subjects is None else [str(k // 2) for k in range(40)]
    found = scores((~positive).astype(int), np.stack([p, 1 - p], axis=1), owner, ("sick", "well"), bootstrap=200)
    for level in (found.images, *([found.subjects] if found.subjects else [])):
        area = level.overall["average_precision"]
        assert 0 <= area.low <= area.value <= area.high <= 1
        assert area.high > area.low
    resampled = metrics.average_precision(positive, p, 2.0 * (np.arange(40) % 2))
    assert resampled > found.images.overall["average_precision"].value
