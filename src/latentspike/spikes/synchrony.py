"""Spikes that two neurons, or two bins, share beyond what common rates explain.

Let counts ``x`` and ``y`` be Poisson given rates ``a`` and ``b``, however these vary together.
Then ``cov(x, y) = cov(a, b) <= sqrt(var a · var b)``, and ``var a = var x - mean x``. So a
covariance above ``sqrt((var x - mean x)(var y - mean y))`` cannot come from shared rates: spikes
themselves are shared. The excess over ``sqrt(mean x · mean y)`` is the shared fraction: 1 for a
copy, 0.8 for a copy that keeps 80 % of the spikes, ``(w - 1) / w`` for neighboring bins of a sum
over ``w`` bins that slides by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from latentspike.spikes.data import SpikeData

N_LAGS = 3
MIN_SPIKES = 20
_CHUNK_TRIALS = 64


class Moments(NamedTuple):
    """Pairwise moments [neurons, neurons] of counts ``lag`` bins apart, both observed.

    ``n`` pairs of bins; means and variances of the earlier and the later count; covariance.
    """

    n: np.ndarray
    mean: tuple[np.ndarray, np.ndarray]
    variance: tuple[np.ndarray, np.ndarray]
    covariance: np.ndarray


def moments(data: SpikeData, lag: int) -> Moments:
    """Moments of all pairs of neurons, the second ``lag`` bins later, in chunks of trials."""
    sums = np.zeros((6, data.n_neurons, data.n_neurons))
    for first in range(0, data.n_trials, _CHUNK_TRIALS):
        chunk = slice(first, first + _CHUNK_TRIALS)
        seen = data.observed[chunk].astype(np.float64)
        counts = data.counts[chunk] * seen
        early, late = _flat(counts[:, : data.n_bins - lag]), _flat(counts[:, lag:])
        early_seen, late_seen = _flat(seen[:, : data.n_bins - lag]), _flat(seen[:, lag:])
        sums += [
            early_seen.T @ late_seen,
            early.T @ late_seen,
            early_seen.T @ late,
            (early**2).T @ late_seen,
            early_seen.T @ late**2,
            early.T @ late,
        ]
    n = np.maximum(sums[0], 1.0)
    x, y, xx, yy, xy = sums[1:] / n
    return Moments(sums[0], (x, y), (xx - x**2, yy - y**2), xy - x * y)


def shared_between_neurons(data: SpikeData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correlation, shared fraction and its z value of each pair of neurons [neurons, neurons].

    The shared fraction also subtracts the largest covariance at lags of 1 to 3 bins, which
    covers common rates that vary slowly in neurons more regular than Poisson.
    """
    now = moments(data, 0)
    explained = _poisson_bound(now)
    for lag in range(1, min(N_LAGS, data.n_bins - 1) + 1):
        later = moments(data, lag).covariance
        explained = np.maximum(explained, np.maximum(later, later.T))
    excess = now.covariance - explained
    spread = np.sqrt(now.variance[0] * now.variance[1])
    correlation = _ratio(now.covariance, spread)
    shared = _ratio(excess, np.sqrt(now.mean[0] * now.mean[1]))
    return correlation, shared, _ratio(excess, spread) * np.sqrt(now.n)


def shared_between_bins(data: SpikeData) -> tuple[np.ndarray, np.ndarray]:
    """Autocorrelation at a lag of one bin and shared fraction of neighboring bins [neurons]."""
    if data.n_bins < 2:
        return np.zeros(data.n_neurons), np.zeros(data.n_neurons)
    later = moments(data, 1)
    spread = np.sqrt(later.variance[0] * later.variance[1])
    mean = np.sqrt(later.mean[0] * later.mean[1])
    correlation = _ratio(later.covariance, spread)
    shared = _ratio(later.covariance - _poisson_bound(later), mean)
    return np.diagonal(correlation), np.diagonal(shared)


def _poisson_bound(pair: Moments) -> np.ndarray:
    rates = [
        np.maximum(variance - mean, 0.0)
        for variance, mean in zip(pair.variance, pair.mean, strict=True)
    ]
    return np.sqrt(rates[0] * rates[1])


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, array.shape[2])


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
