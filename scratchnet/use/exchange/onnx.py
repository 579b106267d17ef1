"""ONNX: the network as a graph that runs elsewhere, from pixels as they are stored to probabilities.

| input           | (N, S, S, 3) uint8, 0 … 255, red, green, blue, as an image file decodes: no one can scale it wrongly |
| `logits`        | (N, classes) float32                                                                                |
| `probabilities` | (N, classes) float32: softmax of the logits                                                         |

The scaling is the first part of the graph. N is free. Inside, images are (N, C, H, W), as ONNX convolves, and go back to
(N, H, W, C) before Flatten, so that the dense weights keep their order. The metadata holds the class names and the
preprocessing that makes S × S pixels of a file. A float64 network is written in float32, which is what runs elsewhere.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.data.pixels import PixelScaling
from scratchnet.errors import ConfigError, DataError
from scratchnet.extras import require
from scratchnet.nn.activations import LeakyReLU, Sigmoid, Tanh
from scratchnet.nn.average_pool import AveragePool2D, GlobalAveragePool2D
from scratchnet.nn.batch_norm import BatchNorm2D
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.dense import Dense
from scratchnet.nn.depthwise import DepthwiseConv2D
from scratchnet.nn.dropout import Dropout
from scratchnet.nn.flatten import Flatten
from scratchnet.nn.pool import MaxPool2D
from scratchnet.nn.relu import ReLU
from scratchnet.nn.residual import Residual
from scratchnet.nn.sequential import Sequential
from scratchnet.storage.files import write_atomically, writing
from scratchnet.use.predictor import Predictor
from scratchnet.version import __version__

OPSET, IR_VERSION = 17, 8  # of 2022: old enough to run nearly everywhere
TOLERANCE = 1e-4  # of logits, and of a logit's size where it is above 1
CHANNELS_FIRST, CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
ON_IMAGES = (
    Conv2D | DepthwiseConv2D | MaxPool2D | AveragePool2D | GlobalAveragePool2D | BatchNorm2D
)  # channels first in ONNX


def write_onnx(predictor: Predictor, path: str | os.PathLike[str], images: NDArray[np.uint8]) -> float:
    """Writes the graph after checking that it gives the same answers; returns the largest difference of a logit.

    images (N, S, S, 3) uint8: for the check in ONNX Runtime, preferably real ones.
    Raises DataError, and writes nothing, if a label differs or a logit by more than 1e-4 (relative to its size above 1), or where
    there can be no such file,
    ConfigError for a layer that ONNX cannot express, MissingExtraError without the extra [export].
    """
    onnx, runtime = require("onnx"), require("onnxruntime")
    model = onnx_model(predictor)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = runtime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    difference = _compare(str(path), predictor, session, images)
    with writing(path) as file, write_atomically(file) as temporary:
        temporary.write_bytes(content)
    return difference


def _compare(path: str, predictor: Predictor, session: Any, images: NDArray[np.uint8]) -> float:
    """Runs the images through both. Raises DataError if they disagree."""
    ours = predictor.logits(images, symmetries=False)
    theirs, probabilities = session.run(["logits", "probabilities"], {"pixels": images})
    difference = np.abs(theirs - ours)
    if (difference > TOLERANCE * np.maximum(1, np.abs(ours))).any():
        raise DataError(
            f"{path}: not written: ONNX Runtime's logits differ from ours by up to {difference.max():.2g}, "
            f"more than {TOLERANCE:g}: please report this with the versions of onnx and onnxruntime"
        )
    # If two classes are practically equal, either is right.
    top = np.sort(ours, axis=1)
    clear = top[:, -1] - top[:, -2] > 2 * TOLERANCE
    if (probabilities.argmax(axis=1) != ours.argmax(axis=1))[clear].any():
        raise DataError(f"{path}: not written: ONNX Runtime gives other labels than we do: please report this")
    return float(difference.max())


def onnx_model(predictor: Predictor) -> Any:
    """The graph as an `onnx.ModelProto`. Raises ConfigError for a layer that ONNX cannot express."""
    onnx = require("onnx")
    graph = _Graph(onnx)
    x = _scaled(graph, predictor.scaling)
    x, _ = _row(graph, x, "last", predictor.network.layers)
    graph.node("Identity", x, output="logits")
    graph.node("Softmax", "logits", output="probabilities", axis=1)

    size, classes = predictor.image_size, len(predictor.class_names)
    value, kinds = onnx.helper.make_tensor_value_info, onnx.TensorProto
    outputs = [value(name, kinds.FLOAT, ["N", classes]) for name in ("logits", "probabilities")]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes, "scratchnet", [value("pixels", kinds.UINT8, ["N", size, size, 3])], outputs, graph.weights
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="scratchnet",
        producer_version=__version__,
    )
    facts = {
        "class_names": list(predictor.class_names),
        "preprocessing": predictor.preprocessing,
        **({"class_labels": predictor.class_labels} if predictor.class_labels else {}),
    }
    onnx.helper.set_model_props(model, {name: json.dumps(fact) for name, fact in facts.items()})
    return model


class _Graph:
    """Nodes and weights as they are added; every output has the name of its node."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def node(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operation, inputs, [output], name=output, **attributes))
        return output

    def turned(self, x: str, layout: str) -> str:
        """Images with their channels first, or last."""
        return self.node("Transpose", x, perm=CHANNELS_FIRST if layout == "first" else CHANNELS_LAST)

    def weight(self, name: str, value: Any) -> str:
        array = np.ascontiguousarray(value, np.float32)
        self.weights.append(self.onnx.numpy_helper.from_array(array, name))
        return name


