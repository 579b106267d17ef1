"""python -m scratchnet table1 DATA: the rows of the report's table 1, run here, beside what the report says."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from scratchnet.commands.plan import Plan, carry_out_all
from scratchnet.commands.session import compile_first
from scratchnet.commands.shared import require_writable_folder
from scratchnet.drawing.plots import require_plots
from scratchnet.errors import ConfigError, DataError, MissingExtraError
from scratchnet.kernels.machine.threads import set_threads
from scratchnet.pages import Results
from scratchnet.pages.formatting import roughly
from scratchnet.pages.table1 import REPORT, SPLITS, Entry, Table1
from scratchnet.prepare import Settings, cache
from scratchnet.prepare.estimate import Estimate, estimate
from scratchnet.prepare.folder import require_outside
from scratchnet.prepare.options import add_options, given_settings
from scratchnet.prepare.sources import Found, find_images
from scratchnet.prepare.tables import read_subjects
from scratchnet.storage.files import write_atomically, write_text_atomically
from scratchnet.terminal import invocation
from scratchnet.terminal.text_table import text_table
from scratchnet.training import Run
from scratchnet.training.config import PRESETS, Config
from scratchnet.training.speed import Speed, measure_speed

SETTINGS = ("layout", "subject_pattern", "subjects", "fit", "crop", "bits", "keep_duplicates")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add = parser.add_argument
    add("data", metavar="DATA", help="a folder of images: a C-NMC 2019 tree, or one folder per class")
    add(
        "--rows",
        type=int,
        nargs="+",
        choices=tuple(REPORT),
        default=tuple(REPORT),
        metavar="SIZE",
        help="of the table, by image size: 32, 64, 256 (all)",
    )
    add(
        "--splits",
        nargs="+",
        choices=tuple(SPLITS),
        default=tuple(SPLITS),
        help="report: images are divided at random, which leaks; subject: the test is of subjects that don't train (both)",
    )
    add("--wide", action="store_true", help="the network with the filters of the shapes that the report prints")
    add("--epochs", type=int, metavar="N", help="fewer, or more, for every row (the report's: 22, 40, 14)")
    add("--seed", type=int, default=0, metavar="N", help="of the split, the weights, the order and dropout (0)")
    add("--out", default="runs/table1", metavar="FOLDER", help="where the runs and the table go (runs/table1)")
    add("--prepared", metavar="FOLDER", help="where prepared images are kept (prepared)")
    add("--threads", type=int, default=0, metavar="N", help="threads; the result is the same for any number (0: all)")
    add("--dry-run", action="store_true", help="only say what there is to do, and how long it takes")
    add_options(parser, SETTINGS)


def _entry(plan: Plan) -> Entry:
    """A plan's entry in the table, as far as it has been trained."""
    remarks = [f"Training has diverged: {plan.run.trouble_path}."] if plan.diverged else []
    size, split = plan.config.image_size, plan.settings.split
    try:
        with Results.read(plan.run.folder) as results:
            return Entry.of(results, size, split, plan.config.epochs, remarks)
    except DataError:  # it has no epoch yet
        return Entry(size, split, plan.config.epochs, remarks=tuple(remarks))


def run(options: argparse.Namespace) -> int:
    """Says what there is to do, does it, and writes the table after each row."""
    require_writable_folder(options.out)
    found = _find(options)
    require_outside(Path(options.out), Path(options.data))
    set_threads(options.threads)
    plans = _plans(options, options.rows, options.splits)
    for plan in plans:
        plan.require_same()
    print("Measuring how fast this machine is …\n", flush=True)
    print(_forecast(plans, found), flush=True)
    if options.dry_run:
        return 0
    command = invocation.command(*options.arguments)
    shown = _shown(plans, options)
    code = carry_out_all(plans, command, lambda: _write(shown, options, command))
    if code != 130:
        print(f"\n{_write(shown, options, command)}")
    return code


def _find(options: argparse.Namespace) -> Found:
    """The images. Raises ConfigError if the folder holds prepared ones: the splits are made of images."""
    source = Path(options.data)
    if cache.is_dataset(source) or cache.is_folds(source):
        raise ConfigError(f"{source} is prepared already, under one split: give the folder of the images")
    subjects = read_subjects(Path(options.subjects)) if options.subjects else None
    return find_images(source, subject_pattern=options.subject_pattern, subjects=subjects, layout=options.layout)


