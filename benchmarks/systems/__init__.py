"""The systems that are compared. Each file is imported in the process of its own worker only."""

PEERS = ("torch", "torch-channels-last", "torch-compile", "torch-bfloat16", "tensorflow")
LOWER_PRECISION = ("torch-bfloat16",)  # shown beside the others, and never what ours is judged by

LABELS = {
    "scratchnet": "scratchnet",
    "torch": "PyTorch",
    "torch-channels-last": "PyTorch channels_last",
    "torch-compile": "PyTorch compiled",
    "torch-bfloat16": "PyTorch bfloat16 (lower precision)",
    "torch-flush": "PyTorch, denormals flushed",
    "tensorflow": "TensorFlow",
}
