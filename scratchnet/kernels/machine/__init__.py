"""What the kernels ask of the machine: compilation, loops, threads, vectors, memory, caches, denormal numbers. Nothing here knows a layer.

It may import `scratchnet.errors` and nothing else of scratchnet.
"""
