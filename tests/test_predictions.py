"""predictions.csv: what is written reads back the same, and anything else is refused in one line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchnet.errors import DataError
from scratchnet.measures.predictions import Predictions

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@st.composite
def tables(draw):
    count, classes = draw(st.integers(1, 8)), draw(st.integers(2, 4))
    names = draw(st.lists(TEXT, min_size=classes, max_size=classes, unique=True))
    chances = np.random.default_rng(draw(st.integers(0, 99))).dirichlet([0.3] * classes, count)
    texts = st.lists(TEXT, min_size=count, max_size=count)
    labels = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count)))
    subjects = tuple(draw(texts)) if draw(st.booleans()) else None
    return Predictions(tuple(names), tuple(draw(texts)), subjects, labels, chances)


@given(table=tables())
def test_it_reads_back_exactly(table, tmp_path_factory):
    """Names with commas, quotes, newlines, other scripts; probabilities to the last bit."""
    path = tmp_path_factory.mktemp("table") / "predictions.csv"
    table.write(path)
    back = Predictions.read(path)
    assert (back.class_names, back.paths, back.subjects) == (table.class_names, table.paths, table.subjects)
    np.testing.assert_array_equal(back.labels, table.labels)
    np.testing.assert_array_equal(back.probabilities, table.probabilities)


def small():
    return Predictions(
        ("all", "hem"), ("a.png", "b.png", "c.png"), ("P", "P", "Q"), np.array([0, 1, 1]),
        np.array([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3]]),
    )  # fmt: skip


def test_it_is_a_table_for_people(tmp_path):
    small().write(tmp_path / "predictions.csv")
    lines = (tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == '"path","subject","label","prediction","probability of all","probability of hem"'
    assert lines[2] == '"b.png","P","hem","all",0.9,0.1'


def test_mistakes_and_captions():
    assert small().mistakes().tolist() == [1, 2]
    assert small().caption(1) == "b.png\nis hem\nsaid all: 90.0 %"
    np.testing.assert_array_equal(small().confusion(), [[1, 0], [2, 0]])
    assert small().scores(bootstrap=0).images.overall["accuracy"].value == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("subject", "patient"),
        ("probability of hem", "probability of all"),
        (',"probability of hem"', ""),
        ('"P","hem"', '"P","mystery"'),
        ("0.9,0.1", "0.1,0.9"),
        ("0.9,0.1", "0.9,nan"),
        ("0.9,0.1", "0.9"),
        ("0.9,0.1", "1.9,-0.9"),
        ("0.9,0.1", "x,0.1"),
        ('"path",', "\0"),
    ],
)
def test_a_changed_table_is_refused(old, new, tmp_path):
    path = tmp_path / "predictions.csv"
    small().write(path)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=r"predictions\.csv") as caught:
        Predictions.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"path\n", b"path,subject,label,prediction,probability of a,probability of b\n"]
)
def test_another_file_is_refused(content, tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"predictions\.csv"):
        Predictions.read(path)
    with pytest.raises(DataError, match="there is no such"):
        Predictions.read(tmp_path / "absent.csv")
