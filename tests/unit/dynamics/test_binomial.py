"""Binomial numbers from uniform ones, against SciPy's distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom, norm

from latentspike.dynamics.binomial import binomial_quantile

CHANCE = (np.arange(100_000) + 0.5) / 100_000


@pytest.mark.parametrize(
    ("n", "p", "tolerance"),
    [
        (10, 0.01, 2e-5),  # few
        (400, 0.039, 2e-5),
        (50, 0.95, 2e-5),  # few failures
        (1, 0.3, 2e-5),
        (400, 0.041, 2e-4),  # many
        (40, 0.5, 2e-4),
        (400, 0.2, 2e-4),
        (200, 0.9, 2e-4),
        (10_000, 0.3, 2e-4),
    ],
)
def test_cumulative_probabilities(n, p, tolerance):
    with jax.enable_x64(True):
        full = jnp.full(CHANCE.shape, float(n))
        counts = binomial_quantile(full, jnp.full(CHANCE.shape, p), CHANCE, norm.ppf(CHANCE))
    share = np.bincount(np.asarray(counts).astype(int), minlength=n + 1) / CHANCE.size
    assert np.abs(np.cumsum(share) - binom.cdf(np.arange(n + 1), n, p)).max() < tolerance


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_certainty(p):
    n, chance = jnp.array([1.0, 400.0, 1e6]), jnp.array([1e-30, 0.5, 0.9999999])
    counts = binomial_quantile(n, jnp.full(3, p), chance, jnp.asarray(norm.ppf(chance)))
    np.testing.assert_array_equal(counts, p * n)
