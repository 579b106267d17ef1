"""The page of `explain --page`: its numbers are the network's, names mean nothing in it, and a browser shows every layer."""

import base64
import html
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from scratchnet import (
    BatchNorm2D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    reference,
)
from scratchnet.data import PixelScaling
from scratchnet.errors import ConfigError
from scratchnet.measures.calibration import Calibration
from scratchnet.pages import explained_page
from scratchnet.pages.steps import COLUMNS, SHOWN, steps_of
from scratchnet.terminal.wording import percent
from scratchnet.use.explain import feature_maps, receptive_field
from scratchnet.use.explain_sheets import Decision, _how_to_read
from scratchnet.use.predictor import Predictor
from tests.small_data import random_images
from tests.small_runs import HOSTILE


def network(size=16, filters=5):
    built = Sequential(
        [
            Conv2D(filters, 3), ReLU(), MaxPool2D(2), Conv2D(40, 5, stride=2, padding=1), ReLU(), MaxPool2D(2, 1),
            Flatten(), Dense(12), ReLU(), Dense(2),
        ]
    )  # fmt: skip
    built.build((size, size, 3), seed=3, dtype="float64")
    for number, parameter in enumerate(built.parameters()):
        if not parameter.decay:
            parameter.value[:] = np.linspace(-0.1, 0.1, parameter.value.size) * (number + 1)
    return built


@pytest.fixture(scope="module")
def shown():
    """A network, an image as it gets it, and the steps of the page."""
    built, (pixels,) = network(), random_images(1, 16, 7)
    x = pixels[None] / 255.0
    return built, x, {step["name"]: step for step in steps_of(built, x, pixels, ["a", "b"])}


def maps_in(step):
    """The maps of a step, as its picture shows them."""
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(step["sheet"].partition(",")[2]))), np.float64)
    height, width = step["size"]
    found = []
    for k in range(len(step["maps"])):
        top, left = k // COLUMNS * height, k % COLUMNS * width
        bytes_ = picture[top : top + height, left : left + width]
        found.append((bytes_ - 128) / 127 if step["signed"] else bytes_ / 255)
    return np.stack(found, axis=2) * step["largest"]


def test_every_layer_is_a_step_and_its_pictures_are_its_maps(shown):
    built, x, steps = shown
    maps = feature_maps(built, x)
    assert list(steps) == ["image", *(name for name in maps if not name.startswith("flatten"))]
    for name, step in steps.items():
        if "sheet" in step and name != "image":
            right = maps[name][0][:, :, step["maps"]]
            assert np.abs(maps_in(step) - right).max() <= step["largest"] * (0.5 / 127 + 0.006), name
            assert step["signed"] == (name.startswith("conv"))
            for (value, (i, j)), one in zip(step["tops"], np.moveaxis(right, 2, 0), strict=True):
                assert one[i, j] == one.max() == pytest.approx(value, rel=0.006)
    assert steps["dense2"]["values"] == pytest.approx(maps["dense2"][0], rel=0.006)
    assert (maps_in(steps["image"]).round() == (255 * x[0]).round()).all()


def test_the_strongest_maps_are_shown_and_the_same_ones_until_the_next_convolution(shown):
    built, x, steps = shown
    last = np.abs(feature_maps(built, x)["pool2"][0]).max(axis=(0, 1))
    assert steps["conv2"]["maps"] == steps["relu2"]["maps"] == steps["pool2"]["maps"]
    assert len(steps["conv2"]["maps"]) == SHOWN < 40
    assert last[steps["conv2"]["maps"]].min() >= np.sort(last)[-SHOWN]


