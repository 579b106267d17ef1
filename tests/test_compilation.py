"""Kernels are compiled once: what one process has compiled, the next one loads."""

from scratchnet.config import Config
from scratchnet.training import compilation

STEPS = """
from numba.core import event
from scratchnet.config import Config
from scratchnet.training.compilation import DIRECT, FAST, small_step

class Compilations(event.Listener):
    names = []
    def on_start(self, what):
        self.names.append(what.data["dispatcher"].__name__)
    def on_end(self, what):
        pass

with event.install_listener("numba:compile", Compilations()):
    small_step(Config(), FAST)
    small_step(Config(), DIRECT)
print(*Compilations.names)
"""


def test_a_second_process_compiles_nothing(run_python):
    run_python(STEPS)
    assert run_python(STEPS) == ""


def test_a_helper_that_fails_costs_time_only(monkeypatch, capfd):
    """Here it can't even start: the work is done all the same, and nothing is said."""
    done = []
    monkeypatch.setattr(compilation, "small_step", lambda config, images: done.append(images))
    monkeypatch.setattr(compilation, "kernels_are_compiled", lambda config: False)
    monkeypatch.setattr(compilation, "remember_compiled", done.append)
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # no Python starts so
    compilation.compile_kernels(Config())
    assert done == [compilation.FAST, compilation.DIRECT, "float32-adam"]
    assert capfd.readouterr() == ("", "")
