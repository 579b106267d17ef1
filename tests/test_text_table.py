"""Tables and sentences in a terminal of any width: nothing is lost, no number is broken, and no line is too long."""

import re

import pytest

from scratchnet.__main__ import main
from scratchnet.measures.scores import scores
from scratchnet.terminal.text_table import terminal_width, text_table, wrapped
from tests.small_runs import make_run, make_sides

ROWS = [
    ["", "first run", "second run, of a longer name", "third"],
    ["accuracy, images", "87.8 % (78.0–95.0 %)", "100.0 % (at least 60.7 %: 6 subjects)", "–"],
    ["epochs done", "30", "1,200", "7"],
]
NUMBERS = re.compile(r"\d[\d,.]*(?: %)?")


def numbers(lines):
    return sorted(found for line in lines for found in NUMBERS.findall(line))


@pytest.mark.parametrize("width", [40, 50, 60, 80, 100, 200])
@pytest.mark.parametrize("beside", [False, True])
def test_a_table_fits_and_keeps_every_number(width, beside):
    lines = text_table(ROWS, beside=beside, width=width)
    assert max(map(len, lines)) <= width
    whole = text_table(ROWS, width=1000)
    assert len(whole) == 3
    assert numbers(lines) == numbers(whole)


def test_columns_that_belong_together_stay_together():
    rows = [["", "a", "of a", "b", "of b"], ["row", *["x" * 12] * 4]]
    lines = text_table(rows, together=2, width=40)
    assert [line.split() for line in lines] == [["a", "of", "a"], ["row", *["x" * 12] * 2], [], ["b", "of", "b"],
                                                ["row", *["x" * 12] * 2]]  # fmt: skip


def test_what_would_disturb_a_terminal_is_escaped():
    assert text_table([["a\x1b[31m", "b\n"]], width=80) == [r"a\x1b[31m  b\n"]
    assert wrapped("a\nb") == [r"a\nb"]


@pytest.mark.parametrize(("columns", "expected"), [("80", 80), ("132", 132), ("5", 40)])
def test_the_terminal_is_asked(monkeypatch, columns, expected):
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width() == expected


def test_the_table_of_measures_stacks_its_levels():
    p = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]]
    found = scores([0, 0, 1, 1], p, ["Ann", "Ann", "Bob", "Eve"], ("leukaemic", "normal"), bootstrap=100)
    narrow, wide = found.table(80).splitlines(), found.table(300).splitlines()
    assert max(map(len, narrow)) <= 80 < max(map(len, wide))
    assert next(line for line in narrow if "images" in line).split() == ["4", "images", "always", "'leukaemic'"]
    assert next(line for line in narrow if line.endswith("'leukaemic'") and "3 subjects" in line).split() == [
        "3",
        "subjects",
        "always",
        "'leukaemic'",
    ]
    assert sum(line.startswith("accuracy") for line in narrow) == 2


def test_every_commands_table_fits_80_columns(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    data = make_sides(tmp_path / "data")
    runs = [
        make_run(tmp_path / name, data, seed=seed) for seed, name in enumerate(["a-run-with-a-long-name", "b", "c"])
    ]
    folders = [str(run.folder) for run in runs]
    for command in (
        ["evaluate", folders[0], str(data), "--bootstrap", "50"],
        ["compare", *folders],
        ["summary", folders[0]],
    ):
        assert main(command) == 0
        lines = capsys.readouterr().out.splitlines()
        # A word that is longer, such as a path or a command that is to be copied, stays in one piece.
        long = [line for line in lines if len(line) > 80 and command("train") not in line]
        assert not long, long
