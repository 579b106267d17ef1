"""Requests to end: who handles them, and where they cannot be handled."""

import asyncio
import os
import signal
import threading

import numpy as np
import pytest

import train
from scratchnet import Classifier
from scratchnet.terminal.bar import Bar
from scratchnet.terminal.signals import SIGNALS, end_when_asked, handle, restore
from scratchnet.training.interrupt import Interrupt, Interrupted


@pytest.fixture(autouse=True)
def without_nohup():
    """Under nohup the tests' own process ignores SIGHUP."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_what_handled_them_before_comes_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupt():
        assert all(signal.getsignal(number) not in before for number in SIGNALS)
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_a_closed_terminal_asks_to_stop_unless_nohup_ignores_it():
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(Interrupted):
            interrupt.check()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGHUP)
            interrupt.check()
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send one to itself")
def test_where_nothing_is_to_be_saved_the_program_ends():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        end_when_asked()
        assert signal.getsignal(signal.SIGINT) is before[signal.SIGINT]
        for number in (signal.SIGTERM, signal.SIGHUP):
            with pytest.raises(SystemExit) as ended:
                os.kill(os.getpid(), number)
            assert ended.value.code == 128 + number
    finally:
        restore(before)


def test_a_bar_that_was_not_made_is_removed_in_silence():
    """A signal came between its making's two halves. What `__del__` raises would be printed."""
    assert Bar.__new__(Bar).close() is None


def in_a_thread(work):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    thread.join()
    return answers[0]


def test_another_thread_changes_no_handler():
    before = [signal.getsignal(number) for number in SIGNALS]
    assert in_a_thread(lambda: handle(lambda *_: None)) == {}
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.usefixtures("small_model", "no_pages")
def test_training_in_another_thread(trained_run, tmp_path):
    """As of a web page, a window, a notebook's executor: the same weights as in the main thread."""
    asked = ["--data", str(trained_run.data), "--runs", str(tmp_path), "--epochs", "1", "--batch-size", "48"]
    assert train.main([*asked, "--name", "main"]) == 0
    assert in_a_thread(lambda: train.main([*asked, "--name", "thread"])) == 0

    async def page():
        return await asyncio.get_running_loop().run_in_executor(None, train.main, [*asked, "--name", "executor"])

    # A browser of other tests keeps a loop in this thread.
    assert in_a_thread(lambda: asyncio.run(page())) == 0
    metrics = [(tmp_path / name / "metrics.csv").read_text(encoding="utf-8") for name in ("main", "thread", "executor")]
    assert metrics[0] == metrics[1] == metrics[2]


def test_a_classifier_in_another_thread():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 255, (8, 32, 32, 3)).astype(np.uint8), np.arange(8) % 2
    fit = lambda: Classifier(epochs=1, batch_size=4).fit(X, y).losses_  # noqa: E731
    assert in_a_thread(fit) == fit()
