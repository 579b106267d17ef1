"""Several runs, one after the other: what is done already stays, what was begun goes on, and the same command ends them all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scratchnet.commands.repeat import origin_of
from scratchnet.commands.session import compile_first, reopen, train_to_the_end
from scratchnet.errors import ConfigError, DataError, NonFiniteError
from scratchnet.prepare import Settings, cache
from scratchnet.prepare.options import chosen_settings
from scratchnet.terminal.command_line import one_line
from scratchnet.terminal.text_table import wrapped
from scratchnet.training import Experiment, Progress, Run, read_about
from scratchnet.training.config import RESUMABLE, Config
from scratchnet.training.messages import sides_text
from scratchnet.training.run import read_table
from scratchnet.training.selection import out_of_patience
from scratchnet.use.network import start


@dataclass(frozen=True)
class Plan:
    """An ordinary run that is to be made: `python train.py --resume` can go on with it.

    name: what it is called in a text. source: the images, or shards that are prepared. settings: how images are prepared, in the
    folder `prepared`; they mean nothing for shards. fold: of a cross-validation, the one that it is tested on. side: whose results
    are shown while it trains.
    """

    name: str
    config: Config
    settings: Settings
    run: Run
    source: Path
    prepared: Path | None = None
    fold: int | None = None
    side: str = "test"

    @cached_property
    def shards(self) -> Path:
        """Where its prepared images are, or will be."""
        if cache.is_dataset(self.source):
            return self.source
        return self._of_fold(cache.shards_of(self.source, self.settings, self.prepared))

    def _of_fold(self, folder: Path) -> Path:
        return folder if self.fold is None else folder / f"fold-{self.fold}"

    @property
    def epochs_done(self) -> int:
        """Epochs done: all of them only once its results are written too."""
        about, progress = self._newest() or ({}, None)
        return progress.epoch if progress else int(about.get("epoch", 0))

    def _newest(self) -> tuple[dict[str, Any], Progress | None] | None:
        """The description in its newest readable checkpoint or, where none was kept, in its weights; None if there is none."""
        for path in (*self.run.checkpoints(), self.run.weights_path):
            with contextlib.suppress(DataError):  # resuming will say so, and set it aside
                return read_about(path)
        return None

    @property
    def finished(self) -> bool:
        """Whether there is nothing to do: all epochs are done, or patience has ended it."""
        if not (self.run.weights_path.is_file() and self.run.predictions_path.is_file()):
            return False
        if read_about(self.run.weights_path)[0].get("epoch") != self.epochs_done:
            return False  # it has gone on since
        rows = read_table(self.run.folder / "metrics.csv")
        return self.epochs_done == self.config.epochs or out_of_patience(
            rows, self.config.best_metric, self.config.patience
        )

    @property
    def diverged(self) -> bool:
        """Whether it has diverged, as it would again."""
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
        wanted, found = asdict(self.config), asdict(Config.from_dict(about["config"]))
        if not self.config.micro_batch:  # chosen by the run, where its layers observe a micro-batch together
            del wanted["micro_batch"]
        different = [
            "other layers" if name == "layers" else f"{name} {found[name]}, not {value}"
            for name, value in wanted.items()
            if name not in RESUMABLE and found[name] != value
        ]
        if about["data"] != str(self.shards.resolve()):
            different.append(f"the images in {about['data']}, not {self.shards}")
        if self.epochs_done > self.config.epochs:
            different.append(f"{self.epochs_done} epochs, not {self.config.epochs}")
        if different:
            raise ConfigError(f"{self.run.folder} is a run with {'; '.join(different)}: choose another --out")

    def carry_out(self, command: str) -> bool:
        """Trains to the end, from its current state; False if the user has stopped it."""
        shards, made = self.shards, {}
        if shards != self.source:
            shards = self._of_fold(cache.kept(self.source, self.settings, self.prepared))
            preparing = chosen_settings(self.settings) | ({} if self.fold is None else {"fold": self.fold})
            made = {"images": origin_of(self.source), "preparing": preparing}
        run = self.run if self.run.folder.exists() else Run.create(self.run.folder, self.config)
        with run.lock():
            if run.checkpoints():
                asked = {"epochs": self.config.epochs, "patience": self.config.patience}
                experiment, progress, _ = reopen(run, asked, str(shards))
            else:  # new, or killed before its first step
                experiment = Experiment(self.config, shards, command=command, prepared_from=made, choose_cut=True)
                progress = Progress()
                run.write_config(experiment.config, experiment.about)
                if started := start(experiment.network, self.config, experiment.train_set.class_names):
                    print("\n".join(wrapped(f"started {started}")) + "\n", flush=True)
            print(f"{sides_text(experiment)}\n", flush=True)
            with contextlib.ExitStack() as opened:
                for side in experiment.sides.values():
                    opened.enter_context(side)
                return train_to_the_end(experiment, run, progress, side=self.side)


def carry_out_all(plans: Sequence[Plan], command: str, write: Callable[[], object]) -> int:
    """Carries out what is open, and writes after each; the exit code: 0 done, 1 one has diverged, 130 stopped by the user."""
    for number, plan in enumerate(plans, 1):
        if not plan.open:
            continue
        print(f"== {plan.name}: {number} of {len(plans)}\n", flush=True)
        compile_first(plan.config)
        try:
            if not plan.carry_out(command):
                write()
                print("\nStopped. The same command goes on from here.")
                return 130
        except NonFiniteError as error:
            print(f"CAUTION: {one_line(str(error))}\n")
        write()
    return 1 if any(plan.diverged for plan in plans) else 0
