"""Optimisers against the textbook, their state, and what they refuse."""

import re

import numpy as np
import pytest

from scratchnet import SGD, Adam, Dense, Parameter, Sequential, reference
from scratchnet.errors import ConfigError, OrderError
from scratchnet.kernels.machine.threads import set_threads
from scratchnet.nn.optimizers import Optimizer


def weight_and_bias(rng, dtype="float64"):
    weight = Parameter("dense1.weight", rng.normal(size=(3, 4)).astype(dtype), decay=True)
    bias = Parameter("dense1.bias", rng.normal(size=4).astype(dtype), decay=False)
    return [weight, bias]


def built():
    network = Sequential([Dense(2)])
    network.build((3,))
    return network


def draw_gradients(parameters, rng):
    for parameter in parameters:
        parameter.grad[:] = rng.normal(size=parameter.grad.shape)


@pytest.mark.parametrize("decays", [{"l2": 0.1}, {"weight_decay": 0.1}, {"l2": 0.1, "weight_decay": 0.2}, {}])
def test_adam_matches_the_textbook_and_decays_weights_only(rng, decays):
    parameters = weight_and_bias(rng)
    optimizer = Adam(parameters, learning_rate=0.01, beta1=0.8, beta2=0.95, epsilon=1e-6, **decays)
    states = [(p.value.copy(), np.zeros_like(p.value), np.zeros_like(p.value)) for p in parameters]
    for step in range(1, 11):
        draw_gradients(parameters, rng)
        optimizer.step()
        for i, p in enumerate(parameters):
            l2, decay = (decays.get(name, 0.0) * p.decay for name in ("l2", "weight_decay"))
            states[i] = reference.adam(states[i][0], p.grad, *states[i][1:], step, 0.01, 0.8, 0.95, 1e-6, l2, decay)
            np.testing.assert_allclose(p.value, states[i][0], rtol=1e-12, atol=1e-14)
    assert optimizer.steps == 10


def test_sgd_matches_the_textbook_and_decays_weights_only(rng):
    parameters = weight_and_bias(rng)
    optimizer = SGD(parameters, learning_rate=0.1, momentum=0.9, l2=0.01)
    states = [(p.value.copy(), np.zeros_like(p.value)) for p in parameters]
    for _ in range(10):
        draw_gradients(parameters, rng)
        optimizer.step()
        for i, p in enumerate(parameters):
            states[i] = reference.sgd(states[i][0], p.grad, states[i][1], 0.1, 0.9, 0.01 * p.decay)
            np.testing.assert_allclose(p.value, states[i][0], rtol=1e-12, atol=1e-14)


def test_l2_and_decoupled_decay_differ(rng):
    """Without a gradient, L2 through Adam's moments moves a weight by the rate, decoupled decay by its part."""
    coupled, decoupled = (Parameter("w", np.array([2.0]), decay=True) for _ in range(2))
    Adam([coupled], learning_rate=0.1, l2=0.5).step()
    Adam([decoupled], learning_rate=0.1, weight_decay=0.5).step()
    assert coupled.value[0] == pytest.approx(2 - 0.1)
    assert decoupled.value[0] == pytest.approx(2 - 0.1 * 0.5 * 2)


def test_penalty_counts_weights_only():
    parameters = [Parameter("w", np.array([1.0, 2.0]), decay=True), Parameter("b", np.array([10.0]), decay=False)]
    assert Adam(parameters, l2=0.5).penalty() == 0.5 * 0.5 * (1 + 4)


@pytest.mark.parametrize("make", [lambda p: Adam(p, l2=0.01), lambda p: SGD(p, momentum=0.9)])
def test_a_resumed_run_goes_on_to_the_bit(rng, make):
    parameters = weight_and_bias(rng, "float32")
    optimizer = make(parameters)
    gradients = [[rng.normal(size=p.value.shape).astype("float32") for p in parameters] for _ in range(6)]

    def run(optimizer, steps):
        for step in steps:
            for parameter, grad in zip(optimizer.parameters, gradients[step], strict=True):
                parameter.grad[:] = grad
            optimizer.step()

    run(optimizer, range(3))
    copies = [Parameter(p.name, p.value.copy(), decay=p.decay) for p in parameters]
    resumed = make(copies)
    resumed.load_state_dict({name: array.copy() for name, array in optimizer.state_dict().items()})
    run(optimizer, range(3, 6))
    run(resumed, range(3, 6))
    assert resumed.steps == 6
    for one, other in zip(parameters, copies, strict=True):
        np.testing.assert_array_equal(one.value, other.value)


