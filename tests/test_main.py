"""python -m scratchnet: the commands, and what is said of a wrong one."""

import subprocess
import sys

import pytest

from scratchnet.__main__ import main
from scratchnet.commands import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert command in capsys.readouterr().out


def test_all_commands_are_listed(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out
    assert all(command in listed for command in COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["summary"], ["summary", "nowhere"]])
def test_a_wrong_call_is_one_line(arguments, repository):
    done = subprocess.run(
        [sys.executable, "-m", "scratchnet", *arguments], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("python -m scratchnet")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--epoch", "3"], "unrecognized arguments: --epoch 3 (did you mean --epochs?)"),
        (["predict", "run", "images", "--fromat=csv"], "unrecognized arguments: --fromat=csv (did you mean --format?)"),
        (["verify", "run", "--zzz"], "unrecognized arguments: --zzz"),
        (["evaluate", "run", "images", "-q"], "unrecognized arguments: -q"),
    ],
)
def test_an_unknown_option_leads_to_the_help_of_its_command(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    name = f"python -m scratchnet {arguments[0]}"
    assert capsys.readouterr().err == f"{name}: {said}. See {name} --help.\n"


def test_summary_of_a_preset(capsys):
    assert main(["summary", "report-256"]) == 0
    printed = capsys.readouterr().out
    assert "8 × 8 × 512" in printed
    assert "33,555,456" in printed  # weights and biases of the first dense layer: 8·8·512·1024 + 1024
