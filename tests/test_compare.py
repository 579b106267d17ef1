"""python -m scratchnet compare: what differs, what came of it, and when it may not be compared."""

import csv
import io
import re
from dataclasses import replace

import pytest
from PIL import Image

from scratchnet.__main__ import main
from scratchnet.pages import Comparison, Results
from tests.file_systems import has_name
from tests.small_runs import HOSTILE, make_rows, make_run, make_sides

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    data = make_sides(folder / "data", HOSTILE)
    return [
        make_run(folder / ("slow <b>" if has_name(folder, "<b>") else "slow"), data, HOSTILE, learning_rate=0.0001),
        make_run(folder / "fast", data, HOSTILE, learning_rate=0.001, epochs=5),
        make_run(folder / "other", make_sides(folder / "others", dataset_id="id-2"), dataset_id="id-2"),
    ]


def compare(*runs):
    opened = [Results.read(run.folder) for run in runs]
    for results in opened:
        results.train_set.close()
        results.test_set.close()
    return Comparison(opened)


def test_the_table_shows_what_differs(runs, capsys):
    assert main(["compare", str(runs[0].folder), str(runs[1].folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [*runs[0].folder.name.split(), "fast"]
    settings = lines[1 : lines.index("")]
    assert [line.split() for line in settings] == [["epochs", "3", "5"], ["learning_rate", "0.0001", "0.001"]]
    assert sum(line.startswith("epochs ") for line in lines) == 2  # the setting, and how many are done
    assert any(line.split() == ["epochs", "done", "3", "5"] for line in lines)
    assert any(line.startswith("accuracy, images") and line.count("(") == 2 for line in lines)
    assert any(line.startswith("accuracy, subjects") for line in lines)
    assert any(line.split()[:2] == ["time", "2"] for line in lines)
    assert not any("CAUTION" in line for line in lines)


def test_other_data_are_not_comparable(runs):
    assert "not comparable" in compare(runs[0], runs[2]).text()
    assert "not comparable" in compare(runs[0], runs[2]).html()
    assert "difference:" not in compare(runs[0], runs[2]).text()


def test_a_run_that_has_not_ended_is_said_to_be_so(runs):
    first, other = Results.read(runs[0].folder), Results.read(runs[2].folder)
    with first, other:
        texts = [Comparison([first, replace(other, predictions=None, finished=done)]).text() for done in (False, True)]
    said = [" ".join(text.split()) for text in texts]
    assert f"other is not finished, and other is of other data than {runs[0].folder.name}" in said[0]
    assert (
        f"other has lost its predictions and test images, and other is of other data than {runs[0].folder.name}"
        in said[1]
    )


def sized(folder, size, seed, **sides):
    """A run on images of that size, with predictions of its own, as training writes them."""
    data = make_sides(folder / f"data-{size}-{seed}", size=size, dataset_id=f"id-{size}-{seed}", **sides)
    run = make_run(folder / f"run-{size}-{seed}", data, dataset_id=f"id-{size}-{seed}", image_size=size, seed=seed)
    return run


def test_other_sizes_of_the_same_images_are_comparable(tmp_path):
    """A run of 32 and one of 64 pixels: the images are told by their paths, classes and subjects."""
    text = compare(sized(tmp_path, 32, 0), sized(tmp_path, 64, 1)).text()
    assert "not comparable" not in text
    assert "CAUTION" not in text
    (line,) = [one for one in text.splitlines() if one.startswith("difference: balanced accuracy")]
    assert re.search(r"–  +[+−]\d+\.\d points \([+−]\d+\.\d to [+−]\d+\.\d\)", line)


def test_images_that_are_shared_in_part_are_compared_alone(tmp_path):
    text = compare(sized(tmp_path, 32, 0, test=20), sized(tmp_path, 64, 1, test=12)).text()
    assert "run-64-1 was tested on 12 images, run-32-0 on 20, and 12 of them are the same" in text
    assert "Differences are from run-32-0, per image" in text


def test_a_run_that_goes_on_is_said(runs, tmp_path):
    going = make_run(tmp_path / "going", runs[0].folder.parent / "data", HOSTILE, finished=False)
    text = compare(runs[0], going).text()
    assert "3 so far" in text
    assert "Not every run is finished" in text


def test_best_epochs_that_were_chosen_on_different_sides_are_said(runs, tmp_path):
    rows = [row | {"validation_loss": 0.6, "validation_accuracy": 0.7, "validation_balanced_accuracy": 0.6}
            for row in make_rows(3)]  # fmt: skip
    honest = make_run(tmp_path / "honest", runs[0].folder.parent / "data", HOSTILE, rows=rows)
    text = compare(runs[1], honest).text()
    assert "The best epoch of fast was chosen on the test images" in text
    assert any(
        line.split() == ["best", "epoch:", "chosen", "on", "test", "images", "validation", "images"]
        for line in text.splitlines()
    )
    assert "CAUTION" not in compare(honest, honest).text()


@pytest.mark.parametrize(
    ("schedule", "change", "said"),
    [
        ("cosine", {"epochs": [2, 3]}, True),
        ("constant", {"patience": [0, 2]}, True),
        ("constant", {"epochs": [2, 3]}, False),
    ],
)
def test_a_resume_that_moved_the_end_is_said(schedule, change, said, runs, tmp_path):
    moved = make_run(
        tmp_path / "moved",
        runs[0].folder.parent / "data",
        HOSTILE,
        schedule=schedule,
        about={"history": [{"at_epoch": 2} | change]},
    )
    text = compare(runs[0], moved).text()
    assert ("moved was resumed with other settings (after epoch 2: " in text) == said


def test_runs_of_one_name_are_called_by_their_path(runs, tmp_path):
    twin = make_run(tmp_path / "fast", runs[0].folder.parent / "data", HOSTILE, learning_rate=0.001, epochs=5)
    comparison = compare(runs[1], twin)
    assert comparison.names == [str(runs[1].folder), str(twin.folder)]
    assert "The settings are the same." in comparison.text()


def test_csv_is_a_line_a_run(runs):
    lines = list(csv.DictReader(io.StringIO(compare(runs[0], runs[1]).csv())))
    assert [line["run"] for line in lines] == [runs[0].folder.name, "fast"]
    assert float(lines[1]["learning_rate"]) == 0.001
    assert float(lines[0]["test_loss"]) == pytest.approx(0.68)
    assert float(lines[0]["images_log_loss_low"]) < float(lines[0]["images_log_loss"])
    assert lines[1]["epochs_done"] == "5"


def test_every_form_is_written(runs, tmp_path, browser):
    names = ("c.html", "c.csv", "c.png", "c.svg")
    outs = [part for name in names for part in ("--out", str(tmp_path / name))]
    assert main(["compare", *(str(run.folder) for run in runs), *outs]) == 0
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.width > 1000
    assert "<svg" in (tmp_path / "c.svg").read_text(encoding="utf-8")
    assert "<b>" not in (tmp_path / "c.html").read_text(encoding="utf-8").replace("&lt;b&gt;", "")
    page = browser.new_page(viewport={"width": 360, "height": 700})
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto((tmp_path / "c.html").as_uri())
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    table = page.locator("table.runs").first
    first = table.locator("tbody th").first
    assert first.bounding_box()["width"] >= 110  # not letter by letter
    assert all(box["height"] < 70 for box in (th.bounding_box() for th in table.locator("tbody th").all()))
    at = first.bounding_box()["x"]
    page.evaluate("document.querySelectorAll('.wide').forEach(box => { box.scrollLeft = 150 })")
    assert first.bounding_box()["x"] == at  # the names stay while the columns move
    page.close()


@pytest.mark.parametrize("extra", [[], ["{other}", "--out", "table.xlsx"]])
def test_a_wrong_call_is_one_line(extra, runs, capsys):
    arguments = [part.format(other=runs[1].folder) for part in extra]
    assert main(["compare", str(runs[0].folder), *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
