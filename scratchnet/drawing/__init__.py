"""Plots, pictures and heat maps, as arrays and files. It may import measures, terminal, reference, extras and errors."""
