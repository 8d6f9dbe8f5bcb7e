"""Exact posterior of the latents of Gaussian-process factor analysis, whatever is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, get_lapack_funcs

NOISE_SHARE = 1e-3  # of a latent's unit variance that is white: eps of Yu et al., kept fixed


class Factors(NamedTuple):
    """Parameters: ``y = loadings · x + offsets + noise``, each latent a Gaussian process.

    Parameters
    ----------
    loadings : float [neurons, latents]
    offsets, noise : float [neurons], mean and variance
    timescales : float [latents], in bins
    """

    loadings: np.ndarray
    offsets: np.ndarray
    noise: np.ndarray
    timescales: np.ndarray


class Moments(NamedTuple):
    """Posterior of trials that miss the same entries, so that their covariance is one.

    Parameters
    ----------
    mean : float [trials, latents, bins]
    covariance : float [latents, bins, latents, bins]
    log_likelihood : float, nats, of the observed entries of all these trials
    """

    mean: np.ndarray
    covariance: np.ndarray
    log_likelihood: float


def kernel(timescale: float, n_bins: int) -> np.ndarray:
    """Prior covariance [bins, bins] of a latent: squared exponential and a little white noise.

    References
    ----------
    Yu et al. (2009), eq. 3, with a signal variance of 1 − 0.001.
    """
    lag = np.subtract.outer(np.arange(n_bins), np.arange(n_bins))
    smooth = np.exp(-0.5 * (lag / timescale) ** 2)
    return (1 - NOISE_SHARE) * smooth + NOISE_SHARE * np.eye(n_bins)


def posterior(factors: Factors, y: np.ndarray, observed: np.ndarray) -> Moments:
    """Latents given square-root counts.

    Parameters
    ----------
    factors : parameters
    y : float [trials, bins, neurons]; what is not observed is not read
    observed : bool [bins, neurons], the same for these trials
    """
    n_trials, n_bins, _ = y.shape
    n_latents = factors.loadings.shape[1]
    centered = np.where(observed, y - factors.offsets, 0.0)
    scaled = factors.loadings / factors.noise[:, None]
    # information of each bin about the latents: loadings' · observed / noise · loadings
    pairs = (scaled[:, :, None] * factors.loadings[:, None, :]).reshape(len(scaled), -1)
    information = (observed @ pairs).reshape(n_bins, n_latents, n_latents)
    precision = np.zeros((n_latents, n_bins, n_latents, n_bins))
    log_det = 0.0
    for k, timescale in enumerate(factors.timescales):
        precision[k, :, k], log_det_prior = _inverse(kernel(timescale, n_bins))
        log_det += log_det_prior
    bins = np.arange(n_bins)
    precision[:, bins, :, bins] += information
    size = n_latents * n_bins
    covariance, log_det_precision = _inverse(precision.reshape(size, size))
    drive = (centered @ scaled).swapaxes(1, 2).reshape(n_trials, size)
    mean = drive @ covariance
    per_trial = observed.sum(0) @ np.log(2 * np.pi * factors.noise) + log_det + log_det_precision
    misfit = np.sum(centered**2 / factors.noise) - np.sum(drive * mean)
    return Moments(
        mean.reshape(n_trials, n_latents, n_bins),
        covariance.reshape(n_latents, n_bins, n_latents, n_bins),
        -0.5 * float(n_trials * per_trial + misfit),
    )


def same_pattern(observed: np.ndarray) -> Iterator[np.ndarray]:
    """Trials [trials, bins, neurons] that miss the same entries, index array by index array."""
    if observed.all():
        yield np.arange(len(observed))
        return
    packed = np.packbits(observed.reshape(len(observed), -1), axis=1)
    _, which = np.unique(packed, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    edges = np.flatnonzero(np.diff(which.ravel()[order])) + 1
    yield from np.split(order, edges)


def log_evidence_of_timescale(timescale: float, second_moment: np.ndarray, n_trials: int) -> float:
    """What the expected log-likelihood owes to a latent's timescale, in nats.

    Parameters
    ----------
    timescale : bins
    second_moment : float [bins, bins], sum over trials of E[x x']
    n_trials : number of them
    """
    factor = cho_factor(kernel(timescale, len(second_moment)), lower=True)
    log_det = 2 * np.sum(np.log(np.diag(factor[0])))
    return -0.5 * (n_trials * log_det + np.trace(cho_solve(factor, second_moment)))


def _inverse(matrix: np.ndarray) -> tuple[np.ndarray, float]:
    """Inverse and log-determinant of a symmetric positive definite matrix."""
    factor, _ = cho_factor(matrix, lower=True)
    (potri,) = get_lapack_funcs(("potri",), (factor,))
    inverse, _ = potri(factor, lower=1)
    lower = np.tril(inverse)
    log_det = 2 * float(np.sum(np.log(np.diag(factor))))
    return lower + np.tril(lower, -1).T, log_det