def _scaled(graph: _Graph, scaling: PixelScaling) -> str:
    """Pixels 0 … 255 → the network's numbers, (N, S, S, 3), by the steps of PixelScaling.apply."""
    x = graph.node("Cast", "pixels", to=graph.onnx.TensorProto.FLOAT)
    x = graph.node("Div", x, graph.weight("largest_pixel", 255))
    if scaling.kind == "standardised":
        x = graph.node("Sub", x, graph.weight("channel_mean", scaling.mean))
        x = graph.node("Div", x, graph.weight("channel_std", scaling.std))
    return x


def _row(graph: _Graph, x: str, layout: str, layers: list[Any]) -> tuple[str, str]:
    """Layers one after the other; returns the output and where its channels stand, "first" or "last", as `layout` says of x."""
    for layer in layers:
        if isinstance(layer, Sequential):
            x, layout = _row(graph, x, layout, layer.layers)
        elif isinstance(layer, Residual):
            ends = [_row(graph, x, layout, way) for way in (layer.layers, layer.shortcut or [])]
            # Both ways as the first has them; vectors have no channels, and come as "last" from either.
            layout = ends[0][1]
            turned = [end if at == layout else graph.turned(end, layout) for end, at in ends]
            x = graph.node("Add", *turned)
        else:
            wanted = "first" if isinstance(layer, ON_IMAGES) else "last" if isinstance(layer, Flatten) else layout
            x = _layer(graph, x if wanted == layout else graph.turned(x, wanted), layer)
            layout = "last" if isinstance(layer, GlobalAveragePool2D) else wanted
    return x, layout


def _layer(graph: _Graph, x: str, layer: Any) -> str:
    """One layer as a node; dropout does nothing in prediction."""
    if isinstance(layer, Conv2D | DepthwiseConv2D):
        top, bottom, left, right = layer.pads
        each = isinstance(layer, DepthwiseConv2D)
        filters = layer.weight.value[:, :, None] if each else layer.weight.value
        weight = graph.weight(layer.weight.name, filters.transpose(3, 2, 0, 1))
        bias = graph.weight(layer.bias.name, layer.bias.value)
        strides, shape = [layer.stride] * 2, list(layer.kernel_size)
        pads, group = [top, left, bottom, right], len(filters[0, 0, 0]) if each else 1
        return graph.node("Conv", x, weight, bias, kernel_shape=shape, strides=strides, pads=pads, group=group)
    if isinstance(layer, MaxPool2D | AveragePool2D):
        operation = "MaxPool" if isinstance(layer, MaxPool2D) else "AveragePool"
        return graph.node(operation, x, kernel_shape=[layer.pool_size] * 2, strides=[layer.stride] * 2)
    if isinstance(layer, GlobalAveragePool2D):
        return graph.node("Flatten", graph.node("GlobalAveragePool", x), axis=1)
    if isinstance(layer, BatchNorm2D):
        arrays = {one.name: one.value for one in layer.parameters()}
        arrays |= {f"{layer.gamma.name.removesuffix('gamma')}{name}": array for name, array in layer.buffers().items()}
        inputs = [graph.weight(name, array) for name, array in arrays.items()]
        return graph.node("BatchNormalization", x, *inputs, epsilon=layer.epsilon)
    if isinstance(layer, LeakyReLU):
        return graph.node("LeakyRelu", x, alpha=layer.slope)
    if isinstance(layer, Sigmoid | Tanh):
        return graph.node(type(layer).__name__, x)
    if isinstance(layer, Dense):
        weight, bias = (graph.weight(p.name, p.value) for p in layer.parameters())
        return graph.node("Gemm", x, weight, bias)
    if isinstance(layer, ReLU):
        return graph.node("Relu", x)
    if isinstance(layer, Flatten):
        return graph.node("Flatten", x, axis=1)
    if isinstance(layer, Dropout):
        return x
    raise ConfigError(
        f"{layer} cannot be written as ONNX, which is done for scratchnet's own layers: put such layers in its place"
    )
