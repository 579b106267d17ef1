"""The report's network learns real cells of patients that it has never seen."""

import pytest

from scratchnet.prepare import Settings, prepare
from scratchnet.training import Display, Experiment, Progress, Run, fit
from scratchnet.training.config import Config


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_93_percent_on_unseen_patients_within_ten_epochs(shared_data, tmp_path):
    """4,000 malaria cells of 170 patients at 64×64, split by patient, with the defaults of `python train.py`."""
    cells = shared_data / "malaria"
    prepare(cells, tmp_path / "shards", Settings(image_size=64, subjects=cells / "subjects.csv"), quiet=True)
    config = Config(epochs=10)
    experiment = Experiment(config, tmp_path / "shards")
    assert not set(experiment.train_set.subjects) & set(experiment.test_set.subjects)
    run, progress = Run.create(tmp_path / "run", config), Progress()
    display = Display(config.epochs, total=config.epochs * len(experiment.train_set))
    fit(experiment.trainer, experiment.data, config.epochs, run, experiment.about, progress, display)
    assert max(row["test_accuracy"] for row in progress.rows) > 0.93
    assert progress.rows[-1]["test_accuracy"] > 0.93
