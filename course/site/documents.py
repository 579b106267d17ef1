"""The project's own pages and programs as pages of the site, with links that lead from one to the other.

A page of the repository, such as docs/data.md, becomes a page of the site as it stands. What it links to that is no such
page, a program or a folder of programs, becomes a page too.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from course.site.markdown import fenced, prose
from scratchnet.errors import DataError

PAGES = {
    "README.md": "readme.md",
    "docs/using.md": "docs/using.md",
    "docs/data.md": "docs/data.md",
    "docs/report.md": "docs/report.md",
    "docs/kernels.md": "docs/kernels.md",
    "docs/measurements.md": "docs/measurements.md",
    "docs/reliability.md": "docs/reliability.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Pages of the repository, and what they are called on the site, in the order in which they are read. Others in docs/ follow."""

LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
CODE = re.compile(r"^(```|~~~).*?^\1[ ]*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "bash"}
PICTURES = (".svg", ".png", ".jpg")


def pages_of(root: Path) -> dict[str, str]:
    """The pages of a repository and what they are called on the site, both relative and with slashes, in reading order."""
    listed = {page: name for page, name in PAGES.items() if (root / page).is_file()}
    others = sorted(path.relative_to(root).as_posix() for path in (root / "docs").glob("*.md"))
    return listed | {page: page for page in others if page not in listed}


class Documents:
    """What is written from the repository at `root` into the folder of sources at `sources`, and where each file went."""

    def __init__(self, root: Path, sources: Path) -> None:
        self.root, self.sources = root.resolve(), sources
        self.pages = pages_of(self.root)
        self._wanted: list[str] = []
        self._written: set[str] = set()

    def write_pages(self) -> list[str]:
        """Writes the repository's pages; returns their names on the site, without an ending."""
        for page, name in self.pages.items():
            text = (self.root / page).read_text(encoding="utf-8")
            self.write(name, self.linked(text, page, name))
        return [name.removesuffix(".md") for name in self.pages.values()]

    def write_programs(self) -> None:
        """Writes a page for each program, folder or other text that something has linked to, and for what these link to."""
        while self._wanted:
            place = self._wanted.pop()
            if place not in self._written:
                self._written.add(place)
                path = self.root / place
                self.write(_page_of(place, path), self._folder(place) if path.is_dir() else self._program(place))

    def linked(self, text: str, place: str, name: str) -> str:
        """Markdown of the repository, whose links lead to what is linked to on the site. Code in it stays as it is.

        place: where it stands in the repository; name: where on the site. Raises DataError for a link to what is not there.
        """

        def moved(link: re.Match[str]) -> str:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(place), link[1]))
            return self._relative(target, name, place) + (link[2] or "")

        pieces, end = [], 0
        for code in CODE.finditer(text):
            pieces += [LINK.sub(moved, text[end : code.start()]), code[0]]
            end = code.end()
        return "".join([*pieces, LINK.sub(moved, text[end:])])

    def link_to(self, target: str, name: str) -> str:
        """The link from the site's page `name` to a file or folder of the repository, which will have a page."""
        return self._relative(target, name, name)

    def write(self, name: str, text: str) -> None:
        """Writes a page of the site."""
        path = self.sources / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")

    def _relative(self, target: str, name: str, place: str) -> str:
        path = self.root / target
        if target.startswith("..") or not path.exists():
            raise DataError(f"{place}: its link to {target} leads nowhere: mend the link")
        if target in self.pages:
            there = self.pages[target]
        elif path.suffix in PICTURES:
            there = target
            (self.sources / target).parent.mkdir(parents=True, exist_ok=True)
            (self.sources / target).write_bytes(path.read_bytes())
        else:
            there = _page_of(target, path)
            self._wanted.append(target)
        return posixpath.relpath(there, posixpath.dirname(name) or ".")

    def _program(self, place: str) -> str:
        text = (self.root / place).read_text(encoding="utf-8")
        if place.endswith(".md"):
            return f"---\norphan: true\n---\n{self.linked(text, place, _page_of(place, self.root / place))}"
        language = LANGUAGES.get(Path(place).suffix, "text")
        return _orphan(place, _above(place, self), fenced(text, f"{{code-block}} {language}\n:linenos:"))

    def _folder(self, place: str) -> str:
        path, name = self.root / place, f"source/{place}/index.md"
        parts = [_above(place, self)]
        if (path / "__init__.py").is_file():
            parts.append(prose(_docstring(path / "__init__.py")))
        rows = [
            f"- [{child.name}{'/' if child.is_dir() else ''}]({self.link_to(f'{place}/{child.name}', name)})"
            f"{': ' if _first_line(child) else ''}{prose(_first_line(child))}"
            for child in _children(path)
        ]
        return _orphan(place + "/", *parts, "\n".join(rows))


def _page_of(place: str, path: Path) -> str:
    return f"source/{place}/index.md" if path.is_dir() else f"source/{place}.md"


def _children(path: Path) -> Iterable[Path]:
    """The programs of a folder, and the folders that hold some."""
    for child in sorted(path.iterdir(), key=lambda one: (one.is_file(), one.name)):
        if (child.is_dir() and (child / "__init__.py").is_file()) or (
            child.suffix == ".py" and child.name != "__init__.py"
        ):
            yield child


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _first_line(path: Path) -> str:
    return _docstring(path / "__init__.py" if path.is_dir() else path).partition("\n")[0]


def _above(place: str, documents: Documents) -> str:
    """A link to the folder that holds it, where that is one of programs."""
    parent = posixpath.dirname(place)
    if not parent or not (documents.root / parent / "__init__.py").is_file():
        return ""
    return f"In [{parent}/]({documents.link_to(parent, _page_of(place, documents.root / place))})"


def _orphan(title: str, *parts: str) -> str:
    """A page that stands in no table of contents and is not searched: what is looked for stands in the documentation."""
    return "\n\n".join(["---\norphan: true\nnosearch: true\n---", f"# `{title}`", *filter(None, parts)]) + "\n"
