"""What the kernels ask of the machine: compilation, vectors, memory, threads, denormal numbers. Nothing here knows a layer.

It may import `scratchnet.errors` and nothing else of scratchnet.
"""
