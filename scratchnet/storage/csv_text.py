"""Tables as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence


def csv_text(rows: Iterable[Sequence[object]], *, quote_texts: bool = False) -> str:
    r"""Rows as the text of a CSV file, a line each. quote_texts: all of them; else those that need it, with a comma or a newline.

    >>> csv_text([["path", "p"], ["a,b.png", 0.5]])
    'path,p\n"a,b.png",0.5\n'
    """
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC if quote_texts else csv.QUOTE_MINIMAL, lineterminator="\n").writerows(
        rows
    )
    return text.getvalue()
