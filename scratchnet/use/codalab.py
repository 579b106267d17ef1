"""The submission file of the C-NMC 2019 challenge (ISBI 2019), which ran on CodaLab.

A zip with one text file, `isbi_valid.predict`: a line for each test image in the order of the numbers that are the
images' names, 1.bmp, 2.bmp, …; 1 says ALL, 0 says HEM, as in the challenge's table of labels. The preliminary phase had
images 1 to 1867, the final one 1 to 2586. The format was taken from the programs that several participants published,
which agree; the challenge's own page no longer exists.
"""

import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from scratchnet.errors import ConfigError, DataError
from scratchnet.storage.files import write_atomically

MEMBER = "isbi_valid.predict"
CLASSES = {"all": 1, "hem": 0}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the date in the zip, so that the same answers give the same bytes


def require_numbered(files: Iterable[Path], class_names: Iterable[str]) -> None:
    """Raises DataError unless the files are named 1 to N, each once, and ConfigError unless the classes are ALL and HEM."""
    if sorted(name.lower() for name in class_names) != sorted(CLASSES):
        raise ConfigError(f"the challenge's classes are all and hem; this network has {', '.join(class_names)}")
    seen: dict[int, Path] = {}
    for file in files:
        number = _number(file)
        if number in seen:
            raise DataError(f"{file} has the same number as {seen[number]}; the challenge's images are numbered 1 to N")
        seen[number] = file
    missing = next((k for k in range(1, len(seen) + 1) if k not in seen), None)
    if missing:
        raise DataError(f"image {missing} is missing: {len(seen)} images must be numbered 1 to {len(seen)}, each once")


def submission(answers: Mapping[Path, str]) -> str:
    """The text of `isbi_valid.predict`. answers: the class of each file, whose name is a number.

    >>> submission({Path("10.bmp"): "hem", Path("9.bmp"): "ALL"})
    '1\\n0\\n'
    """
    return "".join(f"{CLASSES[answers[file].lower()]}\n" for file in sorted(answers, key=_number))


def write_submission(path: str | os.PathLike[str], answers: Mapping[Path, str]) -> None:
    """Writes the zip, whole or not at all."""
    with write_atomically(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(MEMBER, EPOCH), submission(answers), zipfile.ZIP_DEFLATED)


def _number(file: Path) -> int:
    if not (file.stem.isascii() and file.stem.isdigit()):
        raise DataError(f"{file}: its name is not a number; the challenge's images are named 1.bmp, 2.bmp, …")
    return int(file.stem)
