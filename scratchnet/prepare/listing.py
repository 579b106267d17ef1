"""The files below a folder: which can be opened safely, and which may be images."""

import os
import stat
from pathlib import Path

from scratchnet.data import Remark
from scratchnet.data.images import EXTENSIONS
from scratchnet.storage.file_kinds import kind_of
from scratchnet.terminal.system_error import system_reason

OTHER_FORMATS = {  # pictures that are not read: their folder is a class whose images cannot be used, not a folder of notes
    ".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".jfif", ".jpe", ".ppm", ".pgm", ".pbm", ".tga", ".exr",
    ".dcm", ".nii", ".mha", ".svs", ".ndpi", ".mrxs", ".scn", ".czi", ".lif", ".nd2", ".vsi", ".dng", ".nef", ".cr2",
    ".raw",
}  # fmt: skip
LITTER = {"thumbs.db", "desktop.ini", ".ds_store", "ehthumbs.db", "icon\r"}
# where macOS puts what zip archives cannot hold, and other folders that hold no data
HIDDEN_FOLDERS = ("__macosx", "__pycache__", "$recycle.bin")


def list_files(source: Path) -> tuple[list[str], list[Remark]]:
    """All regular files below `source` as relative paths, sorted; and what was not followed or is not data."""
    inside = source.resolve()
    files: list[str] = []
    left_out: list[Remark] = []
    folders: set[str] = set()
    filled = {"."}

    def unreadable(error: OSError) -> None:
        left_out.append(
            Remark(_relative(Path(error.filename), source) + "/", f"folder cannot be read: {system_reason(error)}")
        )

    for folder, subfolders, names in os.walk(source, onerror=unreadable):
        for name in sorted(subfolders):
            path = Path(folder, name)
            if path.is_symlink():
                left_out.append(Remark(_relative(path, source), "a link to a folder, not followed"))
            elif name.startswith(".") or name.casefold() in HIDDEN_FOLDERS:
                left_out.append(Remark(_relative(path, source) + "/", "a hidden folder, not read"))
            else:
                continue
            subfolders.remove(name)
        here = Path(folder).relative_to(source)
        folders.add(here.as_posix())
        if names:
            filled |= {above.as_posix() for above in (here, *here.parents)}
        for name in names:
            path = Path(folder, name)
            litter = name.casefold() in LITTER or name.startswith("._")
            reason = "left by the operating system, not an image" if litter else _not_a_file(path, inside)
            if reason:
                left_out.append(Remark(_relative(path, source), reason))
            else:
                files.append(_relative(path, source))
    empty = {folder for folder in folders - filled if Path(folder).parent.as_posix() in filled}
    left_out += [Remark(f"{folder}/", "an empty folder: ignored") for folder in sorted(empty)]
    return sorted(files), left_out


def _not_a_file(path: Path, inside: Path) -> str | None:
    """Why `path` should not be opened, or None: a link out of the source could reveal a private file, a pipe would block."""
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(inside):
            return "a link that leads out of the source, not followed"
        return None if stat.S_ISREG(path.stat().st_mode) else "not a regular file"
    except (OSError, RuntimeError):  # RuntimeError: a circle of links, before Python 3.13
        return "a link that leads nowhere" if path.is_symlink() else "cannot be opened"


def _relative(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()


def may_be_image(source: Path, path: str) -> bool:
    """Whether the file is named like a picture, or begins like one; its content is checked when it is decoded."""
    suffix = Path(path).suffix.lower()
    if suffix in EXTENSIONS or suffix in OTHER_FORMATS:
        return True
    return kind_of(source / path).group == "image"
