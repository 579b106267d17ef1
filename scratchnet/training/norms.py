"""How large the weights and their gradients are, parameter by parameter."""

from __future__ import annotations

import math

from scratchnet.kernels.elementwise import sum_of_squares
from scratchnet.nn.sequential import Sequential


def norms(network: Sequential) -> dict[str, tuple[float, float]]:
    """For each parameter, by its name, ‖w‖ and ‖∂L/∂w‖ as they stand: √(Σ w²) and √(Σ g²).

    The gradients are those of the last step, after clipping where the optimiser clips (`clip_norm`).
    A NaN or an infinity in the array makes its norm NaN or infinite.
    """
    return {
        parameter.name: (math.sqrt(sum_of_squares(parameter.value)), math.sqrt(sum_of_squares(parameter.grad)))
        for parameter in network.parameters()
    }


def norms_table(network: Sequential) -> str:
    """The norms as a table, to find the layer where it went wrong."""
    rows = [("parameter", "‖w‖", "‖gradient‖")]
    rows += [(name, f"{weight:.4g}", f"{gradient:.4g}") for name, (weight, gradient) in norms(network).items()]
    return "\n".join(f"{name:<16} {weight:>12} {gradient:>12}" for name, weight, gradient in rows)
