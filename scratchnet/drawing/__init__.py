"""Plots, pictures and heat maps, as arrays and files. It may import measures, reference, extras and errors."""
