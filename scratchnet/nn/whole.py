"""What a network does as a whole, with arrays and files: fit, predict, save.

The work is done above, in `scratchnet.use.network`, by the loop that trains runs; this file is the one place in nn that knows
of it, and imports it when it is called. So layers and networks can be used and read without all the rest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from scratchnet.nn.optimizers import Optimizer


class Whole:
    """The methods of `Sequential` that need more than layers."""

    def fit(
        self: Any,
        images: NDArray[Any],
        labels: ArrayLike,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation_data: tuple[NDArray[Any], ArrayLike] | None = None,
        optimizer: Optimizer | None = None,
        patience: int = 0,
        seed: int = 0,
        verbose: bool = False,
    ) -> list[dict[str, float]]:
        """Trains on images in memory, by the loop of train.py; returns what it came to, a dictionary for each epoch.

        images (N, *input_shape): numbers of the network's dtype, scaled as you like. labels (N,): 0 … classes − 1.
        A network that is not built yet is built for them, with the weights of the seed. validation_data: images and labels that are
        judged after each epoch, and not learnt from. optimizer: of `net.parameters()`, which keeps its state for the next
        call (a new Adam with a learning rate of 0.001). patience: epochs without a better loss on the validation data after
        which training ends, and the network goes back to the best of them (0: it goes on to the last). seed: of the order
        of the images, and of dropout. verbose: whether to show a bar with the loss.

        The same network, images, labels and settings give the same weights, to the bit. The loss is
        `SoftmaxCrossEntropy`. Raises ShapeError, DtypeError or LabelError for images or labels that don't fit,
        NonFiniteError if training diverges. For images as files hold them, and all settings of train.py, there is
        `scratchnet.Classifier`.

        >>> import numpy as np
        >>> from scratchnet import Dense, ReLU, Sequential
        >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
        >>> net = Sequential([Dense(8), ReLU(), Dense(2)])
        >>> history = net.fit(x, [0, 1, 1, 0], epochs=200, batch_size=4)
        >>> net.predict(x).tolist(), len(history), history[-1]["loss"] < 0.69
        ([0, 1, 1, 0], 200, True)
        """
        from scratchnet.use.network import fit

        settings: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "patience": patience, "seed": seed}
        return fit(self, images, labels, validation_data, optimizer, verbose=verbose, **settings)

    def predict_proba(self: Any, images: NDArray[Any]) -> NDArray[Any]:
        """The probability of each class, softmax of the network's output: (N, classes) float64. images: as in `fit`."""
        from scratchnet.use.network import probabilities

        return probabilities(self, images)

    def predict(self: Any, images: NDArray[Any]) -> NDArray[Any]:
        """The number of the most probable class for each image, (N,), the first among equals. images: as in `fit`."""
        chances = self.predict_proba(images)
        return chances.argmax(axis=1)

    def freeze(self: Any, *patterns: str) -> list[str]:
        """Layers that are not learnt from now on, by their names, or patterns such as "conv*"; returns their names.

        Optimisers pass them over, with their L2; backward spares their gradients, and does not go below the first layer that
        still learns. Batch normalisation in them uses its running statistics and keeps them. A network that is built again learns
        again, as it does after `net.unfreeze()`. Raises ConfigError for a pattern that fits no layer.
        """
        from scratchnet.nn.transfer import freeze

        self._require_built()
        return freeze(self, patterns)

    def unfreeze(self: Any) -> None:
        """All layers learn again."""
        from scratchnet.nn.transfer import set_frozen

        for layer in self:
            set_frozen(layer, False)

    def start_from(self: Any, other: Any) -> tuple[list[str], dict[str, str]]:
        """Takes weights and buffers over from another network where the layers' names and shapes agree.

        other: a Sequential, what its `state_dict` returned, or a run or a file of weights. Returns the names of the layers that were
        taken, and of those that were not, {"dense3": "(64, 2) there, (64, 5) here"}. Raises ConfigError if nothing fits.
        """
        from scratchnet.nn.transfer import take_over
        from scratchnet.use.network import state_of

        self._require_built()
        return take_over(self, state_of(other))

    def save(self: Any, path: str | os.PathLike[str]) -> None:
        """Writes the network into one file, with its layers, weights and buffers: `scratchnet.load(path)` gives it back.

        The file names the classes of the layers and their arguments, and holds no code; whoever reads a network with
        layers of your own passes their classes, `load(path, layers=[Square])`. Raises OrderError before build, ConfigError for
        a layer that cannot be described, DataError where no such file can be written.
        """
        from scratchnet.use.network import save

        save(self, path)
