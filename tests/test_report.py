"""report.html: what it says, what it does without, and how a browser shows it."""

import re
import shutil
import sys

import numpy as np
import pytest

from scratchnet.__main__ import main
from scratchnet.errors import DataError
from scratchnet.predictions import Predictions
from scratchnet.report import Results, report_page
from scratchnet.training import Experiment
from tests.small_runs import HOSTILE, make_run, make_sides

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run with hostile names; its page has been written."""
    folder = tmp_path_factory.mktemp("report")
    run = make_run(folder / "a <b> & 'run'", make_sides(folder / "data", HOSTILE), HOSTILE)
    assert main(["report", str(run.folder)]) == 0
    return run


def page_of(run):
    with Results.read(run.folder) as results:
        return report_page(results)


def test_everything_is_on_the_page(made):
    text = made.report_path.read_text(encoding="utf-8")
    for heading in ("Learning", "How good it is", "Where it errs", "most confident mistakes", "first layer", "Data",
                    "Hyper-parameters", "Again"):  # fmt: skip
        assert heading in text, heading
    assert "sensitivity" in text
    assert "ROC AUC" in text
    assert "10 images" in text
    assert "5 subjects" in text
    assert "No subject stands on both sides" in text
    assert "epoch 2, the best balanced accuracy on the test images" in text
    assert "the report, 256 × 256" in text
    assert "--config" in text
    assert "2 min 6 s" in text
    assert (
        len(re.findall("<img ", text)) == len(re.findall('<img class="[a-z]+" alt="[^"]+" src="data:image/', text)) >= 5
    )


def test_names_are_only_text(made):
    text = made.report_path.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "<i>x" not in text
    assert "<b>cells" not in text
    assert "&lt;script&gt;" in text
    assert "\\n=1+1" in text


def test_nothing_is_fetched(made):
    text = made.report_path.read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert "url(" not in text
    assert "default-src 'none'" in text


def test_the_same_run_gives_the_same_page(made):
    assert page_of(made) == page_of(made)


@pytest.mark.parametrize("width", [360, 768, 1200])
def test_a_browser_shows_it(made, browser, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(made.report_path.as_uri())
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.images.length") >= 5
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert contrast(page.evaluate("getComputedStyle(document.body)['color']"), background(page)) > 7, scheme
        soft = page.evaluate("getComputedStyle(document.querySelector('figcaption'))['color']")
        assert contrast(soft, background(page)) > 4.5, scheme
    page.close()


def background(page):
    return page.evaluate("getComputedStyle(document.body)['background-color']")


def contrast(one, other):
    """WCAG 2.1: (L₁ + 0.05) / (L₂ + 0.05) of the relative luminances; 4.5 is enough for text, 7 is good."""

    def luminance(colour):
        values = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_predictions_are_made_where_they_are_missing(made):
    """They are what the experiment's own evaluation says."""
    found = Predictions.read(made.predictions_path)
    with Results.read(made.folder) as results:
        experiment = Experiment(config_of(results), made.folder.parent / "data")
        experiment.network.load_state_dict(results.weights)
        evaluation = experiment.evaluate("test")
        assert results.scores.images.count == 10
    np.testing.assert_array_equal(found.probabilities, evaluation.probabilities)
    assert found.paths == experiment.test_set.paths
    assert found.class_names == HOSTILE


def config_of(results):
    from scratchnet.config import Config

    return Config.from_dict(results.config)


def test_without_its_shards_the_page_says_so(tmp_path):
    data = make_sides(tmp_path / "data")
    run = make_run(tmp_path / "run", data)
    whole = page_of(run)
    shutil.rmtree(data)
    text = page_of(run)
    assert "no pictures of cells" in text
    assert 'class="cell"' in whole
    assert 'class="cell"' not in text
    assert "of the sides" not in text
    run.predictions_path.unlink()
    assert "How good it is" not in page_of(run)  # nothing is left to ask the network about


def test_other_shards_in_its_place_are_not_taken_for_its_own(tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data", dataset_id="id-2"))
    assert "prepared anew since the run" in page_of(run)
    assert not run.predictions_path.exists()


def test_a_run_that_is_not_finished(tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"), finished=False)
    text = page_of(run)
    assert "The run is not finished" in text
    assert "How good it is" not in text
    assert "What the first layer looks for" in text


def test_a_finished_run_that_goes_on_is_not_finished(tmp_path):
    """weights.h5 is of epoch 3, the checkpoint and the metrics of epoch 4."""
    data = make_sides(tmp_path / "data")
    run = make_run(tmp_path / "run", data)
    later = make_run(tmp_path / "later", data, epochs=4, finished=False)
    shutil.copytree(later.checkpoints_folder, run.checkpoints_folder, dirs_exist_ok=True)
    assert "not finished" not in page_of(run)
    shutil.copy(later.folder / "metrics.csv", run.folder / "metrics.csv")
    assert "not finished" in page_of(run)


def test_cautions(tmp_path):
    shared = make_run(tmp_path / "one", make_sides(tmp_path / "shared", shared=True, copies=7))
    text = page_of(shared)
    assert "5 subjects stand on both sides" in text
    assert "7 test images have a copy in training" in text
    assert "all 3, hem 4" in text
    unknown = make_run(tmp_path / "two", make_sides(tmp_path / "unknown", known=False))
    text = page_of(unknown)
    assert "subjects are not known" in text
    assert "never seen in training" not in text
    constant = Predictions.read(unknown.predictions_path)
    constant.probabilities[:] = [0.9, 0.1]
    constant.write(unknown.predictions_path)
    assert "the same answer to every image" in page_of(unknown)


def test_without_a_mistake(tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"))
    page_of(run)
    right = Predictions.read(run.predictions_path)
    right.probabilities[:] = np.eye(2)[right.labels] * 0.8 + 0.1
    right.write(run.predictions_path)
    text = page_of(run)
    assert "every test image was recognised" in text
    assert "rule of three" in text


def test_one_epoch(tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"), epochs=1)
    assert "1 epoch ·" in page_of(run)


@pytest.mark.parametrize("content", ["epoch,test_loss\n1,x\n", "a,b\n1,2\n", "epoch,test_loss\n1,2,3\n"])
def test_a_damaged_table_is_named(content, tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"))
    (run.folder / "metrics.csv").write_text(content)
    with pytest.raises(DataError, match=r"metrics\.csv"):
        Results.read(run.folder)


def test_what_is_no_run_is_one_line(tmp_path, capsys):
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert main(["report", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert "no epoch of this run" in lines[1]


def test_without_matplotlib_the_extra_is_named(made, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["report", str(made.folder)]) == 2
    assert "[viz]" in capsys.readouterr().err


def test_out_says_where(made, tmp_path, capsys):
    assert main(["report", str(made.folder), "--out", str(tmp_path / "x.html")]) == 0
    assert (tmp_path / "x.html").read_bytes() == made.report_path.read_bytes()
    assert "x.html" in capsys.readouterr().out
