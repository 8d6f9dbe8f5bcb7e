"""The smoother against the dense joint Gaussian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike.models.linear_dynamics import gaussian_chain
from latentspike.models.linear_dynamics.gaussian_chain import Chain

smooth = jax.jit(gaussian_chain.smooth)


def random_chain(n_bins, n_latents, seed=0):
    """A chain and its dense precision matrix."""
    rng = np.random.default_rng(seed)
    lower = rng.normal(size=(n_bins - 1, n_latents, n_latents))
    diagonal = np.empty((n_bins, n_latents, n_latents))
    for t in range(n_bins):
        root = rng.normal(size=(n_latents, n_latents))
        diagonal[t] = root @ root.T + 0.5 * np.eye(n_latents)
        if t:
            diagonal[t] += lower[t - 1] @ lower[t - 1].T
        if t < n_bins - 1:
            diagonal[t] += np.eye(n_latents)
    dense = np.zeros((n_bins, n_latents, n_bins, n_latents))
    for t in range(n_bins):
        dense[t, :, t] = diagonal[t]
    for t in range(n_bins - 1):
        dense[t + 1, :, t], dense[t, :, t + 1] = lower[t], lower[t].T
    return Chain(jnp.asarray(diagonal), jnp.asarray(lower)), dense


@pytest.mark.parametrize(("n_bins", "n_latents"), [(1, 2), (2, 1), (6, 3), (40, 4)])
def test_moments_are_those_of_the_dense_gaussian(n_bins, n_latents):
    chain, dense = random_chain(n_bins, n_latents)
    linear = np.random.default_rng(1).normal(size=(n_bins, n_latents))
    found = smooth(chain, jnp.asarray(linear))
    size = n_bins * n_latents
    covariance = np.linalg.inv(dense.reshape(size, size))
    mean = (covariance @ linear.ravel()).reshape(n_bins, n_latents)
    blocks = covariance.reshape(n_bins, n_latents, n_bins, n_latents)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-8, atol=1e-9)
    for t in range(n_bins):
        np.testing.assert_allclose(found.covariance[t], blocks[t, :, t], rtol=1e-8, atol=1e-9)
    for t in range(n_bins - 1):
        np.testing.assert_allclose(found.cross[t], blocks[t, :, t + 1], rtol=1e-8, atol=1e-9)
    sign, logarithm = np.linalg.slogdet(dense.reshape(size, size))
    assert sign == 1
    np.testing.assert_allclose(found.log_determinant, logarithm, rtol=1e-10)


def test_many_trials_are_smoothed_as_one_by_one():
    chains = [random_chain(5, 2, seed)[0] for seed in range(3)]
    linear = jnp.asarray(np.random.default_rng(3).normal(size=(3, 5, 2)))
    together = jax.jit(jax.vmap(smooth))(jax.tree.map(lambda *x: jnp.stack(x), *chains), linear)
    for i, chain in enumerate(chains):
        alone = smooth(chain, linear[i])
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_allclose(a, b[i], rtol=1e-10, atol=1e-12)


def test_a_matrix_that_is_no_precision_gives_nan():
    chain = Chain(jnp.ones((2, 1, 1)), jnp.full((1, 1, 1), 2.0))
    assert np.isnan(smooth(chain, jnp.ones((2, 1))).log_determinant)
