"""A Sphinx extension: formulas become MathML while the site is built, so that a reader's browser needs no program for them.

The converter is math-core. A formula that it cannot read is a warning of the build, and so an error.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from scratchnet.errors import DataError
from scratchnet.extras import require


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mathml(formula: str, *, block: bool) -> str:
    r"""A formula in TeX as MathML, with its source as an annotation. Raises DataError, which says what cannot be read.

    >>> "<msup><mi>x</mi><mn>2</mn></msup>" in mathml("x^2", block=False)
    True
    """
    try:
        return str(_converter().convert_with_local_state(formula, displaystyle=block))
    except require("math_core").LatexError as error:
        raise DataError(f"a formula that cannot be read: {formula}: {' '.join(str(error).split())}") from error


@cache
def _converter() -> Any:
    return require("math_core").LatexToMathML(annotation=True, fancy_error=False)


def _inline(translator: Any, node: Any) -> None:
    translator.body.append(_rendered(node, block=False))
    raise require("docutils.nodes").SkipNode


def _block(translator: Any, node: Any) -> None:
    anchor = f' id="{node["ids"][0]}"' if node.get("ids") else ""
    number = f'<span class="eqno">({node["number"]})</span>' if node.get("number") else ""
    translator.body.append(f'<div class="formula"{anchor}>{_rendered(node, block=True)}{number}</div>\n')
    raise require("docutils.nodes").SkipNode


def _rendered(node: Any, *, block: bool) -> str:
    try:
        return mathml(node.astext(), block=block)
    except DataError as error:
        require("sphinx.util.logging").getLogger(__name__).warning("%s", error, location=node)
        return ""