def test_the_steps_of_a_state_may_be_of_any_integer_type(rng):
    optimizer = SGD(weight_and_bias(rng))
    optimizer.load_state_dict(optimizer.state_dict() | {"steps": np.array(7, "int32")})
    assert optimizer.steps == 7


def test_what_is_not_said_is_as_in_the_papers(rng):
    parameters = weight_and_bias(rng)
    assert repr(Adam(parameters)) == (
        "<Adam of 16 weights, learning_rate=0.001, l2=0.0, weight_decay=0.0, beta1=0.9, beta2=0.999, epsilon=1e-08; steps done: 0>"
    )
    assert repr(SGD(parameters)) == "<SGD of 16 weights, learning_rate=0.01, momentum=0.0, l2=0.0; steps done: 0>"


def test_a_network_built_again_needs_another_optimiser():
    network = built()
    optimizer = SGD(network.parameters())
    network.build((4,))
    message = "the network was built again after this optimiser was made: make a new one, after build"
    with pytest.raises(OrderError, match=f"^{message}$"):
        optimizer.step()
    SGD(network.parameters()).step()


def test_an_optimiser_of_ones_own_is_told_what_it_lacks(rng):
    class Own(Optimizer):
        def __init__(self, parameters, learning_rate=0.1, *, patience=3):
            super().__init__(parameters, learning_rate, l2=0.0)

    own = Own(weight_and_bias(rng))  # which has not kept its patience
    assert repr(own) == "<Own of 16 weights, learning_rate=0.1, patience='?'; steps done: 0>"
    with pytest.raises(NotImplementedError, match=r"^Own lacks _update\(self, parameter, \*moments\): write it$"):
        own.step()


def test_what_comes_after_a_frozen_parameter_moves(rng):
    frozen, free = parameters = weight_and_bias(rng)
    before = [p.value.copy() for p in parameters]
    frozen.frozen = True
    draw_gradients(parameters, rng)
    SGD(parameters, learning_rate=0.5).step()
    np.testing.assert_array_equal(frozen.value, before[0])
    np.testing.assert_allclose(free.value, before[1] - 0.5 * free.grad)


def test_names_in_the_state(rng):
    assert set(Adam(weight_and_bias(rng)).state_dict()) == {
        "steps", "dense1.weight.mean", "dense1.weight.square", "dense1.bias.mean", "dense1.bias.square",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("dense1.bias.mean"), "lacks .*dense1.bias.mean"),
        (lambda state: state.update(other=np.zeros(1)), "adds .*other"),
        (
            lambda state: state.update({"dense1.bias.square": np.zeros(5)}),
            r"dense1.bias.square has shape \(4,\), the state's has \(5,\)",
        ),
    ],
)
def test_a_refused_state_changes_nothing(rng, change, message):
    parameters = weight_and_bias(rng)
    optimizer = Adam(parameters)
    state = {name: array + 1 for name, array in optimizer.state_dict().items()}
    change(state)
    with pytest.raises(ConfigError, match=message):
        optimizer.load_state_dict(state)
    assert optimizer.steps == 0
    assert not any(array.any() for array in optimizer.state_dict().values())


def test_a_state_of_another_optimiser_is_told_by_three_of_its_arrays(rng):
    adam, sgd = Adam(weight_and_bias(rng)), SGD(weight_and_bias(rng))
    moments = "['dense1.bias.mean', 'dense1.bias.square', 'dense1.weight.mean']"  # and one more
    velocities = "['dense1.bias.velocity', 'dense1.weight.velocity']"
    for optimizer, other, lacks, adds in ((adam, sgd, moments, velocities), (sgd, adam, velocities, moments)):
        message = f"the state of another optimiser: it lacks {lacks}, it adds {adds}"
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            optimizer.load_state_dict(other.state_dict())


def test_a_state_that_is_none(rng):
    with pytest.raises(ConfigError, match=r"an optimiser's state is what state_dict\(\) returned, got list"):
        Adam(weight_and_bias(rng)).load_state_dict([])


def test_moments_of_another_dtype_are_not_cast_in_silence(rng):
    optimizer = Adam(weight_and_bias(rng, "float32"))
    with pytest.raises(ConfigError, match="float64"):
        optimizer.load_state_dict(Adam(weight_and_bias(rng, "float64")).state_dict())


