"""Faults on purpose: damaged files, hostile files, images of every kind, and a fuzzer for the readers."""
