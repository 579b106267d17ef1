"""train.py --config repeats a run: on the same images, to the same bits; where they are gone or others, it refuses in one line."""

import shutil

import pytest
from small_data import make_cnmc, save_image

import train
from scratchnet.errors import ConfigError
from scratchnet.prepare import Settings, prepare
from scratchnet.training.config import Config, from_toml
from scratchnet.training.origin import Origin
from tests.small_runs import weights

pytestmark = pytest.mark.usefixtures("small_model", "no_pages")

QUICK = ("--image-size", "32", "--epochs", "1", "--batch-size", "16", "--warmup", "0")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Runs and prepared images go where the program is started."""
    monkeypatch.chdir(tmp_path)


def refused(capsys, *arguments):
    """What is said, in one line, of a command line that cannot be carried out."""
    capsys.readouterr()
    try:
        code = train.main(list(arguments))
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr().err
    assert code == 2
    assert len(said.splitlines()) == 1, said
    return said


def test_it_repeats_the_data_the_split_and_the_bits(tmp_path, monkeypatch, capsys):
    make_cnmc(tmp_path / "cells", subjects=6)
    asked = (
        "--data",
        "cells",
        "--split",
        "kfold",
        "--folds",
        "3",
        "--fold",
        "1",
        "--validation-fraction",
        "0.3",
        "--crop",
    )
    assert train.main([*asked, *QUICK, "--name", "first", "--class-label", 'all=leukaemic "ALL"', "--seed", "3"]) == 0
    origin = Origin.read(tmp_path / "runs/first/config.toml")
    assert origin.images == str(tmp_path / "cells")
    chosen = {"split": "kfold", "folds": 3, "fold": 1, "validation_fraction": 0.3, "crop": True}
    assert origin.preparing == chosen
    assert "--split kfold --folds 3" in origin.command

    # From another folder, with nothing but the file; and again from what that has left.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    assert train.main(["--config", "../runs/first/config.toml", "--name", "again"]) == 0
    assert "Using the images prepared before" in capsys.readouterr().out
    assert train.main(["--config", "runs/again/config.toml", "--name", "third", "--threads", "1"]) == 0
    assert weights("runs/third") == weights("runs/again") == weights("../runs/first")
    for file in ("metrics.csv", "predictions.csv"):
        expected = (tmp_path / "runs/first" / file).read_bytes()
        assert (tmp_path / "elsewhere/runs/third" / file).read_bytes() == expected
    third = Origin.read(tmp_path / "elsewhere/runs/third/config.toml")
    assert (third.preparing, third.dataset_id, third.class_labels) == (
        chosen,
        origin.dataset_id,
        {"all": 'leukaemic "ALL"'},
    )


def test_images_that_are_gone_or_others_are_refused(tmp_path, capsys):
    make_cnmc(tmp_path / "cells")
    assert train.main(["--data", "cells", *QUICK, "--name", "first"]) == 0
    (prepared,) = (tmp_path / "prepared").iterdir()
    again = ("--config", "runs/first/config.toml", "--name", "again")

    # An image more: other data; without it, what was prepared before.
    save_image(tmp_path / "cells/fold_0/all/UID_2_9_1_all.bmp", 99)
    said = refused(capsys, *again)
    assert "runs/first/config.toml: its run was trained on other images than" in said
    assert f"--data {prepared}" in said
    (tmp_path / "cells/fold_0/all/UID_2_9_1_all.bmp").unlink()

    (tmp_path / "cells").rename(tmp_path / "moved")
    said = refused(capsys, *again)
    assert f"its images are not in {tmp_path / 'cells'} any more: say with --data where they are now" in said
    assert f"--data {prepared}" in said
    assert not (tmp_path / "runs/again").exists()

    # Both remedies give the bits of the first run.
    assert train.main([*again, "--data", "moved"]) == 0
    assert train.main(["--config", "runs/first/config.toml", "--name", "shards", "--data", str(prepared)]) == 0
    assert weights("runs/again") == weights("runs/shards") == weights("runs/first")
    shutil.rmtree(tmp_path / "prepared")
    assert "what was prepared" not in refused(capsys, "--config", "runs/first/config.toml", "--name", "x")


def test_shards_that_were_given_are_found_again(tmp_path, capsys):
    prepare(make_cnmc(tmp_path / "cells"), tmp_path / "shards", Settings(image_size=32), quiet=True)
    assert train.main(["--data", "shards", *QUICK, "--name", "first"]) == 0
    assert Origin.read(tmp_path / "runs/first/config.toml").images == ""
    assert train.main(["--config", "runs/first/config.toml", "--name", "again"]) == 0
    assert weights("runs/again") == weights("runs/first")
    shutil.rmtree(tmp_path / "shards")
    said = refused(capsys, "--config", "runs/first/config.toml", "--name", "third")
    assert f"its prepared images are not in {tmp_path / 'shards'} any more" in said
    prepare(tmp_path / "cells", tmp_path / "shards", Settings(image_size=32, seed=1), quiet=True)
    assert "trained on other images" in refused(capsys, "--config", "runs/first/config.toml", "--name", "third")


def test_the_command_line_goes_first(tmp_path):
    make_cnmc(tmp_path / "cells", subjects=6)
    make_cnmc(tmp_path / "others", subjects=7)
    asked = ("--data", "cells", "--split", "kfold", "--folds", "3", "--fold", "1", *QUICK)
    assert train.main([*asked, "--name", "first"]) == 0
    again = ("--config", "runs/first/config.toml")
    for name, options, preparing in (
        ("fold", ("--fold", "2"), {"split": "kfold", "folds": 3, "fold": 2}),
        ("split", ("--split", "report"), {"split": "report"}),
        ("data", ("--data", "others"), {"split": "kfold", "folds": 3, "fold": 1}),
        ("seed", ("--seed", "4"), {"split": "kfold", "folds": 3, "fold": 1}),
    ):
        assert train.main([*again, *options, "--name", name]) == 0
        assert Origin.read(tmp_path / f"runs/{name}/config.toml").preparing == preparing
        assert weights(f"runs/{name}") != weights("runs/first")
    assert Origin.read(tmp_path / "runs/data/config.toml").images == str(tmp_path / "others")


def test_hyper_parameters_alone_are_a_file_too(tmp_path, capsys):
    (tmp_path / "preset.toml").write_text("image_size = 32\nepochs = 1\nbatch_size = 64\n", encoding="utf-8")
    assert train.main(["--config", "preset.toml", "--name", "sample"]) == 0
    assert "preset.toml names no data: this trains on the sample" in capsys.readouterr().out
    origin = Origin.read(tmp_path / "runs/sample/config.toml")
    assert origin.images == "sample"
    assert train.main(["--config", "runs/sample/config.toml", "--name", "again"]) == 0
    assert weights("runs/again") == weights("runs/sample")
    make_cnmc(tmp_path / "cells")
    assert train.main(["--config", "preset.toml", "--data", "cells", "--name", "own"]) == 0
    assert "names no data" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ('[preparing]\nfolds = "five"', "argument --folds: invalid int value: 'five'"),
        ('[preparing]\ncolour = "red"', "unrecognized arguments: --colour=red"),
        ('[preparing]\nsplit = "other"', "argument --split: invalid choice: 'other'"),
        ("[data]\nimages = 3", "[data] holds the texts images, shards, dataset_id, command, got images = 3"),
        ("data = 3", "data must be a table, [data], got 3"),
        ('[data]\nimages = "nowhere"\ndataset_id = "x"', "its images are not in nowhere any more"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path, capsys, tables, expected):
    head, _, rest = tables.partition("\n")
    text = (
        tables
        if head == "data = 3"
        else f'[data]\nimages = "sample"\n{tables}'
        if "preparing" in head
        else f"{head}\n{rest}"
    )
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    said = refused(capsys, "--config", "config.toml")
    assert expected in said
    assert "config.toml" in said


def test_what_is_written_is_read_back(tmp_path):
    """Whatever a folder or a class is called, and however long the command is."""
    origin = Origin(
        images='/a "b"/c\\d\n\x7f/größe', shards="C:\\cells", dataset_id="1", preparing={"subject_pattern": r"^(P\d+)_", "crop": True},
        class_labels={"a.b c": "ä"}, command="python train.py",
    )  # fmt: skip
    path = tmp_path / "config.toml"
    path.write_text(Config(seed=7).to_toml() + origin.to_toml(), encoding="utf-8")
    assert Origin.read(path) == origin
    assert Config(**from_toml(path)) == Config(seed=7)
    odd = Origin(images="/cells\udcff", command="x" * 10**6)  # a name that is no text, as Linux allows
    path.write_text(odd.to_toml(), encoding="utf-8")
    assert Origin.read(path).images == "/cells\\udcff"
    path.write_text(Config().to_toml(), encoding="utf-8")
    assert Origin.read(path) is None
    path.write_text("data = 3", encoding="utf-8")
    with pytest.raises(ConfigError, match="data must be a table"):
        Origin.read(path)


def test_what_a_checkpoint_says_of_itself():
    about = {"data": "/shards", "dataset_id": "7", "command": "python train.py", "class_labels": {"all": "ALL"}}
    assert Origin.of(about) == Origin(
        shards="/shards", dataset_id="7", command="python train.py", class_labels={"all": "ALL"}
    )
    made = {"images": "/cells", "preparing": {"split": "report"}}
    assert Origin.of(about | {"prepared_from": made}).images == "/cells"
    assert Origin.of({}) == Origin()
    for odd in (None, 3, [], {"preparing": [1], "images": None}):
        assert Origin.of({"prepared_from": odd, "class_labels": odd if odd == 3 else None}) == Origin()
