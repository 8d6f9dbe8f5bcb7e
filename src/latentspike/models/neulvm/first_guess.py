"""First guess of the population activity: smoothed spikes of the observed neurons."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.problem import Problem

WIDEST = 0.5  # s
_LEAST = 0.02  # spikes per bin and population that a guess never falls below


def smoothed_counts(system: Mesoscopic, problem: Problem, width: float) -> np.ndarray:
    """``N/q Σ spikes * Gaussian`` (Wang et al. 2022, Appendix D), [trials, bins, K].

    Parameters
    ----------
    width : standard deviation of the Gaussian, s; the best by cross-validation if 0
    """
    spikes, seen = np.asarray(problem.spikes), np.asarray(problem.seen)
    width = width or best_width(system, spikes, seen)
    rate = _smooth(spikes, seen, width / system.bin_width)
    return np.maximum(rate * np.array(system.sizes), _LEAST)


def best_width(system: Mesoscopic, spikes: np.ndarray, seen: np.ndarray) -> float:
    """Width in s by which smoothing predicts each bin best from the other bins."""
    longest = min(WIDEST, spikes.shape[1] * system.bin_width / 4)
    widths = np.geomspace(1.0, max(longest / system.bin_width, 2.0), 15)
    scores = [_left_out_score(spikes, seen, width) for width in widths]
    return float(widths[int(np.argmax(scores))] * system.bin_width)


def _smooth(spikes: np.ndarray, seen: np.ndarray, width: float) -> np.ndarray:
    fold = lambda x: gaussian_filter1d(x, width, axis=1, mode="constant")  # noqa: E731
    overall = spikes.sum((0, 1)) / np.maximum(seen.sum((0, 1)), 1)
    weight = fold(seen)
    return np.where(weight > 1e-6, fold(spikes) / np.maximum(weight, 1e-6), overall)


def _left_out_score(spikes: np.ndarray, seen: np.ndarray, width: float) -> float:
    """Poisson log-likelihood of each bin under the smoothed others."""
    impulse = np.zeros(2 * int(4 * width) + 3)
    impulse[impulse.size // 2] = 1.0
    own = gaussian_filter1d(impulse, width, mode="constant").max()
    fold = lambda x: gaussian_filter1d(x, width, axis=1, mode="constant") - own * x  # noqa: E731
    overall = spikes.sum((0, 1)) / np.maximum(seen.sum((0, 1)), 1)
    # a pinch of the mean rate keeps bins without neighbors finite
    rate = (fold(spikes) + 0.01 * overall) / (fold(seen) + 0.01)
    expected = np.maximum(rate * seen, 1e-12)
    return float(np.sum(np.where(seen > 0, spikes * np.log(expected) - expected, 0.0)))
