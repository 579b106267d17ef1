"""python -m scratchnet table1 DATA: the rows of the report's table 1, run here, beside what the report says."""

import argparse
import contextlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scratchnet.commands.repeat import origin_of
from scratchnet.commands.session import compile_first, reopen, train_to_the_end
from scratchnet.commands.shared import require_writable_folder
from scratchnet.drawing.plots import require_plots
from scratchnet.errors import ConfigError, DataError, MissingExtraError, NonFiniteError
from scratchnet.kernels.machine.threads import set_threads
from scratchnet.pages import Results
from scratchnet.pages.formatting import roughly
from scratchnet.pages.table1 import REPORT, SPLITS, Entry, Table1
from scratchnet.prepare import Settings, cache
from scratchnet.prepare.estimate import Estimate, estimate
from scratchnet.prepare.folder import require_outside
from scratchnet.prepare.options import add_options, chosen_settings, given_settings
from scratchnet.prepare.sources import Found, find_images
from scratchnet.prepare.tables import read_subjects
from scratchnet.storage.files import write_atomically, write_text_atomically
from scratchnet.terminal import invocation
from scratchnet.terminal.command_line import one_line
from scratchnet.terminal.text_table import text_table
from scratchnet.training import Experiment, Progress, Run, read_about
from scratchnet.training.config import PRESETS, RESUMABLE, Config
from scratchnet.training.messages import sides_text
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


@dataclass(frozen=True)
class Plan:
    """A row of the table under one of the splits, as an ordinary run: `python train.py --resume` can go on with it."""

    size: int
    config: Config
    settings: Settings
    run: Run
    source: Path
    prepared: Path | None

    @property
    def name(self) -> str:
        """What the row is called in a text."""
        return f"{self.config.model}-{self.size}, {SPLITS[self.settings.split]}"

    @cached_property
    def shards(self) -> Path:
        """Where its prepared images are, or will be."""
        return cache.shards_of(self.source, self.settings, self.prepared)

    @property
    def epochs_done(self) -> int:
        """Epochs done: all of them only once its results are written too."""
        _, progress = self._newest() or ({}, None)
        return progress.epoch if progress else 0

    def _newest(self) -> tuple[dict[str, Any], Progress | None] | None:
        """The description in its newest readable checkpoint; None if there is none."""
        for path in self.run.checkpoints():
            with contextlib.suppress(DataError):  # resuming will say so, and set it aside
                return read_about(path)
        return None

    @property
    def finished(self) -> bool:
        """Whether there is nothing to do."""
        there = self.run.weights_path.is_file() and self.run.predictions_path.is_file()
        return there and read_about(self.run.weights_path)[0].get("epoch") == self.config.epochs

    @property
    def diverged(self) -> bool:
        """Whether it has diverged; it would diverge again."""
        return self.run.trouble_path.is_file() and not self.finished

    @property
    def open(self) -> bool:
        """Whether there is something to do."""
        return not (self.finished or self.diverged)

    def require_same(self) -> None:
        """Raises ConfigError if its folder holds a run on other images, or with other settings."""
        if not (newest := self._newest()):
            return
        about, _ = newest
        wanted, found = asdict(self.config), about["config"]
        different = [
            f"{name} {found.get(name)}, not {value}"
            for name, value in wanted.items()
            if name not in RESUMABLE and found.get(name) != value
        ]
        if about["data"] != str(self.shards.resolve()):
            different.append(f"the images in {about['data']}, not {self.shards}")
        if self.epochs_done > self.config.epochs:
            different.append(f"{self.epochs_done} epochs, not {self.config.epochs}")
        if different:
            raise ConfigError(f"{self.run.folder} is a run with {'; '.join(different)}: choose another --out")

    def carry_out(self, command: str) -> bool:
        """Trains to the end, from its current state; False if the user has stopped it."""
        shards = cache.kept(self.source, self.settings, self.prepared)
        run = self.run if self.run.folder.exists() else Run.create(self.run.folder, self.config)
        with run.lock():
            if run.checkpoints():
                asked = {"epochs": self.config.epochs}
                experiment, progress, _ = reopen(run, asked, str(shards))
            else:  # new, or killed before its first step
                made = {"images": origin_of(self.source), "preparing": chosen_settings(self.settings)}
                experiment, progress = Experiment(self.config, shards, command=command, prepared_from=made), Progress()
            print(f"{sides_text(experiment)}\n", flush=True)
            with experiment.train_set, experiment.test_set:
                return train_to_the_end(experiment, run, progress)

    def entry(self) -> Entry:
        """Its entry in the table, as far as it has been trained."""
        remarks = [f"Training has diverged: {self.run.trouble_path}."] if self.diverged else []
        try:
            with Results.read(self.run.folder) as results:
                return Entry.of(results, self.size, self.settings.split, self.config.epochs, remarks)
        except DataError:  # it has no epoch yet
            return Entry(self.size, self.settings.split, self.config.epochs, remarks=tuple(remarks))


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
    shown, written = _shown(plans, options), None
    for number, plan in enumerate(plans, 1):
        if not plan.open:
            continue
        print(f"== {plan.name}: {number} of {len(plans)}\n", flush=True)
        try:
            if not plan.carry_out(command):
                _write(shown, options, command)
                print("\nStopped. The same command goes on from here.")
                return 130
        except NonFiniteError as error:
            print(f"CAUTION: {one_line(str(error))}\n")
        written = _write(shown, options, command)
    print(f"\n{written or _write(shown, options, command)}")
    return 1 if any(plan.diverged for plan in plans) else 0


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
            plans.append(Plan(size, config, settings, run, Path(options.data), prepared))
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
            if plan.size not in speeds:
                compile_first(plan.config)
                speeds[plan.size] = measure_speed(plan.config)
            speed = speeds[plan.size]
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
    entries = [plan.entry() for plan in plans]
    made = Table1(f"The report's table 1 on {name}", entries, notes, variant=variant, plotted=plotted)
    for picture, content in made.pictures().items():
        with write_atomically(out / picture) as temporary:
            temporary.write_bytes(content)
    markdown, html = out / f"table1{variant}.md", out / f"table1{variant}.html"
    write_text_atomically(markdown, made.markdown())
    write_text_atomically(html, made.html())
    return f"{made.text()}\n\nWritten to {markdown} and {html}."
