"""Training a network: its hyper-parameters, the loop, checkpoints, and what the user sees.

It may import ranks, drawing, measures, data, nn, kernels, storage, terminal, and the top-level modules of scratchnet. A public name is
imported when it is first used: a prediction reads a checkpoint, and needs no loop.
"""

from typing import TYPE_CHECKING

from scratchnet import imported_on_use

__all__ = [
    "Checkpoint", "Data", "Display", "Evaluation", "Experiment", "Progress", "Run", "Trainer", "Training",
    "compile_kernels", "fit", "kernels_are_compiled", "load_checkpoint", "make_trainer", "micro_batch_size",
    "read_about", "save_checkpoint",
]  # fmt: skip

# Where each name is defined: first for Python, then the same for type checkers and editors.
_DEFINED_IN = {
    "scratchnet.measures.evaluation": ("Evaluation",),
    "scratchnet.training.checkpoint": ("Checkpoint", "Progress", "load_checkpoint", "read_about", "save_checkpoint"),
    "scratchnet.training.compilation": ("compile_kernels", "kernels_are_compiled"),
    "scratchnet.training.display": ("Display",),
    "scratchnet.training.experiment": ("Data", "Experiment", "Training", "make_trainer"),
    "scratchnet.training.loop": ("fit",),
    "scratchnet.training.run": ("Run",),
    "scratchnet.training.trainer": ("Trainer", "micro_batch_size"),
}

if TYPE_CHECKING:
    from scratchnet.measures.evaluation import Evaluation
    from scratchnet.training.checkpoint import Checkpoint, Progress, load_checkpoint, read_about, save_checkpoint
    from scratchnet.training.compilation import compile_kernels, kernels_are_compiled
    from scratchnet.training.display import Display
    from scratchnet.training.experiment import Data, Experiment, Training, make_trainer
    from scratchnet.training.loop import fit
    from scratchnet.training.run import Run
    from scratchnet.training.trainer import Trainer, micro_batch_size
else:  # a type checker that saw this function would accept any name
    __getattr__ = imported_on_use(__name__, _DEFINED_IN)
