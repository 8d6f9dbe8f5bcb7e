import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from latentspike.models.gru import init_gru, kernel_penalty, recurrent_kernels, run_gru

N_BINS, N_TRIALS, N_INPUTS, SIZE = 9, 4, 3, 5


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def example(scale=1.0):
    gru = init_gru(N_INPUTS, SIZE, key=jax.random.key(0))
    rng = np.random.default_rng(0)
    gru = {
        name: scale * (np.asarray(v) + 0.1 * rng.normal(size=v.shape)) for name, v in gru.items()
    }
    return gru, rng.normal(size=(N_TRIALS, SIZE)), rng.normal(size=(N_BINS, N_TRIALS, N_INPUTS))


def numpy_gru(gru, initial, inputs, clip, reverse=False):
    """Trial by trial, bin by bin, gate by gate, as in spec section 1."""
    W, U = gru["gates"][:N_INPUTS], gru["gates"][N_INPUTS:]
    W_n, U_n = gru["candidate"][:N_INPUTS], gru["candidate"][N_INPUTS:]
    states = np.empty((N_BINS, N_TRIALS, SIZE))
    for trial in range(N_TRIALS):
        h = initial[trial]
        for t in reversed(range(N_BINS)) if reverse else range(N_BINS):
            x = inputs[t, trial]
            z = expit(x @ W[:, :SIZE] + h @ U[:, :SIZE] + gru["gates_bias"][:SIZE])
            r = expit(x @ W[:, SIZE:] + h @ U[:, SIZE:] + gru["gates_bias"][SIZE:])
            n = np.tanh(x @ W_n + gru["candidate_bias"] + (r * h) @ U_n)
            h = np.clip(z * h + (1 - z) * n, -clip, clip)
            states[t, trial] = h
    return states


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("clip", [5.0, 0.3])
def test_states_follow_the_written_equations(clip, reverse):
    gru, initial, inputs = example()
    expected = numpy_gru(gru, initial, inputs, clip, reverse)
    run = jax.jit(lambda g, h, x: run_gru(g, h, x, clip=clip, reverse=reverse))
    final, states = run(gru, initial, inputs)
    np.testing.assert_allclose(states, expected, atol=1e-13)
    np.testing.assert_allclose(final, expected[0 if reverse else -1], atol=1e-13)
    if clip < 1:
        assert (np.abs(expected) == clip).any()  # the bound was reached


def test_states_are_left_out_unless_asked_for():
    gru, initial, inputs = example()
    final, states = run_gru(gru, initial, inputs, clip=5.0, all_states=False)
    assert states is None
    np.testing.assert_allclose(final, run_gru(gru, initial, inputs, clip=5.0)[0], rtol=1e-12)


def test_open_update_gate_keeps_the_old_state():
    gru, initial, inputs = example()
    gru["gates_bias"] = np.concatenate([np.full(SIZE, 50.0), np.zeros(SIZE)])
    final, _ = run_gru(gru, initial, inputs, clip=5.0)
    np.testing.assert_allclose(final, initial, atol=1e-12)


def test_penalty_is_half_the_mean_squared_recurrent_weight():
    gru, *_ = example()
    gates, candidate = recurrent_kernels(gru)
    assert gates.shape == (SIZE, 2 * SIZE) and candidate.shape == (SIZE, SIZE)
    values = np.concatenate([gru["gates"][-SIZE:].ravel(), gru["candidate"][-SIZE:].ravel()])
    assert values.size == 3 * SIZE**2
    assert float(kernel_penalty(gru)) == pytest.approx((values**2).sum() / (2 * values.size))


@pytest.mark.parametrize("together", [False, True])
def test_fresh_weights_have_fan_in_scale(together):
    n_inputs, size = 30, 90
    gru = init_gru(n_inputs, size, scale_together=together, key=jax.random.key(1))
    stacked = np.concatenate([gru["gates"], gru["candidate"]], axis=1)
    fan = (n_inputs + size, n_inputs + size) if together else (n_inputs, size)
    for block, n in zip((stacked[:n_inputs], stacked[n_inputs:]), fan, strict=True):
        error = 5 / np.sqrt(2 * block.size)  # five standard errors of a standard deviation
        assert block.std() * np.sqrt(n) == pytest.approx(1, rel=error)
    assert np.all(gru["gates_bias"] == 1) and not np.any(gru["candidate_bias"])


def test_a_network_without_inputs_has_only_recurrent_rows():
    gru = init_gru(0, SIZE, key=jax.random.key(2))
    assert gru["gates"].shape == (SIZE, 2 * SIZE)
    assert np.isfinite(np.concatenate([np.ravel(v) for v in gru.values()])).all()
    final, _ = run_gru(gru, jnp.ones((1, SIZE)), jnp.zeros((3, 1, 0)), clip=5.0)
    assert np.isfinite(final).all()
