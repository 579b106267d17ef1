"""python -m scratchnet table1: the rows as ordinary runs, that go on where they were stopped, and the table that comes of them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scratchnet.__main__ import main
from scratchnet.measures.scores import Score
from scratchnet.nn.models import MODELS
from scratchnet.pages.table1 import HEAD, REPORT, Entry, Table1
from scratchnet.terminal.invocation import command
from scratchnet.terminal.wording import percent
from scratchnet.training import read_about
from tests.small_data import make_cnmc
from tests.small_networks import report_is_small, small_report
from tests.small_runs import without_pages

pytestmark = pytest.mark.usefixtures("small_model", "no_pages", "plots_once")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """30 cells of ALL and 10 of HEM."""
    folder = tmp_path_factory.mktemp("cells") / "cells"
    make_cnmc(folder, subjects=5, images=6)
    for path in sorted(folder.rglob("*_hem.bmp"))[::3] + sorted(folder.rglob("*_hem.bmp"))[1::3]:
        path.unlink()
    return folder


def arguments(cells, folder, *more):
    return ["table1", str(cells), "--out", str(folder / "out"), "--prepared", str(folder / "prepared"), *more]


@pytest.fixture(scope="module")
def made(cells, tmp_path_factory):
    """The row of 32 × 32, shortened to one epoch, under both splits."""
    folder = tmp_path_factory.mktemp("table1")
    with report_is_small(), without_pages():
        assert main(arguments(cells, folder, "--rows", "32", "--epochs", "1")) == 0
    return folder / "out"


def cells_of(line):
    return [cell.strip() for cell in line.strip("|\n").split(" | ")]


def test_the_runs_are_ordinary_ones_with_the_reports_settings(made):
    for split in ("report", "subject"):
        about, _ = read_about(made / f"report-32-{split}" / "weights.h5")
        config = about["config"]
        assert (config["batch_size"], config["learning_rate"], config["pixels"]) == (256, 0.001, "unit")
        assert (config["epochs"], config["augment"]) == (1, "none")
        manifest = json.loads((Path(about["data"]) / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["preparation"]["split"] == split
        assert manifest["preparation"]["augment_offline"] == "report"
        assert len(set(manifest["splits"]["train"]["images_per_class"])) == 1
        assert (made / f"report-32-{split}" / "config.toml").is_file()


def test_the_table_says_what_the_runs_say(made):
    lines = (made / "table1.md").read_text(encoding="utf-8").splitlines()
    table = [cells_of(line) for line in lines if line.startswith("|")]
    assert table[0] == list(HEAD)
    assert [row[0] for row in table[2:]] == ["32×32, the report", "32×32, the report's split", "32×32, new subjects"]
    assert table[2][1:4] == ["22", "56.0 %", "53.0 %"]
    for row, split in zip(table[3:], ("report", "subject"), strict=True):
        header, values = (made / f"report-32-{split}" / "metrics.csv").read_text(encoding="utf-8").splitlines()
        metrics = dict(zip(header.split(","), map(float, values.split(",")), strict=True))
        assert row[1] == "1"
        assert row[2] == percent(metrics["train_accuracy"])
        assert row[3].startswith(f"{percent(metrics['test_accuracy'])} (")
        assert row[6] == f"{metrics['test_loss']:.3f}"
    text = "\n".join(lines)
    assert "set to 1 epoch; the report trained for 22" in text
    assert re.search(r"It leaks: \d+ of \d+ test images have their subject in training", text)
    assert "Nothing leaks" in text
    made_by = command("table1")  # as Python was typed, such as .venv/bin/python
    assert made_by.endswith("python -m scratchnet table1")
    assert f"Made by: {made_by}" in text


def test_a_second_call_trains_nothing(made, cells, capsys):
    before = {path: path.stat().st_mtime_ns for path in made.rglob("weights.h5")}
    asked = arguments(cells, made.parent, "--rows", "32", "--epochs", "1")
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert out.count("finished before") == 2
    assert "epoch   1" not in out
    assert {path: path.stat().st_mtime_ns for path in made.rglob("weights.h5")} == before
    assert main([*asked, "--splits", "subject"]) == 0
    lines = [
        line for line in (made / "table1.md").read_text(encoding="utf-8").splitlines() if line.startswith("| 32×32")
    ]
    assert len(lines) == 3  # the other split's row stays
    assert main([*asked, "--seed", "1"]) == 2
    assert "is a run with seed 0, not 1; the images in" in capsys.readouterr().err


def test_a_dry_run_only_says_how_long_it_takes(cells, tmp_path, capsys):
    assert main(arguments(cells, tmp_path, "--rows", "64", "32", "--splits", "subject", "--dry-run")) == 0
    out = capsys.readouterr().out
    assert [line.split(",")[0] for line in out.splitlines() if "new subjects" in line] == ["report-32", "report-64"]
    assert re.search(r"All of it takes about \d+ (s|min|h)", out)
    assert " 0/22 " in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one child")
def test_what_was_stopped_goes_on(cells, made, tmp_path):
    """Stopped inside the first row, and then carried out: the same metrics as of a run that nobody stopped."""
    program = "from tests.small_networks import report_is_small; from scratchnet.__main__ import console\n"
    there = ["--prepared", str(made.parent / "prepared")]
    asked = [*arguments(cells, tmp_path, "--rows", "32"), *there, "--epochs", "300"]
    command = [sys.executable, "-c", f"{program}with report_is_small(): console()", *asked]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment
    )
    for line in process.stdout:
        if line.startswith("epoch   2"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130, err
    assert "The same command goes on" in out
    text = (tmp_path / "out/table1.md").read_text(encoding="utf-8")
    done = re.search(r"It has (\d+) of its 300 epochs", text)
    assert done
    assert "| 0 |" in text  # the second row has not begun
    more = int(done[1]) + 1
    assert main([*asked[:-1], str(more)]) == 0
    rows = [
        (tmp_path / f"out/report-32-{split}/metrics.csv").read_text(encoding="utf-8") for split in ("report", "subject")
    ]
    assert [len(row.splitlines()) for row in rows] == [1 + more, 1 + more]
    for row, split in zip(rows, ("report", "subject"), strict=True):
        assert row.startswith((made / f"report-32-{split}" / "metrics.csv").read_text(encoding="utf-8"))


def test_a_damaged_checkpoint_is_set_aside(cells, made, tmp_path, capsys):
    there = ["--prepared", str(made.parent / "prepared")]
    asked = [*arguments(cells, tmp_path, "--rows", "32", "--splits", "subject"), *there, "--epochs"]
    shutil.copytree(made, tmp_path / "out")
    checkpoints = tmp_path / "out/report-32-subject/checkpoints"
    (checkpoints / "epoch-0002.h5").write_bytes(b"not any more")  # the row went on, and its disk failed
    assert main([*asked, "2"]) == 0
    assert (checkpoints / "epoch-0002.h5.damaged").exists()
    assert "CAUTION" in capsys.readouterr().out
    first = (made / "report-32-subject/metrics.csv").read_text(encoding="utf-8")
    assert (tmp_path / "out/report-32-subject/metrics.csv").read_text(encoding="utf-8").startswith(first)


def test_a_run_that_diverged_is_said_and_left(cells, tmp_path, capsys):
    asked = arguments(cells, tmp_path, "--rows", "32", "--splits", "subject", "--epochs", "1")
    folder = tmp_path / "out/report-32-subject"
    folder.mkdir(parents=True)
    (folder / "trouble.txt").write_text("a NaN", encoding="utf-8")
    assert main(asked) == 1
    assert "Training has diverged" in capsys.readouterr().out
    assert not (folder / "metrics.csv").exists()


def test_prepared_shards_are_refused(made, capsys):
    data = read_about(made / "report-32-report" / "weights.h5")[0]["data"]
    assert main(["table1", data, "--out", str(made / "x")]) == 2
    assert "give the folder of the images" in capsys.readouterr().err


def test_two_readings_of_the_network_leave_two_tables(made, cells, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(MODELS, "report-wide", small_report)
    out = tmp_path / "out"
    shutil.copytree(made, out)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    there = ["--out", str(out), "--prepared", str(made.parent / "prepared")]
    assert main(["table1", str(cells), *there, "--rows", "32", "--wide", "--splits", "subject", "--epochs", "1"]) == 0
    assert {name: (out / name).read_bytes() for name in before} == before
    assert "figures-32-wide.svg" in (out / "table1-wide.md").read_text(encoding="utf-8")
    assert (out / "figures-32-wide.svg").is_file()
    assert (out / "table1-wide.html").is_file()


def test_places_where_no_table_can_be_are_refused_before_the_work(cells, tmp_path, capsys):
    (tmp_path / "file").touch()
    for place, expected in ((tmp_path / "file", "is a file"), (cells / "out", "lies inside")):
        assert main(["table1", str(cells), "--out", str(place), "--prepared", str(tmp_path / "prepared")]) == 2
        captured = capsys.readouterr()
        assert expected in captured.err
        assert captured.err.count("\n") == 1
        assert captured.out == ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--rows", "33"], "--rows"),
        (["--splits", "fold"], "--splits"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--threads", "1000"], "threads must be"),
        (["--subjects", "nowhere.csv"], "nowhere.csv"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_wrong_arguments_are_one_line(cells, tmp_path, capsys, given, expected):
    try:
        code = main(arguments(cells, tmp_path, *given))
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert expected in line
    assert list(tmp_path.iterdir()) == []


def test_the_page_in_a_browser(made, browser):
    pytest.importorskip("matplotlib")
    said, asked = [], []
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((made / "table1.html").as_uri())
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("document.images.length") == 4
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.querySelectorAll('tbody tr').length") == 3
    for width in (360, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def rows(count, accuracy=0.6):
    return tuple(
        {
            "epoch": k + 1.0, "train_accuracy": accuracy, "test_accuracy": accuracy, "test_balanced_accuracy": accuracy,
            "train_loss": 0.7, "test_loss": 0.7,
        }
        for k in range(count)
    )  # fmt: skip


def test_every_row_stands_below_the_reports():
    entries = [
        Entry(32, "report", 22, rows(22), Score(0.6, 0.5, 0.7), 61.0),
        Entry(32, "subject", 22),
        Entry(256, "report", 14),
    ]
    table = Table1("cells", entries)
    assert [row[:2] for row in table.rows()] == [
        ["32×32, the report", "22"],
        ["32×32, the report's split", "22"],
        ["32×32, new subjects", "0"],
        ["256×256, the report", "14"],
        ["256×256, the report's split", "0"],
    ]
    assert table.rows()[1][3] == "60.0 % (50.0–70.0 %)"
    assert table.rows()[1][-1] == "1 min 1 s"
    assert all(len(row) == len(HEAD) for row in table.rows())
    (sizes,) = {panel.curves[-1][1][0] for panel in table.panels(32)}
    assert sizes == REPORT[32].epochs


def test_names_are_only_text():
    table = Table1("<b>cells</b> | [x](y)", [Entry(32, "report", 22, remarks=("a | b\n<i>",))], ["*note*"])
    assert "<b>cells" not in table.html()
    assert "<i>" not in table.html()
    markdown = table.markdown()
    assert "\\<b\\>cells" in markdown
    assert "a \\| b \\<i\\>" in markdown
    assert "\\*note\\*" in markdown


def test_without_matplotlib_there_is_a_table_without_curves(made, cells, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    whole = (made / "table1.html").read_bytes()
    assert main(arguments(cells, made.parent, "--rows", "32", "--epochs", "1")) == 0
    text = (made / "table1.html").read_text(encoding="utf-8")
    (made / "table1.html").write_bytes(whole)
    assert "Without curves" in text
    assert "<img" not in text
    assert "new subjects" in text
