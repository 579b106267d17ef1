"""HDF5 files that can be trusted: written by h5py, whole or not at all, and read in plain Python, whoever wrote them."""

from scratchnet.storage.hdf5.reader import DEFLATE, MAX_TEXT_BYTES, NUMBERS, HDF5File, first_line
from scratchnet.storage.hdf5.writer import WRITTEN_WITH, create, create_group, text_of

__all__ = [
    "DEFLATE", "MAX_TEXT_BYTES", "NUMBERS", "WRITTEN_WITH", "HDF5File", "create", "create_group", "first_line", "text_of",
]  # fmt: skip
