"""Where a fit begins: dynamics and readout from moments of the counts, without iteration."""

from __future__ import annotations

import numpy as np

_MOST_BINS = 50_000  # that moments are taken from: more make the start dearer, not better
_WIDEST = 600  # rows of the Hankel matrix
_MOST_BLOCKS = 8
_TRUSTED = 0.3  # noise of a relative covariance below which it is taken for log-normal
_CONTRACTION = 0.99  # largest singular value of A
_LARGEST_MEMORY = 0.9995  # the same of a step much shorter than a bin of the moments
_LARGEST_VARIANCE = 4.0  # of a log rate
_WIDER = (1, 4, 16)  # bins that are taken together
_FEWEST_BINS = 20  # of a trial, wide ones
_LEAST_MEMORY = 0.05  # eigenvalue over a wide bin; below, nothing is known of it
Start = tuple[np.ndarray, np.ndarray, np.ndarray]


def starts(counts: np.ndarray, seen: np.ndarray, n_latents: int) -> list[Start]:
    """Starts from bins of several widths: where counts are rare, narrow ones show noise alone.

    Parameters and results as of `spectral_start`, all for the bins given.
    """
    found = []
    for factor in _WIDER:
        n_bins = counts.shape[1] // factor
        if factor > 1 and n_bins < _FEWEST_BINS:
            break
        wide = lambda x, n=n_bins, f=factor: x[:, : n * f].reshape(len(x), n, f, -1)  # noqa: E731
        # a wide bin with a gap counts for what was seen of it
        share = wide(seen).mean(2)
        total = wide(np.where(seen, counts, 0)).sum(2) / np.maximum(share, 1 / factor)
        A, C, d = spectral_start(total, share > 0.5, n_latents)
        found.append((_root(A, factor), C, d - np.log(factor)))
    return found


def _root(A: np.ndarray, n: int) -> np.ndarray:
    """Dynamics of a step of which ``n`` make those given, as far as they have memory."""
    if n == 1:
        return A
    value, vector = np.linalg.eig(A)
    value = np.where((np.real(value) <= 0) | (np.abs(value) < _LEAST_MEMORY), _LEAST_MEMORY, value)
    root = np.real((vector * value.astype(complex) ** (1 / n)) @ np.linalg.pinv(vector))
    left, size, right = np.linalg.svd(root)
    return (left * np.minimum(size, _LARGEST_MEMORY)) @ right


def spectral_start(counts: np.ndarray, seen: np.ndarray, n_latents: int) -> Start:
    """Subspace identification for Poisson counts.

    Covariances of counts become covariances of Gaussian log rates, at lags 0, 1, 2, …; those at
    lags above 0 fill a Hankel matrix whose leading singular vectors are C, CA, CA², …. Neurons are
    weighted by the square root of their mean count, with which all entries are equally noisy.
    Trials of fewer than 4 bins begin from the covariances at lag 0 and A = 0.9.

    Parameters
    ----------
    counts : [trials, bins, neurons]
    seen : bool, same shape
    n_latents : at most neurons

    Returns
    -------
    ``A`` [latents, latents], in coordinates in which x has unit covariance (so that Q = I − AA');
    ``C`` [neurons, latents]; ``d`` [neurons]

    References
    ----------
    Buesing, Macke & Sahani (2012), "Spectral learning of linear dynamics from generalised-linear
    observations with application to neural population data", section 3.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(2.0, (4, 50, 6))
    >>> A, C, d = spectral_start(counts, np.ones(counts.shape, bool), n_latents=2)
    >>> A.shape, C.shape, d.shape
    ((2, 2), (6, 2), (6,))
    """
    step = -(-counts[..., 0].size // _MOST_BINS)
    counts, seen = counts[::step].astype(float), seen[::step]
    mean = ((counts * seen).sum((0, 1)) + 0.5) / (seen.sum((0, 1)) + 1.0)
    n_blocks = min(_MOST_BLOCKS, counts.shape[1] // 2, max(_WIDEST // len(mean), 2))
    n_lags = 2 * n_blocks if counts.shape[1] >= 4 else 1
    root = np.sqrt(mean)
    lags = [
        _log_covariance(counts, seen, mean, lag) * np.outer(root, root) for lag in range(n_lags)
    ]
    now = (lags[0] + lags[0].T) / 2
    if n_lags > 1:
        C, A = _from_hankel(lags[1:], n_blocks, n_latents)
    else:
        C, A = _leading(now, n_latents), 0.9 * np.eye(n_latents)
    A, C = _whitened(A, C, now)
    C = C / root[:, None]
    variance = (C**2).sum(1)
    C = C * np.sqrt(np.minimum(1.0, _LARGEST_VARIANCE / np.maximum(variance, 1e-300)))[:, None]
    return A, C, np.log(mean) - 0.5 * (C**2).sum(1)


def _log_covariance(counts: np.ndarray, seen: np.ndarray, mean: np.ndarray, lag: int) -> np.ndarray:
    """Covariance of log rates ``lag`` bins apart, [neurons (later), neurons]."""
    n_bins, n_neurons = counts.shape[1:]
    centered = np.where(seen, counts - mean, 0.0)
    later, sooner = (
        [x[:, part].reshape(-1, n_neurons).astype(float) for x in (centered, seen)]
        for part in (slice(lag, None), slice(0, n_bins - lag))
    )
    n_pairs = np.maximum(later[1].T @ sooner[1], 1.0)
    covariance = later[0].T @ sooner[0] / n_pairs
    if lag == 0:
        covariance -= np.diag(mean)
    product = np.outer(mean, mean)
    relative = covariance / product
    is_clear = 1 / np.sqrt(n_pairs * product) < _TRUSTED
    return np.where(is_clear, np.log1p(np.maximum(relative, -0.9)), relative)


def _from_hankel(
    lags: list[np.ndarray], n_blocks: int, n_latents: int
) -> tuple[np.ndarray, np.ndarray]:
    """C and A from covariances at lags 1, 2, …, as C A^lag Cov(x) C'."""
    n = len(lags[0])
    hankel = np.block([[lags[i + j] for j in range(n_blocks)] for i in range(n_blocks)])
    left, size, _ = np.linalg.svd(hankel)
    observed = left[:, :n_latents] * np.sqrt(size[:n_latents])
    A = np.linalg.lstsq(observed[:-n], observed[n:], rcond=None)[0]
    return observed[:n], A


def _leading(covariance: np.ndarray, n_latents: int) -> np.ndarray:
    value, vector = np.linalg.eigh(covariance)
    order = np.argsort(value)[::-1][:n_latents]
    return vector[:, order] * np.sqrt(np.maximum(value[order], 1e-4))


def _whitened(A: np.ndarray, C: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same system in coordinates of unit covariance, with a contraction for dynamics."""
    inverse = np.linalg.pinv(C)
    value, vector = np.linalg.eigh(inverse @ now @ inverse.T)
    value = np.maximum(value, 1e-2 * max(value.max(), 1e-6))
    root, back = (vector * np.sqrt(value)) @ vector.T, (vector / np.sqrt(value)) @ vector.T
    left, size, right = np.linalg.svd(back @ A @ root)
    return (left * np.minimum(size, _CONTRACTION)) @ right, C @ root
