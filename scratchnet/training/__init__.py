"""Training a network: its hyper-parameters, the loop, checkpoints, and what the user sees.

It may import ranks, drawing, measures, data, nn, kernels, storage, terminal, and the top-level modules of scratchnet.
"""

from scratchnet.measures.evaluation import Evaluation
from scratchnet.training.checkpoint import Checkpoint, Progress, load_checkpoint, read_about, save_checkpoint
from scratchnet.training.compilation import compile_kernels, kernels_are_compiled
from scratchnet.training.display import Display
from scratchnet.training.experiment import Data, Experiment, Training, make_trainer
from scratchnet.training.loop import fit
from scratchnet.training.run import Run
from scratchnet.training.trainer import Trainer, micro_batch_size

__all__ = [
    "Checkpoint", "Data", "Display", "Evaluation", "Experiment", "Progress", "Run", "Trainer", "Training",
    "compile_kernels", "fit", "kernels_are_compiled", "load_checkpoint", "make_trainer", "micro_batch_size",
    "read_about", "save_checkpoint",
]  # fmt: skip
