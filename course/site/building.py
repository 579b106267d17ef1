"""The site from beginning to end: sources are gathered in a folder of their own, Sphinx makes pages, and OUT gets them whole."""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

from course.interactive import page
from course.site.documents import Documents
from course.site.executed import executed, lessons_of
from course.site.names import write_names
from scratchnet.errors import ConfigError, DataError
from scratchnet.extras import require
from scratchnet.version import __version__

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
MARK = ".made-by-course-site"  # a folder with this file in it is ours to replace

SETTINGS: dict[str, Any] = {
    "project": "scratchnet", "author": "the scratchnet authors", "release": __version__, "language": "en",
    "extensions": ["myst_nb", "course.site.mathematics"], "html_math_renderer": "mathml",
    "nb_execution_mode": "off",  # `executed` has run them
    "nb_code_prompt_show": "Show one way to write it", "nb_code_prompt_hide": "Fold it away", "nb_merge_streams": True,
    "myst_enable_extensions": ["dollarmath", "amsmath", "colon_fence", "deflist"], "myst_dmath_double_inline": True,
    "myst_heading_anchors": 4,
    # Of two classes called Layer, the package's and the textbook's, a type in a signature may mean either.
    "suppress_warnings": ["myst.header", "ref.python"],
    "highlight_language": "text", "html_theme": "furo", "html_title": "scratchnet",
    "html_static_path": [str(HERE / "static")], "html_css_files": ["site.css"], "html_copy_source": False,
    "html_show_sourcelink": False, "html_show_copyright": False, "html_domain_indices": False, "templates_path": [],
    "html_theme_options": {"footer_icons": []}, "pygments_style": "tango", "pygments_dark_style": "monokai",
    "exclude_patterns": ["jupyter_execute", "extra"], "html_extra_path": ["extra"],
}  # fmt: skip


def build(out: Path, cache: Path | None = None, *, root: Path = ROOT, lessons: list[Path] | None = None) -> Path:
    """Makes the site in the folder `out` and returns its first page.

    cache: where executed lessons are kept (build/lessons of the checkout). root: the checkout. lessons: in the percent
    format; those of the course unless given.

    Raises ConfigError where `out` holds something else than a site of ours, DataError for every fault of a source.
    """
    _require_ours(out)
    lessons = lessons_of(root) if lessons is None else lessons
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".site-", dir=out.parent) as folder:
        sources, pages = Path(folder, "sources"), Path(folder, "pages")
        sources.mkdir()
        documents = Documents(root, sources)
        shown = documents.write_pages()
        _write_lessons(documents, lessons, root, root / "build" / "lessons" if cache is None else cache)
        write_names(documents)
        documents.write_programs()
        documents.write("extra/play.html", page())
        _write_front(documents, shown)
        _sphinx(sources, pages, Path(folder, "doctrees"))
        (pages / MARK).write_text("python -m course site replaces this folder\n", encoding="utf-8", newline="\n")
        if out.exists():
            out.replace(Path(folder, "old"))
        pages.replace(out)
    return out / "index.html"


def _require_ours(out: Path) -> None:
    if out.exists() and not (out.is_dir() and ((out / MARK).is_file() or not any(out.iterdir()))):
        raise ConfigError(
            f"{out}: is there, and no site that this command made: choose another folder, or move it away"
        )


def _write_lessons(documents: Documents, lessons: list[Path], root: Path, cache: Path) -> None:
    """lessons/index.md, and a notebook for each lesson."""
    nbformat = require("nbformat")
    rows = []
    for lesson in lessons:
        notebook, name = executed(lesson, root, cache), f"lessons/{lesson.stem}.ipynb"
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = documents.linked(cell.source, f"course/lessons/{lesson.name}", name)
        documents.write(name, nbformat.writes(notebook))
        rows.append(lesson.stem)
    text = (HERE / "front" / "lessons.md").read_text(encoding="utf-8")
    toctree = "```{toctree}\n:maxdepth: 1\n" + "\n".join(rows) + "\n```" if rows else "No lesson is here yet."
    documents.write(
        "lessons/index.md", f"{documents.linked(text, 'course/site/front/lessons.md', 'lessons/index.md')}\n{toctree}\n"
    )


def _write_front(documents: Documents, shown: list[str]) -> None:
    """index.md: three doors, and the table of contents. shown: the repository's pages."""
    text = (HERE / "front" / "index.md").read_text(encoding="utf-8")
    docs = [name for name in shown if name.startswith("docs/")]
    others = [name for name in shown if name not in docs and name != "readme"]
    contents = {
        "Use it": ["Run it <readme>", *docs],
        "Learn it": ["lessons/index"],
        "Look it up": ["names/index", *others],
    }
    trees = [
        f"```{{toctree}}\n:hidden:\n:caption: {title}\n" + "\n".join(pages) + "\n```"
        for title, pages in contents.items()
    ]
    documents.write("index.md", "\n\n".join([text, *trees]) + "\n")


def _sphinx(sources: Path, pages: Path, doctrees: Path) -> None:
    """Runs Sphinx. Raises DataError with what it warns of."""
    application, docutils = require("sphinx.application"), require("sphinx.util.docutils")
    said = _Said()
    # A file of settings, since a theme has settings of its own that Sphinx does not know yet when it is called.
    settings = "from course.site.building import SETTINGS\n\nglobals().update(SETTINGS)\n"
    (sources / "conf.py").write_text(settings, encoding="utf-8", newline="\n")
    with warnings.catch_warnings(), docutils.patch_docutils(), docutils.docutils_namespace():
        warnings.simplefilter("default")
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # of Sphinx's own extensions
        warnings.filterwarnings("ignore", category=PendingDeprecationWarning)
        app = application.Sphinx(
            str(sources),
            str(sources),
            str(pages),
            str(doctrees),
            "html",
            status=None,
            warning=said,
            warningiserror=True,
        )
        app.build(force_all=True)
    if app.statuscode or said.lines:
        first, count = said.lines[0] if said.lines else "Sphinx failed", len(said.lines)
        more = f" (and {count - 1} more)" if count > 1 else ""
        error = DataError(f"the site has a fault: {first.replace(str(sources), '').lstrip('/')}{more}")
        error.add_note("\n".join(said.lines))
        raise error


class _Said:
    """A stream that keeps the lines that Sphinx writes to it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        plain = re.sub("\x1b\\[[0-9;]*m", "", text)  # without colours
        self.lines += [line for line in plain.splitlines() if line.strip()]

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False
