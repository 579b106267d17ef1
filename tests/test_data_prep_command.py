"""python -m data_prep: what it is told, what it answers, and what stops it."""

import errno
import importlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace

import pytest
from small_data import make_cnmc, save_image, shards_of

from data_prep import main
from scratchnet.data import read_manifest
from scratchnet.errors import ConfigError, DataError
from scratchnet.prepare import Settings, prepare
from scratchnet.prepare.options import OPTIONS
from scratchnet.terminal.invocation import command

SPOOL, WRITING = (importlib.import_module(f"scratchnet.prepare.{name}") for name in ("spool", "writing"))
SMALL = Settings(image_size=8, test_fraction=0.4)


def test_subjects_from_the_command_line(tmp_path):
    for k in range(6):
        save_image(tmp_path / "source" / "a" / f"P{k % 3}_{k}.png", k)
        save_image(tmp_path / "source" / "b" / f"P{k % 3}_{k}.png", 10 + k)
    arguments = [
        str(tmp_path / "source"),
        str(tmp_path / "by-pattern"),
        "--image-size",
        "8",
        "--subject-pattern",
        r"/(P\d)_",
    ]
    assert main(arguments) == 0
    table = tmp_path / "subjects.csv"
    table.write_text(
        "file,patient\n" + "".join(f"{c}/P{k % 3}_{k}.png,P{k % 3}\n" for c in "ab" for k in range(6)), encoding="utf-8"
    )
    assert (
        main([str(tmp_path / "source"), str(tmp_path / "by-table"), "--image-size", "8", "--subjects", str(table)]) == 0
    )
    for folder in ("by-pattern", "by-table"):
        sides = [{subject for _, subject, _, _ in shards_of(tmp_path / folder, side)} for side in ("train", "test")]
        assert len(sides[0]) == 2
        assert len(sides[1]) == 1
        assert not sides[0] & sides[1]


WRONG = [
    ["SOURCE"],
    ["SOURCE", "OUT", "--nonsense"],
    ["SOURCE", "OUT", "--image-size", "0"],
    ["SOURCE", "OUT", "--image-size", "x"],
    ["SOURCE", "OUT", "--image-size", "100000"],
    ["SOURCE", "OUT", "--split", "fair"],
    ["SOURCE", "OUT", "--test-fraction", "0"],
    ["SOURCE", "OUT", "--test-fraction", "1"],
    ["SOURCE", "OUT", "--test-fraction", "nan"],
    ["SOURCE", "OUT", "--seed", "-1"],
    ["SOURCE", "OUT", "--subject-pattern", "("],
    ["SOURCE", "OUT", "--subject-pattern", "C"],
    ["SOURCE", "OUT", "--subject-pattern", "(nowhere)"],
    ["SOURCE", "OUT", "--subjects", "missing.csv"],
    ["SOURCE", "OUT", "--fit", "crop"],
    ["SOURCE", "OUT", "--split", "random"],
    ["SOURCE", "OUT", "--split", "kfold", "--folds", "1"],
    ["SOURCE", "OUT", "--split", "kfold", "--folds", "6"],
    ["SOURCE", "OUT", "--split", "kfold", "--test-fraction", "0.2"],
    ["SOURCE", "OUT", "--folds", "5"],
    ["SOURCE", "OUT", "--split", "fold", "--test-fold", "2"],
    ["SOURCE", "OUT", "--split", "fold", "--test-fold", "-1"],
    ["SOURCE", "OUT", "--test-fold", "1"],
    ["SOURCE", "OUT", "--split", "prelim"],
    ["SOURCE", "OUT", "--validation-fraction", "1"],
    ["SOURCE", "OUT", "--validation-fraction", "-0.1"],
    ["SOURCE", "OUT", "--validation-fraction", "nan"],
    ["SOURCE", "OUT", "--augment-offline", "all"],
    ["SOURCE", "OUT", "--shard-size", "0"],
    ["SOURCE", "OUT", "--threads", "0"],
    ["NOTHING", "OUT"],
    ["EMPTY", "OUT"],
    ["SOURCE", "EXISTS"],
    ["SOURCE", "SOURCE/inside"],
    ["SOURCE", "FILE/inside"],
    ["SOURCE", "FILE/in/side"],
    ["FILE", "OUT"],
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_arguments_are_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    make_cnmc(tmp_path / "SOURCE")
    (tmp_path / "EXISTS").mkdir()
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "FILE").write_text("x", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    assert code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("python -m data_prep: ")
    assert said.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_place_below_a_file(tmp_path):
    (tmp_path / "FILE").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"FILE.inside cannot be made, because .*FILE is not a folder\. Choose"):
        prepare(make_cnmc(tmp_path / "source"), tmp_path / "FILE" / "inside", SMALL)


