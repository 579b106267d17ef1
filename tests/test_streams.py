"""What entry points print to: any encoding, a reader who leaves, a full disk, no console at all."""

import codecs
import errno
import io
import os
import subprocess
import sys
import threading

import pytest
from tqdm import tqdm

from scratchnet.terminal.entry_point import enter
from scratchnet.terminal.streams import LEGIBLE, Output, output_problem, require_output, standard_streams

SIGNS = "64 × 64 … ★ − ² café 细胞 \udc80"


class Failing(io.StringIO):
    """A stream that takes the first `good` texts, and answers the next with the error."""

    def __init__(self, number, good=0):
        super().__init__()
        self.number, self.good = number, good

    def write(self, text):
        if self.good <= 0:
            raise OSError(self.number, os.strerror(self.number))
        self.good -= 1
        return super().write(text)


@pytest.mark.parametrize(
    "encoding", ["cp1252", "cp437", "ascii", "gbk", "latin-1", "utf-8", "utf-16", "shift_jis", "cp037"]
)
def test_every_encoding_takes_every_sign(encoding, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, newline="\n"))
    with standard_streams():
        print(SIGNS)
        print("".join(map(chr, LEGIBLE)))
    written = raw.getvalue().decode(encoding)
    assert written.startswith("64 ")
    assert ("★" in written) == (encoding in ("gbk", "utf-8", "utf-16", "shift_jis"))
    assert written.splitlines()[0].endswith(r"\udc80")  # of a name that is no Unicode
    assert type(sys.stdout) is io.TextIOWrapper


@pytest.mark.parametrize("errors", ["strict", "backslashreplace", "replace", "surrogateescape"])
def test_signs_are_replaced_however_the_stream_errs(errors, monkeypatch):
    """Python sets up standard error to write numbers for what it cannot encode."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii", errors=errors, newline="\n"))
    with standard_streams():
        print("3 × 3 …", file=sys.stderr)
    assert raw.getvalue() == b"3 x 3 ...\n"


def test_signs_are_replaced_by_what_looks_like_them(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", codecs.getwriter("ascii")(raw))  # of a kind that cannot be told how to err
    with standard_streams():
        print("32 × 32 × 3 … ★ 5 − 3")
    assert raw.getvalue() == b"32 x 32 x 3 ... * 5 - 3\n"


def test_without_any_stream_nothing_is_printed(monkeypatch):
    """As under pythonw."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with standard_streams(announce=True):
        print("lost", flush=True)
        print("lost", file=sys.stderr)
        for _ in tqdm(range(3), disable=None):
            tqdm.write("lost", file=sys.stdout)
        list(tqdm(range(3), disable=False))
        assert not sys.stderr.isatty()
        assert output_problem() is None
        with pytest.raises(io.UnsupportedOperation):
            sys.stdout.fileno()
    assert sys.stdout is None


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


LOST = {
    "broken pipe": lambda: Failing(errno.EPIPE),
    "closed ssh": lambda: Failing(errno.EIO),
    "full disk": lambda: Failing(errno.ENOSPC),
    "closed stream": closed,
}


@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("flushed", [False, True])
def test_work_for_hours_goes_on_and_says_so_once(how, flushed, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", LOST[how]())

    def work():
        with standard_streams(announce=True):
            for k in range(3):
                print(k, flush=flushed)
            tqdm.write("more", file=sys.stdout)
        return 0

    assert enter(work, "train.py") == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("CAUTION: ")
    assert said.endswith("going on without it.\n")


def test_a_loss_before_the_training_is_said_when_it_begins(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Failing(errno.EPIPE, good=2))
    with standard_streams():
        print("preparing")
        print("prepared")
        assert not capsys.readouterr().err
        with standard_streams(announce=True):
            assert "nobody reads standard output any more" in capsys.readouterr().err


def test_tables_end_in_silence_where_their_reader_leaves(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Failing(errno.EPIPE, good=4))
    rows = []

    def work():
        for k in range(1000):
            print(k)
            require_output()
            rows.append(k)
        return 1

    assert enter(work, "python -m scratchnet predict") == 0
    assert len(rows) == 2  # a line is two writes: its text, its end
    assert capsys.readouterr().err == ""


def test_an_answer_that_cannot_be_written_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Failing(errno.ENOSPC))
    assert enter(lambda: print("the answer") or 0, "python -m scratchnet evaluate") == 2
    said = capsys.readouterr().err
    assert said.startswith("python -m scratchnet evaluate: standard output cannot be written (No space left")


def test_a_command_keeps_its_exit_code_where_only_its_words_are_lost(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Failing(errno.EPIPE))
    assert enter(lambda: print("damaged") or 1, "python -m scratchnet verify") == 1


def test_standard_error_may_be_lost_too(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Failing(errno.EIO))
    monkeypatch.setattr(sys, "stderr", Failing(errno.EIO))
    assert enter(lambda: print("to a person", file=sys.stderr) or 0, "program") == 0
    assert enter(lambda: print("x", file=sys.stderr) or print("the answer") or 0, "program") == 2


def test_blocks_may_be_nested_and_in_threads(monkeypatch):
    before = sys.stdout
    first, second = threading.Event(), threading.Event()

    def one():
        with standard_streams():
            first.set()
            second.wait(10)

    thread = threading.Thread(target=one)
    with standard_streams():
        thread.start()
        first.wait(10)
        with standard_streams():
            assert isinstance(sys.stdout, Output)
    assert isinstance(sys.stdout, Output)  # the thread is still at it
    second.set()
    thread.join()
    assert sys.stdout is before


@pytest.mark.skipif(os.name == "nt", reason="a pipe of another process, as POSIX has them")
def test_a_process_whose_reader_left_ends_without_a_word(repository):
    """What is still in Python's own buffer must not fail once more when Python ends."""
    program = (
        "import sys; from scratchnet.terminal.entry_point import enter, own_process; own_process(); "
        "sys.exit(enter(lambda: print('x' * 70000) or 0, 'x'))"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
