"""Matches another program's layers with ours: by shape, and by order if shapes are equal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scratchnet.errors import ConfigError, ShapeError
from scratchnet.nn.base import Shape


@dataclass(frozen=True)
class Slot:
    """A layer that weights are wanted for. weight, bias: their shapes in the other program's layout.

    flattened: (H, W, C) of a dense layer that follows Flatten, else None. size: height of the network's images. last: whether
    it is the last layer, whose outputs are the classes.
    """

    name: str
    weight: Shape
    bias: Shape
    flattened: Shape | None = None
    size: int = 0
    last: bool = False


@dataclass(frozen=True)
class Given:
    """A layer that weights are there for. weight, bias: their shapes."""

    name: str
    weight: Shape
    bias: Shape


def order_is_lost(state: Mapping[str, Any]) -> bool:
    """Whether these arrays are sorted by name within each type, as in a file of safetensors, and not in the model's order.

    A model's own state dict has the bias of each layer right after its weight, which sorting by name never gives.

    >>> order_is_lost({"stem.weight": 0, "stem.bias": 0, "head.weight": 0, "head.bias": 0})
    False
    >>> order_is_lost({"head.bias": 0, "head.weight": 0, "stem.bias": 0, "stem.weight": 0})
    True
    """
    names = list(state)
    pairs = zip(names[::2], names[1::2], strict=False)
    if all(one == f"{two.removesuffix('.bias')}.weight" for one, two in pairs):
        return False
    by_type: dict[str, list[str]] = {}
    for name, array in state.items():
        by_type.setdefault(str(getattr(array, "dtype", "")), []).append(name)
    return all(some == sorted(some) for some in by_type.values())


def matched(given: Sequence[Given], slots: Sequence[Slot], *, ordered: bool) -> list[str]:
    """For each slot the name of the layer whose weights it gets. As many are given as there are slots.

    ordered: whether they are given in the network's order, as in a model's own state dict; a file of safetensors has
    lost it (`order_is_lost`). Ordered layers are taken as they come, if they fit; others by shape, and layers of one
    shape by the numbers in their names.

    Raises ShapeError if one fits nowhere, with what differs; ConfigError if several fit and nothing tells them apart.
    """
    if ordered and all(_fits(one, slot) for one, slot in zip(given, slots, strict=True)):
        return [one.name for one in given]
    found: dict[str, str] = {}
    for shape in dict.fromkeys((slot.weight, slot.bias) for slot in slots):
        wanted = [slot for slot in slots if (slot.weight, slot.bias) == shape]
        there = [one for one in given if (one.weight, one.bias) == shape]
        if len(there) != len(wanted):
            raise ShapeError(_misfit(given, slots))
        if len(there) > 1:
            there = _in_order(there, wanted)
        found |= {slot.name: one.name for slot, one in zip(wanted, there, strict=True)}
    return [found[slot.name] for slot in slots]


def _fits(one: Given, slot: Slot) -> bool:
    return (one.weight, one.bias) == (slot.weight, slot.bias)


def _in_order(there: list[Given], wanted: list[Slot]) -> list[Given]:
    """Layers of one shape in the order of the numbers in their names, which must differ only in these."""
    numbers = {tuple(int(part) for part in re.findall(r"\d+", one.name)): one for one in there}
    if len({re.sub(r"\d+", "#", one.name) for one in there}) > 1 or len(numbers) < len(there):
        theirs, ours = (", ".join(one.name for one in some) for some in (there, wanted))
        raise ConfigError(
            f"the layers {theirs} have one shape, {there[0].weight}, and fit {ours} in any order, and nothing tells their order, "
            "since safetensors sorts by name: before they are saved, give them names that differ in a number alone (block1, block2, "
            "…), or give model.state_dict() itself to scratchnet.use.exchange.from_torch in Python, which has the order"
        )
    return [numbers[key] for key in sorted(numbers)]


def _misfit(given: Sequence[Given], slots: Sequence[Slot]) -> str:
    """What does not fit about the first layer without a partner, and why, as far as the shapes tell."""
    rest = list(given)
    alone = []
    for slot in slots:
        partner = next((one for one in rest if _fits(one, slot)), None)
        if partner is None:
            alone.append(slot)
        else:
            rest.remove(partner)
    slot = alone[0]
    # The nearest one: with the most sides in common.
    one = max(rest, key=lambda other: sum(a == b for a, b in zip(other.weight, slot.weight, strict=True)))
    return (
        f"{one.name}.weight {one.weight} and bias {one.bias} do not fit {slot.name}, which in PyTorch's layout has "
        f"{slot.weight} and {slot.bias}: {_reason(one, slot)}"
    )


def _reason(one: Given, slot: Slot) -> str:
    theirs, ours = one.weight, slot.weight
    if theirs == ours:
        return f"a bias of {one.bias[0] if one.bias else 'no'} numbers does not belong to these weights"
    if len(theirs) == 4:
        if theirs[2:] != ours[2:]:
            return f"its kernels are {theirs[2]}×{theirs[3]}, here {ours[2]}×{ours[3]}"
        if theirs[0] != ours[0]:
            return f"it has {theirs[0]} filters, here {ours[0]}"
        return f"it takes {theirs[1]} channels, here {ours[1]}: is it fed with other images, or does another layer come before it?"
    if theirs[1] == ours[1]:
        what = "classes" if slot.last else "outputs"
        return f"it has {theirs[0]} {what}, here {ours[0]}"
    if slot.flattened is not None and theirs[0] == ours[0]:
        height, _, channels = slot.flattened
        side = math.isqrt(theirs[1] // channels)
        if side * side * channels == theirs[1] and slot.size:
            return f"it is of images of {slot.size * side // height} pixels, the network here of {slot.size}"
    return f"it takes {theirs[1]} inputs, here {ours[1]}: are there layers between, or none, that are here?"