@pytest.mark.parametrize(("name", "before"), [("conv1", None), ("conv2", "pool1")])
def test_what_a_number_is_made_of_is_what_the_textbook_adds_up(shown, name, before):
    built, x, steps = shown
    layer = next(one for one in built.layers if one.name == name)
    seen = x if before is None else feature_maps(built, x)[before]
    right = reference.conv2d(reference.pad(seen, *layer.pads), layer.weight.value, layer.bias.value, layer.stride)[0]
    for f, made in zip(steps[name]["maps"], steps[name]["made"], strict=True):
        i, j = made["place"]
        assert right[i, j, f] == pytest.approx(made["value"], rel=0.006)
        total = made["bias"] + made["rest"] + sum(part["sum"] for part in made["parts"])
        assert total == pytest.approx(made["value"], abs=0.01 * sum(abs(part["sum"]) for part in made["parts"]) + 0.01)
        for part in made["parts"]:
            product = (np.array(part["seen"]) * np.array(part["weights"])).sum()
            size = np.abs(np.array(part["seen"]) * np.array(part["weights"])).sum()
            assert product == pytest.approx(part["sum"], abs=0.012 * size)
            assert np.array(part["weights"]) == pytest.approx(layer.weight.value[:, :, part["map"], f], rel=0.006)
        assert made["others"] == seen.shape[3] - len(made["parts"])


def test_what_a_class_gets_is_added_up(shown):
    _, _, steps = shown
    for value, made in zip(steps["dense2"]["values"], steps["dense2"]["made"], strict=True):
        total = made["bias"] + made["rest"] + sum(part["seen"] * part["weights"] for part in made["parts"])
        assert total == pytest.approx(value, abs=0.02)


