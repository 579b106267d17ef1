"""A network: layers one after the other."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from scratchnet import random
from scratchnet.errors import ConfigError, DtypeError, NonFiniteError, OrderError, ScratchnetError, ShapeError
from scratchnet.kernels.machine.threads import alone
from scratchnet.nn.arguments import Remembers
from scratchnet.nn.base import (
    FLOATS,
    Array,
    Layer,
    Parameter,
    Shape,
    buffers_of,
    checked_dtype,
    checked_seed,
    checked_shape,
    is_ours,
    layers_in,
    observers_of,
    parameters_of,
    require_array,
    require_layer,
)
from scratchnet.nn.fused import FUSED
from scratchnet.nn.releasing import Releases, forget
from scratchnet.nn.summary import summary_table
from scratchnet.nn.thread_check import ThreadCheck
from scratchnet.nn.watcher import Watcher
from scratchnet.nn.whole import Whole

LONGEST_NAME = 64  # of a layer


class Sequential(Whole, Releases, ThreadCheck, Remembers):
    """Layers in a row: the output of each is the input of the next. It is a layer itself, and a list of its layers.

    y = layerₖ(… layer₂(layer₁(x)));  backward walks the same row from its end, by the chain rule

    layers: objects with the layer protocol (see `scratchnet.nn.Layer`): forward and backward, and build if the shape
    changes or there are weights. input_shape: (H, W, C), if it is already known; else give it to build.

    >>> from scratchnet import Dense, ReLU
    >>> net = Sequential([Dense(3), ReLU(), Dense(2)])
    >>> net.build(input_shape=(4,), seed=0)
    (2,)
    >>> [p.name for p in net.parameters()]
    ['dense1.weight', 'dense1.bias', 'dense2.weight', 'dense2.bias']
    >>> net(np.zeros((5, 4), "float32")).shape
    (5, 2)
    >>> len(net), net[0], net["dense2"], net[1:]
    (3, Dense(3), Dense(2), Sequential([ReLU(), Dense(2)], input_shape=(3,)))
    """

    kind = "network"
    name = "network"
    watcher = Watcher()
    trusted, finite = Layer.trusted, Layer.finite
    changing = ("layers", "input_shape")

    def __init__(self, layers: Iterable[Any], *, input_shape: Shape | None = None) -> None:
        if not isinstance(layers, Iterable):
            raise ConfigError(f"Sequential needs a list of layers, got {type(layers).__name__}")
        self.layers = list(layers)
        self.input_shape = input_shape
        self.output_shape: Shape | None = None
        self.seed = 0
        self._steps: list[Any] = []
        self._edges: list[Shape] = []  # the shapes between the steps, the input's first
        self._require_layers(self.layers)

    @staticmethod
    def _require_layers(layers: list[Any]) -> None:
        if not layers:
            raise ConfigError("Sequential needs at least one layer")
        inside = [id(one) for layer in layers for one in layers_in(layer)]
        if len(set(inside)) < len(inside):
            raise ConfigError(
                "Sequential: the same layer object stands in the list twice: make one object for each place, since it "
                "remembers its last batch for backward"
            )
        for layer in layers:
            require_layer(layer)

    def add(self, layer: Any) -> None:
        """Puts one more layer at the end. The network must then be built, anew if it was: with new weights."""
        self._require_layers([*self.layers, layer])
        self.layers.append(layer)
        self.output_shape = None

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)

    def __getitem__(self, which: int | str | slice) -> Any:
        """A layer, by its place or its name; or, for a slice, a network of the same layer objects, with their weights.

        Of a network that is built, such a part is built as well, and can be used at once: `net[:-1](x)` is what the last layer
        gets. What is trained, or built again, in one is so in the other. Raises IndexError, or ConfigError for a name that
        no layer has.
        """
        if isinstance(which, str):
            found = [layer for layer in self.layers if getattr(layer, "name", None) == which]
            if not found:
                names = ", ".join(str(getattr(layer, "name", layer)) for layer in self.layers)
                raise ConfigError(f"no layer is called {which!r}; the layers are {names}; build gives them their names")
            return found[0]
        if not isinstance(which, slice):
            return self.layers[which]
        part = Sequential(self.layers[which])
        start, _, step = which.indices(len(self.layers))
        if self.output_shape is not None and step == 1:
            part.dtype, part.seed = self.dtype, self.seed
            part.input_shape = self._shapes[start - 1] if start else self.input_shape
            part._settle(self._shapes[which])
        return part

    def __call__(self, x: Array) -> Array:
        """`forward` as it is used: the output for a batch, with nothing remembered."""
        return self.forward(x)

    def build(
        self,
        input_shape: Shape | None = None,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = "float32",
        *,
        seed: int | None = None,
    ) -> Shape:
        """Names the layers, fixes all shapes and draws the initial weights; returns the output shape.

        Shapes have no batch axis. seed (0): of the weights and of the dropout masks; the same seed gives the same ones.
        rng, a generator, replaces it for the weights. Built again, the network begins anew, with new
        parameters: make a new optimiser then. Raises ShapeError if two layers do not fit together, naming the layer.
        """
        shape = input_shape if input_shape is not None else self.input_shape
        if shape is None:
            raise ShapeError("Sequential.build needs input_shape=(height, width, channels)")
        shape = checked_shape("Sequential.build: input_shape", shape)
        self.dtype = checked_dtype("Sequential.build", dtype)
        self.seed = self.seed if seed is None else checked_seed("Sequential.build", seed)
        self.input_shape = shape
        self.name_layers()
        shapes = []
        for number, layer in enumerate(self.layers):
            if hasattr(layer, "seed"):
                # A network within this one has a seed of its own, so that its dropout1 and ours draw different masks.
                inner = hasattr(layer, "layers")
                layer.seed = int(random.bits(self.seed, layer.name, 0, [0])[0]) >> 1 if inner else self.seed
            if hasattr(layer, "build"):
                weights = rng if rng is not None else random.generator(self.seed, "weights", number)
                shape = checked_shape(f"{layer.name}: what build returns", layer.build(shape, weights, dtype))
            shapes.append(shape)
            for parameter in parameters_of(layer):
                if not parameter.name.startswith(f"{layer.name}."):
                    parameter.name = f"{layer.name}.{parameter.name}"
        self._settle(shapes)
        return shape

    def _settle(self, shapes: list[Shape]) -> None:
        """Makes ready to run, once the layers are built. shapes: what each gives."""
        assert self.input_shape is not None
        self._shapes, self.output_shape = shapes, shapes[-1]
        self._steps = self._fused()
        made = {id(layer): output for layer, output in zip(self.layers, self._shapes, strict=True)}
        ends = (step.last if isinstance(step, FUSED) else step for step in self._steps)
        self._edges = [self.input_shape, *(made[id(layer)] for layer in ends)]

    def _fused(self) -> list[Any]:
        """The layers as they are run: some in a row as one if that is faster and gives the same."""
        steps, i = [], 0
        while i < len(self.layers):
            fitting = (kind for kind in FUSED if kind.fits(self.layers[i : i + kind.length]))
            kind = next(fitting, None)
            steps.append(kind(*self.layers[i : i + kind.length]) if kind else self.layers[i])
            i += kind.length if kind else 1
        return steps

    def name_layers(self) -> None:
        """conv1, relu1, pool1, conv2, …: the kind and a count. A name that was given to a layer's constructor stays."""
        taken: set[str] = set()
        for layer, automatic in zip(self.layers, self.automatic_names(), strict=True):
            kind = _kind(layer)
            if getattr(layer, "name", kind) == kind and not getattr(layer, "was_named", False):
                layer.name = automatic
            _require_name(layer.name)
            if layer.name in taken:
                raise ConfigError(f"Sequential: two layers are called {layer.name!r}: give each its own name")
            taken.add(layer.name)

    def automatic_names(self) -> list[str]:
        """What `build` calls each layer that has no name of its own."""
        counts: Counter[str] = Counter()
        names = []
        for kind in map(_kind, self.layers):
            counts[kind] += 1
            names.append(f"{kind}{counts[kind]}")
        return names

    def _require_built(self) -> None:
        if self.output_shape is None:
            raise OrderError("the network has not been built: call build(input_shape=(height, width, channels)) first")

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """The output for a batch x (N, *input_shape). With training=True the layers remember what backward needs.

        Any number of threads may call it at once with training=False, also while another one trains.
        """
        self._require_built()
        with alone() if training else contextlib.nullcontext():
            if training:
                self.finite, self.trusted = x is self.trusted, None
            for i, step in enumerate(self._steps):
                if training:
                    self.watcher.before_forward(i)
                    self._trust(step, x)
                try:
                    y = step.forward(x, training=training)
                except NonFiniteError as error:
                    self._blame(i, x, error)
                    raise
                except Exception as error:
                    _name_in(error, step, "forward")
                    raise
                self._check(i, "forward", y, (*np.shape(x)[:1], *self._edges[i + 1]), x)
                x = y
                if training:
                    self.finite = is_ours(step) and getattr(step, "finite", False)
            if training:
                self.note_forward()
        return x

    def backward(self, dy: Array, *, need_dx: bool = True, accumulate: bool = False) -> Array | None:
        """dx of the last forward(training=True), given dy with respect to its output; writes the gradient of every parameter.

        accumulate=True adds to the gradients instead, for a batch that comes in parts. need_dx=False saves the gradient
        with respect to the images, and returns None. Raises OrderError if another thread has called forward(training=True) since
        this thread did.
        """
        self._require_built()
        self._check_dy(dy)
        learning = (any(not one.frozen for one in parameters_of(step)) for step in self._steps)
        # Before the first that learns nobody reads a gradient.
        first = next((i for i, learns in enumerate(learning) if learns), len(self._steps))
        gradient: Array | None = dy
        with alone():
            self.require_own_forward()
            if self.releases and not need_dx:
                forget(self._steps[:first])
            for i, step in reversed(list(enumerate(self._steps))):
                if i < first and not need_dx:
                    return None
                more = {"accumulate": True} if accumulate and parameters_of(step) else {}
                more |= {"release": True} if self.releases and getattr(step, "releases_x", False) else {}
                wanted = need_dx or i > first
                self.watcher.before_backward(i)
                try:
                    gradient = step.backward(gradient, need_dx=wanted, **more)
                except Exception as error:
                    _name_in(error, step, "backward")
                    raise
                if wanted:
                    self._check(i, "backward", gradient, (len(dy), *self._edges[i]))
                self.watcher.after_backward(i)
                if self.releases:
                    forget([step])
        return gradient

    def _trust(self, step: Any, x: Any) -> None:
        """Tells a layer of ours that the x it gets next holds numbers only, if that is known."""
        if self.finite and is_ours(step):
            getattr(step, "first", step).trusted = x

    def blame_last(self, y: Any, error: NonFiniteError) -> None:
        """If a user's own layer, the last one, has made y with a NaN or an infinity, raises the error that names it."""
        self._blame(len(self._steps), y, error)

    def _blame(self, i: int, x: Any, error: NonFiniteError) -> None:
        """If step i has refused the output of a user's own layer before it, raises the error that names that layer."""
        maker = self._steps[i - 1] if i else None
        if maker is not None and not is_ours(maker) and not np.isfinite(x).all():
            raise NonFiniteError(
                f"{type(maker).__name__} '{maker.name}': forward returned a NaN or an infinity; expected numbers only"
            ) from error

    def _check(self, i: int, what: str, came: Any, shape: Shape, x: Any = None) -> None:
        """Checks that step i has returned an array of this shape in the network's dtype. Its neighbour would be
        blamed otherwise.

        x: its input, if that may itself be to blame, as the first layer's. Raises ShapeError or DtypeError that names
        the layer.
        """
        if isinstance(came, np.ndarray) and came.dtype == self.dtype and came.shape == shape:
            return
        expected = f"expected {self.dtype} of shape {shape}"
        if i == 0 and x is not None:  # a layer of scratchnet's own would have refused it
            require_array("the network's input must be", x)
            if x.shape[1:] != self.input_shape:
                raise ShapeError(
                    f"the network was built for batches of shape (N, {', '.join(map(str, self.input_shape or ()))}), got {x.shape}"
                )
            if x.dtype != self.dtype:
                raise DtypeError(
                    f"the network was built for {self.dtype}, got {x.dtype}: convert with x.astype('{self.dtype}')"
                )
        layer = self._steps[i]
        who = f"{type(layer).__name__} '{layer.name}': {what} returned"
        if not isinstance(came, np.ndarray):
            hint = "does it end with return?" if came is None else "return a NumPy array"
            raise DtypeError(f"{who} {type(came).__name__}, {expected}: {hint}")
        if came.shape != shape:
            hint = (
                "dx has the shape of x"
                if what == "backward"
                else "without build a layer keeps the shape, and with one it must be what build returned"
            )
            raise ShapeError(f"{who} shape {came.shape}, {expected}: {hint}")
        raise DtypeError(
            f"{who} {came.dtype}, {expected}: a number of NumPy's makes float64 of float32; convert it with .astype(x.dtype)"
        )

    def _check_dy(self, dy: Array) -> None:
        """Once for all layers: a NaN in dy would spread to every gradient."""
        require_array("the network's backward: dy must be", dy)
        if dy.dtype not in FLOATS:
            raise DtypeError(f"the network's backward: dy must be of {self.dtype}, got {dy.dtype}")
        if not np.isfinite(dy).all():
            raise NonFiniteError("the network's backward: dy holds a NaN or an infinity; expected finite numbers")

    @property
    def steps(self) -> list[Any]:
        """The layers as they are run: those that are fused count as one."""
        self._require_built()
        return list(self._steps)

    def parameters(self) -> list[Parameter]:
        """All parameters, from the first layer to the last."""
        self._require_built()
        return [parameter for layer in self.layers for parameter in parameters_of(layer)]

    def buffers(self) -> dict[str, Array]:
        """What the layers keep and don't learn, by name, {"norm1.running_mean": (C,), …}: the arrays themselves."""
        self._require_built()
        return {f"{layer.name}.{name}": array for layer in self.layers for name, array in buffers_of(layer).items()}

    def observers(self) -> list[Any]:
        """The layers with buffers, also those within others."""
        return [found for layer in self.layers for found in observers_of(layer)]

    def seed_batch(self, epoch: int, images: ArrayLike) -> None:
        """Names the epoch, and the images (N,) of the next training batch by their numbers in the dataset.

        Each image then has its own dropout mask, however the batch is cut.
        """
        for layer in self.layers:
            if hasattr(layer, "seed_batch"):
                layer.seed_batch(epoch, images)

    def forget(self) -> None:
        """Releases all that the layers remember for backward."""
        forget(self._steps)

    def state_dict(self) -> dict[str, Array]:
        """A copy of every parameter's value by its name, and of every buffer, {"conv1.weight": (KH, KW, C, F), …}."""
        return {name: array.copy() for name, array in self.arrays().items()}

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Takes over the values of a `state_dict`: all of them, or, if it raises, none.

        Raises ConfigError or ShapeError, naming what is missing, unknown or of another shape.
        """
        mine = self.arrays()
        if not isinstance(state, Mapping):
            raise ConfigError(f"a network's weights are what state_dict() returned, got {type(state).__name__}")
        if mine.keys() != state.keys():
            missing, unknown = sorted(mine.keys() - state.keys()), sorted(state.keys() - mine.keys())
            raise ConfigError(
                f"these weights are of another network: missing {missing or 'nothing'}, unknown {unknown or 'nothing'}"
            )
        for name, array in mine.items():
            value = np.asarray(state[name])
            if value.shape != array.shape:
                raise ShapeError(
                    f"{name} has shape {array.shape}, the weights given have {value.shape}: another image size or preset?"
                )
            if value.dtype != array.dtype:
                raise ConfigError(
                    f"{name} is {array.dtype}, the weights given are {value.dtype}: "
                    f"convert them with .astype('{array.dtype}')"
                )
        for name, array in mine.items():
            array[...] = state[name]

    def arrays(self) -> dict[str, Array]:
        """The parameters' values and the buffers themselves, by the names in `state_dict`: no copies, the next step changes them."""
        return {parameter.name: parameter.value for parameter in self.parameters()} | self.buffers()

    def multiplications(self) -> int:
        """Multiplications of one forward pass of one image."""
        self._require_built()
        return sum(layer.multiplications() for layer in self.layers if hasattr(layer, "multiplications"))

    def bytes_per_image(self) -> int:
        """Memory of all outputs that are written for one image: of layers that are run as one, the last's alone."""
        self._require_built()
        return sum(
            step.bytes_per_image() if hasattr(step, "bytes_per_image") else int(np.prod(shape)) * self.dtype.itemsize
            for step, shape in zip(self._steps, self._edges[1:], strict=True)
        )

    def summary(self) -> None:
        """Prints the table of layers: output shape, parameters, multiplications and memory of the output for one image."""
        print(self.summary_table())

    def summary_table(self) -> str:
        """What `summary` prints. The memory is that of a layer's output for one image; the last line holds the sums."""
        self._require_built()
        return summary_table(self.layers, [self.input_shape or (), *self._shapes], self.dtype)


def _kind(layer: Any) -> str:
    return str(getattr(layer, "kind", type(layer).__name__.lower()))


def _require_name(name: Any) -> None:
    """Raises ConfigError for what files of weights, and the names in them, cannot hold as a layer's name."""
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME or not set("./\0").isdisjoint(name):
        raise ConfigError(
            f"a layer cannot be called {str(name)[:LONGEST_NAME]!r}: expected a text of 1 to {LONGEST_NAME} characters without "
            "dots and slashes"
        )


def _name_in(error: Exception, layer: Any, what: str) -> None:
    """Adds a note with the layer in whose code an error came up, unless the error names it, as ours do."""
    if not isinstance(error, ScratchnetError):
        error.add_note(f"in {what} of {type(layer).__name__} '{layer.name}'")