def test_a_pattern_that_fits_one_class_only_is_what_is_blamed(tmp_path):
    for name in ("a", "b"):
        for number in range(4):
            save_image(tmp_path / "source" / name / f"P{number}_{name}.png")
    settings = replace(SMALL, subject_pattern=r"^a/(P\d)_")
    with pytest.raises(
        DataError, match=r"class 'b' has no usable image.* The pattern finds no subject in any file of this"
    ):
        prepare(tmp_path / "source", tmp_path / "out", settings)


def test_a_class_without_a_usable_image(tmp_path):
    save_image(tmp_path / "source" / "a" / "1.png")
    (tmp_path / "source" / "b").mkdir()
    (tmp_path / "source" / "b" / "2.png").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"class 'b' has no usable image \('b/2.png': a text"):
        prepare(tmp_path / "source", tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()


def test_too_few_subjects(tmp_path):
    with pytest.raises(
        DataError, match=r"too few for the test side to have some of its own\. Add images of other subjects\.$"
    ):
        prepare(make_cnmc(tmp_path / "source", subjects=1), tmp_path / "new" / "folders" / "out", SMALL)
    assert os.listdir(tmp_path) == ["source"]


def test_interrupted_between_images(tmp_path, monkeypatch, capsys):
    source = make_cnmc(tmp_path / "source")
    monkeypatch.setattr(SPOOL, "pack_image", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main([str(source), str(tmp_path / "out")]) == 130
    assert "Nothing was written" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["source"]


def test_disk_full(tmp_path, monkeypatch, capsys):
    source = make_cnmc(tmp_path / "source")

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(WRITING, "write_shard", full)
    assert main([str(source), str(tmp_path / "out")]) == 2
    assert "No space left on device. Free some space" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["source"]


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_from_outside(tmp_path, sent, code):
    source = make_cnmc(tmp_path / "source", subjects=20, images=40)
    command = [
        sys.executable,
        "-m",
        "data_prep",
        str(source),
        str(tmp_path / "out"),
        "--threads",
        "1",
        "--image-size",
        "512",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(os.listdir(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert ("Nothing was written" in said) == (sent == signal.SIGINT)
    assert "Traceback" not in said
    assert os.listdir(tmp_path) == ["source"]


def test_help_is_complete(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    for field in fields(Settings):
        assert "--" + field.name.replace("_", "-") in said


def test_settings_check_themselves():
    with pytest.raises(ConfigError, match="--image-size is 0"):
        Settings(image_size=0)
    with pytest.raises(
        ConfigError, match="--test-fold means nothing with --split subject: leave it out, or choose --split fold"
    ):
        Settings(test_fold=1)
    assert (Settings().test_fraction, Settings().test_fold, Settings().folds) == (0.2, None, None)
    assert Settings(split="kfold").folds == 5


def test_the_options_are_the_settings():
    assert set(OPTIONS) == {field.name for field in fields(Settings)}


def test_kfold_on_the_command_line(tmp_path, capsys):
    source = make_cnmc(tmp_path / "source")
    assert main([str(source), str(tmp_path / "out"), "--split", "kfold", "--folds", "3", "--image-size", "8"]) == 0
    said = capsys.readouterr().out
    assert command("train", "--data", f"{tmp_path / 'out'}/fold-0") in said
    assert [read_manifest(tmp_path / "out" / f"fold-{k}").preparation["fold"] for k in range(3)] == [0, 1, 2]


def test_a_long_list_is_cut_short_on_the_screen_only(tmp_path, capsys):
    source = make_cnmc(tmp_path / "source")
    for k in range(35):
        (source / "fold_0" / "all" / f"UID_77_{k}_1_all.bmp").write_bytes(b"")
    assert main([str(source), str(tmp_path / "out"), "--image-size", "8"]) == 0
    said = capsys.readouterr().out
    assert said.count("UID_77_") == 30
    assert "and 5 more, which manifest.json names" in said
    assert sum("UID_77_" in remark.path for remark in read_manifest(tmp_path / "out").left_out) == 35


def test_two_classes_of_the_same_images_are_not_blamed_on_one_of_them(tmp_path):
    for name in ("a", "b"):
        for k in range(3):
            save_image(tmp_path / "source" / name / f"{k}.png", k)
    with pytest.raises(
        DataError, match=r"the same image is in class .* one of the two folders is a copy, or they are not classes"
    ):
        prepare(tmp_path / "source", tmp_path / "out", SMALL)
