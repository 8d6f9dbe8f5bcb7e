"""Escape noise: hazards and log-probabilities, at their seams and far beyond."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike.dynamics.escape import expected_spikes, log_fire


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def test_expected_spikes_is_exp_below_the_cap_and_its_tangent_above():
    cap = math.log(40.0)
    x = jnp.array([-700.0, -5.0, 0.0, cap - 1e-9])
    np.testing.assert_allclose(expected_spikes(x), np.exp(x), rtol=1e-14)
    np.testing.assert_allclose(expected_spikes(cap + jnp.array([1.0, 1e6])), [80.0, 40 * (1 + 1e6)])


@pytest.mark.parametrize("seam", [math.log(40.0), -12.0])
def test_values_and_slopes_are_continuous_at_the_seams(seam):
    for function in (expected_spikes, log_fire):
        below, above = seam - 1e-9, seam + 1e-9
        assert float(function(jnp.array(below))) == pytest.approx(float(function(above)), rel=1e-7)
        slopes = [float(jax.grad(function)(x)) for x in (below, above)]
        assert slopes[0] == pytest.approx(slopes[1], rel=1e-5, abs=1e-14)


def test_log_fire_has_full_precision_where_firing_is_rare():
    for log_x in (-5.0, -11.99, -12.01, -30.0, -300.0):
        x = math.exp(log_x)
        expected = math.log(-math.expm1(-x)) if x > 1e-300 else log_x
        assert float(log_fire(jnp.array(log_x))) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_nothing_overflows_and_no_gradient_dies(dtype):
    x = jnp.array([-1e30, -1e5, -800.0, -100.0, -12.0, 0.0, 3.0, 50.0, 800.0, 1e5], dtype)
    for function in (expected_spikes, log_fire):
        value, slope = jax.vmap(jax.value_and_grad(function))(x)
        assert np.isfinite(value).all() and np.isfinite(slope).all()
    assert np.all(jax.vmap(jax.grad(expected_spikes))(x[-3:]) > 0)  # a hazard above the cap
    np.testing.assert_allclose(jax.vmap(jax.grad(log_fire))(x[:3]), 1.0, rtol=1e-6)
