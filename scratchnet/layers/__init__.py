"""The layers: plain Python around the kernels."""

from scratchnet.layers.base import Layer, Parameter
from scratchnet.layers.conv import Conv2D
from scratchnet.layers.dense import Dense
from scratchnet.layers.dropout import Dropout
from scratchnet.layers.flatten import Flatten
from scratchnet.layers.pool import MaxPool2D
from scratchnet.layers.relu import ReLU

__all__ = ["Conv2D", "Dense", "Dropout", "Flatten", "Layer", "MaxPool2D", "Parameter", "ReLU"]