def _plans(options: argparse.Namespace, rows: Iterable[int], splits: Iterable[str]) -> list[Plan]:
    """These rows under these splits, the quickest first."""
    out, variant = Path(options.out), _variant(options)
    plans = []
    for size in sorted(set(rows)):
        preset = PRESETS[f"report-{size}{variant}"] | {"seed": options.seed}
        config = Config(**preset | ({"epochs": options.epochs} if options.epochs is not None else {}))
        for split in [split for split in SPLITS if split in splits]:
            settings = Settings(
                image_size=size,
                split=split,
                augment_offline="report",
                seed=options.seed,
                **given_settings(options, SETTINGS),
            )
            run = Run(out / f"report-{size}{variant}-{split}")
            prepared = Path(options.prepared) if options.prepared else None
            name = f"{config.model}-{size}, {SPLITS[split]}"
            plans.append(Plan(name, config, settings, run, Path(options.data), prepared))
    return plans


def _variant(options: argparse.Namespace) -> str:
    """What is appended to the names of presets, runs and files for the second reading of the network."""
    return "-wide" if options.wide else ""


def _forecast(plans: list[Plan], found: Found) -> str:
    """How long each row will take, from the speed of a few steps and of a few images' preparation."""
    rows = [["row", "train", "test", "epochs", "images/s", "time left, about"]]
    speeds: dict[int, Speed] = {}
    total = 0.0
    for plan in plans:
        expected = estimate(found, plan.settings)
        rate, words = "", "diverged before" if plan.diverged else "finished before"
        if plan.open:
            if plan.config.image_size not in speeds:
                compile_first(plan.config)
                speeds[plan.config.image_size] = measure_speed(plan.config)
            speed = speeds[plan.config.image_size]
            left = _seconds_left(plan, expected, speed)
            rate, words, total = f"{1 / speed.training:,.0f}", roughly(left), total + left
        done = f"{plan.epochs_done}/{plan.config.epochs}"
        rows.append([plan.name, f"{expected.train:,}", f"{expected.test:,}", done, rate, words])
    return "\n".join(
        [
            *text_table(rows, left=(0, 5)),
            f"All of it takes about {roughly(total)} on this machine, as busy as it is now.\n",
        ]
    )


def _seconds_left(plan: Plan, expected: Estimate, speed: Speed) -> float:
    preparing = 0.0 if plan.shards.exists() else expected.seconds
    return preparing + (plan.config.epochs - plan.epochs_done) * speed.epoch(expected.train, expected.test)


def _shown(plans: list[Plan], options: argparse.Namespace) -> list[Plan]:
    """The rows of the table: those asked for, and those that an earlier call has left in the same folder."""
    asked = {plan.name for plan in plans}
    shown = []
    for plan in _plans(options, REPORT, SPLITS):
        if plan.name not in asked:
            try:
                plan.require_same()
            except ConfigError:  # a run of something else
                continue
        if plan.name in asked or plan.run.checkpoints():
            shown.append(plan)
    return shown


def _write(plans: list[Plan], options: argparse.Namespace, command: str) -> str:
    """Writes the table as far as it is known; returns it, with the names of its files."""
    out = Path(options.out)
    notes = [
        f"Network {plans[0].config.model}, seed {options.seed}, after the last epoch of each row. The report's own figures are of "
        "C-NMC 2019 under its split at random; which of the two readings of its network they are of, it leaves open.",
        f"Made by: {command}",
    ]
    plotted = True
    try:
        require_plots()
    except MissingExtraError as error:
        notes.append(f"Without curves: {error}.")
        plotted = False
    name = cache.name_of(plans[0].source)
    variant = _variant(options)
    entries = [_entry(plan) for plan in plans]
    made = Table1(f"The report's table 1 on {name}", entries, notes, variant=variant, plotted=plotted)
    for picture, content in made.pictures().items():
        with write_atomically(out / picture) as temporary:
            temporary.write_bytes(content)
    markdown, html = out / f"table1{variant}.md", out / f"table1{variant}.html"
    write_text_atomically(markdown, made.markdown())
    write_text_atomically(html, made.html())
    return f"{made.text()}\n\nWritten to {markdown} and {html}."
