"""From square-root counts back to counts: the mean of the root of a Poisson count, inverted."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gammaln

_LARGEST = 100.0  # expected counts of the table; beyond, (root)² + 1/4 is exact to 1e-5
_SMALLEST = 1e-4  # below, the mean root is the expected count
# Evenly spaced: Gauss–Hermite nodes are no good at the edge where the counts become zero.
_NODES = np.linspace(-3.5, 3.5, 15)
_WEIGHTS = np.exp(-0.5 * _NODES**2) / np.exp(-0.5 * _NODES**2).sum()


def expected_count(root: np.ndarray) -> np.ndarray:
    """Expected Poisson count whose square root has a given mean; 0 where that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.random.default_rng(0).poisson(0.3, 100_000)
    >>> float(expected_count(np.sqrt(counts).mean()).round(2)), float(counts.mean().round(2))
    (0.3, 0.3)
    """
    means, counts = _table()
    inside = np.interp(root, means, counts)
    return np.where(root > means[-1], root**2 + 0.25, inside)


def count_moments(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of `expected_count` for a Gaussian mean root."""
    spread = np.sqrt(variance)
    first, second = np.zeros(mean.shape), np.zeros(mean.shape)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        value = expected_count(mean + node * spread)
        first += weight * value
        second += weight * value**2
    return first, np.sqrt(np.maximum(second - first**2, 0.0))


@lru_cache(maxsize=1)
def _table() -> tuple[np.ndarray, np.ndarray]:
    """Mean roots and the expected counts that they belong to, both rising from 0."""
    counts = np.geomspace(_SMALLEST, _LARGEST, 4000)
    n = np.arange(1, 250)[:, None]
    log_chance = n * np.log(counts) - counts - gammaln(n + 1)
    means = np.sum(np.sqrt(n) * np.exp(log_chance), axis=0)
    return np.concatenate([[0.0], means]), np.concatenate([[0.0], counts])
