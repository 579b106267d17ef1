"""From a process that a launcher has started to a rank among others, and to the end of it."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from scratchnet.errors import ConfigError, ScratchnetError
from scratchnet.ranks import witness
from scratchnet.ranks.alone import ALONE, Alone
from scratchnet.ranks.mail import Lost, Mail, Stalled
from scratchnet.ranks.together import Together
from scratchnet.terminal.command_line import one_line
from scratchnet.terminal.launcher import launched

DEADLINE = "SCRATCHNET_DEADLINE"  # variable: seconds that a rank waits for another before it ends all
USUAL = 300.0


@contextlib.contextmanager
def joined(name: str) -> Iterator[Alone]:
    """This process among the others that the launcher has started; `ALONE`, and no library loaded, where there is none.

    name: of the program, which an error's line begins with. An error that all ranks have raised together leaves the block as
    usual. Any other is said with rank and host, and ends them all: they would wait for this one.
    """
    place = launched()
    if place is None:
        yield ALONE
        return
    mail = Mail(place, deadline())
    ranks: Together | None = None
    folder: Path | None = None
    try:
        ranks = Together(mail, place.by)
        folder = _witness(ranks, name)
        yield ranks
        witness.leave(folder, mail.rank)
    except BaseException as error:
        if isinstance(error, Exception) and ranks is not None and ranks.has_agreed_on(error):
            witness.leave(folder, mail.rank)
            raise
        if not isinstance(error, Lost):  # else the witness says who has died
            witness.abort(folder, stalled=isinstance(error, Stalled))
        code = _say(name, f"rank {mail.rank} on {mail.host}", error, first=mail.rank == 0)
        mail.abort(code)
        raise
    finally:
        mail.close()


def _witness(ranks: Together, name: str) -> Path | None:
    """The folder of this machine's witness, which its first rank starts."""
    processes = [int(text) for text in ranks.texts(str(os.getpid()))]
    here = {rank: one for rank, one in enumerate(processes) if ranks.hosts[rank] == ranks.hosts[ranks.rank]}
    mine = witness.start(name, ranks.hosts[ranks.rank], here) if ranks.compiles else None
    folder = ranks.texts(str(mine or ""))[min(here)]
    witness.hold(Path(folder) if folder else None, ranks.rank)
    return Path(folder) if folder else None


def _say(name: str, who: str, error: BaseException, *, first: bool) -> int:
    """Says what has ended this rank, on the real standard error, as others are silent; returns the exit code."""
    stream = sys.__stderr__
    code, said = 1, ""
    if isinstance(error, ScratchnetError | OSError):
        code, said = 2, f"{name}: {who}: {one_line(str(error))}\n"
    elif isinstance(error, KeyboardInterrupt):
        code, said = 130, f"{name}: stopped\n" if first else ""
    elif isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 1
    else:
        said = f"{name}: {who}:\n{''.join(traceback.format_exception(error))}"
    with contextlib.suppress(OSError, ValueError):
        if stream is not None and said:
            stream.write(said)
            stream.flush()
    return code or 1


def deadline() -> float:
    """Seconds that a rank waits for another. Raises ConfigError where the variable makes no sense."""
    text = os.environ.get(DEADLINE) or str(USUAL)
    with contextlib.suppress(ValueError):
        if 1 <= (seconds := float(text)) < 1e6:
            return seconds
    raise ConfigError(f"the variable {DEADLINE} must be a number of seconds from 1 up, got {text!r}")
