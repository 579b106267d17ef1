"""Labels of classes: given once, kept with the weights, shown to people, and in no table that a program reads."""

import csv
import json

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.__main__ import main
from scratchnet.data.class_labels import class_labels_of, parse_class_labels
from scratchnet.errors import ConfigError
from scratchnet.measures.scores import scores
from scratchnet.pages import Results
from tests.small_runs import make_run, make_sides

ALL = "leukaemic (ALL)"


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("all=leukaemic (ALL)", ("all", "hem"), {"all": "leukaemic (ALL)"}),
        ("Hem= sound = normal ", ("all", "HEM"), {"HEM": "sound = normal"}),
        ("a=b=c", ("a", "a=b"), {"a=b": "c"}),  # the longer name is meant
        ("0=keine Zellen, ü", ("0", "1"), {"0": "keine Zellen, ü"}),
    ],
)
def test_a_label_is_a_class_and_a_text(text, names, expected):
    assert parse_class_labels([text], names) == expected


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["all"], "expected CLASS=LABEL"),
        (["all="], "expected CLASS=LABEL"),
        (["=sick"], "expected CLASS=LABEL"),
        (["blast=sick"], "'blast' is not one of the classes all, hem"),
        (["all=sick", "ALL=ill"], "has the label 'sick' already"),
        (["all=hem"], "another class has that name"),
        (["all=sick", "hem=Sick"], "another class has that name"),
        (["all=two\nlines"], "in one line"),
        (["all=" + "x" * 61], "1 to 60 letters"),
    ],
)
def test_what_is_no_label_is_refused(texts, said):
    with pytest.raises(ConfigError, match=said):
        parse_class_labels(texts, ("all", "hem"))


@pytest.mark.parametrize("stored", [None, 7, [], {"all": 3}, {"none": "x"}, {"all": "two\nlines"}, {"all": ""}])
def test_what_a_strangers_file_says_is_used_only_where_it_can_be_shown(stored):
    assert class_labels_of({"class_names": ["all", "hem"], "class_labels": stored}) == {}
    assert class_labels_of({}) == {}


def test_the_table_shows_labels_and_json_keeps_names():
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    found = scores([0, 1, 0], p, class_names=("all", "hem"), bootstrap=0, class_labels={"all": ALL})
    table = found.table()
    assert f"sensitivity (recall of '{ALL}')" in table
    assert "specificity (recall of 'hem')" in table
    assert f"precision of '{ALL}'" in table
    assert f"always '{ALL}'" in table
    assert "'all'" not in table
    plain = scores([0, 1, 0], p, class_names=("all", "hem"), bootstrap=0)
    assert json.dumps(found.to_dict()) == json.dumps(plain.to_dict())


def test_a_runs_label_is_kept_and_shown_by_every_command(tmp_path, capsys):
    data = make_sides(tmp_path / "data")
    run = make_run(tmp_path / "run", data, about={"class_labels": {"all": ALL}})
    assert sn.load(run.folder).class_labels == {"all": ALL}
    where = [str(run.folder), str(data), "--bootstrap", "0", "--predictions", str(tmp_path / "p.csv")]
    assert main(["evaluate", *where]) == 0
    printed = capsys.readouterr()
    assert f"classes all = {ALL}, hem" in printed.err
    assert f"recall of '{ALL}'" in printed.out
    assert f"{ALL}  " in printed.out
    (first, *_) = csv.DictReader((tmp_path / "p.csv").read_text(encoding="utf-8").splitlines())
    assert {"probability of all", "probability of hem"} < set(first)
    assert {first["label"], first["prediction"]} <= {"all", "hem"}


def test_a_label_on_the_command_line_comes_before_the_runs(tmp_path, capsys):
    data = make_sides(tmp_path / "data")
    run = make_run(tmp_path / "run", data, about={"class_labels": {"all": ALL}})
    assert main(["evaluate", str(run.folder), str(data), "--bootstrap", "0", "--class-label", "all=blasts"]) == 0
    out = capsys.readouterr().out
    assert "recall of 'blasts'" in out
    assert ALL not in out
    with Results.read(run.folder, class_labels=["hem=sound"]) as results:
        assert results.class_labels == {"all": ALL, "hem": "sound"}
        assert results.scores is not None
        assert "recall of 'sound'" in results.scores.table()
    assert main(["evaluate", str(run.folder), str(data), "--class-label", "blast=x"]) == 2
    assert "not one of the classes all, hem" in capsys.readouterr().err


def test_train_records_the_label_and_resuming_keeps_it(tmp_path, capsys, small_model, no_pages):
    import train

    data = make_sides(tmp_path / "data")
    where = ["--data", str(data), "--runs", str(tmp_path), "--name", "r", "--batch-size", "8"]
    assert train.main([*where, "--epochs", "1", "--class-label", "ALL=leukaemic (ALL)"]) == 0
    assert f"{ALL}: " in capsys.readouterr().out
    assert sn.load(tmp_path / "r").class_labels == {"all": ALL}
    assert train.main(["--resume", str(tmp_path / "r"), "--epochs", "2", "--class-label", "hem=sound"]) == 0
    assert sn.load(tmp_path / "r").class_labels == {"all": ALL, "hem": "sound"}
    assert train.main([*where[:-3], "s", "--class-label", "all"]) == 2
    assert "expected CLASS=LABEL" in capsys.readouterr().err
