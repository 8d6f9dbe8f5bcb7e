"""`recurrent_scan` against plain `lax.scan` differentiated by JAX, in float64 to 1e-12."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from latentspike.models.recurrent import recurrent_scan

TOLERANCE = 1e-11
N_BINS, N_TRIALS, N_INPUTS, SIZE, N_OUT = 7, 3, 2, 4, 5


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def arguments(seed=0):
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.normal(size=shape)  # noqa: E731
    weights = {
        "gate": draw(N_INPUTS + SIZE, SIZE),
        "mix": draw(SIZE, SIZE),
        "out": draw(SIZE + 1, N_OUT),
    }
    biases = {"gate": draw(SIZE), "mix": draw(SIZE)}  # "out" has none
    carry = {"h": draw(N_TRIALS, SIZE), "level": draw(N_TRIALS, 1)}
    xs = {
        "values": draw(N_BINS, N_TRIALS, N_INPUTS),
        "scale": draw(N_BINS, N_TRIALS, SIZE),
        "counts": rng.poisson(2, (N_BINS, N_TRIALS, 1)),
    }
    return weights, biases, carry, xs  # NumPy, so that nothing is compiled to make them


def step(dense, state, x):
    """Every activation, several parts, a product without bias, two carries, a clip, integers."""
    gate = dense("gate", x["values"], state["h"], activation="sigmoid")
    mixed = dense("mix", gate * state["h"] * x["scale"], activation="tanh")
    h = jnp.clip(gate * state["h"] + (1 - gate) * mixed, -0.9, 0.9)
    out = dense("out", h, state["level"])
    level = 0.9 * state["level"] + 0.1 * x["counts"] * out[:, :1]
    return {"h": h, "level": level}, {"out": out, "h": h, "square": out**2}


def plain_scan(step, weights, biases, carry, xs, reverse=False):
    """The definition in the docstring, with nothing clever."""
    activations = {None: lambda a: a, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}

    def dense(name, *parts, activation=None):
        product = jnp.concatenate(parts, axis=-1) @ weights[name]
        return activations[activation](product + biases.get(name, 0.0))

    return lax.scan(lambda s, x: step(dense, s, x), carry, xs, reverse=reverse)


def everything(final, ys):
    """A scalar to which every output contributes differently."""
    leaves = jax.tree.leaves((final, ys))
    return sum(jnp.sum(jnp.sin(leaf + i)) for i, leaf in enumerate(leaves))


def assert_close(ours, reference):
    def check(a, b):
        assert a.shape == b.shape
        scale = max(1.0, float(np.abs(b).max()))
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE * scale)

    jax.tree.map(check, ours, reference)


def value_and_gradients(scan, summary=everything, reverse=False):
    """Of weights, biases, carry and the real-valued inputs."""

    def loss(weights, biases, carry, real, counts):
        xs = {**real, "counts": counts}
        return summary(*scan(step, weights, biases, carry, xs, reverse))

    return jax.value_and_grad(loss, argnums=(0, 1, 2, 3))


def split_inputs(xs):
    return {k: v for k, v in xs.items() if k != "counts"}, xs["counts"]


@pytest.mark.parametrize("reverse", [False, True])
def test_values_are_those_of_a_plain_scan(reverse):
    run = lambda scan: jax.jit(lambda *given: scan(step, *given, reverse))(*arguments())  # noqa: E731
    assert_close(run(recurrent_scan), run(plain_scan))


@pytest.mark.parametrize("compiled, reverse", [(True, False), (True, True), (False, True)])
def test_every_gradient_is_that_of_a_plain_scan(compiled, reverse):
    weights, biases, carry, xs = arguments()
    wrap = jax.jit if compiled else lambda f: f
    ours = wrap(value_and_gradients(recurrent_scan, reverse=reverse))
    reference = jax.jit(value_and_gradients(plain_scan, reverse=reverse))
    given = (weights, biases, carry, *split_inputs(xs))
    (value, gradients), (expected, reference_gradients) = ours(*given), reference(*given)
    assert abs(value - expected) < TOLERANCE * abs(expected)
    assert_close(gradients, reference_gradients)
    assert all(np.abs(g).max() > 1e-3 for g in jax.tree.leaves(reference_gradients))


@cache
def reference_gradients():
    """Of all outputs, each with its own share: one compiled program serves several tests."""

    def loss(weights, biases, carry, real, counts, shares):
        final, ys = plain_scan(step, weights, biases, carry, {**real, "counts": counts})
        return shared(final, ys, shares)

    return jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))


def shared(final, ys, shares):
    """Outputs by name; those without a share do not enter the sum at all."""
    named = {f"final {k}": v for k, v in final.items()} | {f"each {k}": v for k, v in ys.items()}
    return sum(shares[name] * jnp.sum(jnp.sin(v)) for name, v in named.items() if name in shares)


NAMES = ["final h", "final level", "each out", "each h", "each square"]


@pytest.mark.parametrize("used", [["final h"], ["each square"], ["final level", "each out"]])
def test_unused_outputs_change_no_gradient(used):
    weights, biases, carry, xs = arguments(1)
    real, counts = split_inputs(xs)

    def loss(weights, biases, carry, real):
        final, ys = recurrent_scan(step, weights, biases, carry, {**real, "counts": counts})
        return shared(final, ys, dict.fromkeys(used, 1.0))

    ours = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))(weights, biases, carry, real)
    shares = {name: float(name in used) for name in NAMES}
    assert_close(ours, reference_gradients()(weights, biases, carry, real, counts, shares))


@pytest.mark.parametrize("wanted", [0, 1, 2, 3])
def test_gradient_of_some_arguments_while_the_others_are_constants(wanted):
    weights, biases, carry, xs = arguments(2)
    real, counts = split_inputs(xs)
    shares = dict.fromkeys(NAMES, 1.0)

    def loss(value):
        changed = [weights, biases, carry, real["scale"]]
        changed[wanted] = value
        inputs = {"values": real["values"], "scale": changed[3], "counts": counts}
        return shared(*recurrent_scan(step, *changed[:3], inputs), shares)

    ours = jax.jit(jax.grad(loss))((weights, biases, carry, real["scale"])[wanted])
    reference = reference_gradients()(weights, biases, carry, real, counts, shares)
    assert_close(ours, reference[wanted]["scale"] if wanted == 3 else reference[wanted])


@pytest.mark.parametrize("mapping", ["vmap", "map"])
def test_members_mapped_at_once_or_in_sequence(mapping):
    """A population of members is one program: `vmap` on a GPU, `lax.map` on a CPU."""
    members = [arguments(seed) for seed in range(3)]
    flat = [(w, b, c, *split_inputs(x)) for w, b, c, x in members]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *flat)
    shares = dict.fromkeys(NAMES, 1.0)

    def one(weights, biases, carry, real, counts):
        def loss(weights, biases, carry, real):
            xs = {**real, "counts": counts}
            return shared(*recurrent_scan(step, weights, biases, carry, xs), shares)

        return jax.grad(loss, argnums=(0, 1, 2, 3))(weights, biases, carry, real)

    if mapping == "vmap":
        ours = jax.jit(jax.vmap(one))(*stacked)
    else:
        ours = jax.jit(lambda s: lax.map(lambda a: one(*a), s))(stacked)
    reference = [reference_gradients()(*each, shares) for each in flat]
    assert_close(ours, jax.tree.map(lambda *leaves: np.stack(leaves), *reference))


def test_shared_inputs_under_vmap_of_the_weights_only():
    weights, biases, carry, xs = arguments(4)
    scales = jnp.asarray([0.5, 1.0, 2.0])

    def loss(scan):
        def of(scale, w):
            scaled = jax.tree.map(lambda a: a * scale, w)
            return everything(*scan(step, scaled, biases, carry, xs))

        return jax.jit(jax.vmap(jax.grad(of, argnums=1), in_axes=(0, None)))(scales, weights)

    assert_close(loss(recurrent_scan), loss(plain_scan))


def test_a_single_bin_and_a_step_without_outputs():
    weights, biases, carry, xs = arguments(5)
    one_bin = jax.tree.map(lambda a: a[:1], xs)
    silent = lambda dense, state, x: (step(dense, state, x)[0], None)  # noqa: E731

    def gradient(scan):
        loss = lambda w: everything(*scan(silent, w, biases, carry, one_bin))  # noqa: E731
        return jax.jit(jax.grad(loss))(weights)

    assert_close(gradient(recurrent_scan), gradient(plain_scan))


def test_a_weight_that_the_step_does_not_use_has_no_gradient():
    def step(dense, state, x):
        state = dense("used", x, state, activation="tanh")
        return state, state

    def total(weights):
        biases = {"unused": jnp.zeros(3)}
        return recurrent_scan(step, weights, biases, jnp.ones((2, 3)), jnp.ones((4, 2, 5)))[0].sum()

    gradient = jax.grad(total)({"used": jnp.full((8, 3), 0.1), "unused": jnp.ones((2, 2))})
    assert np.all(np.asarray(gradient["unused"]) == 0)
    assert np.any(np.asarray(gradient["used"]) != 0)
