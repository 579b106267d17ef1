"""--layout: what the folders mean."""

import pytest

from scratchnet.errors import ConfigError
from scratchnet.prepare.layout import Layout, side_of


@pytest.mark.parametrize(
    ("layout", "path", "expected"),
    [
        ("{class}", "all/deep/x.png", {"class": "all"}),
        ("{class}", "x.png", None),
        ("{split}/{class}", "TRAIN/all/x.png", {"split": "TRAIN", "class": "all"}),
        ("{split}/{class}", "TRAIN/x.png", None),
        ("{split}\\{class}", "train/all/x.png", {"split": "train", "class": "all"}),
        ("/{class}/{subject}/", "all/P1/more/x.png", {"class": "all", "subject": "P1"}),
        ("{class}/*/{subject}", "all/any/P1/x.png", {"class": "all", "subject": "P1"}),
        ("**/{class}/{subject}", "a/b/all/P1/x.png", {"class": "all", "subject": "P1"}),
        ("**/images/{class}", "images/all/x.png", {"class": "all"}),
        ("fold_?/{class}", "FOLD_1/all/x.png", {"class": "all"}),
        ("fold_?/{class}", "fold_10/all/x.png", None),
        ("Original Dataset (1)/{class}", "Original Dataset (1)/all/x.png", {"class": "all"}),
        ("{class}_{subject}_*", "all_P1_3.png", {"class": "all", "subject": "P1"}),
        ("cells/{class}-{subject}", "cells/all-P.1.png", {"class": "all", "subject": "P.1"}),
        ("{class}/{subject}_*", "all/P1_left/x.png", {"class": "all", "subject": "P1"}),
        ("größe/{class}", "größe/all/x.png", {"class": "all"}),
    ],
)
def test_what_a_path_means(layout, path, expected):
    assert Layout.parse(layout).meanings(path) == expected


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("{split}", "has no {class}"),
        ("class", "has no {class}"),
        ("{klass}/{class}", "has {klass}; known are {class}, {subject}, {split}"),
        ("{class}/{class}", "has {class} twice"),
        ("{class}//x", "empty folder"),
        ("../{class}", "an empty folder, . or .."),
        ("{class}/{", "a brace alone"),
        ("{class}/**", "not at the end"),
        ("**/{class}/**/x", "one **"),
        ("{class}{subject}/x", "nothing between two names"),
    ],
)
def test_patterns_that_cannot_work(layout, expected):
    with pytest.raises(ConfigError) as error:
        Layout.parse(layout)
    assert str(error.value).startswith(f"--layout {layout!r}")
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("side", "names"),
    [
        ("train", ["train", "TRAIN", "Training", "seg_train", "train-images", "trainSet", "Training Data", "train1"]),
        ("validation", ["val", "valid", "Validation", "dev", "val_set"]),
        ("test", ["test", "TEST_SIMPLE", "Testing", "test2", "hem_test", "evaluation"]),
        (None, ["all", "strain", "latest", "contest", "train_test", "interval", ""]),
    ],
)
def test_names_of_sides(side, names):
    assert {name: side_of(name) for name in names} == dict.fromkeys(names, side)
