"""Every option of every program with values that cannot work: exit code 2, one line that names the option, no traceback."""

import pytest
from small_data import make_cnmc

import train
from data_prep import main as prepare_main
from scratchnet.commands import parser_of
from scratchnet.terminal.command_line import Parser

NO_COUNT = ["-1", "1.5", "many", "", "9" * 5000, "9" * 400]
NO_NUMBER = ["nan", "inf", "-inf", "-0.1", "fast", "", "1e999"]
NO_WORD = ["nonsense", ""]

# What cannot work for each option; the message names it. (FOLDER stands for a folder, FILE for a file that is no table.)
WRONG = {
    "train.py": {
        "--data": ["nowhere", "FILE", "", "FOLDER"],
        "--runs": ["FILE"],
        "--name": ["../up", "a/b", "a\nb", "", ".", ".."],
        "--resume": ["nowhere", "FILE", "FOLDER", ""],
        "--class-label": ["all", "=sick", "all=", "nobody=sick", "all=hem", ""],
        "--threads": [*NO_COUNT, "100000"],
        "--preset": NO_WORD,
        "--config": ["nowhere.toml", "FOLDER", "BINARY", ""],
        "--split": NO_WORD,
        "--test-fraction": [*NO_NUMBER, "0", "1", "2"],
        "--test-fold": NO_COUNT,
        "--folds": [*NO_COUNT, "0", "1"],
        "--fold": NO_COUNT,
        "--validation-fraction": [*NO_NUMBER, "1", "2"],
        "--layout": ["{split}", "{klass}/{class}", "{class}/..", "{class", "{class}/**", ""],
        "--subject-pattern": ["(", "no group", "[", ""],
        "--subjects": ["nowhere.csv", "FOLDER", "FILE", ""],
        "--fit": NO_WORD,
        "--bits": [*NO_COUNT, "0", "12"],
        "--augment-offline": NO_WORD,
        "--prepared": ["FILE"],
        "--model": [*NO_WORD, "FILE:net", "none.py:net"],
        "--layers": ["", "FILE", "FOLDER", "none.py"],
        "--start-from": ["", "FILE", "FOLDER", "none"],
        "--freeze": ["", "none", "*"],
        "--image-size": [*NO_COUNT, "0", "31", "100000"],
        "--epochs": [*NO_COUNT, "0"],
        "--batch-size": [*NO_COUNT, "0"],
        "--micro-batch": NO_COUNT,
        "--learning-rate": [*NO_NUMBER, "0"],
        "--schedule": NO_WORD,
        "--step-epochs": [*NO_COUNT, "0", "3"],  # 3: not without --schedule step
        "--step-factor": [*NO_NUMBER, "0", "0.5"],
        "--warmup": NO_COUNT,
        "--optimizer": NO_WORD,
        "--beta1": [*NO_NUMBER, "1"],
        "--beta2": [*NO_NUMBER, "1"],
        "--weight-decay": NO_NUMBER,
        "--class-weights": NO_WORD,
        "--label-smoothing": [*NO_NUMBER, "1"],
        "--focus": NO_NUMBER,
        "--clip-norm": NO_NUMBER,
        "--dropout": [*NO_NUMBER, "1"],
        "--weight-init": NO_WORD,
        "--pixels": NO_WORD,
        "--augment": NO_WORD,
        "--brightness": [*NO_NUMBER, "2"],
        "--angle": NO_NUMBER,
        "--zoom": NO_NUMBER,
        "--stain": NO_NUMBER,
        "--contrast": NO_NUMBER,
        "--test-symmetries": NO_WORD,
        "--train-evaluation": NO_WORD,
        "--dtype": NO_WORD,
        "--best-metric": NO_WORD,
        "--patience": NO_COUNT,
        "--checkpoint-minutes": NO_NUMBER,
        "--keep-every": NO_COUNT,
        "--keep-last": (*NO_COUNT, "3"),
        "--seed": [*NO_COUNT, str(2**63)],
    },
    "python -m data_prep": {
        "SOURCE": ["nowhere", "FILE", "FOLDER", ""],
        "OUT": ["FOLDER", "FILE/inside"],
        "--image-size": [*NO_COUNT, "0", "100000"],
        "--split": NO_WORD,
        "--test-fraction": [*NO_NUMBER, "0", "1", "2"],
        "--test-fold": NO_COUNT,
        "--folds": [*NO_COUNT, "0", "1"],
        "--validation-fraction": [*NO_NUMBER, "1", "2"],
        "--seed": [*NO_COUNT, str(2**63)],
        "--layout": ["{split}", "{klass}/{class}", "{class}/..", "{class", "{class}/**", ""],
        "--subject-pattern": ["(", "no group", "[", ""],
        "--subjects": ["nowhere.csv", "FOLDER", "FILE", ""],
        "--fit": NO_WORD,
        "--bits": [*NO_COUNT, "0", "12"],
        "--augment-offline": NO_WORD,
        "--shard-size": [*NO_COUNT, "0"],
        "--threads": [*NO_COUNT, "0", "100000"],
    },
}
FLAGS = {
    "--version",
    "--crop",
    "--keep-duplicates",
    "--quiet",
    "--verbose",
    "--help",
}  # take no value, and cannot be wrong
MAIN = {"train.py": train.main, "python -m data_prep": prepare_main}
PARSER = {
    "train.py": parser_of("train", "train.py"),
    "python -m data_prep": parser_of("prepare", "python -m data_prep"),
}
CASES = [
    pytest.param(program, option, value, id=f"{program} {option}={value[:20]!r}")
    for program, options in WRONG.items()
    for option, values in options.items()
    for value in values
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with things that are not what is asked for; programs that refuse their arguments leave nothing in it."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "folder").mkdir()
    (folder / "file.txt").write_text("a,b\n1,2\n", encoding="utf-8")
    (folder / "binary.toml").write_bytes(bytes(range(256)))
    make_cnmc(folder / "cells")
    return folder


@pytest.fixture
def here(place, monkeypatch):
    """In that folder the program runs."""
    monkeypatch.chdir(place)
    return place


def run(main, arguments, capsys):
    """What the program answered: its exit code, and the lines it wrote to standard error."""
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code
    return code, capsys.readouterr().err.strip().splitlines()


@pytest.mark.parametrize(("program", "option", "value"), CASES)
def test_what_cannot_work_is_one_line(here, capsys, program, option, value):
    for name, path in (("FOLDER", "folder"), ("FILE", "file.txt"), ("BINARY", "binary.toml")):
        value = value.replace(name, path)
    if program == "train.py":
        data = [] if option in ("--data", "--resume") else ["--data", "cells"]
        arguments = [*data, "--epochs", "1", "--image-size", "32", f"{option}={value}"]
        if option in ("--image-size", "--resume"):
            arguments = [*data, f"{option}={value}"]
    else:
        places = {"SOURCE": "cells", "OUT": "out"}
        given = [] if option in places else [f"{option}={value}"]
        arguments = [*given, *({**places, option: value}[name] for name in places)]
        if option in ("--test-fold", "--folds"):
            arguments += ["--split", "fold" if option == "--test-fold" else "kfold"]
    code, lines = run(MAIN[program], arguments, capsys)
    assert code == 2, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith(program)
    assert "Traceback" not in lines[0]
    assert len(lines[0]) < 600
    named = [option, option.strip("-").replace("-", "_"), value or "is empty"]
    assert any(name in lines[0] for name in named), lines[0]
    assert not (here / "runs").exists()
    assert not (here / "out").exists()


def options_of(parser: Parser):
    for action in parser._actions:
        names = [name for name in action.option_strings if name.startswith("--")] or [action.metavar or action.dest]
        yield from names if action.option_strings else [names[0]]


@pytest.mark.parametrize("program", WRONG)
def test_every_option_stands_in_the_table(program):
    assert set(options_of(PARSER[program])) - FLAGS == set(WRONG[program])


@pytest.mark.parametrize("program", WRONG)
def test_an_option_that_does_not_exist_is_one_line(here, capsys, program):
    for arguments in (["--nonsense"], ["--epoch", "3"], ["--image-size"]):
        code, lines = run(MAIN[program], arguments, capsys)
        assert (code, len(lines)) == (2, 1)
