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
    add = _add_complete if data.observed.all() else _add_masked
    for first in range(0, data.n_trials, _CHUNK_TRIALS):
        chunk = slice(first, first + _CHUNK_TRIALS)
        add(sums, data.counts[chunk], data.observed[chunk], lag)
    n = np.maximum(sums[0], 1.0)
    x, y, xx, yy, xy = sums[1:] / n
    return Moments(sums[0], (x, y), (xx - x**2, yy - y**2), xy - x * y)


def _add_masked(sums: np.ndarray, counts: np.ndarray, seen: np.ndarray, lag: int) -> None:
    early, late = _pairs(np.where(seen, counts, 0), lag)
    early_seen, late_seen = _pairs(seen, lag)
    sums[0] += early_seen.T @ late_seen
    sums[1] += early.T @ late_seen
    sums[2] += early_seen.T @ late
    sums[3] += (early**2).T @ late_seen
    sums[4] += early_seen.T @ late**2
    sums[5] += early.T @ late


def _add_complete(sums: np.ndarray, counts: np.ndarray, seen: np.ndarray, lag: int) -> None:
    # One matrix product instead of six where nothing is missing, which is the usual case.
    early, late = _pairs(counts, lag)
    sums[0] += len(early)
    sums[1] += early.sum(axis=0)[:, None]
    sums[2] += late.sum(axis=0)
    sums[3] += (early**2).sum(axis=0)[:, None]
    sums[4] += (late**2).sum(axis=0)
    sums[5] += early.T @ late


def _pairs(array: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    n_bins, n_neurons = array.shape[1:]
    early, late = array[:, : n_bins - lag], array[:, lag:]
    return (
        early.reshape(-1, n_neurons).astype(np.float64),
        late.reshape(-1, n_neurons).astype(np.float64),
    )


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


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
