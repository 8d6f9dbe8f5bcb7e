"""Whether chains of draws have converged, and what they are worth."""

from __future__ import annotations

import numpy as np

FEWEST = 8  # draws that diagnostics need


def split_r_hat(draws: np.ndarray, n_chains: int = 1) -> np.ndarray:
    """Potential scale reduction of the halves of chains, [free]; near 1 where they agree.

    NaN with fewer than 8 draws of a chain, infinite where none ever moved.

    Parameters
    ----------
    draws : [n_draws, free], of one chain after the other
    n_chains : equally long chains

    References
    ----------
    Gelman et al. (2013), Bayesian Data Analysis, section 11.4.
    """
    n = len(draws) // n_chains
    if n < FEWEST:
        return np.full(draws.shape[1], np.nan)
    half = n // 2
    chains = draws.reshape(n_chains, n, -1)
    halves = np.concatenate([chains[:, :half], chains[:, n - half :]])
    within = halves.var(1, ddof=1).mean(0)
    between = halves.mean(1).var(0, ddof=1)
    ratio = between / np.where(within > 0, within, 1.0)
    return np.where(within > 0, np.sqrt((half - 1) / half + ratio), np.inf)


def effective_draws(draws: np.ndarray, n_chains: int = 1) -> np.ndarray:
    """Independent draws that would estimate a mean as well as these chains, [free].

    What chains disagree counts as correlation (Gelman et al. 2013, section 11.5). The sum of
    autocorrelations ends where those of two neighboring lags stop being positive, and never rises
    (Geyer 1992). NaN with fewer than 8 draws of a chain, 0 where none ever moved.

    Parameters
    ----------
    draws : [n_draws, free], of one chain after the other
    n_chains : equally long chains
    """
    n = len(draws) // n_chains
    if n < FEWEST:
        return np.full(draws.shape[1], np.nan)
    chains = draws.reshape(n_chains, n, -1)
    return np.array([_effective(chains[..., i]) for i in range(chains.shape[-1])])


def _effective(chains: np.ndarray) -> float:
    """Of one parameter, [chains, draws]."""
    if not np.ptp(chains, 1).any():
        return 0.0
    n = chains.shape[1]
    means = chains.mean(1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(chains - means, 2 * n)) ** 2
    covariance = (np.fft.irfft(spectrum)[:, :n] / n).mean(0)
    within = covariance[0] * n / (n - 1)
    total = covariance[0] + (means.var(ddof=1) if len(means) > 1 else 0.0)
    correlation = 1 - (within - covariance) / total
    correlation[0] = 1.0
    pairs = correlation[: n // 2 * 2].reshape(-1, 2).sum(1)
    end = np.append(np.flatnonzero(pairs <= 0), pairs.size)[0]
    last = max(correlation[2 * end], 0.0) if end < pairs.size else 0.0
    time = 2 * np.minimum.accumulate(pairs[:end]).sum() - 1 + last
    return float(chains.size / max(time, 1 / np.log10(chains.size)))
