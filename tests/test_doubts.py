"""Which labels are in doubt, by the answers of a network that has not seen their images."""

import numpy as np

from scratchnet.measures.doubts import csv_of, doubts, in_words
from scratchnet.measures.predictions import Predictions
from scratchnet.prepare.tables import read_files


def answers(labels, probabilities, names=("a", "b")):
    paths = tuple(f"{n}.png" for n in range(len(labels)))
    return Predictions(names, paths, None, np.array(labels), np.array(probabilities))


def test_wrong_labels_are_found_however_sure_the_network_is(rng):
    """20 of 400 labels are turned round; the network errs by itself on some, and is as sure as label smoothing lets it be."""
    truth = np.repeat([0, 1], 200)
    logit = np.where(truth == 0, 3, -3) + rng.normal(size=400)
    turned = rng.choice(400, 20, replace=False)
    labels = truth.copy()
    labels[turned] = 1 - labels[turned]
    for most in (0.999, 0.95, 0.7):
        p = 0.5 + (most - 0.5) * np.tanh(logit)
        found = {n for n, _ in doubts(answers(labels, np.stack([p, 1 - p], axis=1)))}
        assert len(found & set(turned)) >= 15
        assert len(found - set(turned)) <= 1


def test_of_several_classes_the_likeliest_counts():
    p = [[0.1, 0.6, 0.3], [0.6, 0.2, 0.2], [0.2, 0.5, 0.3], [0.1, 0.4, 0.5], [0.3, 0.2, 0.5]]
    found = doubts(answers([0, 0, 1, 2, 0], p, ("a", "b", "c")))
    assert found == [(0, 1)]  # of the last it is no surer than of the one image of c


def test_a_network_that_says_the_same_of_all_doubts_nothing():
    assert doubts(answers([0, 1, 1], [[0.6, 0.4]] * 3)) == []
    assert doubts(answers([0, 0], [[0.9, 0.1], [0.8, 0.2]])) == []


def test_the_table_names_its_images(tmp_path):
    said = answers([0, 0, 1, 1], [[0.9, 0.1], [0.05, 0.95], [0.2, 0.8], [0.1, 0.9]])
    found = doubts(said)
    (tmp_path / "doubtful.csv").write_text(csv_of(said, found), encoding="utf-8")
    assert read_files(tmp_path / "doubtful.csv") == {"1.png"}
    assert in_words(said, found) == "Labels in doubt by these answers: 1 of 4 (1 of 2 a, 0 of 2 b)."


def test_with_images_of_one_class_alone_nothing_can_be_judged_and_it_is_said():
    said = answers([0, 0], [[0.1, 0.9], [0.8, 0.2]])
    assert doubts(said) == []
    assert in_words(said, []).endswith("None can look like b: no image here shows how sure the network is of that.")


def test_a_table_as_a_spreadsheet_saves_it(tmp_path):
    """With semicolons, backslashes, a line for Excel, and another name of the column."""
    for text in ("sep=;\nlabel;Path\nx;fold_0\\all\\1.png\n", "file\n./fold_0/all/1.png\n\n"):
        (tmp_path / "table.csv").write_text(text, encoding="utf-8")
        assert read_files(tmp_path / "table.csv") == {"fold_0/all/1.png"}
