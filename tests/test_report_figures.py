"""The figures on report.html, read from the page and compared with what other means compute from the same answers."""

import base64
import html
import re
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from scratchnet.data import Dataset
from scratchnet.measures.predictions import Predictions
from scratchnet.measures.scores import scores
from scratchnet.pages import Results, measures, report_page
from tests.small_runs import make_run, make_sides

pytest.importorskip("matplotlib")


class Tables(HTMLParser):
    """Every table of a page as lists of rows of texts, by the class of the table; a cell's parts are joined by a space."""

    def __init__(self, page):
        super().__init__()
        self.found, self._open = {}, False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self._rows = []
            self.found.setdefault(dict(attributes).get("class"), []).append(self._rows)
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
            self._open = True
        elif tag in ("span", "small") and self._open:
            self._rows[-1][-1] += " | "

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._open = False

    def handle_data(self, data):
        if self._open:
            self._rows[-1][-1] += data.replace("\xa0", " ")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with answers of our choice: unequal classes, unequal subjects, a tie of none; and its page."""
    folder = tmp_path_factory.mktemp("figures")
    run = make_run(folder / "run", make_sides(folder / "data", train=14, test=22))
    with Results.read(run.folder) as results:
        base = results.predictions
    rng = np.random.default_rng(3)
    first = 0.05 + 0.9 * rng.random(22) + 0.25 * (base.labels == 0)
    first = np.minimum(first, 0.9 + 0.09 * rng.random(22))
    said = Predictions(base.class_names, base.paths, base.subjects, base.labels, np.stack([first, 1 - first], axis=1))
    said.write(run.predictions_path)
    with Results.read(run.folder) as results:
        return said, report_page(results), folder / "data"


def test_the_confusion_tables_have_the_class_in_the_row(made):
    said, page, _ = made
    labels, answers = said.labels, (said.probabilities[:, 1] > 0.5).astype(int)
    by_subject = [np.flatnonzero(np.array(said.subjects) == name) for name in sorted(set(said.subjects))]
    subject_labels = np.array([labels[group[0]] for group in by_subject])
    subject_answers = np.array([int(said.probabilities[group, 1].mean() > 0.5) for group in by_subject])
    images, subjects = Tables(page).found["confusion"]
    assert images[0] == ["", "said all", "said hem"]
    expected = [[np.sum((labels == i) & (answers == j)) for j in range(2)] for i in range(2)]
    assert expected[0][1] != expected[1][0]  # else a table that is turned round would pass
    for table, counts in ((images, expected), (subjects, None)):
        if counts is None:
            counts = [[np.sum((subject_labels == i) & (subject_answers == j)) for j in range(2)] for i in range(2)]
        for row, name, numbers in zip(table[1:], ("all", "hem"), counts, strict=True):
            assert row[0] == f"is {name}"
            assert [int(cell.split()[0]) for cell in row[1:]] == numbers
            shares = [float(cell.partition("|")[2].rstrip(" %").lstrip(" ✓✗")) for cell in row[1:]]
            np.testing.assert_allclose(shares, 100 * np.array(numbers) / sum(numbers), atol=0.5)


def test_each_column_of_measures_is_its_own(made):
    """Images, constant answer for them, subjects, constant answer for them: accuracy, sensitivity, ROC AUC, log loss."""
    sklearn = pytest.importorskip("sklearn.metrics")
    said, page, data = made
    with Dataset(data, "train") as train:
        prior = np.bincount(train.labels) / len(train)
    names = sorted(set(said.subjects))
    groups = [np.flatnonzero(np.array(said.subjects) == name) for name in names]
    levels = [
        (said.labels, said.probabilities),
        (np.array([said.labels[g[0]] for g in groups]), np.stack([said.probabilities[g].mean(axis=0) for g in groups])),
    ]
    (table,) = (one for one in Tables(page).found["stacked numbers"] if one[1][0] == "accuracy")
    assert table[0] == ["", "22 images", "always 'all'", "11 subjects", "always 'all'"]
    rows = {row[0]: row[1:] for row in table[1:]}
    for k, (labels, p) in enumerate(levels):
        value, constant = (
            {name: cells[2 * k + j].split("|")[0].strip() for name, cells in rows.items()} for j in (0, 1)
        )
        right = p.argmax(axis=1) == labels
        assert value["accuracy"] == f"{100 * right.mean():.1f} %"
        assert constant["accuracy"] == f"{100 * (labels == 0).mean():.1f} %"
        assert value["sensitivity (recall of 'all')"] == f"{100 * right[labels == 0].mean():.1f} %"
        assert value["specificity (recall of 'hem')"] == f"{100 * right[labels == 1].mean():.1f} %"
        assert constant["sensitivity (recall of 'all')"] == "100.0 %"
        assert constant["specificity (recall of 'hem')"] == "0.0 %"
        assert value["ROC AUC"] == f"{sklearn.roc_auc_score(labels == 0, p[:, 0]):.3f}"
        assert constant["ROC AUC"] == "0.500"
        assert value["log loss"] == f"{sklearn.log_loss(labels, p):.3f}"
        assert constant["log loss"] == f"{sklearn.log_loss(labels, np.tile(prior, (len(labels), 1))):.3f}"
    assert rows["accuracy"][0] != rows["accuracy"][2]


def test_the_mistakes_are_in_order_with_their_own_pictures(made):
    said, page, data = made
    wrong = [n for n in range(22) if (said.probabilities[n, 1] > 0.5) != said.labels[n]]
    surest = sorted(wrong, key=lambda n: -max(said.probabilities[n]))[:12]
    cells = re.findall(r'<figure class=""><div class="two">(<img class="cell".*?)</figure>', page)
    assert len(cells) == len(surest) >= 3
    with Dataset(data, "test") as test:
        shown = test.read(np.array(surest))
    for cell, n, pixels in zip(cells, surest, shown, strict=True):
        caption = html.unescape(re.sub("<[^>]*>", " ", cell.replace("<wbr>", ""))).replace("\xa0", " ")
        answer = said.class_names[1 - said.labels[n]]
        assert (
            f"is {said.class_names[said.labels[n]]} , said {answer}: {100 * max(said.probabilities[n]):.1f} %"
            in caption
        )
        assert said.paths[n] in caption
        content = base64.b64decode(re.search(r'base64,([^"]+)"', cell)[1])
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(content))), pixels)


def drawn(svg, number):
    """The points of the so-manyth line of an SVG plot of Matplotlib, as parts of the axes' width and height, upwards."""
    lines = re.findall(r'<g id="line2d_\d+">\s*<path d="([^"]*)" clip-path', svg)
    frame = re.search(r'<g id="patch_2">\s*<path d="([^"]*)"', svg)[1]

    def points(path):
        return np.array([[float(x), float(y)] for x, y in re.findall(r"[ML] (\S+) (\S+)", path)])

    corners, curve = points(frame), points(lines[number])
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return (curve[:, 0] - left) / (right - left), (bottom - curve[:, 1]) / (bottom - top)


