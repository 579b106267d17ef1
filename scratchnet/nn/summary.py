"""A network's layers as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scratchnet.nn.base import Shape, parameters_of


def summary_table(layers: Sequence[Any], shapes: Sequence[Shape], dtype: np.dtype[Any]) -> str:
    """One line a layer: output shape, parameters, multiplications, and memory of the output for one image; then the sums.

    shapes: between the layers, the input's first. dtype: of the network.
    """
    heads = ("layer", "output", "parameters", "multiplications", "memory")
    rows = [heads, ("input", _sizes(shapes[0]), "", "", _memory(shapes[0], dtype))]
    weights = [sum(parameter.value.size for parameter in parameters_of(layer)) for layer in layers]
    works = [layer.multiplications() if hasattr(layer, "multiplications") else 0 for layer in layers]
    for layer, shape, count, work in zip(layers, shapes[1:], weights, works, strict=True):
        numbers = (f"{number:,}" if number else "" for number in (count, work))
        rows.append((layer.name, _sizes(shape), *numbers, _memory(shape, dtype)))
    memory = _memory((sum(int(np.prod(shape)) for shape in shapes[1:]),), dtype)
    rows.append(("total", "", f"{sum(weights):,}", f"{sum(works):,}", memory))
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    rule = "─" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _sizes(shape: Shape) -> str:
    return " × ".join(str(size) for size in shape)


def _memory(shape: Shape, dtype: np.dtype[Any]) -> str:
    return _bytes(int(np.prod(shape)) * dtype.itemsize)


def _bytes(count: float) -> str:
    size = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
