"""python -m scratchnet predict RUN… FILE_OR_FOLDER…: what the network says of images."""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from scratchnet.commands.shared import (
    TOGETHER,
    add_network_arguments,
    add_raw_argument,
    add_symmetries_argument,
    find_files,
    load_network,
    require_ending,
    require_writable,
    say,
)
from scratchnet.data.familiar import caution
from scratchnet.errors import ConfigError
from scratchnet.measures.predictions import PROBABILITY
from scratchnet.storage.files import write_atomically
from scratchnet.terminal.command_line import printable
from scratchnet.terminal.streams import require_output
from scratchnet.terminal.wording import counted
from scratchnet.use.codalab import require_numbered, write_submission
from scratchnet.use.predictor import Prediction

FORMATS = ("csv", "json", "jsonl")
WRITTEN = {
    None: "CSV, which every spreadsheet opens, JSON or an object a line (JSONL)",
    "csv": "CSV, which every spreadsheet opens,",
    "json": "JSON",
    "jsonl": "an object a line (JSONL)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_network_arguments(parser, help=TOGETHER)
    parser.add_argument(
        "images",
        nargs="+",
        metavar="FILE_OR_FOLDER",
        help="images, after any further runs; folders are searched to their depths",
    )
    add_raw_argument(parser)
    parser.add_argument(
        "--out", metavar="FILE", help="where to write; it appears when it is complete (standard output)"
    )
    parser.add_argument(
        "--format", choices=FORMATS, help="csv; json, a list; jsonl, an object a line (as --out is named, else csv)"
    )
    add_symmetries_argument(parser)
    parser.add_argument(
        "--codalab",
        metavar="ZIP",
        help="write the C-NMC challenge's submission file too; images are named 1.bmp, 2.bmp, …",
    )


def run(options: argparse.Namespace) -> int:
    """Writes a row for each file. Returns 1 if a file could not be read, which its row and standard error say."""
    require_writable(options.out, options.codalab)
    form = _format_of(options.out, options.format)
    require_ending(options.codalab, "--codalab", (".zip",), "the challenge's archive")
    options.run, images = _apart([options.run, *options.images])
    files, passed_over = find_files(images)
    predictor = load_network(options, for_files=True)
    names = predictor.class_names
    if options.codalab:
        require_numbered(files, names)
    answers: dict[Path, str] = {}
    bad, far = 0, []
    with _output(options.out) as file, _writer(form, file, names) as write:
        stream = predictor.stream(files, symmetries=options.symmetries)
        # Rows that go to the terminal show the progress themselves, and a bar would be in their way.
        hidden = True if options.out is None and sys.stdout.isatty() else None
        for prediction in _with_bar(stream, len(files), hidden):
            if prediction.problem is not None:
                bad += 1
                _complain(f"{prediction.path}: {prediction.problem}")
                write(prediction)
                continue
            far += [prediction.path] if prediction.caution else []
            if options.codalab:
                answers[prediction.path] = names[prediction.answer]
            write(prediction)
            if options.out is None:
                require_output()  # `… | head` has seen enough
    others = f"; {counted(passed_over, 'file')} with other extensions passed over" if passed_over else ""
    say(f"{len(files) - bad:,} of {counted(len(files), 'file')} predicted{others}")
    if far:
        say(
            f"{caution(len(far), len(files) - bad)}, such as {far[0]}: "
            f"what the network says of {'it' if len(far) == 1 else 'them'} means little"
        )
    if options.codalab and bad:
        say(f"{options.codalab} is not written: it needs an answer for every image")
    elif options.codalab:
        write_submission(options.codalab, answers)
        say(
            f"{options.codalab} written: {counted(len(answers), 'answer')} in the order of the numbers, 1 for all, 0 for hem"
        )
    return 1 if bad else 0


def _with_bar(stream: Iterator[Prediction], count: int, hidden: bool | None) -> Iterable[Prediction]:
    """The predictions, with a bar beside them; to load what draws it takes longer than one of them."""
    if count == 1:
        return stream
    from scratchnet.terminal.bar import Bar

    return Bar(stream, total=count, desc="predicting", unit=" images", disable=hidden, leave=False)


def _complain(problem: str) -> None:
    """On standard error, above the bar."""
    from scratchnet.terminal.bar import Bar

    Bar.write(printable(problem), file=sys.stderr)


def _apart(words: list[str]) -> tuple[list[str], list[str]]:
    """The runs, which stand first, and the images after them."""
    count = 1
    while count < len(words) - 1 and _is_network(Path(words[count])):
        count += 1
    return words[:count], words[count:]


def _is_network(path: Path) -> bool:
    return path.suffix == ".h5" or (path / "config.toml").is_file() or (path / "checkpoints").is_dir()


def _format_of(out: str | None, asked: str | None) -> str:
    """The format: as asked for, else by the file's name, else CSV. Raises ConfigError if the name contradicts the choice."""
    suffix = Path(out or "").suffix.lower()
    named = suffix.removeprefix(".")
    if out is None or suffix in ("", ".txt"):  # says nothing about the format
        return asked or "csv"
    if named not in FORMATS:
        endings = [f".{form}" for form in ([asked] if asked else FORMATS)]
        require_ending(out, "--out", (*endings, ".txt"), WRITTEN[asked])
    elif asked not in (None, named):
        other = Path(out).with_suffix(f".{asked}")
        raise ConfigError(f"--format {asked} and --out {out} disagree: say --format {named}, or --out {other}")
    return named


@contextmanager
def _output(out: str | None) -> Iterator[IO[str]]:
    """The file to write to, or standard output."""
    if out is None:
        yield sys.stdout
        return
    with (
        write_atomically(out) as temporary,
        # Bytes of a path that are not Unicode are written as \udc80 and the like.
        open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        yield file


@contextmanager
def _writer(form: str, file: IO[str], names: tuple[str, ...]) -> Iterator[Callable[[Prediction], None]]:
    """A function that writes one prediction, in the format that was asked for."""
    if form == "csv":
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["path", "prediction", *(PROBABILITY + name for name in names), "problem", "caution"])
        yield lambda one: table.writerow(_csv_row(one, names))
    elif form == "jsonl":
        yield lambda one: print(json.dumps(_json_object(one, names)), file=file)
    else:
        between = iter(("[\n",))
        yield lambda one: print(next(between, ",\n") + json.dumps(_json_object(one, names)), end="", file=file)
        print("\n]", file=file)


def _csv_row(one: Prediction, names: tuple[str, ...]) -> list[Any]:
    if one.probabilities is None:
        return [one.path, "", *("" for _ in names), one.problem, ""]
    return [one.path, names[one.answer], *one.probabilities.tolist(), "", one.caution]


def _json_object(one: Prediction, names: tuple[str, ...]) -> dict[str, Any]:
    if one.probabilities is None:
        return {"path": str(one.path), "problem": one.problem}
    probabilities = dict(zip(names, one.probabilities.tolist(), strict=True))
    caution = {"caution": one.caution} if one.caution else {}
    return {"path": str(one.path), "prediction": names[one.answer], "probabilities": probabilities, **caution}
