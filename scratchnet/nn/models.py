"""The report's networks, by name."""

from collections.abc import Sequence

from scratchnet.errors import ConfigError
from scratchnet.nn.base import is_whole
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.dense import Dense
from scratchnet.nn.dropout import Dropout
from scratchnet.nn.flatten import Flatten
from scratchnet.nn.pool import MaxPool2D
from scratchnet.nn.relu import ReLU
from scratchnet.nn.sequential import Sequential

REPORT_FILTERS = (32, 64, 128, 256, 512)
REPORT_WIDE_FILTERS = (64, 128, 256, 512, 512)


def report(
    image_size: int = 256,
    *,
    channels: int = 3,
    classes: int = 2,
    dropout: float = 0.5,
    weight_init: str = "xavier_uniform",
) -> Sequential:
    """The network of the report, with the 32 filters of its text doubled at each convolution up to the 512 of its last shape.

    image_size: height and width, at least 32. Five times [5×5 convolution, ReLU, 2×2 max-pooling], then two dense
    layers of 1024 with ReLU and dropout, and one output for each class. Build it before use: `net.build(seed=0)`.
    Source: Richa, "Neural Networks Final Project: Classifying HEM vs ALL cells", 2019, section 4.1.

    >>> net = report(image_size=64)
    >>> net.build(seed=0)
    (2,)
    """
    return _report(REPORT_FILTERS, image_size, channels, classes, dropout, weight_init)


def report_wide(
    image_size: int = 256,
    *,
    channels: int = 3,
    classes: int = 2,
    dropout: float = 0.5,
    weight_init: str = "xavier_uniform",
) -> Sequential:
    """The same network with the filters of the shapes that the report prints: 128×128×64 after the first block, and so on."""
    return _report(REPORT_WIDE_FILTERS, image_size, channels, classes, dropout, weight_init)


def _report(
    filters: Sequence[int], image_size: int, channels: int, classes: int, dropout: float, weight_init: str
) -> Sequential:
    if not is_whole(image_size, 32):
        raise ConfigError(
            f"image_size must be a whole number from 32 up, got {image_size!r}: five 2×2 poolings leave nothing of less"
        )
    layers: list[object] = []
    for count in filters:
        layers += [Conv2D(count, kernel_size=5, weight_init=weight_init), ReLU(), MaxPool2D(2)]
    layers.append(Flatten())
    for _ in range(2):
        layers += [Dense(1024, weight_init=weight_init), ReLU(), Dropout(dropout)]
    layers.append(Dense(classes, weight_init=weight_init))
    return Sequential(layers, input_shape=(image_size, image_size, channels))


MODELS = {"report": report, "report-wide": report_wide}
