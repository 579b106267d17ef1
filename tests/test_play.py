"""The page to play with: what it computes is what the textbook computes, and a browser can reach all of it."""

import json
import re
import shutil
import subprocess
from fractions import Fraction

import numpy as np
import pytest

from course.interactive import HERE, page
from scratchnet import reference


@pytest.fixture(scope="module")
def node():
    """Calls functions of arithmetic.js: a list of [name, arguments…] → their answers. Skipped where there is no node."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("there is no node on this machine")
    program = f"""
      const all = require({json.dumps(str(HERE / "arithmetic.js"))});
      const plain = (key, value) => typeof value === "bigint" ? String(value) : value;
      const calls = JSON.parse(require("fs").readFileSync(0, "utf8"));
      console.log(JSON.stringify(calls.map(([name, ...given]) => all[name](...given)), plain));
    """

    def call(calls):
        done = subprocess.run(
            [path, "-e", program], input=json.dumps(calls), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


def as_batch(x):
    return np.array(x, float)[None, :, :, None]


def test_convolutions_are_those_of_the_textbook(node, rng):
    cases, right = [], []
    for height, width, kh, kw, stride, padding in [
        (8, 8, 3, 3, 1, 0), (8, 8, 3, 3, 2, 1), (8, 8, 3, 3, 3, 2), (7, 10, 2, 3, 2, 0), (5, 6, 5, 1, 1, 2), (9, 7, 4, 4, 4, 1)
    ]:  # fmt: skip
        x, w, b = rng.normal(size=(height, width)), rng.normal(size=(kh, kw)), float(rng.normal())
        cases.append(["conv2d", x.tolist(), w.tolist(), b, stride, padding])
        padded = reference.pad(as_batch(x), padding, padding, padding, padding)
        right.append(reference.conv2d(padded, w[:, :, None, None], np.array([b]), stride)[0, :, :, 0])
        cases.append(["outputSize", height, kh, stride, padding])
    for found, size, expected in zip(*[iter(node(cases))] * 2, right, strict=False):
        assert np.array(found) == pytest.approx(expected, abs=1e-12)
        assert size == expected.shape[0]


def test_products_add_up_to_the_output(node):
    x = np.arange(30).reshape(5, 6) % 7
    w = [[1, -2], [0.5, 3]]
    (terms,) = node([["products", x.tolist(), w, 2, 1, 1, 2]])
    padded = np.pad(x, 1)
    assert [(one["row"], one["column"]) for one in terms] == [(2, 4), (2, 5), (3, 4), (3, 5)]
    assert [one["product"] for one in terms] == [padded[2, 4], -2 * padded[2, 5], 0.5 * padded[3, 4], 3 * padded[3, 5]]


def test_pooling_and_its_way_back_are_those_of_the_textbook_ties_and_overlaps_included(node, rng):
    cases = []
    for size, stride, height, width in [
        (2, 2, 8, 8),
        (3, 1, 8, 8),
        (3, 2, 8, 8),
        (2, 1, 5, 7),
        (2, 3, 8, 8),
        (3, 2, 7, 9),
    ]:
        x = rng.integers(0, 4, (height, width))
        y = reference.max_pool2d(as_batch(x), size, stride)
        dy = rng.normal(size=y.shape[1:3])
        right = reference.max_pool2d_gradient(as_batch(x), as_batch(dy), size, stride)
        cases.append((x, y[0, :, :, 0], dy, right[0, :, :, 0], size, stride))
    forward = node([["maxPool", x.tolist(), size, stride] for x, _, _, _, size, stride in cases])
    back = node([["maxPoolGradient", x.tolist(), dy.tolist(), size, stride] for x, _, dy, _, size, stride in cases])
    ties = 0
    for found, dx, (x, y, _, right, size, stride) in zip(forward, back, cases, strict=True):
        assert [[one["value"] for one in row] for row in found] == y.tolist()
        assert np.array(dx) == pytest.approx(right, abs=1e-12)
        for i, j in np.ndindex(y.shape):
            window = x[i * stride : i * stride + size, j * stride : j * stride + size]
            assert len(found[i][j]["equals"]) == (window == window.max()).sum() - 1
            ties += len(found[i][j]["equals"])
    assert ties > 100


def as_fraction(one):
    return Fraction(int(one["n"]), int(one["d"]))


def test_winograd_is_exact_and_takes_four_multiplications(node, rng):
    program = f"""
      const all = require({json.dumps(str(HERE / "arithmetic.js"))}), f = all.parseFraction;
      const calls = JSON.parse(require("fs").readFileSync(0, "utf8"));
      const plain = (key, value) => typeof value === "bigint" ? String(value) : value;
      console.log(JSON.stringify(calls.map(([d, g]) => all.winograd(d.map(f), g.map(f))), plain));
    """
    cases = [
        [[f"{a}/{b}" for a, b in zip(rng.integers(-9, 10, n), rng.integers(1, 8, n), strict=True)] for n in (4, 3)]
        for _ in range(20)
    ]
    cases.append([["0", "-1.25", "7", "1/3"], ["1", "0.5", "−2"]])
    done = subprocess.run(
        [shutil.which("node"), "-e", program],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for (d, g), found in zip(cases, json.loads(done.stdout), strict=True):
        d, g = ([Fraction(one.replace("−", "-")) for one in many] for many in (d, g))
        right = [sum(g[k] * d[i + k] for k in range(3)) for i in range(2)]
        assert [as_fraction(one) for one in found["outputs"]] == right
        assert [as_fraction(one) for one in found["sums"]] == right
        assert len(found["products"]) == 4
        assert sum(len(row) for row in found["direct"]) == 6
        for m, u, v in zip(found["products"], found["filter"], found["inputs"], strict=True):
            assert as_fraction(m) == as_fraction(u) * as_fraction(v)
        x = np.array([float(one) for one in d])[None, None, :, None]
        y = reference.conv2d(x, np.array([float(one) for one in g])[None, :, None, None], np.zeros(1), 1)
        assert [float(one) for one in right] == pytest.approx(y[0, 0, :, 0])


@pytest.mark.parametrize("text", ["", "x", "1/0", "1.5/2", "1e3", "--1"])
def test_what_is_no_fraction_is_refused(node, text):
    assert node([["parseFraction", text]]) == [None]


def test_the_page_stands_alone_and_shows_real_pixels():
    text = page()
    assert not re.search("""(src|href)=["']?(http|//)""", text)
    assert "'unsafe-eval'" not in text
    crops = json.loads(re.search('id="crops">(.*?)</script>', text, re.DOTALL)[1])
    assert len(crops) == 3
    for crop in crops:
        values = np.array(crop["values"])
        assert values.shape == (8, 8)
        assert values.min() >= 0
        assert values.max() <= 9
        assert len(np.unique(values)) >= 4


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_browser_reaches_everything(browser, tmp_path, width, scheme):
    (tmp_path / "play.html").write_text(page(), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True)
    tab, said = context.new_page(), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto((tmp_path / "play.html").as_uri())

    def numbers(table):
        read = f"[...document.querySelectorAll('#{table} tr')].map(r => [...r.cells].map(c => c.textContent))"
        return np.array([[float(one.replace("−", "-")) for one in row] for row in tab.evaluate(read)])

    x, w = numbers("x"), np.array([[1, 0, -1]] * 3)
    assert numbers("y") == pytest.approx(reference.conv2d(as_batch(x), w[:, :, None, None], np.zeros(1), 1)[0, :, :, 0])
    tab.select_option("#padding", "2")
    tab.select_option("#stride", "3")
    tab.fill("[aria-label='weight row 2, column 2']", "2.5")
    tab.fill("#bias", "-1")
    w = w.astype(float)
    w[1, 1] = 2.5
    right = reference.conv2d(as_batch(np.pad(x, 2)), w[:, :, None, None], np.array([-1.0]), 3)[0, :, :, 0]
    assert numbers("y") == pytest.approx(right)
    tab.locator("#y button[tabindex='0']").focus()  # one stop of the Tab key; arrows go on
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowDown")
    row, column = (
        int(n) - 1 for n in re.findall("[0-9]+", tab.evaluate("document.activeElement.getAttribute('aria-label')"))[:2]
    )
    terms = numbers("terms")
    assert terms.sum() - 1 == pytest.approx(right[row, column])
    assert tab.inner_text("#sum").endswith(f"= {right[row, column]:g}".replace("-", "−"))

    for size, step in ((2, 2), (3, 1)):
        tab.select_option("#pool", str(size))
        tab.select_option("#step", str(step))
        x = numbers("px")
        assert (numbers("py") == reference.max_pool2d(as_batch(x), size, step)[0, :, :, 0]).all()
        read = "[...document.querySelectorAll('#dy tr')].map(r => [...r.querySelectorAll('input')].map(c => Number(c.value)))"
        tab.locator("#dy input").nth(1).fill("7")
        dy = np.array(tab.evaluate(read), float)
        assert dy[0, 1] == 7
        assert (numbers("dx") == reference.max_pool2d_gradient(as_batch(x), as_batch(dy), size, step)[0, :, :, 0]).all()

    for _ in range(4):
        tab.click("#next")
    assert "y₀ = m₀ + m₁ + m₂" in tab.inner_text("#outputs")
    ends = [
        re.findall("= (\\S+)$", line)[0]
        for line in (tab.inner_text("#outputs") + "\n" + tab.inner_text("#direct")).split("\n")
        if line.strip()
    ]
    assert ends[:2] == ends[2:]
    tab.fill("#g0", "x")
    assert "expected" in tab.inner_text("#partsaid")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    for label in tab.evaluate(
        "[...document.querySelectorAll('input, select')].map(f => f.labels.length || f.getAttribute('aria-label'))"
    ):
        assert label
    assert said == []
    context.close()
