"""Networks by name: the report's, and a residual one for cells."""

from collections.abc import Callable, Sequence
from typing import Any

from scratchnet.errors import ConfigError
from scratchnet.nn.average_pool import GlobalAveragePool2D
from scratchnet.nn.base import Layer, is_whole
from scratchnet.nn.batch_norm import BatchNorm2D
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.dense import Dense
from scratchnet.nn.dropout import Dropout
from scratchnet.nn.flatten import Flatten
from scratchnet.nn.pool import MaxPool2D
from scratchnet.nn.relu import ReLU
from scratchnet.nn.residual import Residual
from scratchnet.nn.sequential import Sequential

REPORT_FILTERS = (32, 64, 128, 256, 512)
REPORT_WIDE_FILTERS = (64, 128, 256, 512, 512)
RESIDUAL_FILTERS = (32, 64, 128, 128)


def report(
    image_size: int = 256,
    *,
    channels: int = 3,
    classes: int = 2,
    dropout: float = 0.5,
    weight_init: str = "xavier_uniform",
    filters: Sequence[int] = REPORT_FILTERS,
) -> Sequential:
    """The network of the report, with the 32 filters of its text doubled at each convolution up to the 512 of its last shape.

    image_size: height and width, at least 32. For each of `filters` a 5×5 convolution of so many, ReLU and 2×2 max-pooling; then two
    dense layers of 1024 with ReLU and dropout, and one output for each class. Build it before use: `net.build(seed=0)`.
    Source: Richa, "Neural Networks Final Project: Classifying HEM vs ALL cells", 2019, section 4.1.

    >>> net = report(image_size=64)
    >>> net.build(seed=0)
    (2,)
    """
    _check_size(image_size)
    layers: list[object] = []
    for count in filters:
        layers += [Conv2D(count, kernel_size=5, weight_init=weight_init), ReLU(), MaxPool2D(2)]
    layers.append(Flatten())
    for _ in range(2):
        layers += [Dense(1024, weight_init=weight_init), ReLU(), Dropout(dropout)]
    layers.append(Dense(classes, weight_init=weight_init))
    return Sequential(layers, input_shape=(image_size, image_size, channels))


def report_wide(image_size: int = 256, **options: Any) -> Sequential:
    """The same network with the filters of the shapes that the report prints: 128×128×64 after the first block, and so on.

    options: those of `report` but `filters`.
    """
    return report(image_size, filters=REPORT_WIDE_FILTERS, **options)


def residual(
    image_size: int = 64,
    *,
    channels: int = 3,
    classes: int = 2,
    dropout: float = 0.5,
    weight_init: str = "he_normal",
) -> Sequential:
    """A small residual network, of 0.6 million weights for images of any size.

    image_size: height and width, at least 32. A 5×5 convolution of 32 filters with ReLU, 2×2 max-pooling and batch
    normalisation; residual blocks of 32, 64, 128 and 128 filters, with 2×2 max-pooling between them; the mean over all positions,
    dropout, and one output for each class. A block is y = ReLU(x + F(x)), F two 3×3 convolutions that are normalised; where
    the filters become more, a 1×1 convolution brings x to as many. The first convolution and its pooling run as one kernel, so
    that a step takes less time than that of `report`.
    Source: He, Zhang, Ren & Sun 2016, "Deep Residual Learning for Image Recognition", sections 3 and 4.2.

    >>> net = residual(image_size=64)
    >>> net.build(seed=0)
    (2,)
    >>> sum(parameter.value.size for parameter in net.parameters())
    605506
    """
    _check_size(image_size)

    def convolution(filters: int, kernel_size: int) -> Conv2D:
        return Conv2D(filters, kernel_size=kernel_size, weight_init=weight_init)

    layers: list[Layer] = [convolution(RESIDUAL_FILTERS[0], 5), ReLU(), MaxPool2D(2), BatchNorm2D()]
    before = RESIDUAL_FILTERS[0]
    for number, filters in enumerate(RESIDUAL_FILTERS):
        if number:
            layers.append(MaxPool2D(2))
        around = [convolution(filters, 1), BatchNorm2D()] if filters != before else None
        path = [convolution(filters, 3), BatchNorm2D(), ReLU(), convolution(filters, 3), BatchNorm2D()]
        layers += [Residual(path, around), ReLU()]
        before = filters
    layers += [GlobalAveragePool2D(), Dropout(dropout), Dense(classes, weight_init=weight_init)]
    return Sequential(layers, input_shape=(image_size, image_size, channels))


def _check_size(image_size: int) -> None:
    if not is_whole(image_size, 32):
        raise ConfigError(
            f"image_size must be a whole number from 32 up, got {image_size!r}: the 2×2 poolings leave nothing of less"
        )


MODELS: dict[str, Callable[..., Sequential]] = {"report": report, "report-wide": report_wide, "residual": residual}
