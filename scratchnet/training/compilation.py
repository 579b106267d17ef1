"""All kernels that training needs, compiled before the first step, by two processes side by side.

Numba compiles one function at a time, and for training that is some 20 seconds. A process loads what another has
compiled and kept on disk, so a second one compiles the direct convolution, what is around it, and the last kernels of a
step by Winograd's algorithm, while this one compiles the first of them. It loads the last when it gets there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

import scratchnet
from scratchnet.kernels import convolution, corners
from scratchnet.kernels.machine.jit import cache_directory, compiled_before, remember_compiled
from scratchnet.kernels.matmul import LONG
from scratchnet.kernels.winograd import gradient
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.dense import Dense
from scratchnet.terminal.launcher import without_launcher
from scratchnet.training.config import Config
from scratchnet.training.network import trial_network
from scratchnet.training.trainer import micro_batch_size

# A batch of so many images of 32 × 32 takes the fast path in the first layers and the dense one in the last; a single
# image takes the direct path in deeper layers.
FAST, DIRECT = 16, 1
PATIENCE = 60  # seconds for the second process to end after this one is done


def compile_kernels(config: Config) -> None:
    """Compiles all kernels that training with this configuration needs, or loads those that were compiled before."""
    with _helper(config):
        small_step(config, FAST)
    small_step(config, DIRECT)
    remember_compiled(_kernels_of(config))


def kernels_are_compiled(config: Config) -> bool:
    """Whether `compile_kernels` has run on this machine for such a configuration, so that it takes only a moment."""
    return compiled_before(_kernels_of(config))


def small_step(config: Config, images: int) -> None:
    """A training step of a network of the same kinds of layers on images of 32 × 32."""
    # Here, as it brings much, and most who ask whether all is compiled hear that it is.
    from scratchnet.training.experiment import make_trainer

    network = trial_network(config, 32)
    images = min(images, micro_batch_size(network))
    trainer = make_trainer(config, network, steps_per_epoch=1)
    logits = network.forward(np.zeros((images, *(network.input_shape or ())), config.dtype), training=True)
    trainer.loss.forward(logits, np.zeros(images, np.int64))
    network.backward(trainer.loss.backward(), need_dx=False)
    if config.clip_norm:
        trainer.optimizer.clip(config.clip_norm)
    trainer.optimizer.step()
    # With larger images the first dense layer has so many inputs that it takes another kernel.
    dense = Dense(1)
    dense.build((LONG,), dtype=config.dtype)
    dense.forward(np.zeros((1, LONG), config.dtype))


@contextmanager
def _helper(config: Config) -> Iterator[None]:
    """Meanwhile a second process compiles its share. If it fails, this process compiles all."""
    helper = None if _nothing_to_share(config) else _start_helper(config)
    try:
        yield
        if helper:
            with suppress(subprocess.TimeoutExpired):
                helper.wait(PATIENCE)
    finally:
        if helper:
            helper.kill()
            helper.wait()


def _nothing_to_share(config: Config) -> bool:
    """Whether all is compiled, or cannot be kept, or there is one processor, or the user has forced one path."""
    forced = bool(os.environ.get("SCRATCHNET_CONV"))
    return kernels_are_compiled(config) or cache_directory() is None or os.cpu_count() == 1 or forced


def _start_helper(config: Config) -> subprocess.Popen[bytes] | None:
    """The second process; None if it cannot be started."""
    found = [str(Path(scratchnet.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**without_launcher(os.environ), "PYTHONPATH": os.pathsep.join(found), "SCRATCHNET_CONV": "direct"}
    code = f"from scratchnet.training.compilation import help_compiling; help_compiling({json.dumps(asdict(config))!r})"
    quiet = subprocess.DEVNULL
    try:
        return subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=quiet, stdout=quiet, stderr=quiet)
    except OSError:
        return None


def help_compiling(config: str) -> None:
    """What the second process does: a step by the direct path, and the end of the fast one between its two halves. config: as JSON.

    The first process needs the direct path's forward kernels when it has compiled the fast one's; then it compiles V and dM of
    the gradients, and meanwhile this one goes from the end of a step towards it.
    """
    from scratchnet.training.experiment import make_trainer

    settings = Config(**json.loads(config))
    network = trial_network(settings, 32)
    network.forward(np.zeros((DIRECT, *(network.input_shape or ())), settings.dtype), training=True)
    make_trainer(settings, network, steps_per_epoch=1).optimizer.step()
    for layer in network.layers:
        if isinstance(layer, Conv2D) and convolution.can_pool_inside(layer.kernel_size, layer.stride):
            _end_of_gradient(layer, settings.dtype)
    small_step(settings, DIRECT)


def _end_of_gradient(layer: Conv2D, dtype: str) -> None:
    """The last kernels for the gradient of a convolution's filters where ReLU and pooling are part of the pass."""
    dweight = layer.weight.grad
    if not corners.fits(layer.kernel_size, dweight.shape[2], dweight.dtype):
        gradient.after_v_and_dm(dweight)
        return
    height, width, filters = layer.geometry.output_shape
    dy = np.zeros((FAST, height // 2, width // 2, filters), dtype)
    x = np.zeros((FAST, *layer.geometry.input_shape), dtype)
    remembered = convolution.Remembered("winograd", x, np.zeros(dy.shape, np.uint8))
    convolution.backward_bias(remembered, dy)
    convolution.backward_weight(layer.geometry, remembered, dy, dweight, False)


def _kernels_of(config: Config) -> str:
    own = f"-{zlib.crc32(config.layers.encode()):08x}-{config.image_size}" if config.layers else ""
    return f"{config.model}-{config.dtype}-{'sgd' if config.optimizer == 'sgd' else 'adam'}{own}"