@pytest.mark.parametrize("make", [Adam, SGD])
def test_a_parameter_in_another_memory_order_moves_too(make):
    """A transposed matrix is one: an orthogonal start, say."""
    weight = Parameter("w", np.arange(6.0).reshape(2, 3).T, decay=True)
    weight.grad[:] = 1
    make([weight], learning_rate=0.5).step()
    np.testing.assert_allclose(weight.value, np.arange(6.0).reshape(2, 3).T - 0.5, rtol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: Adam(p, learning_rate=0), "learning_rate must be greater than 0, got 0: the report uses 0.001"),
        (lambda p: Adam(p, learning_rate=float("nan")), "learning_rate must be greater than 0, got nan"),
        (lambda p: Adam(p, learning_rate=float("inf")), "learning_rate"),
        (lambda p: SGD(p, learning_rate=-1), "learning_rate must be greater than 0, got -1"),
        (lambda p: Adam(p, l2=-1e-3), "l2 must be at least 0, got -0.001: the report uses 0.0005"),
        (lambda p: Adam(p, l2=float("inf")), "l2"),
        (lambda p: Adam(p, beta1=1.0), "beta1 and beta2 must be at least 0 and less than 1, got 1.0 and 0.999"),
        (lambda p: Adam(p, beta2=1.0), "less than 1, got 0.9 and 1.0"),
        (lambda p: Adam(p, beta2=-0.1), "beta1 and beta2 must be at least 0"),
        (lambda p: Adam(p, epsilon=0), "epsilon must be greater than 0"),
        (lambda p: Adam(p, weight_decay=-1), "weight_decay at least 0"),
        (lambda p: Adam(p, weight_decay=float("inf")), "weight_decay at least 0, got 1e-08 and inf"),
        (lambda p: Adam(p, learning_rate="a"), "learning_rate must be greater than 0, got 'a'"),
        (lambda p: Adam(p, l2=None), "l2 must be at least 0, got None"),
        (lambda p: SGD(p, momentum=1), "momentum must be at least 0 and less than 1, got 1"),
        (lambda p: Adam(built()), r"Adam moves parameters, got Sequential: give net.parameters\(\)"),
        (lambda p: Adam(built().parameters), r"got method: give net.parameters\(\)"),
        (lambda p: SGD({"w": p}), r"SGD moves parameters, got dict: give net.parameters\(\)"),
    ],
)
def test_values_that_cannot_work(rng, make, message):
    with pytest.raises(ConfigError, match=message):
        make(weight_and_bias(rng))


@pytest.mark.parametrize("make", [Adam, SGD])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_stays_in_the_parameters_dtype(rng, make, dtype):
    parameters = weight_and_bias(rng, dtype)
    optimizer = make(parameters)
    optimizer.step()
    arrays = [p.value for p in parameters] + [m for moments in optimizer.moments.values() for m in moments]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}


def test_clipping_keeps_the_direction(rng):
    for dtype in ("float32", "float64"):
        parameters = weight_and_bias(rng, dtype)
        draw_gradients(parameters, rng)
        before = np.concatenate([p.grad.reshape(-1) for p in parameters])
        norm = SGD(parameters).clip(0.5)
        after = np.concatenate([p.grad.reshape(-1) for p in parameters])
        assert after.dtype == dtype
        assert norm == pytest.approx(np.linalg.norm(before), rel=1e-6)
        np.testing.assert_allclose(after, 0.5 * before / norm, rtol=1e-6)
        assert SGD(parameters).clip(0.6) == pytest.approx(0.5, rel=1e-6)
        np.testing.assert_array_equal(np.concatenate([p.grad.reshape(-1) for p in parameters]), after)  # short enough


def test_gradients_of_zero_are_short_enough_for_any_limit(rng):
    parameters = weight_and_bias(rng)
    for limit in (0.0, 1.0):
        assert SGD(parameters).clip(limit) == 0
    assert not any(p.grad.any() for p in parameters)


def test_clipping_agrees_with_pytorch(rng):
    torch = pytest.importorskip("torch")
    parameters = weight_and_bias(rng)
    draw_gradients(parameters, rng)
    theirs = [torch.tensor(p.value, requires_grad=True) for p in parameters]
    for one, other in zip(parameters, theirs, strict=True):
        other.grad = torch.tensor(one.grad)
    norm = torch.nn.utils.clip_grad_norm_(theirs, 1.5)
    assert SGD(parameters).clip(1.5) == pytest.approx(float(norm), rel=1e-12)
    for one, other in zip(parameters, theirs, strict=True):
        np.testing.assert_allclose(one.grad, other.grad.numpy(), rtol=1e-5)  # it adds 1e-6 to the norm


def test_the_norm_has_the_same_bits_on_any_number_of_threads(rng):
    parameter = Parameter("w", rng.normal(size=300_001).astype("float32"), decay=True)
    parameter.grad[:] = parameter.value
    found = set()
    for threads in (1, set_threads(0)):
        set_threads(threads)
        found.add(SGD([parameter]).clip(1e9))
    assert len(found) == 1
