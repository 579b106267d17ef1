"""report.html: what it says, what it does without, and how a browser shows it."""

import base64
import html
import re
import shutil
import sys
import warnings
from io import BytesIO

import h5py
import numpy as np
import pytest
from PIL import Image

from scratchnet.__main__ import main
from scratchnet.data import Dataset
from scratchnet.errors import DataError
from scratchnet.measures.predictions import Predictions
from scratchnet.pages import Results, report_page
from scratchnet.pages.first_layer import first_layer, initial_weight
from scratchnet.terminal.command_line import printable
from scratchnet.terminal.invocation import command
from scratchnet.training import Experiment
from scratchnet.use.predictor import Predictor
from tests.small_runs import HOSTILE, make_rows, make_run, make_sides

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
    headings = re.findall("<h2>([^<]*)</h2>", text)
    assert headings == [
        "What it tells apart", "Where it errs", "How far its probabilities can be trusted", "Patient by patient",
        "The most confident mistakes", "Learning", "How good it is",
        "The network", "What training changed in the first layer", "Data", "Settings that differ from the defaults", "To repeat it",
    ]  # fmt: skip
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


@pytest.mark.parametrize("train", ["train_sample", None])
def test_a_sample_of_the_training_images_is_not_called_all_of_them(train, tmp_path):
    def renamed(row):
        return {
            name.replace("train", train or ""): v for name, v in row.items() if train or not name.startswith("train")
        }

    rows = [renamed(row) for row in make_rows(3)]
    about = {"evaluated": {"train_sample": 1234, "test": 10}}
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"), rows=rows, about=about)
    text = page_of(run)
    assert ("Of the training images 1,234, drawn at random, were evaluated." in text) == (train is not None)
    assert ("after the last epoch: train (sample) " in text) == (train is not None)
    assert "after the last epoch: train " not in text.replace("train (sample) ", "")
    assert "test 50.0" in text


def without_tags(page):
    return re.sub("<[^>]*>", "", page)


def test_the_classes_are_explained_by_their_labels(tmp_path):
    """On every part of the page; what the program needs, the folder's name, is said once for each."""
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"))
    assert main(["report", str(run.folder), "--class-label", "all=leukaemic <ALL>"]) == 0
    text = run.report_path.read_text(encoding="utf-8").partition("</style>")[2]
    visible = html.unescape(without_tags(text))
    assert "leukaemic <ALL>folder all" in visible
    assert "is leukaemic <ALL>" in visible
    assert "said leukaemic <ALL>" in visible
    assert "sensitivity (recall of 'leukaemic <ALL>')" in visible
    assert not re.search(r"\b(is|said|of|always) '?all\b", visible.replace("of all ", ""))
    assert "Other names for the classes" not in visible
    assert "Other names for the classes" in page_of(make_run(tmp_path / "two", tmp_path / "data"))


def test_the_words_on_a_class_count_its_images(made):
    text = html.unescape(without_tags(made.report_path.read_text(encoding="utf-8")))
    with Results.read(made.folder) as results:
        counts = results.scores.images.confusion.astype(int)
    for k in (0, 1):
        assert f"{counts[k, k]} of {counts[k].sum()} recognised" in text
        if counts[k, 1 - k]:
            assert f"{counts[k, 1 - k]} taken for {printable(repr(HOSTILE[1 - k]))}" in text


