"""Dynamics against least squares on a known path."""

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.models.linear_dynamics import dynamics_step
from latentspike.models.linear_dynamics.prior import Moments, log_densities

best_dynamics = jax.jit(dynamics_step.best_dynamics)


def known_paths(rng, n_trials=4, n_bins=50):
    path = rng.normal(size=(n_trials, n_bins, 2)).cumsum(1)
    inputs = rng.normal(size=(n_trials, n_bins, 1))
    nothing = np.zeros((n_trials, n_bins, 2, 2))
    moments = Moments(*(jnp.asarray(x) for x in (path, nothing, nothing[:, 1:])))
    return moments, jnp.asarray(inputs)


def test_one_state_is_a_regression_through_the_origin(rng):
    moments, inputs = known_paths(rng)
    found = best_dynamics(moments, jnp.ones((4, 50, 1)), inputs)
    x, u = np.asarray(moments.mean), np.asarray(inputs)
    z = np.concatenate([x[:, :-1], u[:, 1:]], 2).reshape(-1, 3)
    after = x[:, 1:].reshape(-1, 2)
    weights, *_ = np.linalg.lstsq(z, after, rcond=None)
    left = after - z @ weights
    np.testing.assert_allclose(found.A[0], weights[:2].T, atol=1e-6)
    np.testing.assert_allclose(found.B[0], weights[2:].T, atol=1e-6)
    np.testing.assert_allclose(found.Q[0], left.T @ left / len(left), atol=1e-6)
    np.testing.assert_array_equal(found.b, 0)


def test_states_are_regressions_with_an_offset(rng):
    moments, inputs = known_paths(rng, 4, 4000)
    states = np.eye(2)[rng.integers(0, 2, (4, 4000))]
    found = best_dynamics(moments, jnp.asarray(states), inputs)
    x, u = np.asarray(moments.mean), np.asarray(inputs)
    z = np.concatenate([x[:, :-1], u[:, 1:], np.ones((4, 3999, 1))], 2)
    for k in range(2):
        mine = states[:, 1:, k] == 1
        weights, *_ = np.linalg.lstsq(z[mine], x[:, 1:][mine], rcond=None)
        np.testing.assert_allclose(found.A[k], weights[:2].T, atol=2e-3)
        np.testing.assert_allclose(found.B[k], weights[2:3].T, atol=5e-3)
        np.testing.assert_allclose(found.b[k], weights[3], atol=2e-2)


def test_no_other_dynamics_are_more_probable(rng):
    """With uncertain paths: the expected log-density falls in every direction."""
    moments, inputs = known_paths(rng)
    covariance = jnp.broadcast_to(jnp.array([[0.5, 0.2], [0.2, 0.3]]), (4, 50, 2, 2))
    moments = Moments(moments.mean, covariance, 0.5 * covariance[:, 1:])
    ones = jnp.ones((4, 50, 1))
    densities = jax.jit(jax.vmap(log_densities, (None, 0, 0)))
    best = best_dynamics(moments, ones, inputs)

    def value(dynamics):
        return float(densities(dynamics, moments, inputs)[:, 1:].sum())

    for name in ("A", "B", "Q"):
        here = getattr(best, name)
        for _ in range(4):
            change = 1e-3 * rng.normal(size=here.shape)
            change = change + np.swapaxes(change, 1, 2) if name == "Q" else change
            assert value(best._replace(**{name: here + change})) < value(best)


def test_an_empty_state_keeps_to_the_average(rng):
    moments, inputs = known_paths(rng)
    states = jnp.zeros((4, 50, 2)).at[:, :, 0].set(1.0)
    found = best_dynamics(moments, states, inputs)
    for name in ("A", "B", "b", "Q"):
        first, second = getattr(found, name)
        np.testing.assert_allclose(first, second, atol=1e-6)
    assert all(np.isfinite(x).all() for x in found)
    assert (np.linalg.eigvalsh(found.spread) > 0).all()
