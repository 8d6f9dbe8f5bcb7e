"""A recording cut into what Gaussian-process factor analysis takes at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from latentspike.models.gpfa.posterior import Factors, posterior, same_pattern
from latentspike.spikes import SpikeData

_LONGEST = 1200  # latents × bins that are inferred at once: a dense matrix of that size is inverted
_MARGIN = 4.0  # timescales, that a window reaches over the bins it is used for
_MAX_PATTERNS = 100  # of missing entries, each with an inverse of its own in every iteration


def inferred(
    factors: Factors, data: SpikeData, readable: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Posterior of some trials in some bins, until all have come.

    Yields
    ------
    trials, bins : int arrays
    mean : float [trials, bins, latents]
    covariance : float [bins, latents, latents], the same for these trials
    """
    seen = data.observed & readable
    for window, core in _windows(data.n_bins, factors.timescales):
        inside = core - window[0]
        for trials in same_pattern(seen[:, window]):
            part = np.ix_(trials, window)
            found = posterior(factors, np.sqrt(data.counts[part]), seen[trials[0]][window])
            covariance = found.covariance[:, inside, :, inside]
            yield trials, core, found.mean[:, :, inside].swapaxes(1, 2), covariance


def _windows(n_bins: int, timescales: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Bins that are inferred together, and those of them that this is used for."""
    longest = max(_LONGEST // len(timescales), 3)
    margin = min(int(np.ceil(_MARGIN * timescales.max())), longest // 3)
    if n_bins <= longest:
        yield np.arange(n_bins), np.arange(n_bins)
        return
    step = longest - 2 * margin
    for start in range(0, n_bins, step):
        stop = min(start + step, n_bins)
        window = np.arange(max(start - margin, 0), min(stop + margin, n_bins))
        yield window, np.arange(start, stop)


def pieces(data: SpikeData, n_latents: int) -> tuple[np.ndarray, np.ndarray]:
    """Square-root counts and what of them was observed, [pieces of trials, bins, neurons].

    Pieces of a trial are equally long; a few last bins that fill none are left out.
    """
    n_pieces = -(-data.n_bins * n_latents // _LONGEST)
    length = data.n_bins // n_pieces
    cut = slice(0, n_pieces * length)
    shape = (data.n_trials * n_pieces, length, data.n_neurons)
    observed = data.observed[:, cut].reshape(shape)
    patterns = sorted(same_pattern(observed), key=len, reverse=True)[:_MAX_PATTERNS]
    chosen = np.sort(np.concatenate(patterns))
    return np.sqrt(data.counts[:, cut].reshape(shape)[chosen]), observed[chosen]
