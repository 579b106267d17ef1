"""What is shown of a training: the lines of the epochs, the bar, and the time that is left."""

import io
import re
import sys

import pytest

from scratchnet.training import Display
from scratchnet.training.remaining_time import RemainingTime
from scratchnet.training.selection import beats_constant


def row(epoch, sides, **values):
    shown = {"epoch": epoch}
    for side in sides:
        shown |= {f"{side}_loss": 0.6931, f"{side}_accuracy": 0.714, f"{side}_balanced_accuracy": 0.5}
    return shown | values


def lines_of(capsys, metric, sides, **values):
    display = Display(3, total=300, metric=metric)
    for epoch, best in ((1, True), (2, False)):
        display.epoch_line(row(epoch, sides, **values), {"training_images_per_second": 912.3}, best)
    display.close()
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("metric", ["balanced_accuracy", "accuracy", "loss"])
@pytest.mark.parametrize("sides", [("train", "test"), ("train", "validation", "test")])
def test_the_star_stands_beside_the_measure_that_it_is_about(capsys, metric, sides):
    watched = "validation" if "validation" in sides else "test"
    told = {"balanced_accuracy": 0.123, "accuracy": 0.456, "loss": 0.789}
    above, below, first, second = lines_of(
        capsys, metric, sides, **{f"{watched}_{name}": v for name, v in told.items()}
    )
    assert re.search({"balanced_accuracy": "12.3% ★", "accuracy": "45.6% ★", "loss": "0.7890 ★"}[metric], first)
    assert "★" not in second
    assert ("balanced" in below) == (metric == "balanced_accuracy")
    assert [name for name in above.split() if name in ("train", "validation", "test")] == list(sides)
    assert max(map(len, (above, below, first, second))) <= 80
    # Each number stands below its heading.
    for heading in re.finditer(r"\S+", below):
        assert first[heading.end() - 2 : heading.end()].strip(), heading[0]


@pytest.mark.parametrize(("balanced", "beats"), [(0.5, False), (0.51, True)])
def test_a_constant_answer_earns_no_star(balanced, beats):
    values = row(1, ("train", "test"), test_balanced_accuracy=balanced)
    assert beats_constant(values, "balanced_accuracy", 2) is beats
    assert beats_constant(values, "accuracy", 2) is beats  # 71.4 % is what the larger class has
    assert beats_constant(values, "loss", 2)


def test_a_sample_of_the_training_images_is_called_so(capsys):
    above, below, *_ = lines_of(capsys, "loss", ("train_sample", "validation", "test"))
    assert above.split() == ["train", "(sample)", "validation", "test"]
    assert len(below) <= 80


def test_a_large_loss_keeps_its_column(capsys):
    *_, first, second = lines_of(capsys, "accuracy", ("train", "test"), train_loss=123456.7)
    assert len(first.replace("★", " ").rstrip()) == len(second)
    assert "1.235e+05" in first


def test_the_time_left_counts_each_kind_of_work_by_its_own_time():
    remaining = RemainingTime(epochs=2, trained=100, evaluated=60)
    assert remaining.seconds is None
    for _ in range(10):
        remaining.did("trained", 10, seconds=1.0)
    assert remaining.seconds == pytest.approx(
        100 * 0.1 + 120 * 0.1 / 3
    )  # an evaluation is a third of a step until one was seen
    for _ in range(6):
        remaining.did("evaluated", 10, seconds=5.0)
    remaining.did("saved", 1, seconds=7.0)
    assert remaining.seconds == pytest.approx(100 * 0.1 + 60 * 0.5 + 7)
    work, total = remaining.work
    assert work / total == pytest.approx(0.5)


def test_the_time_left_follows_a_machine_that_has_slowed_down():
    remaining = RemainingTime(epochs=1, trained=1000, evaluated=0)
    for seconds in [0.1] * 40 + [0.4] * 60:
        remaining.did("trained", 5, seconds)
    assert 0.9 < remaining.seconds / (500 * 0.08) < 1.01


def test_a_resumed_run_has_less_before_it():
    begun = RemainingTime(epochs=3, trained=100, evaluated=100, done=150)
    begun.did("trained", 10, seconds=1.0)
    assert begun.seconds == pytest.approx(140 * 0.1 + 200 * 0.1 / 3)
    assert begun.work == (pytest.approx(160 + 100 / 3), 400)


def test_the_bar_moves_and_counts_down_during_an_evaluation(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    display = Display(2, total=80, evaluated=64)
    display.bar.mininterval = 0
    display.start_epoch(0)
    for _ in range(4):
        display.step(10, 0.5, 0.7)
    shown = [(display.bar.n, display.bar.left, str(display.bar))]
    for _ in display.evaluating([range(8)] * 8, "test"):
        shown.append((display.bar.n, display.bar.left, str(display.bar)))
    assert [n for n, _, _ in shown] == sorted(n for n, _, _ in shown)
    assert shown[-1][0] > shown[1][0]
    assert shown[-1][1] < shown[1][1]  # mm:ss
    assert "evaluating test" in shown[-1][2]
    assert all(len(text) <= 80 for _, _, text in shown)
    display.start_epoch(1)
    display.close()
