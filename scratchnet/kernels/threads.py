"""How many threads the kernels use. The results don't depend on it, to the last bit."""

import numba

from scratchnet.errors import ConfigError


def set_threads(count: int) -> int:
    """Lets kernels use `count` threads, 0 for all there are; returns how many it is.

    Raises ConfigError for more than Numba has started with.
    """
    most: int = numba.config.NUMBA_NUM_THREADS
    if not 0 <= count <= most:
        raise ConfigError(
            f"threads must be 0 (all) to {most} on this machine, got {count}; the variable NUMBA_NUM_THREADS raises the limit"
        )
    numba.set_num_threads(count or most)
    return count or most
