"""report.html: what it says of a finished run, and how a browser shows it."""

import html
import re
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from scratchnet.__main__ import main
from scratchnet.measures.predictions import Predictions
from scratchnet.pages import Results, report_page
from scratchnet.terminal.command_line import printable
from scratchnet.training import Experiment
from tests.file_systems import has_name
from tests.small_networks import report_is_small
from tests.small_runs import HOSTILE, make_run, make_sides, page_of, without_tags

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("small_model")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run with hostile names; its page has been written."""
    folder = tmp_path_factory.mktemp("report")
    with report_is_small():
        name = "a <b> & 'run'" if has_name(folder, "<b>") else "a & 'run'"
        run = make_run(folder / name, make_sides(folder / "data", HOSTILE), HOSTILE)
        assert main(["report", str(run.folder)]) == 0
    return run


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


def test_every_per_cent_is_written_alike(made):
    text = made.report_path.read_text(encoding="utf-8").partition("</style>")[2]
    visible = re.sub(r"<[^>]*>", " ", text)
    assert len(re.findall(r"\d&nbsp;%", visible)) > 20
    assert not re.findall(r"\d ?%", visible)


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