def test_the_settings_are_words_and_only_those_that_differ(tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"), learning_rate=0.01)
    text = page_of(run)
    section = text.partition("Settings that differ from the defaults")[2]
    open_part = section.partition("<details>")[0]
    assert "_" not in without_tags(open_part)
    assert [without_tags(row) for row in re.findall('<th scope="row">(.*?)</th>', open_part)] == [
        "image size", "epochs", "learning rate",
    ]  # fmt: skip
    folded = section.partition("<details>")[2]
    assert "<code>batch_<wbr>size</code>" in folded


def test_a_command_is_shown_whole(made, browser):
    """On a phone and on paper nothing of it is clipped or has to be scrolled, and it can be copied as it is."""
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(made.report_path.as_uri())
    assert page.evaluate("[...document.querySelectorAll('pre')].every(one => one.scrollWidth <= one.clientWidth)")
    assert page.locator("pre").last.inner_text() == "python train.py --name '<i>x'"
    page.close()


def test_on_a_phone_no_measure_is_cut_off(made, browser):
    """The tables of the page are blocks there; a table that has to be scrolled says so."""
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(made.report_path.as_uri())
    for cell in page.locator("table.stacked td:not(.empty)").all():
        box = cell.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    title = "getComputedStyle(document.querySelector('table.stacked td'), '::before').content"
    assert "images" in page.evaluate(title)
    page.close()


def test_what_is_wide_has_a_cue_on_a_phone(browser, tmp_path):
    from scratchnet.pages.html import document, table, wide

    rows = [["a name", *["1,234 images"] * 9]]
    path = tmp_path / "wide.html"
    path.write_text(document("wide", wide(table([""] * 10, rows, "runs"), "runs", columns=10)), encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(path.as_uri())
    assert page.locator(".cue").is_visible()
    assert page.evaluate("document.querySelector('.wide').scrollWidth > 390")
    page.set_viewport_size({"width": 1280, "height": 800})
    assert not page.locator(".cue").is_visible()
    page.close()


def test_right_and_wrong_differ_by_more_than_colour(made):
    text = made.report_path.read_text(encoding="utf-8")
    tables = re.findall('<table class="confusion">(.*?)</table>', text)
    assert len(tables) == 2
    for one in tables:
        cells = re.findall('<td class="(right|wrong|none)"[^>]*>([\\d,]+)<small>(.)', one)
        assert len(cells) == 4
        for kind, count, sign in cells:
            assert sign == {"right": "✓", "wrong": "✗", "none": " "}[kind]
            assert (kind == "none") <= (count == "0")
        assert [kind == "right" for kind, _, _ in cells] == [True, False, False, True]


def test_each_mistake_has_its_subject_and_what_decided(made):
    with Results.read(made.folder) as results:
        page, said = report_page(results), results.predictions
    cells = re.findall('<figure class="">(<div class="two">.*?)</figure>', page)
    wrong = said.mistakes()
    assert len(cells) == len(wrong) > 0
    for cell, n in zip(cells, wrong, strict=True):
        assert f"subject {said.subjects[n]}<br>" in cell
        assert 'class="heat"' in cell
        assert "no single place matters" in cell or "strongest place: " in cell
    assert f"They are of {len({said.subjects[n] for n in wrong})} of 5 subjects: " in page


def test_the_first_layer_shows_what_training_changed(tmp_path):
    """What was added to the weights of the seed; the random start alone is not shown."""
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"))
    with Results.read(run.folder) as results:
        assert "Nothing to see: training moved its weights by 0.0&nbsp;%" in first_layer(results)
        assert "<img" not in first_layer(results)
        start = results.weights["conv1.weight"].copy()
        np.testing.assert_array_equal(start, initial_weight(results, "conv1.weight"))
        noise = np.random.default_rng(1).normal(size=start.shape) * start.std() * 0.3
        results.weights["conv1.weight"] = start + noise
        text = first_layer(results)
        assert "without a pattern" in text
        assert "<img" not in text
        blue = np.zeros_like(start)
        blue[:, :, 2, 7] = 0.1  # one filter learns that blue is a sign
        results.weights["conv1.weight"] = start + blue
        text = first_layer(results)
        pictures_in_it = re.findall('base64,([^"]+)"', text)
        assert len(pictures_in_it) == 3
        change = np.asarray(Image.open(BytesIO(base64.b64decode(pictures_in_it[0]))))
        np.testing.assert_array_equal(change[0, 0], [128, 128, 255, 255])  # the filter that changed most comes first
        results.weights["conv1.weight"] = start[:3]
        assert "cannot be drawn again" in first_layer(results)


def test_the_plots_are_dark_on_a_dark_screen_and_light_on_paper(made, browser):
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.goto(made.report_path.as_uri())
    plot = page.locator("img.plot").first
    for scheme, media, dark in (("light", "screen", False), ("dark", "screen", True), ("dark", "print", False)):
        page.emulate_media(color_scheme=scheme, media=media)
        shown = np.asarray(Image.open(BytesIO(plot.screenshot())).convert("L"), float)
        assert (np.median(shown) < 80) == dark, (scheme, media)
        assert shown.max() - shown.min() > 100  # ink and paper stay apart
    page.close()


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
    inside = "[...document.querySelectorAll('.cards div')].every(card => card.scrollWidth <= card.clientWidth)"
    assert page.evaluate(inside)
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
    from scratchnet.training.config import Config

    return Config.from_dict(results.config)


def test_without_its_shards_the_page_says_so(tmp_path):
    data = make_sides(tmp_path / "data")
    run = make_run(tmp_path / "run", data)
    whole = page_of(run)
    shutil.rmtree(data)
    text = page_of(run)
    assert "no pictures of cells" in text
    assert "cannot be checked any more" in text
    assert "in training is not known" in text  # where the constant answer comes from
    assert "never seen in training" not in text
    assert 'class="cell"' in whole
    assert 'class="cell"' not in text
    assert "of the sides" not in text
    run.predictions_path.unlink()
    assert "How good it is" not in page_of(run)  # nothing is left to ask the network about


FACTS = {
    "class_counts": {"train": [2, 10], "test": [6, 4]}, "shared_subjects": 3, "subjects_known": True, "sample": True,
    "split": "report", "copies_in_training": 2,
}  # fmt: skip


def test_without_its_shards_the_page_knows_what_the_run_noted(tmp_path):
    data = make_sides(tmp_path / "data")
    shared = make_run(tmp_path / "shared", data, about={"facts": FACTS})
    apart = make_run(tmp_path / "apart", data, about={"facts": FACTS | {"shared_subjects": 0}})
    unknown = make_run(
        tmp_path / "unknown", data, about={"facts": FACTS | {"shared_subjects": None, "subjects_known": False}}
    )
    runs = (shared, apart, unknown)
    for run in runs:
        page_of(run)
    shutil.rmtree(data)
    texts = [page_of(run) for run in runs]
    assert "3 subjects stand on both sides" in texts[0]
    assert "never seen in training" not in texts[0]
    assert "never seen in training" in texts[1]
    assert "The subjects are not known" in texts[2]
    for text in texts:
        assert "2 test images have a copy in training" in text
        assert "demonstration" in text
        assert "cannot be checked any more" not in text
        assert "always &#x27;hem&#x27;" in text  # 10 of the 12 training images, though 4 of the 10 of the test
        assert re.search(">train</th>" + "".join(f"<td[^>]*>{count}</td>" for count in (12, 2, 10)), text)


def test_a_run_that_ended_early_says_so_and_has_a_page_of_its_best_epoch(tmp_path, capsys):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"), epochs=9, patience=1, rows=make_rows(3))
    last = page_of(run)
    assert "ended early, after epoch 3 of 9" in last
    assert command("report", run.folder, "--weights", "best") in without_tags(last)
    before = run.predictions_path.read_bytes()
    assert main(["report", str(run.folder), "--weights", "best"]) == 0
    assert "report-best.html" in capsys.readouterr().out
    best = (run.folder / "report-best.html").read_text(encoding="utf-8")
    assert "This page is about epoch 2 of 3, which has the best balanced accuracy, chosen on the test images" in best
    assert "All other figures on this page are of epoch 2." in best
    assert run.predictions_path.read_bytes() == before
    assert not run.report_path.exists()
    dataset = Dataset(tmp_path / "data", "test")
    expected = Predictor.load(run.best_path).predict_proba(dataset.read(np.arange(10)))
    dataset.close()
    with Results.read(run.folder, "best") as results:
        np.testing.assert_allclose(results.predictions.probabilities, expected, atol=1e-6)
        assert not np.allclose(results.predictions.probabilities, Predictions.read(run.predictions_path).probabilities)


def test_the_best_epoch_needs_its_weights_and_images(tmp_path, capsys):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"))
    shutil.rmtree(tmp_path / "data")
    assert main(["report", str(run.folder), "--weights", "best"]) == 2
    run.best_path.unlink()
    assert main(["report", str(run.folder), "--weights", "best"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert "need the test images" in lines[0]
    assert "has no best.h5" in lines[1]


@pytest.mark.parametrize(
    ("schedule", "change", "repeats"),
    [
        ("cosine", None, True),
        ("cosine", {"epochs": [2, 3]}, False),
        ("constant", {"epochs": [2, 3]}, True),
        ("constant", {"patience": [0, 2]}, False),
        ("constant", {"keep_every": [0, 2]}, True),
    ],
)
def test_what_repeats_to_the_bit(schedule, change, repeats, tmp_path):
    about = {"history": [{"at_epoch": 2} | change]} if change else {}
    text = page_of(make_run(tmp_path / "run", make_sides(tmp_path / "data"), schedule=schedule, about=about))
    assert ("to the bit" in text) == repeats
    assert ("need not give the same weights" in text) != repeats
    assert ("ith these versions on such a processor" in text) == repeats
    assert ("after epoch 2: " in text) == (change is not None)


def test_what_was_added_offline_is_said_in_words(tmp_path):
    none = {name: {"images": 6, "left out": 0, "added": 0} for name in ("all", "hem")}
    text = page_of(make_run(tmp_path / "one", make_sides(tmp_path / "plain", added=none)))
    assert "{" not in text.partition("</style>")[2]
    assert "added offline" not in text
    some = none | {"hem": {"images": 6, "left out": 1, "added": 4}}
    text = page_of(make_run(tmp_path / "two", make_sides(tmp_path / "more", added=some)))
    assert "hem: 6 images − 1 left out + 4 added" in text
    assert "{" not in text.partition("</style>")[2]


def test_every_per_cent_is_written_alike(made):
    text = made.report_path.read_text(encoding="utf-8").partition("</style>")[2]
    visible = re.sub(r"<[^>]*>", " ", text)
    assert len(re.findall(r"\d&nbsp;%", visible)) > 20
    assert not re.findall(r"\d ?%", visible)


def test_nothing_stays_open(tmp_path):
    """Also the validation side, which the network of an experiment would bring along."""
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with Results.read(run.folder) as results:
            assert results.predictions is not None
        assert open_files(tmp_path / "data") == []


def open_files(folder):
    """The shards that h5py has open."""
    names = [h5py.h5f.get_name(one).decode() for one in h5py.h5f.get_obj_ids(types=h5py.h5f.OBJ_FILE)]
    return [name for name in names if name.startswith(str(folder))]


def test_other_shards_in_its_place_are_not_taken_for_its_own(tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data", dataset_id="id-2"))
    assert "prepared anew since the run" in page_of(run)
    assert not run.predictions_path.exists()


def test_a_run_that_is_not_finished(tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"), finished=False)
    text = page_of(run)
    assert "The run is not finished" in text
    assert "How good it is" not in text
    assert "What training changed in the first layer" in text


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
    assert "is not a run" in lines[1]


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
