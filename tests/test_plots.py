"""Plots and pictures: they are drawn from whatever comes, and show it."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from scratchnet.drawing import pictures
from scratchnet.measures import metrics

plots = pytest.importorskip("scratchnet.drawing.plots")
pytest.importorskip("matplotlib")


def read(png):
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("name", ["$x^2$", "_hidden", "細胞", "<svg>&", "a" * 200, "$"])
def test_any_name_is_drawn_as_it_is(name):
    curve = (name, [1, 2], [0.5, 0.4], plots.TEST)
    assert plots.learning_curves([plots.Panel(name, [curve])], "png").startswith(b"\x89PNG")
    assert b"<svg" in plots.confusion([[3, 1], [0, 2]], (name, "b"), "svg")
    assert plots.roc([(name, metrics.roc_curve([0, 1], [0.1, 0.2]))], "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("values", [[0.5], [np.nan, 0.4], [np.inf, 0.3], [np.nan], [0.0, 0.0]])
def test_any_values_are_drawn(values):
    curve = ("train", list(range(1, len(values) + 1)), values, plots.TRAIN)
    for share in (False, True):
        assert plots.learning_curves([plots.Panel("Loss", [curve], share, mark=(1, values[0]))], "png")


def test_a_plot_has_the_same_bytes_again():
    panel = plots.Panel("Loss", [("train", [1, 2], [0.5, 0.4], plots.TRAIN)])
    assert plots.learning_curves([panel]) == plots.learning_curves([panel])


def test_the_curve_is_where_its_values_are():
    """A falling curve: its colour is high on the left and low on the right."""
    shown = read(plots.learning_curves([plots.Panel("", [("x", range(10), np.linspace(1, 0, 10), "#ff0000")])], "png"))
    rows, columns = np.nonzero((shown[..., 0] > 200) & (shown[..., 1] < 60))
    left, right = columns < np.quantile(columns, 0.2), columns > np.quantile(columns, 0.8)
    assert rows[left].mean() < rows[right].mean() - 50


def test_ticks_say_what_is_true():
    """A tick at 72.5 % must not be called 73 %."""
    from matplotlib.figure import Figure

    for low, high in ((0.71, 0.88), (0.5, 0.56), (0.97, 0.99), (0.0, 1.0), (0.7, 0.7), (0.714, 0.7157), (0.999, 1)):
        axes = Figure(figsize=(4.6, 3.1)).subplots()
        plots._draw_panel(axes, plots.Panel("", [("x", [1, 2], [low, high], "#000000")], share=True))
        axes.figure.canvas.draw()
        labels = [
            (label.get_text(), place) for label, place in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)
        ]
        bottom, top = axes.get_ylim()
        assert top - bottom >= 0.05 - 1e-9
        assert bottom <= low <= high <= top
        shown = [text for text, at in labels if bottom <= at <= top]
        assert len(set(shown)) == len(shown) >= 3, shown
        assert all(
            float(text.rstrip(" %").replace("−", "-")) == pytest.approx(100 * at, abs=1e-6) for text, at in labels
        ), labels


def test_many_curves_are_told_apart():
    """Ten classes: no two have the same colour and the same stroke, and the legend covers no curve."""
    from matplotlib.image import imread

    curve = metrics.roc_curve([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9])
    many = plots.roc([(f"class {k}", curve) for k in range(10)], "png")
    few = plots.roc([("class", curve)], "png")
    assert imread(BytesIO(many)).shape[1] > 1.4 * imread(BytesIO(few)).shape[1]
    svg = plots.roc([(f"class {k}", curve) for k in range(10)]).decode()
    strokes = set()
    for k in range(10):
        start = svg.index(f"<!-- class {k} -->")
        line = svg[svg.rindex("<path", 0, start) : start]
        strokes.add(line[line.index("style=") :].partition("/>")[0])
    assert len(strokes) == 10


def test_matplotlib_is_left_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.confusion([[1, 0], [0, 1]], ("a", "b"))
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("count", [1, 7, 16, 32, 40])
def test_filters_are_coloured_by_their_weights_in_one_scale(count):
    weight = np.zeros((3, 3, 3, count), "float32")
    weight[0, 0, 0, :] = 2.0  # the first pixel asks for red
    weight[0, 0, 0, -1] = 1.0 if count > 1 else 2.0  # of the last one by half
    shown = pictures.filters(weight, 2.0, scale=1, gap=1)
    assert (shown[..., 3] == 255).sum() == 9 * count  # and nothing between them
    np.testing.assert_array_equal(shown[0, 0], [255, 128, 128, 255])
    np.testing.assert_array_equal(shown[1, 1], [128, 128, 128, 255])
    row, column = (count - 1) // 16 * 4, (count - 1) % 16 * 4
    np.testing.assert_array_equal(shown[row, column, :3], [191 if count > 1 else 255, 128, 128])


def test_a_guide_is_drawn_where_it_is_near():
    from matplotlib.figure import Figure

    for values, there in (([0.6, 0.9], True), ([0.941, 0.95], False), ([0.5, 0.5], False)):
        axes = Figure().subplots()
        plots._draw_panel(axes, plots.Panel("", [("x", [1, 2], values, "#000000")], True, guide=(0.5, "chance")))
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        assert ("chance" in texts) == there or values[0] == values[1]
        assert axes.get_ylim()[0] <= min(values)


def test_each_colour_of_a_plot_has_a_dark_one_that_is_seen():
    """Contrast with the dark paper of at least 3, the least for lines (WCAG 2.1), except of the grid."""

    def luminance(colour):
        part = plots._rgb(colour)
        return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    paper = luminance(plots.DARK[plots.PAPER])
    for light, dark in plots.DARK.items():
        if light not in (plots.PAPER, plots.STYLE["grid.color"]):
            assert (luminance(dark) + 0.05) / (paper + 0.05) >= 3, light
    own = {plots.TEST, plots.TRAIN, plots.GUIDE, plots.RIGHT, *plots.COLOURS} - {"#e69f00"}  # bright enough on both
    assert own <= set(plots.DARK)


def test_right_and_wrong_answers_look_different():
    right, wrong = (plots.confusion(matrix, ("a", "b"), "png") for matrix in ([[9, 0], [0, 9]], [[0, 9], [9, 0]]))
    for shown, cold in ((read(right), True), (read(wrong), False)):
        strong = shown[(shown.max(axis=2).astype(int) - shown.min(axis=2)) > 60]
        assert len(strong) > 1000
        assert (strong[:, 2].astype(int) > strong[:, 0]).mean() == cold


def test_a_sheet_holds_its_images():
    red, blue = np.zeros((2, 20, 30, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    shown = pictures.sheet([red, blue], ["a very long path/that/does/not/fit.png\nis all", "b"], columns=2, size=60)
    assert (shown == [255, 0, 0]).all(axis=2).sum() == 60 * 40
    assert (shown == [0, 0, 255]).all(axis=2).sum() == 60 * 40


def test_a_picture_is_shrunk_but_never_enlarged(rng):
    image = rng.integers(0, 256, (40, 20, 3), dtype=np.uint8)
    assert pictures.fitted(image, 10).shape == (10, 5, 3)
    np.testing.assert_array_equal(pictures.fitted(image, 64), image)
    np.testing.assert_array_equal(read(pictures.png(image)), image)