def test_the_frame_is_the_receptive_field(shown):
    """A pixel moves a place of a map exactly if the frame of that place holds it."""
    built, x, steps = shown
    for name in ("conv1", "pool1", "conv2", "pool2"):
        field, jump, start = steps[name]["sees"]
        assert field == receptive_field(built, name)
        i, j = (size // 2 for size in steps[name]["shape"][:2])
        moved = np.zeros((16, 16), bool)
        for row, column in np.ndindex(16, 16):
            other = x.copy()
            other[0, row, column] = 5.0
            moved[row, column] = (
                feature_maps(built, other)[name][0, i, j] != feature_maps(built, x)[name][0, i, j]
            ).any()
        rows, columns = np.nonzero(moved)
        top, left = max(0, start + i * jump), max(0, start + j * jump)
        assert (rows.min(), columns.min()) == (top, left)
        assert rows.max() == min(16, start + i * jump + field) - 1
        assert columns.max() == min(16, start + j * jump + field) - 1


def test_large_maps_are_shrunk_to_what_is_furthest_from_zero():
    built, (pixels,) = network(size=150, filters=3), random_images(1, 150, 1)
    step = {one["name"]: one for one in steps_of(built, pixels[None] / 255.0, pixels, ["a", "b"])}["conv1"]
    assert (step["each"], step["size"]) == (3, [50, 50])
    right = feature_maps(built, pixels[None] / 255.0)["conv1"][0][:, :, step["maps"]]
    block = right[6:9, 9:12].reshape(9, -1)
    furthest = block[np.abs(block).argmax(axis=0), np.arange(3)]
    assert maps_in(step)[2, 3] == pytest.approx(furthest, abs=step["largest"] / 120)


def page_of(names=("all", "hem"), title="a cell"):
    built, (pixels,) = network(), random_images(1, 16, 7)
    predictor = Predictor(built, names, PixelScaling("unit"))
    return explained_page(predictor, pixels, title, Decision.of(predictor, pixels, truth=1))


def test_names_mean_nothing_on_the_page():
    text = page_of(HOSTILE, "</script><script>alert(1)</script>")
    assert len(re.findall("<script", text)) == 2
    assert len(re.findall("</script", text)) == 2
    data = json.loads(re.search('id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["steps"][-2]["names"][0] == html.unescape(HOSTILE[0])
    assert not re.search("""(src|href)=["']?http""", text)


@pytest.mark.parametrize("symmetries", [False, True])
def test_the_answer_is_that_of_predict_at_its_operating_point(symmetries):
    (pixels,) = random_images(1, 16, 7)
    about = {"config": {"test_symmetries": "average" if symmetries else "none"}}
    predictor = Predictor(network(), ("a", "b"), PixelScaling("unit"), about=about)
    p = predictor.probabilities(pixels[None])[0]
    rarer = int(p.argmin())
    name = predictor.class_names[rarer]
    assert Decision.of(predictor, pixels).said == p.argmax()
    predictor.calibration = Calibration(1.0, 40, 20, symmetries, name, float(p[rarer]) / 2, 0.95)
    decision = Decision.of(predictor, pixels, truth=rarer)
    assert decision.said == decision.asked == rarer
    assert decision.probabilities.tolist() == p.tolist()
    said = " ".join(decision.sentences())
    assert f"says {name!r} from {50 * p[rarer]:.1f} % on, chosen for a sensitivity of 95.0 %. By its folder" in said
    assert said.endswith("the network is right.")
    predictor.calibration = Calibration(3.0, 40, 20, symmetries)
    scaled = Decision.of(predictor, pixels)
    assert scaled.as_it_lies == predictor.probabilities(pixels[None], symmetries=False)[0, scaled.asked]
    told = f"They start from {percent(scaled.as_it_lies)}, " in " ".join(_how_to_read(scaled, "'a'"))
    assert told == symmetries
    predictor.calibration = Calibration(1.0, 40, 20, not symmetries, name, 0.0, 0.95)  # of other answers than these
    assert Decision.of(predictor, pixels).said == p.argmax()


def test_without_a_convolution_there_is_nothing_to_explain():
    built, (pixels,) = Sequential([Flatten(), Dense(2)]), random_images(1, 8, 0)
    built.build((8, 8, 3), seed=0)
    predictor = Predictor(built, ("a", "b"), PixelScaling("unit"))
    with pytest.raises(ConfigError, match="no convolution"):
        Decision.of(predictor, pixels)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_goes_through_all_layers(browser, tmp_path, width):
    (tmp_path / "page.html").write_text(page_of(), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 844}, offline=True)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector(".thumbs canvas")
    names = page.locator("#steps button").all_inner_texts()
    assert names == [
        "image",
        "conv1",
        "relu1",
        "pool1",
        "conv2",
        "relu2",
        "pool2",
        "dense1",
        "relu3",
        "dense2",
        "answer",
    ]
    for name in names[1:]:
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f"#step h2:text-is('{name}')")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert page.is_visible("#answer .bars")
    page.click("#steps button:text-is('conv2')")
    page.wait_for_selector(".parts table")
    assert page.is_hidden("#answer")
    page.locator(".thumbs button").nth(4).click()
    chosen = page.inner_text("#chosen")
    assert chosen.startswith(page.locator(".thumbs button").nth(4).get_attribute("aria-label"))
    drawn = "document.querySelector('canvas.large').getContext('2d').getImageData(0, 0, 3, 3).data"
    assert len(set(page.evaluate(f"[...{drawn}]"))) > 3
    before = page.inner_text(".readout >> nth=0")
    page.focus("canvas.large")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert page.inner_text(".readout >> nth=0") != before
    assert page.inner_text("#step h2") == "conv2"
    page.click("#steps button:text-is('relu2')")
    page.wait_for_selector("#step h2:text-is('relu2')")
    assert page.inner_text("#chosen").split(",")[0] == chosen.split(",")[0]
    assert said == []
    context.close()


def test_residual_blocks_are_steps_too():
    block = Residual([Conv2D(6, 3, stride=2), Dropout(0.5), Conv2D(6, 3)], [Conv2D(6, 1, stride=2)])
    net = Sequential(
        [Conv2D(3, 3), BatchNorm2D(), ReLU(), block, ReLU(), Residual([DepthwiseConv2D(5)]), Flatten(), Dense(2)]
    )
    net.build((16, 16, 3), dtype="float64")
    (pixels,) = random_images(1, 16)
    steps = steps_of(net, pixels[None] / 255.0, pixels, ["all", "hem"])
    assert [len(step["maps"]) for step in steps if "maps" in step] == [3, 3, 3, 3, 6, 6, 6]
