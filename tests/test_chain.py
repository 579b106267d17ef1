"""From python train.py to the kernel that computes a tile there are few calls: what is between can be read at one go."""

import runpy
import sys

import pytest

from scratchnet.kernels import convolution
from scratchnet.kernels.machine import threads
from scratchnet.kernels.winograd import gradient, passes

MOST = 12  # from the file train.py itself to the launch of a kernel, both counted

MODULES = (passes.__name__, gradient.__name__)


@pytest.fixture
def calls(monkeypatch, repository):
    """By its name, for each kernel of Winograd's tiles that a step of training runs: the longest way from train.py to it."""
    seen, make_ready, first = {}, threads.make_ready, (str(repository / "train.py"), "<module>")

    def look():  # in place of what every launch calls before it runs its kernel
        stack = [sys._getframe(1)]
        kernel = stack[0].f_locals.get("compiled")
        while stack[-1].f_back is not None and (stack[-1].f_code.co_filename, stack[-1].f_code.co_name) != first:
            stack.append(stack[-1].f_back)
        names = [frame.f_code.co_qualname for frame in reversed(stack)]
        if kernel is not None and "Trainer.step" in names and kernel.py_func.__module__ in MODULES:
            seen[kernel.py_func.__name__] = max(names, seen.get(kernel.py_func.__name__, []), key=len)
        make_ready()

    monkeypatch.setattr(threads, "make_ready", look)
    return seen


@pytest.mark.skipif(not convolution.can_use_winograd((5, 5), 1), reason="nothing is compiled, so nothing is launched")
def test_few_calls_lead_to_the_kernel(calls, tmp_path, monkeypatch, repository, no_pages):
    where = ["--runs", str(tmp_path / "runs"), "--prepared", str(tmp_path / "prepared")]
    monkeypatch.setattr("sys.argv", ["train.py", "--image-size", "32", "--epochs", "1", "--batch-size", "64", *where])
    monkeypatch.setattr("scratchnet.terminal.entry_point.end_when_asked", lambda: None)  # this process is pytest's
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(repository / "train.py"), run_name="__main__")
    assert ended.value.code == 0
    assert {"convolve_tiles", "transform_tiles"} <= calls.keys()
    for names in calls.values():
        assert names[:2] == ["<module>", "main"]
        assert len(names) <= MOST, " → ".join(names)
