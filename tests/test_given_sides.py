"""--split given: sides as folders say, such as train/ and test/."""

from dataclasses import replace

import pytest
from small_data import save_image, shards_of

from scratchnet.errors import ConfigError, DataError
from scratchnet.prepare import Settings, describe, prepare


def make_sides(folder, **subjects):
    """For each side a folder with images of these subjects in both classes."""
    seed = 0
    for side, names in subjects.items():
        for name in names:
            for label in ("all", "hem"):
                for k in range(2):
                    seed += 1
                    save_image(folder / side / label / f"{name}_{k}.png", seed)
    return folder


GIVEN = Settings(image_size=8, split="given", subject_pattern="^([^_]+)_")


def of_sides(folder):
    """The subjects on each side, as the shards say."""
    sides = ("train", "validation", "test")
    found = {side: {subject for _, subject, _, _ in shards_of(folder, side)} for side in sides}
    return {side: subjects for side, subjects in found.items() if subjects}


def test_sides_as_the_folders_say(tmp_path):
    source = make_sides(tmp_path / "source", TRAIN="abcd", TEST="ef", TEST_SIMPLE="g", val="hi")
    manifest = prepare(source, tmp_path / "out", GIVEN)
    assert of_sides(tmp_path / "out") == {"train": set("abcd"), "validation": set("hi"), "test": set("efg")}
    assert manifest.class_names == ("all", "hem")
    assert manifest.preparation["understood_as"] == "{split}/{class}"
    said = " ".join(describe(manifest).split())
    assert "divided as the folders say" in said
    assert "TEST: test, TEST_SIMPLE: test, TRAIN: train, val: validation" in said


def test_subjects_of_given_sides_are_checked(tmp_path):
    source = make_sides(tmp_path / "source", train="abc", test="ax", val="bxy")
    manifest = prepare(source, tmp_path / "out", GIVEN)
    assert of_sides(tmp_path / "out") == {"train": {"c"}, "validation": {"b", "y"}, "test": {"a", "x"}}
    assert {remark.path.split("/")[0] + remark.path[-7]: remark.reason for remark in manifest.left_out} == {
        "traina": "would train, but its subject a tests",
        "trainb": "would train, but its subject b validates",
        "valx": "would train, but its subject x tests",
    }


def test_of_a_picture_on_two_given_sides_the_test_keeps_it(tmp_path):
    source = make_sides(tmp_path / "source", train="abc", test="xy")
    (source / "train/all/a_0.png").write_bytes((source / "test/all/x_0.png").read_bytes())
    manifest = prepare(source, tmp_path / "out", GIVEN)
    assert of_sides(tmp_path / "out") == {"train": {"b", "c"}, "test": {"a+x", "y"}}
    assert len(manifest.left_out) == 4


def test_given_sides_are_put_together_where_nobody_asks_for_them(tmp_path):
    source = make_sides(tmp_path / "source", train="abc", test="ax")
    manifest = prepare(source, tmp_path / "out", Settings(image_size=8, subject_pattern="^([^_]+)_", test_fraction=0.5))
    assert manifest.splits["train"].images + manifest.splits["test"].images == 20
    sides = of_sides(tmp_path / "out")
    assert not sides["train"] & sides["test"]
    assert "The folders name sides (test: test, train: train); their images were put together" in " ".join(
        describe(manifest).split()
    )


@pytest.mark.parametrize(
    ("sides", "changed", "expected"),
    [
        (
            {"train": "ab", "test": "ab"},
            {},
            r"The training side of --split given has no image .*; --split subject divides anew",
        ),
        ({"train": "ab", "test": "c", "val": "ab"}, {}, "The training side of --split given"),
        ({"train": "ab", "test": "c", "val": "d"}, {"validation_fraction": 0.2}, "leave out --validation-fraction"),
        (
            {"x": "ab", "y": "c"},
            {"layout": "*/{class}"},
            "--split given needs folders that name a training and a test side",
        ),
    ],
)
def test_given_sides_that_cannot_be(tmp_path, sides, changed, expected):
    with pytest.raises(DataError, match=expected):
        prepare(make_sides(tmp_path / "source", **sides), tmp_path / "out", replace(GIVEN, **changed))


def test_a_validation_side_may_be_cut_from_a_given_training_side(tmp_path):
    source = make_sides(tmp_path / "source", train="abcd", test="ef")
    prepare(source, tmp_path / "out", replace(GIVEN, validation_fraction=0.3))
    sides = of_sides(tmp_path / "out")
    assert sides["test"] == set("ef")
    assert sides["train"] | sides["validation"] == set("abcd")
    assert not sides["train"] & sides["validation"]


def test_settings_that_mean_nothing_with_given_sides():
    for name in ("test_fraction", "test_fold", "folds"):
        with pytest.raises(ConfigError, match="means nothing with --split given"):
            Settings(split="given", **{name: 0.5})
    with pytest.raises(ConfigError, match=r"--layout means nothing with --split prelim"):
        Settings(split="prelim", layout="{class}")
    with pytest.raises(ConfigError, match=r"has no \{class\}"):
        Settings(layout="{split}")
