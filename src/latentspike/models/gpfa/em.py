"""Maximum likelihood of Gaussian-process factor analysis by expectation-maximisation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from latentspike.models.gpfa.posterior import (
    Factors,
    log_evidence_of_timescale,
    posterior,
    same_pattern,
)

_LEAST_NOISE = 0.01  # of a neuron's variance, against Heywood cases
_FIRST_TIMESCALE = 0.1  # seconds
_SHORTEST_TIMESCALE = 0.2  # bins; below, a latent is white
_LONGEST_LEAP = 20.0  # in steps
_STRIDE = 0.7  # that the log of a timescale may move in one iteration


class Sums(NamedTuple):
    """What the M-step reads, summed over trials and observed bins.

    Parameters
    ----------
    xx : float [neurons, latents + 1, latents + 1], E[x x'] with a 1 appended to x
    xy : float [neurons, latents + 1]
    yy : float [neurons]
    n : float [neurons], observed entries
    over_time : float [latents, bins, bins], E[x x'] of each latent, summed over trials
    log_likelihood : float, nats
    """

    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray
    n: np.ndarray
    over_time: np.ndarray
    log_likelihood: float


def first_factors(y: np.ndarray, observed: np.ndarray, n_latents: int, bin_width: float) -> Factors:
    """Factor analysis of single bins, missing entries at the mean; timescales of 0.1 s."""
    from sklearn.decomposition import FactorAnalysis  # seconds to import, for few commands

    mean = np.mean(y, axis=(0, 1), where=observed)
    rows = np.where(observed, y, mean).reshape(-1, y.shape[2])
    found = FactorAnalysis(n_latents).fit(rows)
    noise = np.maximum(found.noise_variance_, _LEAST_NOISE * rows.var(axis=0))
    timescales = np.full(n_latents, max(_FIRST_TIMESCALE / bin_width, 0.5))
    return Factors(found.components_.T, mean, noise, timescales)


def fit_factors(
    first: Factors,
    y: np.ndarray,
    observed: np.ndarray,
    *,
    max_iterations: int,
    tolerance: float,
) -> tuple[Factors, list[float]]:
    """Iterate until a cycle raises the log-likelihood by less than ``tolerance`` per bin and trial.

    Timescales move slowly in expectation-maximisation. So after two iterations a leap is tried
    along the way that they went, and taken unless the likelihood falls.

    Returns
    -------
    The parameters, and the log-likelihood (nats) after each iteration or leap; the last one is
    theirs.

    References
    ----------
    Varadhan & Roland (2008), Simple and globally convergent methods for accelerating the
    convergence of any EM algorithm, Scand. J. Stat. 35, eqs. 6 to 8 (scheme S3).
    """
    least = _LEAST_NOISE * np.var(y, axis=(0, 1), where=observed)
    enough = tolerance * y.shape[0] * y.shape[1]
    factors, sums = first, expect(first, y, observed)
    history = [sums.log_likelihood]
    while len(history) <= max_iterations:
        one = maximize(factors, sums, least, n_trials=len(y))
        sums_one = expect(one, y, observed)
        two = maximize(one, sums_one, least, n_trials=len(y))
        reached = _leap(factors, one, two, least)
        sums_reached = expect(reached, y, observed)
        if not sums_reached.log_likelihood >= sums_one.log_likelihood:
            reached, sums_reached = two, expect(two, y, observed)
        rise = sums_reached.log_likelihood - sums.log_likelihood
        factors, sums = reached, sums_reached
        history += [sums_one.log_likelihood, sums.log_likelihood]
        if rise < enough:
            break
    return factors, history


def _leap(start: Factors, one: Factors, two: Factors, least_noise: np.ndarray) -> Factors:
    """Where two steps point to, at a distance that their change of speed suggests."""
    a, b, c = (_as_vector(factors) for factors in (start, one, two))
    speed, change = b - a, (c - b) - (b - a)
    reach = np.linalg.norm(speed) / max(float(np.linalg.norm(change)), 1e-300)
    reach = float(np.clip(reach, 1.0, _LONGEST_LEAP))
    vector = a + 2 * reach * speed + reach**2 * change
    n, size = len(start.offsets), start.loadings.size
    # the exponential of a leap too far would overflow, before the likelihood could forbid it
    logs = np.clip(vector[size + n :], -30.0, 30.0)
    return Factors(
        vector[:size].reshape(start.loadings.shape),
        vector[size : size + n],
        np.maximum(np.exp(logs[:n]), least_noise),
        np.clip(np.exp(logs[n:]), _SHORTEST_TIMESCALE, 1e4),
    )


def _as_vector(factors: Factors) -> np.ndarray:
    logs = np.log(factors.noise), np.log(factors.timescales)
    return np.concatenate([factors.loadings.ravel(), factors.offsets, *logs])


def expect(factors: Factors, y: np.ndarray, observed: np.ndarray) -> Sums:
    """E-step: posterior moments of all trials, those with the same missing entries at once."""
    n_neurons, n_latents = factors.loadings.shape
    n_bins = y.shape[1]
    sums = Sums(
        np.zeros((n_neurons, n_latents + 1, n_latents + 1)),
        np.zeros((n_neurons, n_latents + 1)),
        np.sum(y**2, axis=(0, 1), where=observed),
        observed.sum(axis=(0, 1)).astype(float),
        np.zeros((n_latents, n_bins, n_bins)),
        0.0,
    )
    bins, log_likelihood = np.arange(n_bins), 0.0
    for trials in same_pattern(observed):
        seen = observed[trials[0]].astype(float)
        found = posterior(factors, y[trials], observed[trials[0]])
        x = np.concatenate([found.mean, np.ones((len(trials), 1, n_bins))], axis=1)
        by_bin = x.transpose(2, 1, 0)
        second = by_bin @ by_bin.swapaxes(1, 2)  # [bins, latents + 1, latents + 1]
        second[:, :-1, :-1] += len(trials) * found.covariance[:, bins, :, bins]
        sums.xx[:] += np.tensordot(seen, second, axes=(0, 0))
        product = by_bin @ y[trials].swapaxes(0, 1)  # [bins, latents + 1, neurons]
        sums.xy[:] += np.einsum("tkn,tn->nk", product, seen)
        by_latent = found.mean.swapaxes(0, 1)
        sums.over_time[:] += by_latent.swapaxes(1, 2) @ by_latent
        for k in range(n_latents):
            sums.over_time[k] += len(trials) * found.covariance[k, :, k]
        log_likelihood += found.log_likelihood
    return sums._replace(log_likelihood=log_likelihood)


def maximize(factors: Factors, sums: Sums, least_noise: np.ndarray, *, n_trials: int) -> Factors:
    """M-step: regressions of each neuron on the latents, and each latent's timescale.

    References
    ----------
    Yu et al. (2009), appendix, eqs. A.9 and A.10; here with sums over each neuron's observed bins.
    """
    weights = np.linalg.solve(sums.xx, sums.xy[:, :, None])[:, :, 0]
    residual = (sums.yy - np.sum(weights * sums.xy, axis=1)) / sums.n
    timescales = [
        _best_timescale(timescale, second, n_trials)
        for timescale, second in zip(factors.timescales, sums.over_time, strict=True)
    ]
    return Factors(
        weights[:, :-1], weights[:, -1], np.maximum(residual, least_noise), np.array(timescales)
    )


def _best_timescale(current: float, second_moment: np.ndarray, n_trials: int) -> float:
    longest = max(
        np.log(10.0 * len(second_moment)), np.log(current)
    )  # beyond, a latent is constant in a trial
    bounds = (
        max(np.log(current) - _STRIDE, np.log(_SHORTEST_TIMESCALE)),
        min(np.log(current) + _STRIDE, longest),
    )
    found = minimize_scalar(
        lambda log: -log_evidence_of_timescale(np.exp(log), second_moment, n_trials),
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))
