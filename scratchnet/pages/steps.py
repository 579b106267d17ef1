"""What each layer of a network makes of one image, in the form that a page shows: pictures of its maps, and how they came about.

A step is a dict that goes into the page as JSON. All have "name", "kind" and "said"; those with maps also what `_maps` says,
those without have "values". Numbers are rounded to three digits; the maps are drawn in 256 steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.drawing.heat import Pixels
from scratchnet.drawing.pictures import png
from scratchnet.nn.average_pool import GlobalAveragePool2D
from scratchnet.nn.batch_norm import BatchNorm2D
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.dense import Dense
from scratchnet.nn.dropout import Dropout
from scratchnet.nn.flatten import Flatten
from scratchnet.nn.pool import MaxPool2D
from scratchnet.nn.relu import ReLU
from scratchnet.nn.residual import Residual
from scratchnet.nn.sequential import Sequential
from scratchnet.pages.html import data_uri
from scratchnet.reference import Array
from scratchnet.terminal.wording import counted, percent
from scratchnet.use.explain import convolves, feature_maps, sights

SHOWN = 32  # maps of a layer, those that are strongest in this image
SIDE = 64  # places along a side of a map's picture; of more, each stands for several
COLUMNS = 8  # maps in a row of the picture that holds them all
PARTS = 4  # of what a sum is made of
COLOURS = ("red", "green", "blue")
GRID = 7  # a larger filter is not shown as numbers


def steps_of(network: Sequential, x: Array, pixels: Pixels, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """The image, then each layer but dropout and flatten, which change no number in prediction.

    x (1, S, S, C): the image as the network gets it. pixels (S, S, 3) uint8: as people see it. class_names: of the logits.
    """
    steps = [_image(pixels)]
    outputs, before = feature_maps(network, x), x
    shown = _strongest(network, outputs)
    last = [layer.name for layer in network.layers if isinstance(layer, Dense)][-1:]
    for layer, sight in zip(network.layers, sights(network), strict=True):
        after = outputs[layer.name]
        if not isinstance(layer, Dropout | Flatten):
            step: dict[str, Any] = {"name": layer.name, "kind": layer.kind, "said": _said(layer, before[0], after[0])}
            if after.ndim == 4:
                step |= _maps(after[0], shown[layer.name]) | {"sees": list(sight)}
                if isinstance(layer, Conv2D):
                    step["made"] = [_made(layer, before[0], after[0], int(f)) for f in shown[layer.name]]
            else:
                names = list(class_names) if layer.name in last else []
                step |= {"values": _rounded(after[0]), "names": names}
                if isinstance(layer, Dense) and names:
                    step["made"] = [_summed(layer, before[0], after[0], k) for k in range(len(names))]
            steps.append(step)
        before = after
    return steps


def _image(pixels: Pixels) -> dict[str, Any]:
    height, width, _ = pixels.shape
    said = f"{height} × {width} pixels, each of them three numbers from 0 to 255: this is all that the network gets."
    maps = _maps(pixels.astype(np.float64), np.arange(3), largest=255.0)
    return {"name": "image", "kind": "image", "said": said, "sees": [1, 1, 0], **maps, "labels": list(COLOURS)}


def _strongest(network: Sequential, outputs: dict[str, Array]) -> dict[str, NDArray[np.intp]]:
    """For each layer with maps the numbers of those to show: the same as long as their number is, up to the next convolution.

    What a ReLU lets through is what counts, so that the order is that of the last map before the next convolution.
    """
    shown: dict[str, NDArray[np.intp]] = {}
    block: list[str] = []
    for layer in [*network.layers, None]:
        maps = None if layer is None else outputs[layer.name]
        if block and (maps is None or convolves(layer) or maps.shape[3:] != outputs[block[-1]].shape[3:]):
            largest = np.abs(outputs[block[-1]][0]).max(axis=(0, 1))
            shown |= dict.fromkeys(block, np.argsort(-largest, kind="stable")[:SHOWN])
            block = []
        if layer is not None and maps is not None and maps.ndim == 4:
            block.append(layer.name)
    return shown


def _said(layer: Any, before: Array, after: Array) -> str:
    """What the layer does, in a sentence or two, with the numbers of this image."""
    shape = " × ".join(map(str, after.shape))
    if isinstance(layer, Conv2D):
        window = " × ".join(map(str, layer.kernel_size))
        return (
            f"{counted(layer.filters, 'filter')} of {window} slide over the {before.shape[2]:,} maps before. Each makes a map "
            f"of its own: {shape} sums, orange above zero, blue below."
        )
    if isinstance(layer, ReLU):
        return (
            f"What is below zero becomes zero: here {percent(float((before <= 0).mean()))} of {before.size:,} numbers."
        )
    if isinstance(layer, MaxPool2D):
        return (
            f"Of each {layer.pool_size} × {layer.pool_size} positions only the largest number stays: {shape} are left."
        )
    if isinstance(layer, Dense):
        return f"Each of {after.size:,} numbers is a weighted sum of all {before.size:,} before, and a bias."
    if isinstance(layer, BatchNorm2D):
        return "Each map is brought to the scale that it learnt: of its numbers over many images, mean and spread are fixed."
    if isinstance(layer, Residual):
        convolutions = sum(map(convolves, layer.layers))
        return (
            f"{counted(convolutions, 'convolution')} in a row say what is to be added to the maps before: {shape} sums."
        )
    if isinstance(layer, GlobalAveragePool2D):
        return f"The mean of each map: {shape} numbers, which no longer say where."
    return f"{shape} numbers."


def _maps(maps: Array, shown: NDArray[np.intp], largest: float | None = None) -> dict[str, Any]:
    """The maps (h, w, C) of these numbers as one grey PNG, and how to read it.

    "sheet": a data URI; "columns": maps in its rows; "size" [h', w'] of each; "each": places along the side of what one
    pixel stands for; "shape" [h, w, C]; "maps": their numbers; "signed": whether 128 is zero, else 0 is; "largest": what the
    brightest means; "tops": the largest value of each map, and its place [i, j].
    """
    height, width, _ = maps.shape
    chosen = np.moveaxis(maps[:, :, shown].astype(np.float64), 2, 0)
    signed = bool((chosen < 0).any())
    scale = largest or float(np.abs(chosen).max()) or 1.0
    each = -(-max(height, width) // SIDE)
    small = _blocks(chosen, each)
    grey = 128 + 127 * small / scale if signed else 255 * small / scale
    rows = -(-len(shown) // COLUMNS)
    sheet = np.zeros((rows * COLUMNS, *small.shape[1:]), np.uint8)
    sheet[: len(shown)] = grey.round().clip(0, 255)
    sheet = sheet.reshape(rows, COLUMNS, *small.shape[1:]).swapaxes(1, 2).reshape(rows * small.shape[1], -1)
    places = [divmod(int(one.argmax()), width) for one in chosen]
    tops = [[_round(one[place]), list(place)] for one, place in zip(chosen, places, strict=True)]
    return {
        "sheet": data_uri(png(sheet), "png"), "columns": COLUMNS,
        "size": list(small.shape[1:]), "each": each, "shape": list(maps.shape), "maps": shown.tolist(), "signed": signed,
        "largest": _round(scale), "tops": tops,
    }  # fmt: skip


def _blocks(maps: Array, each: int) -> Array:
    """(C, h, w) shrunk by `each` along both sides: of each block, the number that is furthest from zero."""
    if each == 1:
        return maps
    count, height, width = maps.shape
    padded = np.pad(maps, ((0, 0), (0, -height % each), (0, -width % each)))
    blocks = padded.reshape(count, padded.shape[1] // each, each, padded.shape[2] // each, each)
    blocks = blocks.swapaxes(2, 3).reshape(count, blocks.shape[1], blocks.shape[3], each * each)
    furthest = np.abs(blocks).argmax(axis=3)[..., None]
    return np.asarray(np.take_along_axis(blocks, furthest, axis=3)[..., 0])


def _made(layer: Conv2D, before: Array, after: Array, f: int) -> dict[str, Any]:
    """What the largest sum of map f is made of: the maps before that moved it most, each with what the filter met there.

    value = bias + Σ over the parts of their "sum" + rest. "seen" and "weights" are (KH, KW), None where they are too large.
    """
    place = np.unravel_index(int(after[:, :, f].argmax()), after.shape[:2])
    top, bottom, left, right = layer.pads
    padded = np.pad(before, ((top, bottom), (left, right), (0, 0)))
    i, j = (int(one) * layer.stride for one in place)
    seen = padded[i : i + layer.kernel_size[0], j : j + layer.kernel_size[1]].astype(np.float64)
    weight = layer.weight.value[:, :, :, f].astype(np.float64)
    sums = (seen * weight).sum(axis=(0, 1))
    order = np.argsort(-np.abs(sums), kind="stable")[:PARTS]
    small = max(layer.kernel_size) <= GRID
    parts = [
        {
            "map": int(c), "sum": _round(sums[c]),
            "seen": _rounded(seen[:, :, c]) if small else None, "weights": _rounded(weight[:, :, c]) if small else None,
        } for c in order
    ]  # fmt: skip
    value, bias = float(after[(*place, f)]), float(layer.bias.value[f])
    rest = value - bias - float(sums[order].sum())
    return {
        "place": [int(one) for one in place], "value": _round(value), "bias": _round(bias), "parts": parts,
        "others": len(sums) - len(order), "rest": _round(rest),
    }  # fmt: skip


def _summed(layer: Dense, before: Array, after: Array, k: int) -> dict[str, Any]:
    """What a class's number is made of: the numbers before that moved it most. value = bias + Σ of "sum" + rest."""
    weight = layer.weight.value[:, k].astype(np.float64)
    products = before.astype(np.float64) * weight
    order = np.argsort(-np.abs(products), kind="stable")[: 2 * PARTS]
    parts = [
        {"map": int(c), "seen": _round(before[c]), "weights": _round(weight[c]), "sum": _round(products[c])}
        for c in order
    ]
    value, bias = float(after[k]), float(layer.bias.value[k])
    rest = value - bias - float(products[order].sum())
    return {
        "value": _round(value), "bias": _round(bias), "parts": parts, "others": len(products) - len(order), "rest": _round(rest)
    }  # fmt: skip


def _round(value: Any) -> float:
    return float(f"{value:.3g}")


def _rounded(values: Array) -> Any:
    return np.vectorize(_round, otypes=[float])(values).tolist() if values.size else []