def svgs(page, alt):
    return [
        base64.b64decode(content).decode()
        for content in re.findall(rf'alt="{alt}[^"]*" src="data:image/svg\+xml;base64,([^"]+)"', page)
    ]


def curves(svg):
    """The lines of a plot that are no grid and no tick: those of more than two points, or the long ones."""
    count = len(re.findall(r'<g id="line2d_\d+">\s*<path d="[^"]*" clip-path', svg))
    return [drawn(svg, k) for k in range(count)]


def test_the_roc_curves_are_the_right_way_round(made):
    """The area under each drawn curve is its AUC: false positives to the right, true ones upwards."""
    sklearn = pytest.importorskip("sklearn.metrics")
    said, page, _ = made
    (svg,) = svgs(page, "ROC per image and per subject")
    groups = [np.flatnonzero(np.array(said.subjects) == name) for name in sorted(set(said.subjects))]
    areas = []
    for x, y in curves(svg):
        x, y = x * 1.04 - 0.02, y * 1.04 - 0.02  # the axes go from −0.02 to 1.02
        if len(x) > 2 and abs(x[0]) < 0.01 and abs(x[-1] - 1) < 0.01:
            areas.append(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))
    expected = [
        sklearn.roc_auc_score(said.labels == 0, said.probabilities[:, 0]),
        sklearn.roc_auc_score(
            [said.labels[g[0]] == 0 for g in groups], [said.probabilities[g, 0].mean() for g in groups]
        ),
    ]
    assert abs(expected[0] - 0.5) > 0.05
    np.testing.assert_allclose(areas, expected, atol=0.01)


