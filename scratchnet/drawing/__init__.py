"""Plots, pictures and heat maps, as arrays and files. It may import measures, extras and errors."""
