"""The site: links, names, formulas and lessons one by one, a small site whole, and, slowly, the real one without a network."""

import argparse
import html
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import scratchnet
from course import site
from course.site.documents import Documents, pages_of
from course.site.markdown import page_of_docstring, prose
from scratchnet.errors import ConfigError, DataError, MissingExtraError

ROOT = Path(__file__).resolve().parents[1]

LESSON = """# %% [markdown]
# # What is a sum?
#
# $$ y = \\\\sum_{i} x_i \\\\, w_i $$
#
# As in [the textbook](../../scratchnet/reference.py).

# %%
import numpy as np
from scratchnet import reference

# %%
def add(a, b):
    # BEGIN SOLUTION
    return a + b
    # END SOLUTION

# %%
print("three is", add(1, 2))
"""


@pytest.fixture
def checkout(tmp_path):
    """A repository with pages, a package and pictures, small enough to be looked at whole."""
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (root / "pack").mkdir()
    (root / "README.md").write_text(
        "# The whole\n\nSee [data](docs/data.md#one) and [it](pack/one.py).\n", encoding="utf-8"
    )
    (root / "docs" / "data.md").write_text(
        "# Data\n\n## One\n\nBack to [the start](../README.md), [here](#one), [pack/](../pack), ![a](a.svg), "
        "[out](https://example.org/x.py), `[code](no.md)`, [`one`](../pack/one.py).\n\n```sh\n[no](no.md)\n```\n",
        encoding="utf-8",
    )
    (root / "docs" / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
    (root / "pack" / "__init__.py").write_text('"""A pack of <things>."""\n', encoding="utf-8")
    (root / "pack" / "one.py").write_text('"""One thing.\n\nMore.\n"""\n# ```\nx = "</div>"\n', encoding="utf-8")
    for page in ("using", "report", "kernels", "measurements", "reliability"):
        (root / "docs" / f"{page}.md").write_text(f"# {page}\n", encoding="utf-8")
    (root / "scratchnet").mkdir()
    shutil.copy(ROOT / "scratchnet" / "reference.py", root / "scratchnet")
    return root


def test_links_lead_from_page_to_page_and_code_stays_as_it_is(checkout, tmp_path):
    documents = Documents(checkout, tmp_path / "sources")
    assert documents.write_pages()[:3] == ["readme", "docs/using", "docs/data"]
    documents.write_programs()
    text = (tmp_path / "sources/docs/data.md").read_text(encoding="utf-8")
    assert "[the start](../readme.md)" in text
    assert "[here](#one)" in text
    assert "[pack/](../source/pack/index.md)" in text
    assert "![a](a.svg)" in text
    assert "(https://example.org/x.py)" in text
    assert "`[code](no.md)`" in text
    assert "[no](no.md)" in text
    assert "[`one`](../source/pack/one.py.md)" in text
    assert "(docs/data.md#one)" in (tmp_path / "sources/readme.md").read_text(encoding="utf-8")
    assert (tmp_path / "sources/docs/a.svg").is_file()
    folder = (tmp_path / "sources/source/pack/index.md").read_text(encoding="utf-8")
    assert "[one.py](one.py.md): One thing." in folder
    assert 'x = "</div>"' in (tmp_path / "sources/source/pack/one.py.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("link", "target"), [("../pack/gone.py", "pack/gone.py"), ("../../beside", "../beside")])
def test_a_link_that_leads_nowhere_or_out_is_an_error_that_names_it(checkout, tmp_path, link, target):
    (tmp_path / "beside").mkdir()
    (checkout / "docs" / "data.md").write_text(f"[x]({link})", encoding="utf-8")
    with pytest.raises(DataError, match=f"docs/data.md: its link to {re.escape(target)} leads nowhere"):
        Documents(checkout, tmp_path / "sources").write_pages()


def test_all_pages_of_the_project_are_on_the_site_and_their_links_lead_somewhere(tmp_path):
    assert set(pages_of(ROOT)) >= {
        "README.md",
        "CONTRIBUTING.md",
        *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    }
    Documents(ROOT, tmp_path).write_pages()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a * b * c", r"a \* b \* c"), ("`x * y` and <z>", r"`x * y` and \<z\>"), ("_a_ [b](c)", r"\_a\_ \[b\](c)"), ("2`", "2\\`"),
    ],
)  # fmt: skip
def test_docstrings_mean_nothing_as_markdown(text, shown):
    assert prose(text) == shown


