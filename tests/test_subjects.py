"""Who is on an image, and names of subjects that are nearly the same."""

import pytest
from small_data import save_image

from scratchnet.errors import ConfigError, DataError
from scratchnet.prepare import Settings, describe, prepare
from scratchnet.prepare.sources import find_images
from scratchnet.prepare.subjects import SubjectPattern, alike


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        (r"^(patient\d+)_", "patient12"),  # the README's
        (r"_(\d)\.png$", "3"),
        (r"(?P<subject>\d+)_(\d)", "12"),
        (r"all/(patient\d+)", "patient12"),
        (r"^[^/]+/(patient\d+)", "patient12"),
        (r"(sc\d)/", "sc7"),
        (r"(sc\d)", None),
        (r"^(all)", None),
        (r"^(all)/", "all"),
        (r"(x?)patient", None),
    ],
)
def test_the_pattern_is_searched_in_the_name_or_with_a_slash_in_the_path(pattern, subject):
    path = "sc7/all/patient12_3.png" if "sc" in pattern else "all/patient12_3.png"
    assert SubjectPattern.compile(pattern).subject(path) == subject


def test_a_pattern_that_is_meant_for_the_other(tmp_path):
    for name in ("all/P1/1.png", "hem/P2/1.png"):
        save_image(tmp_path / name)
    with pytest.raises(
        DataError, match=r"in any file's name, e\.g\. in '1\.png'; in the path it would: a pattern .* with a slash"
    ):
        find_images(tmp_path, subject_pattern=r"(P\d)")
    with pytest.raises(DataError, match=r"in any path, e\.g\. in 'all/P1/1\.png'; it holds a slash, so that"):
        find_images(tmp_path, subject_pattern=r"^(\d)[^/]png")


@pytest.mark.parametrize("pattern", ["(", "P[0-9]"])
def test_patterns_that_cannot_work(pattern):
    with pytest.raises(ConfigError, match="--subject-pattern"):
        SubjectPattern.compile(pattern)


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (
            ["P01", "p01", "P1", "P 1", "P001", "P-1", "P_01", "P2"],
            [("P 1", "P-1", "P001", "P01", "P1", "P_01", "p01")],
        ),
        (["Anna", "anna", "ANNA "], [("ANNA ", "Anna", "anna")]),
        (["007", "7", "70"], [("007", "7")]),
        (["7", "7.0", "07.00", "7,0", "7.1", "7.10", "P7.0", "0"], [("07.00", "7", "7,0", "7.0")]),
        (["a-1-2", "A 1 02"], [("A 1 02", "a-1-2")]),
        (["1-1", "11", "1-10", "1-01"], [("1-01", "1-1")]),
        (["P1", "P10", "P100", "H1", "Q1"], []),
        (["11", "H11"], []),
        (["C100P61", "C100P62", "C1P61"], []),
        (["14-22549AB", "14-22549AC"], []),
        (["0", "00"], [("0", "00")]),
    ],
)
def test_names_that_are_nearly_the_same(names, groups):
    assert alike(names) == groups


def test_the_caution_counts_them_by_side(tmp_path):
    names = ["P01", "p01", "P1", "P2", "P3", "P4", "P5"]
    for k, name in enumerate(names * 2):
        save_image(tmp_path / "source" / ("all" if k < len(names) else "hem") / f"{name}_{k}.png", k)
    manifest = prepare(tmp_path / "source", tmp_path / "out", Settings(image_size=8, subject_pattern="^([^_]+)_"))
    (group,) = manifest.preparation["alike_subjects"]
    assert [one["subject"] for one in group] == ["P01", "P1", "p01"]
    assert all(sum(one["images"].values()) == 2 for one in group)
    said = describe(manifest)
    assert "CAUTION: the names of 3 subjects differ only in upper and lower case, zeros, spaces or dashes" in said
    assert "'P01' (2 t" in said
    assert "--subjects" in said


def test_no_caution_where_nobody_knows_the_subjects(tmp_path):
    for k in range(8):
        save_image(tmp_path / "source" / ("all" if k % 2 else "hem") / f"{'0' * k}1.png", k)
    manifest = prepare(tmp_path / "source", tmp_path / "out", Settings(image_size=8))
    assert manifest.preparation["alike_subjects"] == []
