"""Filters over all bins against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike.dynamics.filters import delayed, first_order, varying_first_order


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def loop(inputs, decay, initial):
    found, last = np.empty_like(inputs), initial
    for t in range(inputs.shape[-1]):
        last = decay[..., t] * last + inputs[..., t]
        found[..., t] = last
    return found


@pytest.mark.parametrize("n_bins", [1, 2, 7, 64, 65])
@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999, 1.0, -0.7])
def test_first_order_filter_is_its_recursion(rng, n_bins, decay):
    inputs, initial = rng.normal(size=(2, 3, n_bins)), rng.normal(size=(2, 3))
    found = first_order(jnp.asarray(inputs), jnp.full((2, 3), decay), jnp.asarray(initial))
    expected = loop(inputs, np.full(inputs.shape, decay), initial)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n_bins", [1, 2, 33])
def test_varying_filter_is_its_recursion(rng, n_bins):
    inputs, decay = rng.normal(size=(2, n_bins)), rng.uniform(-1, 1, (2, n_bins))
    decay[:, n_bins // 2] = 0.0  # forgets everything
    found = varying_first_order(jnp.asarray(inputs), jnp.asarray(decay))
    np.testing.assert_allclose(found, loop(inputs, decay, np.zeros(2)), rtol=1e-12, atol=1e-13)


def test_gradient_of_the_filter_is_the_filter_backwards(rng):
    inputs, weights = rng.normal(size=(2, 20))
    of = lambda x: jnp.sum(weights * first_order(x, jnp.array(0.8), jnp.array(0.5)))  # noqa: E731
    backwards = loop(weights[::-1], np.full(20, 0.8), 0.0)[::-1]
    np.testing.assert_allclose(jax.grad(of)(jnp.asarray(inputs)), backwards, rtol=1e-12)


def test_delays_shift_each_population_by_its_own_bins():
    series = jnp.arange(10.0).reshape(2, 5)
    before = jnp.array([-1.0, -2.0])
    shifted = delayed(series, (2, -1), before)
    assert shifted.tolist() == [[-1, -1, 0, 1, 2], [6, 7, 8, 9, 9]]
    assert delayed(series, (0, 0), before) is series
    far = delayed(series, (99, -99), before)
    assert far.tolist() == [[-1] * 5, [9] * 5]


def test_delays_of_trials_are_those_of_each_trial(rng):
    series, before = rng.normal(size=(3, 2, 6)), rng.normal(size=(3, 2))
    together = delayed(jnp.asarray(series), (1, 3), jnp.asarray(before))
    for trial in range(3):
        alone = delayed(jnp.asarray(series[trial]), (1, 3), jnp.asarray(before[trial]))
        np.testing.assert_array_equal(together[trial], alone)
