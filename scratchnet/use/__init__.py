"""A trained network in use: predictions, explanations, exchange with other programs, and checks of its files.

It may import training, drawing, measures, data, nn, kernels, storage, terminal, and what stands at the top of scratchnet.
"""
