"""python -m scratchnet predict, as a person types it."""

import csv
import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.__main__ import main
from scratchnet.commands.shared import find_files
from scratchnet.errors import DataError
from scratchnet.prepare import SAMPLE
from scratchnet.terminal.command_line import printable
from scratchnet.use.codalab import submission
from tests.file_systems import has_name, made_pipe

HEM = SAMPLE / "fold_0" / "hem"


@pytest.fixture
def predict(trained_run, capsys):
    """Runs the command; returns its exit code, and what it printed to standard output and standard error."""

    def run(*arguments):
        code = main(["predict", str(trained_run.folder), *map(str, arguments)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_csv(predict, trained_run):
    code, out, err = predict(HEM)
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == ["path", "prediction", "probability of all", "probability of hem", "problem", "caution"]
    files = sorted(HEM.iterdir())
    assert [Path(row["path"]) for row in rows] == files
    expected = sn.load(trained_run.folder).predict_proba(files)
    found = np.array([[row["probability of all"], row["probability of hem"]] for row in rows], np.float64)
    np.testing.assert_array_equal(found, expected)
    assert [row["prediction"] for row in rows] == [("all", "hem")[k] for k in expected.argmax(axis=1)]
    assert "weights.h5" in err
    assert f"{len(files)} of {len(files)} files predicted" in err


@pytest.mark.parametrize(
    ("name", "read"), [("o.json", json.loads), ("o.jsonl", lambda t: [*map(json.loads, t.splitlines())])]
)
def test_json(predict, tmp_path, name, read):
    code, out, _ = predict(HEM, "--out", tmp_path / name, "--symmetries")
    assert code == 0
    assert out == ""
    found = read((tmp_path / name).read_text(encoding="utf-8"))
    assert len(found) == len(list(HEM.iterdir()))
    for one in found:
        assert one["probabilities"][one["prediction"]] == max(one["probabilities"].values())
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-6)


def test_symmetries_change_the_answer_a_little(predict):
    def probabilities(*options):
        return [float(row["probability of hem"]) for row in csv.DictReader(io.StringIO(predict(HEM, *options)[1]))]

    plain, averaged = probabilities(), probabilities("--symmetries")
    assert plain != averaged
    np.testing.assert_allclose(plain, averaged, atol=0.2)


def test_a_bad_file_is_reported_and_the_rest_goes_on(predict, tmp_path):
    good = shutil.copy(next(HEM.iterdir()), tmp_path / "a b.png")
    broken = "broken,\n.png" if has_name(tmp_path, "broken,\n.png") else "broken,.png"
    (tmp_path / broken).write_bytes(b"\x89PNG\r\n\x1a\n")
    code, out, err = predict(tmp_path, tmp_path / "nowhere.png")
    assert code == 1
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["path"] for row in rows] == [
        good.__fspath__(),
        str(tmp_path / broken),
        str(tmp_path / "nowhere.png"),
    ]
    assert rows[0]["problem"] == ""
    assert "truncated or damaged" in rows[1]["problem"]
    assert rows[1]["prediction"] == ""
    assert "cannot be opened" in rows[2]["problem"]
    assert f"{printable(broken)}: truncated or damaged" in err
    assert "1 of 3 files predicted" in err
    code, out, _ = predict(tmp_path, "--format", "json")
    assert code == 1
    assert ["problem" in one for one in json.loads(out)] == [False, True]


def test_a_pipe_is_not_waited_for(predict, tmp_path):
    if not made_pipe(tmp_path / "pipe.png"):
        pytest.skip("no named pipes there")
    code, _, err = predict(tmp_path / "pipe.png")
    assert code == 1
    assert "pipe.png: cannot be opened: not a regular file" in err


def test_what_of_a_folder_is_looked_at(tmp_path):
    for name in ("b/2.PNG", "b/10.png", "a.jpeg", "no extension", "notes.txt", ".hidden.png", ".cache/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    if os.name != "nt":
        made_pipe(tmp_path / "pipe.png")
        (tmp_path / "loop").symlink_to(tmp_path)
        (tmp_path / "nowhere.png").symlink_to(tmp_path / "gone")
    files, passed_over = find_files([str(tmp_path)])
    expected = ["a.jpeg", "no extension", *(["nowhere.png"] if os.name != "nt" else []), "b/10.png", "b/2.PNG"]
    assert [file.relative_to(tmp_path).as_posix() for file in files] == expected
    assert passed_over == 1
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        find_files([str(tmp_path / "nothing")])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--format", "xml", HEM],
        ["--codalab", "x.zip", HEM],
        ["--threads", "-1", HEM],
        ["--out", "no/such/folder/x.csv", HEM],
    ],
)
def test_misuse_is_code_2_and_one_line(predict, arguments, capsys):
    try:
        code, _, err = predict(*arguments)
    except SystemExit as ended:
        code, err = ended.code, capsys.readouterr().err
    assert code == 2
    assert err.strip().splitlines()[-1].startswith("python -m scratchnet predict: ")
    assert "Traceback" not in err


def numbered(folder, numbers):
    folder.mkdir()
    for file, number in zip(sorted(HEM.iterdir()), numbers, strict=False):
        shutil.copy(file, folder / f"{number}.png")
    return folder


def test_codalab(predict, tmp_path):
    folder = numbered(tmp_path / "prelim", range(1, 13))
    code, out, _ = predict(folder, "--codalab", tmp_path / "submission.zip")
    assert code == 0
    answers = {int(Path(row["path"]).stem): row["prediction"] for row in csv.DictReader(io.StringIO(out))}
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert archive.namelist() == ["isbi_valid.predict"]
        lines = archive.read("isbi_valid.predict").decode()
    assert lines == "".join("1\n" if answers[number] == "all" else "0\n" for number in range(1, 13))
    before = (tmp_path / "submission.zip").read_bytes()
    predict(folder, "--codalab", tmp_path / "submission.zip")
    assert (tmp_path / "submission.zip").read_bytes() == before


def test_lines_follow_the_numbers():
    answers = {Path(f"x/{n}.bmp"): "all" if n % 3 else "hem" for n in (10, 2, 1, 3, 9, 8, 7, 6, 5, 4)}
    assert submission(answers).split() == ["1", "1", "0", "1", "1", "0", "1", "1", "0", "1"]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((1, 2, 4), "image 3 is missing"), ((1, 2, "x"), "not a number"), ((1, 2, "02"), "the same number")],
)
def test_codalab_refuses_what_would_shift_the_lines(predict, tmp_path, numbers, message):
    code, out, err = predict(numbered(tmp_path / "prelim", numbers), "--codalab", tmp_path / "submission.zip")
    assert code == 2
    assert out == ""
    assert message in err
    assert not (tmp_path / "submission.zip").exists()


def test_codalab_needs_an_answer_for_every_image(predict, tmp_path):
    folder = numbered(tmp_path / "prelim", range(1, 4))
    (folder / "2.png").write_bytes(b"")
    code, _, err = predict(folder, "--codalab", tmp_path / "submission.zip")
    assert code == 1
    assert "is not written" in err
    assert not (tmp_path / "submission.zip").exists()
