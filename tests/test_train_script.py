"""python train.py, as a person types it."""

import csv
import importlib.util
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import train
from scratchnet.commands.train import _create
from scratchnet.errors import ConfigError
from scratchnet.training.config import Config

ROOT = Path(__file__).parent.parent
VIZ = all(map(importlib.util.find_spec, ("matplotlib", "tensorboard")))
QUICK = ("--image-size", "32", "--epochs", "2", "--batch-size", "64")


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
    )


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """The program in this process, which saves the time of a start: its exit code, and what it wrote to either stream."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        try:
            code = train.main(list(arguments))
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return run


def test_the_sample_from_nothing(run, tmp_path, no_pages):
    process = start(tmp_path, *QUICK, "--name", "first")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    for expected in (
        "Preparing the images",
        "no subject stands on both sides",
        "5 convolutions",
        "changed   image_size 32 (default 64), epochs 2 (default 30)",
        "report    for its 256 × 256 images it has image_size 256",
        "epoch   2",
        "never seen in training",
        "always answering 'all'",
        "demonstration",
    ):
        assert expected in out
    folder = tmp_path / "runs" / "first"
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        [
            "best.h5",
            "checkpoints",
            "config.toml",
            "metrics.csv",
            "predictions.csv",
            "run.lock",
            "timings.csv",
            "weights.h5",
            *(["events.out.tfevents.0000000001", "report.html", "test", "train"] if VIZ else []),
        ]
    )
    assert len((folder / "predictions.csv").read_text(encoding="utf-8").splitlines()) == 1 + 49
    assert ("report.html" in out) if VIZ else ("[viz]" in out)
    rows = list(csv.DictReader((folder / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["test_accuracy"]) <= 1 for row in rows)
    assert tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))["image_size"] == 32

    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["epoch-0002.h5"]  # enough to go on from

    # The folder is taken: nothing is overwritten.
    code, out, err = run(*QUICK, "--name", "first")
    assert code == 2
    assert "not overwritten" in err

    # The configuration repeats the run, to the bit, and the prepared images are used again.
    code, out, err = run("--config", str(folder / "config.toml"), "--name", "again")
    assert code == 0, err
    assert "Preparing" not in out
    assert (tmp_path / "runs/again/metrics.csv").read_bytes() == (folder / "metrics.csv").read_bytes()

    # A finished run goes on when it is given more epochs.
    code, out, err = run("--resume", str(folder), "--epochs", "3")
    assert code == 0, err
    assert "going on from epoch 3" in out
    assert len((folder / "metrics.csv").read_text(encoding="utf-8").splitlines()) == 4


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one child")
def test_ctrl_c_saves_and_says_how_to_go_on(shards, tmp_path):
    process = start(tmp_path, "--data", str(shards), "--epochs", "500", "--name", "long")
    for line in process.stdout:
        if line.startswith("epoch   1"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130, err
    assert "--resume runs/long" in out
    assert "Traceback" not in err
    assert list((tmp_path / "runs/long/checkpoints").glob("epoch-*.h5"))


@pytest.mark.usefixtures("small_model", "no_pages")
def test_a_folder_of_images_is_prepared_and_kept(run, tmp_path, rng):
    from PIL import Image

    for name, shade in (("dark", 40), ("light", 200)):
        (tmp_path / "cells" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 40, (40, 50, 3)) + shade
            Image.fromarray(pixels.astype("uint8")).save(tmp_path / "cells" / name / f"p{i % 6}_{i}.png")
    code, out, err = run("--data", "cells", "--subject-pattern", r"/(p\d)_", *QUICK)
    assert code == 0, err
    assert "no subject stands on both sides" in out
    (prepared,) = (tmp_path / "prepared").iterdir()
    assert (prepared / "manifest.json").is_file()
    # The same images are prepared once; another image makes another preparation.
    code, out, err = run("--data", "cells", "--subject-pattern", r"/(p\d)_", *QUICK, "--name", "second")
    assert code == 0, err
    assert "Using the images prepared before" in out
    Image.fromarray(pixels.astype("uint8") // 2).save(tmp_path / "cells/dark/p5_99.png")
    code, out, err = run("--data", "cells", "--subject-pattern", r"/(p\d)_", *QUICK, "--name", "third")
    assert code == 0, err
    assert "Preparing the images" in out
    assert len(list((tmp_path / "prepared").iterdir())) == 2
    # What means nothing for shards is refused, not ignored.
    code, _, err = run("--data", str(prepared), "--split", "report")
    assert code == 2
    assert "is prepared already: leave out --split" in err
    code, _, err = run("--data", "cells", "--runs", "cells/runs", *QUICK)
    assert code == 2
    assert "lies inside cells" in err
    # Shards are taken as they are, and bring their image size with them.
    code, out, err = run("--data", str(prepared), "--epochs", "1")
    assert code == 0, err
    assert "images of 32 × 32 pixels" in out.replace("\n          ", " ")


@pytest.mark.usefixtures("small_model", "no_pages")
def test_the_folds_of_a_cross_validation_are_prepared_together(run, tmp_path, rng):
    from PIL import Image

    for name, shade in (("dark", 40), ("light", 200)):
        (tmp_path / "cells" / name).mkdir(parents=True)
        for i in range(9):
            pixels = rng.integers(0, 40, (32, 32, 3)) + shade
            Image.fromarray(pixels.astype("uint8")).save(tmp_path / "cells" / name / f"p{i % 3}_{i}.png")
    asked = ("--data", "cells", "--subject-pattern", r"/(p\d)_", "--split", "kfold", "--folds", "3", *QUICK)
    code, out, err = run(*asked, "--fold", "0", "--validation-fraction", "0.3", "--epochs", "1")
    assert code == 0, err
    assert "Preparing the images" in out
    assert "validation" in out
    code, out, err = run(*asked, "--fold", "2", "--validation-fraction", "0.3", "--epochs", "1")
    assert code == 0, err
    assert "Using the images prepared before" in out
    (prepared,) = (tmp_path / "prepared").iterdir()
    assert sorted(path.name for path in prepared.iterdir()) == ["fold-0", "fold-1", "fold-2"]
    assert [path.name[:12] for path in sorted((tmp_path / "runs").iterdir())] == ["cells-fold-0", "cells-fold-2"]
    code, _, err = run("--data", str(prepared))
    assert code == 2
    assert "holds the folds of a cross-validation: give one of them" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--epochs", "many"], "--epochs"),
        (["--batch-size", "-1"], "batch_size must be at least 1"),
        (["--learning-rate", "0"], "learning_rate must be greater than 0"),
        (["--learning-rate", "nan"], "learning_rate must be greater than 0"),
        (["--dropout", "1"], "dropout must be less than 1, got 1.0"),
        (["--image-size", "16"], "image_size must be at least 32"),
        (["--threads", "1000"], "threads must be"),
        (["--data", "nowhere"], "there is no such folder"),
        (["--resume", "nowhere"], "there is no such run"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--preset", "report-99"], "report-99"),
        (["--speed", "fast"], "--speed"),
        (["--test-fraction", "2"], "--test-fraction"),
        (["--resume", ""], "--resume: is empty"),
        (["--resume", "nowhere", "--split", "report"], "leave out --split"),
        (["--resume", "nowhere", "--runs", "elsewhere"], "leave out --runs"),
        (["--fold", "1"], "--fold means nothing without --split kfold"),
        (["--split", "kfold", "--fold", "5"], "choose --fold 0 to 4"),
        (["--split", "prelim", "--folds", "5"], "--folds means nothing with --split prelim"),
        (["--name", "../elsewhere"], "--name must be a plain name"),
        (["--epoch", "3"], "--epoch"),
        (["--data", __file__], "is a text; expected a folder of images"),
    ],
)
def test_wrong_arguments_get_one_line_and_exit_code_2(run, tmp_path, arguments, expected):
    code, _, err = run(*arguments)
    assert code == 2
    assert expected in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1, err
    assert not (tmp_path / "runs").exists()


def test_a_wrong_argument_by_the_shell(tmp_path):
    process = start(tmp_path, "--epochs", "0")
    out, err = process.communicate(timeout=240)
    assert (process.returncode, out, err) == (2, "", "train.py: epochs must be at least 1, got 0\n")


def test_help_names_the_reports_values(run):
    code, out, _ = run("--help")
    assert code == 0
    text = " ".join(out.split())
    for expected in ("(0.0003; the report: 0.001)", "(64; the report: 256)", "--resume", "--weight-decay", "--threads"):
        assert expected in text


def test_runs_that_begin_in_one_second_get_names_of_their_own(tmp_path, capsys):
    experiment = SimpleNamespace(config=Config(), about={})
    folders = [_create(tmp_path / "cells-20190101", experiment, named=False).folder.name for _ in range(3)]
    assert folders == ["cells-20190101", "cells-20190101-2", "cells-20190101-3"]
    assert "the results of this one are in" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="cells-20190101"):
        _create(tmp_path / "cells-20190101", experiment, named=True)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be made"):
        _create(tmp_path / "file" / "cells", experiment, named=False)
