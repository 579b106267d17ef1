"""Kernels are compiled once: what one process has compiled, the next one loads."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from scratchnet.kernels import convolution, corners
from scratchnet.kernels.winograd import gradient
from scratchnet.training import compilation
from scratchnet.training.config import Config

STEPS = """
import sys
from numba.core import event
from scratchnet.training.config import Config
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
    """With the machine code that the suite shares: what this process lacks it compiles, and then nothing is missing."""
    compilation.compile_kernels(Config())
    assert run_python(STEPS) == ""


def test_what_is_loaded_does_not_wait_for_what_compiles(run_python):
    """A short program's time is spent on imports: those of Numba's compiler and of what writes files are left to who needs them."""
    compilation.compile_kernels(Config())
    of_compiler = '{"numba.np.linalg", "numba.typed.typeddict"}'
    assert run_python(f'{STEPS}print(*({of_compiler} | {{"h5py"}}) & set(sys.modules))') == ""
    compiles = f"import sys, numba\nnumba.njit(lambda x: x)(1)\nprint({of_compiler} <= set(sys.modules))"
    assert run_python(compiles) == "True"


@pytest.mark.slow
def test_with_an_empty_cache_each_kernel_is_compiled_once(run_python, tmp_path):
    names = run_python(STEPS, NUMBA_CACHE_DIR=str(tmp_path)).split()
    assert {"convolve_tiles", "transform_tiles", "product_in_tasks", "chunks_of_product", "adam_step"} <= set(names)
    for kernel in ("convolve_tiles", "transform_tiles", "product_in_tasks", "chunks_of_product", "adam_step"):
        assert names.count(kernel) == 1, kernel  # one specialisation is enough
    assert run_python(STEPS, NUMBA_CACHE_DIR=str(tmp_path)) == ""


@pytest.mark.parametrize("trouble", ["ends at once", "cannot be started"])
def test_a_helper_that_fails_costs_time_only(trouble, monkeypatch, capfd):
    """The work is done all the same, and nothing is said."""
    done = []
    monkeypatch.setattr(compilation, "small_step", lambda config, images: done.append(images))
    monkeypatch.setattr(compilation, "kernels_are_compiled", lambda config: False)
    monkeypatch.setattr(compilation, "remember_compiled", done.append)
    if trouble == "ends at once":
        monkeypatch.setenv("PYTHONHOME", "/nowhere")
    else:
        monkeypatch.setattr(compilation.sys, "executable", "/nowhere/python")
    compilation.compile_kernels(Config())
    assert done == [compilation.FAST, compilation.DIRECT, "report-float32-adam"]
    assert capfd.readouterr() == ("", "")


def test_the_helper_takes_its_share_of_the_fast_path(monkeypatch):
    """The last kernels of a step, which are compiled while the first process compiles the others."""
    paths, ends, backward_weight, after_v_and_dm = [], [], convolution.backward_weight, gradient.after_v_and_dm

    def look(geometry, remembered, *rest):
        paths.append((remembered.how, remembered.winner.size > 0))
        backward_weight(geometry, remembered, *rest)

    def look_at_end(dweight):
        ends.append(dweight.shape[2:])
        after_v_and_dm(dweight)

    monkeypatch.setattr(convolution, "backward_weight", look)
    monkeypatch.setattr(gradient, "after_v_and_dm", look_at_end)
    monkeypatch.setenv("SCRATCHNET_CONV", "direct")
    compilation.help_compiling(json.dumps(asdict(Config())))
    in_registers = corners.fits((5, 5), 3, np.float32)  # not in vectors of 4 floats: the first layer is as the others
    assert paths == [("winograd", True)] * in_registers + [("direct", False)] * 5
    assert ends == [(3, 32)] * (not in_registers) + [(32, 64), (64, 128), (128, 256), (256, 512)]


HELP = """
import json, os
from dataclasses import asdict
from scratchnet.training.config import Config
from scratchnet.training.compilation import help_compiling

os.environ["SCRATCHNET_CONV"] = "direct"
help_compiling(json.dumps(asdict(Config())))
"""


@pytest.mark.slow
def test_what_the_helper_has_compiled_is_what_training_needs(run_python, tmp_path):
    run_python(HELP, NUMBA_CACHE_DIR=str(tmp_path))
    names = set(run_python(STEPS, NUMBA_CACHE_DIR=str(tmp_path)).split())
    assert {"convolve_tiles", "transform_tiles"} <= names
    assert not names & {
        "multiply_transposed",
        "bring_back",
        "sum_of_corners",
        "adam_step",
        "product_of_patches",
        "turn",
    }
