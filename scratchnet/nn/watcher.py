"""Who is told of the layers of a training step, one after the other."""


class Watcher:
    """Is told between the layers of a training step; number: of the layer, in `Sequential.steps`. Here it does nothing."""

    def before_forward(self, number: int) -> None:
        """Its weights are about to be read."""

    def before_backward(self, number: int) -> None:
        """Its gradients are about to be written."""

    def after_backward(self, number: int) -> None:
        """Its gradients are there."""
