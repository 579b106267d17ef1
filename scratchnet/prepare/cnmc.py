"""The tree of C-NMC 2019: which of its files train, which are the preliminary test set, and who is on them."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scratchnet.data import Remark
from scratchnet.errors import DataError
from scratchnet.prepare.tables import read_prelim_labels, stem
from scratchnet.terminal.wording import counted

FOLD = re.compile(r"fold_\d+", re.IGNORECASE)
PRELIM = "prelim"
CNMC_CLASSES = ("all", "hem")
CNMC_NAME = re.compile(r"UID_(?P<subject>[^_]+)_\d+_\d+_(?P<label>all|hem)", re.IGNORECASE)

Choice = tuple[tuple[str, ...], dict[str, "Assigned"], list[Remark]]


@dataclass(frozen=True)
class Assigned:
    """Where a file stands: the label of its class, what says so, its part, the name that may tell its subject, and its folder's
    subject."""

    label: int
    said_by: str
    part: str
    name: str
    subject: str | None = None


def fold_of(path: str) -> str:
    """ "fold_0" for "…/fold_0/all/name"; "" for a path that is not in a fold."""
    parts = path.casefold().split("/")
    return parts[-3] if len(parts) >= 3 and FOLD.fullmatch(parts[-3]) and parts[-2] in CNMC_CLASSES else ""


def choose_cnmc(source: Path, files: list[str], prelim: bool) -> Choice:
    """The files in the folds, and in the preliminary test set if that is asked for; the others are listed, a folder at a time."""
    tables = _prelim_tables(source, files) if prelim else {}
    originals = {name: entry for table in tables.values() for name, entry in table.items()}
    chosen: dict[str, Assigned] = {}
    outside: Counter[tuple[str, str]] = Counter()
    left_out: list[Remark] = []
    for path in files:
        folder, _, name = path.rpartition("/")
        parent = folder.rpartition("/")[2].casefold()
        if fold := fold_of(path):
            chosen[path] = Assigned(CNMC_CLASSES.index(parent), "folder", fold, name)
        elif prelim and path in tables:
            pass
        elif _in_prelim(folder, tables):
            if not prelim:
                outside[folder, "the preliminary test set: only --split prelim reads it"] += 1
            elif parent in CNMC_CLASSES:
                chosen[path] = Assigned(CNMC_CLASSES.index(parent), "folder", PRELIM, name)
            elif stem(name) in originals:
                original, class_name = originals[stem(name)]
                chosen[path] = Assigned(CNMC_CLASSES.index(class_name), "table", PRELIM, original)
            elif tables:
                left_out.append(Remark(path, f"label unknown: {next(iter(tables))} does not list it"))
            else:
                outside[folder, "label unknown: the source lacks C-NMC_test_prelim_phase_data_labels.csv"] += 1
        elif folder:
            outside[folder, "outside the training folds"] += 1
        else:
            left_out.append(Remark(path, "stands outside the training folds"))
    left_out += [Remark(folder + "/", f"{counted(count, 'file')}, {why}") for (folder, why), count in outside.items()]
    if prelim:
        tested = {stem(path) for path, assigned in chosen.items() if assigned.part == PRELIM}
        if not tested:
            raise DataError(
                f"{source}: no labelled image of a preliminary test set. --split prelim needs C-NMC_test_prelim_phase_data/1.bmp, … "
                "with C-NMC_test_prelim_phase_data_labels.csv, or prelim_test/all and prelim_test/hem."
            )
        for table, names in tables.items():
            if missing := sum(name not in tested for name in names):
                left_out.append(Remark(table, f"{counted(missing, 'row')} without a file in the source"))
    return CNMC_CLASSES, chosen, left_out


def _prelim_tables(source: Path, files: list[str]) -> dict[str, dict[str, tuple[str, str]]]:
    """The tables of the preliminary test set, by path. Raises DataError if two of them disagree."""
    tables = {}
    for path in files:
        if path.casefold().endswith(".csv") and (names := read_prelim_labels(source / path)):
            tables[path] = names
    for path, names in tables.items():
        first = next(iter(tables))
        if names != tables[first]:
            raise DataError(f"{source}: {path} and {first} name other cells by the same numbers. Keep the right one.")
    return tables


def _in_prelim(folder: str, tables: Iterable[str]) -> bool:
    """Whether a folder is in the preliminary test set: it says so, or it is named like its table (phase2/ and phase2.csv)."""
    named = {stem(table).removesuffix("_labels") for table in tables}
    return any(PRELIM in part or part in named for part in folder.casefold().split("/"))


def named_as_in_cnmc(class_names: tuple[str, ...], chosen: dict[str, Assigned]) -> bool:
    """Whether folders and names are those of C-NMC without its folds, so that the names tell the subjects."""
    return {name.casefold() for name in class_names} == set(CNMC_CLASSES) and any(
        CNMC_NAME.fullmatch(stem(assigned.name)) for assigned in chosen.values()
    )
