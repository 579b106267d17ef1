"""Judging by a twin: the student's function and the right one are given the same, and must return the same."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from course.diagnose import Array, diagnose, number, place
from course.exercises import EXERCISES

Function = Callable[..., Any]
Suspects = Mapping[str, Function]

NOTE = "for "  # begins what `tried` adds to an exception


def generator(seed: int, *numbers: int) -> np.random.Generator:
    """The random numbers of a judge: of this seed, and of a number or two that tell its draws apart."""
    return np.random.default_rng([seed, *numbers])


def differ(
    mine: Any, right: Any, what: str = "", *, tolerance: float = 1e-9, least: float = 0.0, images: int = 0
) -> str:
    """What is wrong with one array that was returned, as one line; "" where it is right.

    mine: whatever came. right: the array expected. what: its name, such as "dx". The rest: as for `diagnose`.
    """
    lead = f"{what}: " if what else ""
    right = np.asarray(right, np.float64)
    if mine is None:
        return f"{lead}returned nothing: does it end with return?"
    try:
        given = np.asarray(mine)
        values = given.astype(np.float64) if given.dtype.kind in "buif" else None
    except (TypeError, ValueError):
        values = None
    if values is None:
        return f"{lead}returned {_kind(mine)}, expected numbers of shape {right.shape}"
    if values.shape != right.shape:
        hint = ": transposed?" if values.ndim == 2 and values.shape == right.shape[::-1] else ""
        if right.ndim and values.shape == ():
            hint = ": one number for all of them?"
        if values.shape[1:] == right.shape and values.ndim:
            hint = ": not summed over the images?"
        if right.ndim and values.shape[2:] == right.shape and values.ndim == right.ndim + 2:
            hint = ": sum over places too, axes (0, 1, 2)"
        return f"{lead}shape {values.shape}, expected {right.shape}{hint}"
    if not np.isfinite(values).all():
        at = place(~np.isfinite(values)) if values.ndim else ()
        where = f" at [{', '.join(map(str, at))}]" if at else ""
        return f"{lead}{number(values[at])}{where}, expected {number(right[at])}"
    found = diagnose(values, right, tolerance=tolerance, least=least, images=images)
    return lead + found if found else ""


def twin(
    name: str,
    mine: Function,
    right: Function,
    cases: Sequence[tuple[Any, ...]],
    *,
    outputs: Sequence[str] = (),
    suspects: Suspects | None = None,
    tolerance: float = 1e-9,
    least: float = 0.0,
) -> str:
    """Gives both functions each of the cases; returns the first complaint, or "" where all results agree.

    name: of the exercise, whose signature names the arguments. outputs: the names of the arrays, where there are several.
    suspects: usual mistakes, each a sentence and the function that makes it; where a wrong result is that of a suspect, the
    sentence is the complaint. Every call gets copies, and a function that changes them is found out.
    """
    for case in cases:
        arguments = [_copy(value) for value in case]
        with tried(described(name, case)):
            got = mine(*arguments)
        complaint = changed(name, case, arguments)
        if complaint:
            return complaint
        wanted = right(*map(_copy, case))
        several = isinstance(wanted, tuple)
        if several and (not isinstance(got, tuple | list) or len(got) != len(wanted)):
            return f"returned {_kind(got)}, expected ({', '.join(outputs)})"
        images = len(case[0]) if isinstance(case[0], np.ndarray) and case[0].ndim else 0
        pairs = zip(got, wanted, outputs, strict=True) if several else [(got, wanted, "")]
        for one, expected, what in pairs:
            complaint = differ(one, expected, what, tolerance=tolerance, least=least, images=images)
            if complaint:
                if several and all(any(not differ(one, right, tolerance=tolerance) for one in got) for right in wanted):
                    known = f"returned in another order, expected ({', '.join(outputs)})"
                else:
                    known = suspected(suspects or {}, case, got, wanted, tolerance=tolerance)
                return f"{known or complaint}; for {described(name, case)}"
    return ""


@contextmanager
def tried(words: str) -> Iterator[None]:
    """Where the student's function raises in here, the complaint ends with what it was called with: `words`."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{NOTE}{words}")
        raise


def changed(name: str, before: Sequence[Any], after: Sequence[Any]) -> str:
    """The complaint about an argument that is no longer what it was; "" where all are."""
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        if isinstance(old, np.ndarray) and not np.array_equal(old, new):
            return f"changes its arguments in place: {names_of(name)[i]} is no longer what it was; work on a copy"
    return ""


def described(name: str, case: Sequence[Any]) -> str:
    """The arguments of a call in a few words: arrays by their shape."""
    words = []
    for argument, value in zip(names_of(name), case, strict=False):
        if isinstance(value, np.ndarray):
            words.append(f"{argument} {'×'.join(map(str, value.shape))}")
        elif isinstance(value, int | float | tuple):
            words.append(f"{argument} {value}")
    return ", ".join(words)


def names_of(name: str) -> list[str]:
    """The names of an exercise's arguments."""
    inner = EXERCISES[name].signature.strip("()")
    return [word.partition("=")[0].strip() for word in inner.split(",")]


def suspected(suspects: Suspects, case: Sequence[Any], got: Any, wanted: Any, *, tolerance: float = 1e-9) -> str:
    """The sentence of the suspect whose result `got` is; "" where it is nobody's.

    What a suspect leaves None, or makes as it is wanted, is no evidence.
    """
    for sentence, function in suspects.items():
        try:
            result = function(*map(_copy, case))
        except ValueError:  # a mistake that shapes like these rule out
            continue
        rows = zip(got, result, wanted, strict=True) if isinstance(result, tuple) else [(got, result, wanted)]
        evidence = [
            (one, made) for one, made, right in rows if made is not None and differ(made, right, tolerance=tolerance)
        ]
        if evidence and all(alike(one, made, tolerance=tolerance) for one, made in evidence):
            return sentence
    return ""


def alike(mine: Any, mistaken: Any, *, tolerance: float = 1e-9) -> bool:
    """Whether what came is what a known mistake makes; a mistake may make NaN, which is then to be at the same places."""
    nowhere = ~np.isfinite(mistaken)
    if nowhere.any():
        if (
            not isinstance(mine, np.ndarray)
            or mine.dtype.kind != "f"
            or not np.array_equal(nowhere, ~np.isfinite(mine))
        ):
            return False
        mine, mistaken = np.where(nowhere, 0, mine), np.where(nowhere, 0, mistaken)
    return not differ(mine, mistaken, tolerance=tolerance)


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def as_float(value: Any) -> float | None:
    """The value as Python's float; None where it is not one number."""
    try:
        array: Array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None
    return float(array.item()) if array.size == 1 else None


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}" + ("" if value.dtype.kind in "buif" else f" and dtype {value.dtype}")
    return f"a {type(value).__name__}"
