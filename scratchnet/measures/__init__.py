"""Answers beside the truth: every measure, its interval over subjects, and tables of predictions.

It may import data, storage, terminal, nn.losses (for its check of labels), reference, random and errors.
"""
