"""Standard output and standard error that survive failures.

A terminal, a pipe or a file may lack a character (Windows writes files in cp1252, a bare Linux in ASCII), its reader may go
away (`| head`, a closed ssh), its disk may be full, and a program without a console has no streams at all. None of this is a
reason to lose a night's training. Files that the program names itself are UTF-8 and have nothing to do with this.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

from scratchnet.errors import ScratchnetError

NAMES = {"stdout": "standard output", "stderr": "standard error"}

LEGIBLE = str.maketrans(
    {
        "×": "x", "−": "-", "–": "-", "—": "-", "…": "...", "★": "*", "·": ".", "±": "+/-", "≥": ">=", "≤": "<=", "→": "->",
        "²": "^2", "³": "^3", "Σ": "sum of ", "√": "sqrt ", "“": '"', "”": '"', "‘": "'", "’": "'", "\u00a0": " ",
        "\u2009": " ", "\u202f": " ", "█": "#", "▏": "|", "▎": "|", "▍": "|", "▌": "|", "▋": "|", "▊": "|", "▉": "|",
    }
)  # fmt: skip
"""Characters of this program, and their replacements where they cannot be written."""


def legible(text: str, encoding: str | None) -> str:
    """The text with characters that the encoding lacks replaced: by similar ones, or by their numbers.

    >>> print(legible("64 × 64 … café", "cp1252"), legible("★ 3×3 … café", "ascii"))
    64 × 64 … café * 3x3 ... caf\\xe9
    """
    encoding = encoding or "ascii"
    with contextlib.suppress(UnicodeError, LookupError):
        text.encode(encoding)
        return text

    def one(sign: str) -> str:
        try:
            sign.encode(encoding)
            return sign
        except UnicodeError:
            return sign.translate(LEGIBLE).encode(encoding, "backslashreplace").decode(encoding)

    try:
        return "".join(map(one, text))
    except (UnicodeError, LookupError):  # an encoding that lacks even the backslash, or that is unknown
        return text.translate(LEGIBLE).encode("ascii", "backslashreplace").decode("ascii")


class OutputLost(ScratchnetError):  # noqa: N818 - not an error: nobody reads on
    """Standard output, for which the work was done, cannot be written any more."""


class Output:
    """A stream whose `write` and `flush` never raise: the first failure is kept in `lost`, and the rest is dropped.

    stream: what it writes to, such as `sys.stdout`; None discards. All else (encoding, isatty, …) is the stream's own.
    """

    def __init__(self, stream: Any, name: str) -> None:
        self.stream, self.before, self.name = stream, stream, name
        self.lost: Exception | None = None
        self.users = 0  # blocks of `standard_streams` that it serves
        self.announces = False  # whether a failure is said on the other stream

    def write(self, text: str) -> int:
        """Writes the text, or its closest form in the stream's encoding; returns its length."""
        if self.stream is not None and self.lost is None:
            encoding = getattr(self.stream, "encoding", None)
            try:
                try:
                    # Not only if it raises: standard error would write numbers, as Python sets it up.
                    self.stream.write(legible(text, encoding) if encoding else text)
                except UnicodeEncodeError:
                    self.stream.write(legible(text, encoding))
            except (OSError, ValueError) as error:  # ValueError: the stream is closed
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Hands on what has been written."""
        if self.stream is not None and self.lost is None:
            try:
                self.stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def isatty(self) -> bool:
        """Whether it is a terminal that still answers."""
        try:
            return self.stream is not None and self.lost is None and bool(self.stream.isatty())
        except (OSError, ValueError, AttributeError):
            return False

    def fileno(self) -> int:
        """The stream's file descriptor. Raises io.UnsupportedOperation if it has none."""
        if self.stream is None:
            raise io.UnsupportedOperation("fileno")
        return int(self.stream.fileno())

    def announce(self) -> None:
        """From now on (or at once, if it has already happened) a failure is reported on standard error: the work goes on for hours."""
        if not self.announces:
            self.announces = True
            if self.lost is not None:
                self._say()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _lose(self, error: Exception) -> None:
        self.lost = error
        if self.stream is getattr(sys, f"__{self.name}__"):
            # The process's own: what is still in its buffer would fail once more when Python ends.
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.stream.fileno())
                os.close(nowhere)
        if self.announces:
            self._say()

    def _say(self) -> None:
        if self.name == "stdout" and self.lost is not None and sys.stderr is not None:
            print(f"CAUTION: {_why(self.lost)}: going on without it.", file=sys.stderr, flush=True)


_installing = threading.Lock()


@contextlib.contextmanager
def standard_streams(*, announce: bool = False, silent: bool = False) -> Iterator[None]:
    """While the block runs, `sys.stdout` and `sys.stderr` are an `Output` each: printing cannot fail.

    announce: standard error says so when standard output is lost. Blocks may be nested and run in several threads;
    the last one puts back what was there before the first. silent: nothing is written, as by the ranks of a training that do
    not print.
    """
    mine: list[Output] = []
    with _installing:
        for name in NAMES:
            if not isinstance(current := getattr(sys, name), Output):
                setattr(sys, name, current := Output(current, name))
                if silent:
                    current.stream = None
            current.users += 1
            mine.append(current)
    if announce:
        mine[0].announce()
    try:
        yield
    finally:
        for output in mine:
            output.flush()
        with _installing:
            for output in mine:
                output.users -= 1
                if output.users == 0 and getattr(sys, output.name) is output:
                    setattr(sys, output.name, output.before)


def require_output() -> None:
    """Raises OutputLost if standard output cannot be written any more; for work that only serves its reader."""
    if (error := _lost()) is not None:
        raise OutputLost(_why(error)) from error


def output_problem() -> str | None:
    """Why standard output could not be written, in words; None if it could, or if its reader had seen enough."""
    sys.stdout.flush() if sys.stdout is not None else None
    error = _lost()
    return None if error is None or _reader_left(error) else _why(error)


def _lost() -> Exception | None:
    return sys.stdout.lost if isinstance(sys.stdout, Output) and not sys.stdout.announces else None


def _reader_left(error: Exception) -> bool:
    """Whether a pipe has been closed at its other end, which Windows calls an invalid argument."""
    closed = (errno.EPIPE, errno.ESHUTDOWN, *((errno.EINVAL,) if os.name == "nt" else ()))
    return isinstance(error, OSError) and error.errno in closed


def _why(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    what = "nobody reads standard output any more" if _reader_left(error) else "standard output cannot be written"
    return f"{what} ({reason})"
