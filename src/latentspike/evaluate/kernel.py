"""Gaussian smoothing that knows trial edges and missing bins."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate1d

_RADIUS = 4.0  # standard deviations kept on each side, as in scipy.ndimage.gaussian_filter1d


def smooth(
    counts: np.ndarray,
    observed: np.ndarray,
    *,
    width_bins: float,
    leave_one_out: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean of the observed entries around each bin, along the trial.

    The kernel is renormalised over the entries that exist, so that rates do not sag at the edges
    of a trial or beside missing bins.

    Parameters
    ----------
    counts : array [trials, bins, neurons]
        Spikes per bin, or any signal.
    observed : bool array [trials, bins, neurons]
    width_bins : float
        Standard deviation of the Gaussian in bins.
    leave_one_out : bool
        Give a bin's own entry no weight, so that its count does not predict itself.

    Returns
    -------
    smoothed : float array [trials, bins, neurons]
        In the unit of ``counts``; 0 where the kernel covers no observed entry.
    weight : float array [trials, bins, neurons]
        Share of the kernel that fell on observed entries; 0 marks the entries above.

    Raises
    ------
    ValueError
        If the width is not positive or the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> values, weight = smooth(np.ones((1, 20, 1)), np.ones((1, 20, 1), bool), width_bins=3.0)
    >>> bool(np.allclose(values, 1.0))
    True
    """
    if not (np.isfinite(width_bins) and width_bins > 0):
        raise ValueError(f"the width must be a positive number of bins, got {width_bins}")
    if counts.ndim != 3 or counts.shape != observed.shape:
        raise ValueError(
            "counts and observed must share a shape [trials, bins, neurons], "
            f"got {counts.shape} and {observed.shape}"
        )
    kernel = gaussian_kernel(width_bins, counts.shape[1], leave_one_out=leave_one_out)
    return _smooth(np.asarray(counts, np.float64), observed, kernel)


def gaussian_kernel(width_bins: float, n_bins: int, *, leave_one_out: bool = False) -> np.ndarray:
    """Odd-length kernel of sum 1, cut at four standard deviations or the length of a trial."""
    radius = min(int(_RADIUS * width_bins + 0.5), n_bins - 1)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / width_bins) ** 2)
    if leave_one_out:
        kernel[radius] = 0.0
    total = kernel.sum()
    return kernel / total if total > 0 else kernel


def _smooth(
    counts: np.ndarray, observed: np.ndarray, kernel: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    total = correlate1d(np.where(observed, counts, 0.0), kernel, axis=1, mode="constant")
    weight = _weight(observed, kernel)
    covered = weight > 1e-12
    smoothed = np.divide(total, weight, out=np.zeros_like(total), where=covered)
    return smoothed, np.where(covered, weight, 0.0)


def _weight(observed: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    if observed.all():  # one column stands for all
        column = correlate1d(np.ones(observed.shape[1]), kernel, mode="constant")
        return np.broadcast_to(column[None, :, None], observed.shape)
    return correlate1d(observed.astype(np.float64), kernel, axis=1, mode="constant")
