"""To and from other libraries: PyTorch's and Keras' layouts, safetensors, ONNX.

The layouts need no library but NumPy; files need the extra [export].
"""

from scratchnet.use.exchange.layouts import from_keras, from_torch, to_keras, to_torch
from scratchnet.use.exchange.onnx import write_onnx
from scratchnet.use.exchange.safetensors import read_safetensors, write_safetensors

__all__ = ["from_keras", "from_torch", "read_safetensors", "to_keras", "to_torch", "write_onnx", "write_safetensors"]
