"""The bar of what takes a while."""

from tqdm import tqdm


class Bar(tqdm):
    """tqdm's bar. A signal may come while one is made: tqdm before 4.70 then prints an AttributeError as the bar is removed.

    >>> list(Bar("ab", disable=True))
    ['a', 'b']
    """

    disable = True  # until it is made
