"""Whether a chain of draws has converged, and what it is worth."""

from __future__ import annotations

import numpy as np

FEWEST = 8  # draws that diagnostics need


def split_r_hat(draws: np.ndarray) -> np.ndarray:
    """Potential scale reduction of the two halves of a chain, [free]; near 1 where they agree.

    NaN with fewer than 8 draws, infinite where a chain never moved.

    Parameters
    ----------
    draws : [n_draws, free]

    References
    ----------
    Gelman et al. (2013), Bayesian Data Analysis, section 11.4.
    """
    half = len(draws) // 2
    if len(draws) < FEWEST:
        return np.full(draws.shape[1], np.nan)
    halves = np.stack([draws[:half], draws[len(draws) - half :]])
    within = halves.var(1, ddof=1).mean(0)
    between = halves.mean(1).var(0, ddof=1)
    ratio = between / np.where(within > 0, within, 1.0)
    return np.where(within > 0, np.sqrt((half - 1) / half + ratio), np.inf)


def effective_draws(draws: np.ndarray) -> np.ndarray:
    """Independent draws that would estimate a mean as well as this chain, [free].

    The sum of autocorrelations ends where those of two neighboring lags stop being positive, and
    never rises (Geyer 1992). NaN with fewer than 8 draws, 0 where a chain never moved.

    Parameters
    ----------
    draws : [n_draws, free]
    """
    n = len(draws)
    if n < FEWEST:
        return np.full(draws.shape[1], np.nan)
    return np.array([_effective(chain - chain.mean(), n) for chain in draws.T])


def _effective(centered: np.ndarray, n: int) -> float:
    if np.ptp(centered) == 0:
        return 0.0
    covariance = np.fft.irfft(np.abs(np.fft.rfft(centered, 2 * n)) ** 2)[:n] / n
    # the chain's own mean was taken away, which makes all of them too small
    correlation = (covariance - covariance[0] / (n - 1)) / covariance[0]
    correlation[0] = 1.0
    pairs = correlation[: n // 2 * 2].reshape(-1, 2).sum(1)
    end = np.append(np.flatnonzero(pairs <= 0), pairs.size)[0]
    last = max(correlation[2 * end], 0.0) if end < pairs.size else 0.0
    time = 2 * np.minimum.accumulate(pairs[:end]).sum() - 1 + last
    return float(n / max(time, 1 / np.log10(n)))
