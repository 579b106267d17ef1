"""The same picture twice, turned or not, is recognised, and its subjects are one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from small_data import save_image

from scratchnet.data.images import decode
from scratchnet.prepare import duplicates
from scratchnet.prepare.duplicates import find_duplicates, identify, merge_subjects

# Few values, so that quarters are often equally bright; sides of one pixel; squares and others.
pictures = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.uint8, (*shape, 3), elements=st.integers(0, 2))
)


def positions(pixels):
    mirrored = pixels[:, ::-1]
    return [np.ascontiguousarray(np.rot90(start, turns)) for start in (pixels, mirrored) for turns in range(4)]


def picture(pixels):
    return identify(Image.fromarray(pixels))


@given(pictures)
def test_a_cell_is_the_same_in_all_eight_positions(pixels):
    for turned in positions(pixels):
        assert picture(turned).cell == picture(pixels).cell
        assert (picture(turned) == picture(pixels)) == np.array_equal(turned, pixels)


@given(pictures, pictures)
def test_pictures_are_equal_exactly_if_their_pixels_are(one, other):
    assert (picture(one) == picture(other)) == np.array_equal(one, other)
    turned_copies = any(np.array_equal(one, turned) for turned in positions(other))
    assert (picture(one).cell == picture(other).cell) == turned_copies


def test_the_position_is_the_symmetry_that_leads_to_the_standard():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    found = [(turned, picture(turned).positions) for turned in positions(pixels)]
    assert len({positions(turned)[only].tobytes() for turned, (only,) in found}) == 1


@given(pictures)
def test_the_picture_of_a_turned_image(pixels):
    for symmetry, turned in enumerate(positions(pixels)):
        assert picture(pixels).turned(symmetry) == picture(turned)


def test_one_position_is_hashed_unless_quarters_are_equally_bright(monkeypatch):
    hashed = []
    monkeypatch.setattr(duplicates, "_hash", lambda image, position: hashed.append(position) or b"")
    picture(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    assert len(hashed) == 1
    picture(np.zeros((8, 8, 3), np.uint8))
    assert len(hashed) == 9


def test_the_format_of_a_file_does_not_matter(tmp_path):
    png, bmp, other = (save_image(tmp_path / name, seed) for name, seed in (("a.png", 0), ("b.bmp", 0), ("c.png", 1)))
    assert identify(decode(png).image) == identify(decode(bmp).image)
    assert identify(decode(png).image).cell != identify(decode(other).image).cell


def test_the_shape_matters():
    assert len({identify(Image.new("RGB", shape)).cell for shape in ((2, 8), (4, 4), (1, 16))}) == 3


def test_duplicates():
    paths = ["a/1", "a/2", "a/3", "b/4", "b/5", "b/6"]
    contents = ["x", "y", "x", "z", "y", "z"]
    left_out = find_duplicates(paths, contents, [0, 0, 0, 1, 1, 1], ["a", "b"])
    assert {k: remark.path for k, remark in left_out.items()} == {2: "a/3", 1: "a/2", 4: "b/5", 5: "b/6"}
    assert left_out[2].reason == "duplicate: the same image as a/1"
    assert left_out[1].reason.startswith("mislabelled")
    assert left_out[1].reason == left_out[4].reason
    assert set(find_duplicates(paths, contents, [0, 0, 0, 1, 1, 1], ["a", "b"], keep=True)) == {1, 4}


def test_subjects_that_share_an_image_are_one():
    merged = merge_subjects(["a", "b", "b", "c", "d", "e", "a"], [1, 1, 2, 2, 3, 4, 5])
    assert merged == {"a": ("a", "b", "c"), "b": ("a", "b", "c"), "c": ("a", "b", "c"), "d": ("d",), "e": ("e",)}


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=30))
def test_merged_subjects_share_no_image_with_others(pairs):
    subjects, contents = [f"S{s}" for s, _ in pairs], [c for _, c in pairs]
    merged = merge_subjects(subjects, contents)
    for a, x in zip(subjects, contents, strict=True):
        for b, y in zip(subjects, contents, strict=True):
            if x == y:
                assert merged[a] == merged[b]
    for subject, group in merged.items():
        assert subject in group
        assert all(merged[other] == group for other in group)