def test_the_dots_are_where_the_network_decides(made):
    """On the plot, and in its words for those who don't see it."""
    said, page, _ = made
    right = said.probabilities.argmax(axis=1) == said.labels
    true, false = right[said.labels == 0].mean(), 1 - right[said.labels == 1].mean()
    assert f"it decides at {100 * true:.1f} % true and {100 * false:.1f} % false positives" in page
    (svg,) = svgs(page, "ROC per image and per subject")
    frame = re.search(r'<g id="patch_2">\s*<path d="([^"]*)"', svg)[1]
    corners = np.array([[float(x), float(y)] for x, y in re.findall(r"[ML] (\S+) (\S+)", frame)])
    (left, top), (right_end, bottom) = corners.min(axis=0), corners.max(axis=0)
    dots = re.findall(r'<use xlink:href="#\w+" x="([\d.]+)" y="([\d.]+)" style="fill: #c1440e', svg)
    at = [
        ((float(x) - left) / (right_end - left) * 1.04 - 0.02, (bottom - float(y)) / (bottom - top) * 1.04 - 0.02)
        for x, y in dots
    ]
    np.testing.assert_allclose(at, [(false, true)], atol=0.005)


def test_the_learning_curves_are_the_metrics(made):
    """Loss of training and test of `make_rows`: 0.70, 0.68, 0.66 and 0.70, 0.69, 0.68; the axis is theirs and not from 0 on."""
    _, page, _ = made
    (svg,) = svgs(page, "Loss by epoch")
    lines = [(x, y) for x, y in curves(svg) if len(x) == 3]
    assert len(lines) == 2
    (_, train), (_, test) = lines
    np.testing.assert_allclose((test - train[2]) / (train[0] - train[2]), [1, 0.75, 0.5], atol=0.003)
    assert train[1] - train[2] == pytest.approx((train[0] - train[2]) / 2, abs=0.003)
    assert train.max() - train.min() > 0.7  # of the plot's height
    (svg,) = svgs(page, "Balanced accuracy by epoch")
    (_, test) = [(x, y) for x, y in curves(svg) if len(x) == 3][1]
    assert test[1] > test[0] == test[2]  # 0.5, 0.6, 0.5


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_every_column_of_the_confusion_table_is_seen_on_a_laptop(browser, tmp_path, classes):
    from scratchnet.pages.html import document

    rng = np.random.default_rng(0)
    names = tuple(f"kind, number {k}" for k in range(classes))
    labels, chances = np.arange(40) // 2 % classes, rng.dirichlet([0.5] * classes, 40)
    found = scores(labels, chances, [str(k // 2) for k in range(40)], names, prior=[1] * classes, bootstrap=0)
    path = tmp_path / "page.html"
    path.write_text(document("page", measures.errors(found)), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.goto(path.as_uri())
    seen = "table => table.scrollWidth <= table.parentElement.clientWidth"
    assert [table.evaluate(seen) for table in page.locator("table.confusion").all()] == [True, True]
    page.close()


def test_ten_classes_have_a_curve_each_and_whole_words(browser, tmp_path):
    from scratchnet.pages.html import document

    names = (*(f"cell_of_kind_{k}" for k in range(9)), "immature_granulocyte_of_the_marrow")
    rng = np.random.default_rng(0)
    labels = np.arange(200) // 2 % 10
    chances = rng.dirichlet([0.5] * 10, 200)
    found = scores(labels, chances, [str(k // 2) for k in range(200)], names, prior=[1] * 10, bootstrap=20)
    path = tmp_path / "ten.html"
    path.write_text(document("ten", measures.measures(found) + measures.errors(found)), encoding="utf-8")
    for width in (360, 1200):
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert len(svgs(path.read_text(encoding="utf-8"), "ROC per")) == 2
        sizes = [cell.bounding_box() for cell in page.locator("table.confusion tbody th").all()]
        assert all(size["width"] > size["height"] for size in sizes)
        if width == 1200:
            table = page.locator("table.confusion").first.bounding_box()
            assert table["width"] <= page.locator("main").bounding_box()["width"]  # all ten columns are seen
        page.close()
