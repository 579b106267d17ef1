"""Files that may be damaged, or come from strangers: written whole or not at all, read with checks.

It may import terminal and errors.
"""
