"""Layers, networks, losses and optimisers: the state around the kernels, in plain Python.

It may import kernels, reference, random and errors.
"""
