"""One example or more of every layer, with arguments that are not the defaults, and the shape of an image that each takes."""

from scratchnet import (
    AveragePool2D,
    BatchNorm2D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)  # fmt: skip
from scratchnet.nn.description import LAYERS

EXAMPLES = [
    AveragePool2D(3, stride=1),
    DepthwiseConv2D(3),
    DepthwiseConv2D((3, 1), stride=2, weight_init="he_normal", name="deep"),
    GlobalAveragePool2D(),
    LeakyReLU(),
    LeakyReLU(0.2),
    Residual([Conv2D(2, 3), BatchNorm2D(), ReLU(), Dropout(0.5)]),
    Residual([Sequential([Conv2D(3, 3, stride=2)]), Tanh()], shortcut=[Conv2D(3, 1, stride=2)], name="around"),
    Sigmoid(),
    Tanh(),
    BatchNorm2D(),
    BatchNorm2D(momentum=0.8, name="norm"),
    Conv2D(3, kernel_size=3),
    Conv2D(3, (3, 5), stride=2, padding="valid", weight_init="he_normal", name="look"),
    Conv2D(2, kernel_size=1, padding=1),
    Dense(3),
    Dense(units=3, weight_init="he_uniform"),
    Dropout(),
    Dropout(0.25, name="drop"),
    Flatten(),
    MaxPool2D(),
    MaxPool2D(3, stride=1),
    ReLU(),
    ReLU(name="cut"),
]
INPUT = {name: (6, 6, 2) for name in LAYERS} | {"Dense": (7,)}
