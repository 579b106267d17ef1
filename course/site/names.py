"""What the library offers, from its docstrings: a page for each group of modules, with signatures as they are written."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from course.site.documents import Documents
from course.site.markdown import page_of_docstring, prose

GROUPS = (
    ("layers", "Networks and layers", "scratchnet", ("scratchnet.nn",), "A network of your own, trained and checked."),
    (
        "use",
        "Using a trained network",
        "scratchnet",
        ("scratchnet.use", "scratchnet.errors"),
        "From a run to an answer.",
    ),
    ("reference", "The textbook", "scratchnet.reference", (), "Every operation and its gradient in plain NumPy."),
    ("textbook", "Your functions in a network", "scratchnet.textbook", (), "Layers over a table of functions."),
    ("models", "The report's networks", "scratchnet.nn.models", (), "By name."),
    ("explain", "What a network sees", "scratchnet.use.explain", (), "Feature maps, Grad-CAM, occlusion."),
    ("exchange", "Other libraries", "scratchnet.use.exchange", (), "Weights to and from PyTorch and Keras; ONNX."),
    ("data", "Prepared images", "scratchnet.data", (), "Shards, batches, and how pixels are scaled."),
    ("scores", "Measures", "scratchnet.measures.scores", (), "With intervals over patients."),
    ("errors", "Errors", "scratchnet.errors", (), "What can go wrong, by name."),
    ("course", "The course", "course", (), "Judges, and real cells in one line."),
)
"""Page, title, module, the places within it that count (all, if none are named), and a line about it."""


def write_names(documents: Documents) -> None:
    """Writes names/index.md and a page for each group whose module there is."""
    rows, pages = [], []
    for page, title, module, places, line in GROUPS:
        found = _imported(module)
        entries = [] if found is None else list(_entries(found, places))
        if found is None or not entries:
            continue
        name = f"names/{page}.md"
        intro = page_of_docstring(inspect.getdoc(found) or "") if not places else line
        body = [_entry(entry, called, owner, documents, name) for called, entry, owner in entries]
        documents.write(
            name, "\n\n".join([f"# {title}", intro, f"```{{py:module}} {module}\n:no-index:\n```", *body]) + "\n"
        )
        pages.append(page)
        rows.append(f"- [{title}]({page}.md): {line}")
    toctree = "```{toctree}\n:hidden:\n" + "\n".join(pages) + "\n```"
    documents.write(
        "names/index.md", "\n\n".join(["# What the library offers", INTRODUCTION, "\n".join(rows), toctree]) + "\n"
    )


INTRODUCTION = """Each entry is the docstring of the program, and leads to its source. The public names are also what
`dir(scratchnet)` lists; `help(scratchnet.Conv2D)` says in a terminal what is said here."""


def _imported(module: str) -> ModuleType | None:
    """The module; None where this version has none of that name."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            return None
        raise


def _entries(module: ModuleType, places: tuple[str, ...]) -> Iterator[tuple[str, Any, str]]:
    """The module's public functions and classes: full name, object, and the module that defines it, in written order.

    Names that are imported on demand are imported here, which is what `getattr` does.
    """
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    for name in getattr(module, "__all__", own):
        value = None if name.startswith("_") else getattr(module, name)
        home = getattr(value, "__module__", "")
        counts = not places or any(home == place or home.startswith(f"{place}.") for place in places)
        if counts and (inspect.isclass(value) or inspect.isfunction(value) or inspect.ismethod(value)):
            yield f"{module.__name__}.{name}", value, home


def _entry(value: Any, called: str, home: str, documents: Documents, page: str) -> str:
    """A function or a class, with its methods and properties, as directives of Sphinx's Python domain."""
    kind = "class" if inspect.isclass(value) else "function"
    if inspect.isclass(value) and issubclass(value, Exception):
        kind = "exception"
    parts = [page_of_docstring(inspect.getdoc(value) or ""), _source(value, documents, page)]
    if inspect.isclass(value) and kind == "class":
        parts += [_member(name, member) for name, member in vars(value).items() if not name.startswith("_")]
    return _directive(
        5, f"py:{kind}", called + ("" if kind == "exception" else _signature(value)), "\n\n".join(filter(None, parts))
    )


def _member(name: str, member: Any) -> str:
    """A method or a property of a class; "" for what has no docstring of its own."""
    if isinstance(member, property):
        return _directive(4, "py:property", name, page_of_docstring(inspect.getdoc(member.fget) or ""))
    function = getattr(member, "__func__", member)  # of class methods and static ones
    if not inspect.isfunction(function) or not function.__doc__:
        return ""
    options = {classmethod: ":classmethod:\n", staticmethod: ":staticmethod:\n"}.get(type(member), "")
    skip = 0 if isinstance(member, staticmethod) else 1
    return _directive(
        4, "py:method", name + _signature(function, skip), page_of_docstring(inspect.getdoc(function) or ""), options
    )


def _directive(colons: int, kind: str, argument: str, content: str, options: str = "") -> str:
    fence = ":" * colons
    return f"{fence}{{{kind}}} {argument}\n{options}\n{content}\n{fence}"


def _signature(value: Any, skip: int = 0) -> str:
    """The parameters with their types as the source writes them. skip: how many are given by Python, such as self."""
    if inspect.isclass(value):
        made = vars(value).get("__init__")
        if made is None or is_dataclass(value) or not inspect.isfunction(made):
            return "" if not is_dataclass(value) else f"({', '.join(value.__dataclass_fields__)})"
        return _signature(made, 1).partition(" -> ")[0]
    function = inspect.unwrap(getattr(value, "__func__", value))
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    del node.args.args[: skip if not inspect.ismethod(value) else 1]
    return f"({ast.unparse(node.args)})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")


def _source(value: Any, documents: Documents, page: str) -> str:
    path = Path(inspect.getsourcefile(value) or "").resolve()
    if not path.is_relative_to(documents.root):  # a library's, or an installation's
        return ""
    place = path.relative_to(documents.root).as_posix()
    return f"Program: [{prose(place)}]({documents.link_to(place, page)})"
