"""JSON from a file that may be damaged or hostile: parsed within bounds, or refused in one line."""

import json
from typing import Any, NoReturn

MAX_VALUES = 2**21  # in one text: each takes up to about 100 bytes once it is parsed


class JsonError(ValueError):
    """The text is not JSON, or is larger, deeper or has more values than anything that scratchnet writes."""


def parse_json(text: bytes, *, max_bytes: int, allow_nan: bool = False) -> Any:
    """What a JSON text in UTF-8 says.

    max_bytes: of the text; it takes no more than about 4 bytes for each, and 100 bytes for each of MAX_VALUES values.
    allow_nan: whether NaN and the infinities, which JSON does not have, are accepted as Python writes them.
    Raises JsonError for everything that cannot be parsed, also for brackets nested too deep and numbers of a million digits.

    >>> parse_json(b'{"epoch": 3}', max_bytes=100)
    {'epoch': 3}
    >>> parse_json(b"[" * 100_000, max_bytes=2**20)
    Traceback (most recent call last):
    scratchnet.storage.json_text.JsonError: brackets nested too deep
    """
    if len(text) > max_bytes:
        raise JsonError(f"a text of {len(text)} bytes; at most {max_bytes} are read")
    if text.count(b",") + text.count(b"[") + text.count(b"{") > MAX_VALUES:
        raise JsonError(f"a text of more than {MAX_VALUES} values")
    try:
        return json.loads(text.decode(), parse_constant=None if allow_nan else _refuse)
    except JsonError:
        raise
    except RecursionError as error:
        raise JsonError("brackets nested too deep") from error
    except MemoryError as error:
        raise JsonError("more than the memory holds") from error
    except ValueError as error:  # also raised for bytes that are not UTF-8, and for integers that are too long
        raise JsonError(str(error).partition("\n")[0]) from error


def _refuse(constant: str) -> NoReturn:
    raise JsonError(f"{constant} is not a number in JSON")
