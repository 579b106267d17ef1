"""Several processes that train one network together: what a training needs of the others, for one process and for many.

`Alone` is one process and says what each method means; `Together` is a rank among several; `mail` carries bytes, and is the
one module that imports mpi4py, under a launcher only. It may import extras, terminal, errors.
"""

from scratchnet.ranks.alone import ALONE, Alone
from scratchnet.ranks.joining import joined

__all__ = ["ALONE", "Alone", "joined"]
