"""What an object was made with: it can be printed as the call that makes it again, and described in a file."""

from __future__ import annotations

import contextlib
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, Self

from scratchnet.errors import ConfigError

WIDTH = 100  # of a line that is printed; a longer list has a line for each layer


class Remembers:
    """For objects that remember the arguments of their constructor. `repr` is that call: paste it to make another one.

    >>> class Shift(Remembers):
    ...     def __init__(self, by=0, *, name=None):
    ...         self.by = by
    >>> Shift(3), Shift(by=0, name="up"), arguments_of(Shift(3))
    (Shift(3), Shift(0, name='up'), {'by': 3, 'name': None})
    """

    _given: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
    changing: tuple[str, ...] = ()  # arguments that the object keeps under their names, and changes

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keeps the arguments before any constructor has seen them, so that a subclass need not do it."""
        made = super().__new__(cls)
        made._given = args, kwargs
        return made

    def __repr__(self) -> str:
        return call_of(self)


def arguments_of(thing: Any) -> dict[str, Any]:
    """The arguments of an object's constructor by name, in its order; those that were not given with their defaults.

    What is `changing`, and a list that the object keeps under the same name, are as they are now. Raises ConfigError for an
    object that does not remember what it was given, unless its constructor takes nothing.
    """
    signature = inspect.signature(type(thing).__init__)
    if not isinstance(thing, Remembers):
        lacking = list(signature.parameters)[1:]
        if type(thing).__init__ is not object.__init__ and lacking:
            raise ConfigError(
                f"{type(thing).__name__} does not remember its {', '.join(lacking)}: inherit from scratchnet.Layer, "
                "so that it can be printed and saved"
            )
        return {}
    args, kwargs = thing._given
    bound = signature.bind_partial(thing, *args, **kwargs)
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            found |= value
        else:
            now = getattr(thing, name, None)
            found[name] = now if isinstance(now, list) or name in thing.changing else value
    return found


def call_of(thing: Any) -> str:
    """The call that makes such an object, "Conv2D(8, kernel_size=5)": the first argument, and all that are not the defaults."""
    parts = ", ".join(_shown(thing))
    return f"{type(thing).__name__}({parts})"


def _shown(thing: Any) -> Iterator[str]:
    parameters = inspect.signature(type(thing).__init__).parameters
    positions = [name for name, one in parameters.items() if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    for number, (name, value) in enumerate(arguments_of(thing).items()):
        one = parameters.get(name)
        if one is not None and one.kind is inspect.Parameter.VAR_POSITIONAL:
            yield from map(as_code, value)
        elif number == 0 and positions[1:2] == [name] and value is not None:
            yield as_code(value)
        elif one is None or not _same(value, one.default):
            yield f"{name}={as_code(value)}"


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))


def as_code(value: Any) -> str:
    """A value as Python writes it; a long list with a line for each layer, a function by its name."""
    if isinstance(value, list):
        items = [as_code(one) for one in value]
        line = f"[{', '.join(items)}]"
        if len(line) <= WIDTH and "\n" not in line:
            return line
        return "[\n" + textwrap.indent("".join(f"{item},\n" for item in items), "    ") + "]"
    if inspect.isroutine(value):
        return str(value.__name__)
    if not isinstance(value, Remembers) and hasattr(value, "forward") and not isinstance(value, type):
        with contextlib.suppress(ConfigError):
            return call_of(value)  # a layer that only has the methods
    return repr(value)
