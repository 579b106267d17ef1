"""The systems that are compared. Each file is imported in the process of its own worker only."""

PEERS = ("torch", "torch-channels-last", "torch-compile", "tensorflow")

LABELS = {
    "scratchnet": "scratchnet",
    "torch": "PyTorch",
    "torch-channels-last": "PyTorch channels_last",
    "torch-compile": "PyTorch compiled",
    "tensorflow": "TensorFlow",
}