def test_a_docstring_keeps_its_equations_lists_and_examples():
    text = page_of_docstring(
        "First.\n\ny = x\nz = y · 2\n\n- one\n- two\n\n    deep  spaces\n\n>>> 1 + 1\n2\n\n2. is no list\n= no heading"
    )
    assert "y = x\\\nz = y · 2\n" in text
    assert "- one\n- two" in text
    assert "```text\n    deep  spaces\n```" in text
    assert "```pycon\n>>> 1 + 1\n2\n```" in text
    assert "2\\. is no list" in text
    assert "\n\\= no heading" in text


def test_every_public_name_has_its_entry(tmp_path):
    names = importlib.import_module("course.site.names")
    names.write_names(Documents(ROOT, tmp_path))
    written = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "names").glob("*.md"))
    entries = set(re.findall(r"\{py:(?:class|function|exception)\} ([\w.]+)", written))
    for name in scratchnet.__all__:
        if name not in ("__version__", "models"):  # a text, and a module with a page of its own
            value = getattr(scratchnet, name)
            assert entries & {f"scratchnet.{name}", f"{value.__module__}.{name}"}, name
    assert "conv2d(x: Array, weight: Array, bias: Array, stride: int) -> Array" in written
    assert "scratchnet.Dropout(rate: float" in written
    assert "{py:method} load(path: str | os.PathLike[str], weights: str | None=None, *, layers: " in written
    assert "[scratchnet/nn/conv.py](../source/scratchnet/nn/conv.py.md)" in written


def test_formulas_become_mathml_and_what_cannot_be_read_is_named():
    pytest.importorskip("math_core")
    mathml = importlib.import_module("course.site.mathematics").mathml
    assert "<mfrac>" in mathml(r"\frac{a}{b}", block=True)
    assert 'display="block"' in mathml("x", block=True)
    assert 'display="block"' not in mathml("x", block=False)
    with pytest.raises(DataError, match=r"cannot be read: \\nothing\{x\}: .*nothing"):
        mathml(r"\nothing{x}", block=False)


@pytest.fixture(scope="module")
def executed():
    for library in ("jupytext", "nbclient", "ipykernel"):
        pytest.importorskip(library)
    return importlib.import_module("course.site.executed")


def write_lesson(folder, text=LESSON, name="01_sum.py"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text.replace("\\\\", "\\"), encoding="utf-8")
    return folder / name


