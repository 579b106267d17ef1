"""What can go wrong, by name. Every message says what came, what was expected, and what to do about it."""


class ScratchnetError(Exception):
    """The base of every error that scratchnet raises on purpose; catch this one to catch them all."""


class ShapeError(ScratchnetError, ValueError):
    """An array has the wrong number of axes or the wrong size along one of them."""


class DtypeError(ScratchnetError, TypeError):
    """An array has another element type than the network was built with; nothing is cast in silence."""


class NonFiniteError(ScratchnetError, ArithmeticError):
    """A NaN or an infinity stands where a number is needed."""


class LabelError(ScratchnetError, ValueError):
    """Labels are not integers, or name a class that does not exist."""


class OrderError(ScratchnetError, RuntimeError):
    """A call came before the one it depends on: forward before build, backward before forward."""


class ConfigError(ScratchnetError, ValueError):
    """A hyper-parameter or an option has a value that cannot work."""


class DataError(ScratchnetError):
    """A file of images, shards or weights is missing, damaged or of another kind than expected."""


class DamagedError(DataError):
    """The bytes of a file are not what was written; the file itself, and not the machine or the version, is at fault."""


class MissingExtraError(ScratchnetError, ImportError):
    """A library that comes with an extra of this package is missing or broken; the message says what installs it."""


class LockedError(ScratchnetError):
    """Another process is at work on the same files."""


class NoLocksError(LockedError):
    """The file system cannot lock files."""
