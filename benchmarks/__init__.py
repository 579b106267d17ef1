"""How fast and how small scratchnet is, beside PyTorch, TensorFlow and the machine's own limit: python -m benchmarks

Each system computes in a process of its own (`worker.py`, `systems/`), so that its threads are its own, its peak memory
is its own, and all but one wait while one is measured. `sections.py` says what is measured, `targets.py` what is to be reached.
"""