def test_a_lesson_is_run_once_and_kept_until_it_changes(executed, tmp_path, monkeypatch):
    lesson, cache = write_lesson(tmp_path / "lessons"), tmp_path / "cache"
    notebook = executed.executed(lesson, ROOT, cache)
    assert "three is 3" in notebook.cells[-1].outputs[0].text
    assert "SOLUTION" not in str(notebook)
    assert [cell.metadata.get("tags") for cell in notebook.cells if cell.cell_type == "code"] == [
        None,
        ["hide-input"],
        None,
    ]
    monkeypatch.setattr(executed, "_run", lambda *_: pytest.fail("it was run again"))
    assert executed.executed(lesson, ROOT, cache) == notebook
    before = executed.fingerprint(lesson, ROOT)
    write_lesson(tmp_path / "lessons", LESSON + "\n# more\n")
    assert executed.fingerprint(lesson, ROOT) != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# %%\nprint(1)\n# %%\n1 / 0\n", "01_sum.py: cell 2 fails: ZeroDivisionError: division by zero"),
        ("# %% [markdown]\n# # Title\n# %%\nx = 1\n", "01_sum.py: no cell has an output"),
    ],
)
def test_a_lesson_that_fails_or_shows_nothing_is_an_error(executed, tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        executed.executed(write_lesson(tmp_path / "lessons", text), ROOT, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def run_site(*arguments):
    parser = argparse.ArgumentParser()
    site.add_options(parser)
    return site.run(parser.parse_args(list(map(str, arguments))))


def test_another_folder_is_not_overwritten(tmp_path):
    building = importlib.import_module("course.site.building")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years", encoding="utf-8")
    with pytest.raises(ConfigError, match="no site that this command made"):
        building.build(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text(encoding="utf-8") == "years"


@pytest.mark.parametrize(
    ("library", "extra"), [("sphinx", "site"), ("furo", "site"), ("myst_nb", "site"), ("math_core", "site")]
)
def test_what_is_missing_is_named_with_what_to_type(tmp_path, monkeypatch, library, extra):
    for one in site.LIBRARIES:
        if one != library:
            monkeypatch.setitem(sys.modules, one, argparse)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"{library} is not installed: .*pip install .*\[{extra}\]"):
        run_site(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def require_all():
    for library in site.LIBRARIES:
        pytest.importorskip(library)


@pytest.fixture
def building(monkeypatch):
    """Sphinx without the library's names, which take most of its time."""
    require_all()
    building = importlib.import_module("course.site.building")

    def write_names(documents):
        documents.write("names/index.md", "# Names\n\n```{toctree}\nreference\n```\n")
        documents.write("names/reference.md", "# The textbook\n")

    monkeypatch.setattr(building, "write_names", write_names)
    return building


def test_a_small_site_is_built_whole_replaced_and_read_by_a_browser(building, checkout, tmp_path, browser):
    lesson = write_lesson(tmp_path / "lessons", LESSON.replace("from scratchnet import reference\n", ""))
    (tmp_path / "out").mkdir()
    for _ in range(2):
        index = building.build(tmp_path / "out", tmp_path / "cache", root=checkout, lessons=[lesson])
    assert {path.name for path in tmp_path.iterdir()} == {"root", "lessons", "cache", "out"}
    shown = (tmp_path / "out/lessons/01_sum.html").read_text(encoding="utf-8")
    assert "three is 3" in shown
    assert "<details" in shown
    for path in (tmp_path / "out").rglob("*.html"):
        assert 'src="http' not in path.read_text(encoding="utf-8"), path
    said = looked_at(browser, index.parent / "lessons/01_sum.html")
    assert said == ([], 1)


def looked_at(browser, path):
    """What a browser without a network says of a page, and how many formulas it shows in the site's letters."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    page.evaluate("document.fonts.ready")
    heights = page.evaluate("[...document.querySelectorAll('math')].map(one => one.getBoundingClientRect().height)")
    if heights and not page.evaluate(
        "[...document.fonts].some(one => one.family.includes('STIX') && one.status === 'loaded')"
    ):
        said.append("the letters of formulas are not there")
    if page.evaluate("document.documentElement.scrollWidth") > 390:
        said.append("wider than a phone")
    context.close()
    return said, sum(height > 8 for height in heights)


def test_a_fault_of_a_page_is_an_error(building, checkout, tmp_path):
    (checkout / "docs" / "data.md").write_text("# Data\n\n[x](#nowhere)\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"docs/data.md:3: WARNING: .*nowhere"):
        building.build(tmp_path / "out", root=checkout, lessons=[])
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_whole_site_without_a_network(tmp_path, browser):
    require_all()
    alone = ["unshare", "-n"] if shutil.which("unshare") and hasattr(os, "geteuid") and os.geteuid() == 0 else []
    program = "import sys\nfrom tests.test_site import run_site\nsys.exit(run_site(*sys.argv[1:]))"
    done = subprocess.run(
        [*alone, sys.executable, "-W", "error", "-c", program, str(tmp_path / "out"), "--cache", str(tmp_path / "cache")],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=1500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pages = sorted((tmp_path / "out").rglob("*.html"))
    assert len(pages) > 150
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert 'src="http' not in text, path
        for target in map(urlsplit, map(html.unescape, re.findall(r'(?:href|src)="([^"]+)"', text))):
            assert target.scheme or (path.parent / unquote(target.path)).exists(), f"{path}: {target}"
    lessons = [path.stem for path in (ROOT / "course" / "lessons").glob("[0-9]*.py")]
    formulas = 0
    for lesson in lessons:
        path = tmp_path / "out" / "lessons" / f"{lesson}.html"
        assert "cell_output" in path.read_text(encoding="utf-8"), lesson
        said, count = looked_at(browser, path)
        assert said == [], lesson
        formulas += count
    assert formulas > 0 or not lessons
    for name in ("index", "play", "readme", "docs/report", "names/layers", "lessons/index", "search"):
        assert looked_at(browser, tmp_path / "out" / f"{name}.html")[0] == [], name
