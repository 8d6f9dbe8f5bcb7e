"""The comparison of the paper: parameters as if the smoothed spikes were all there is to know."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from latentspike.dynamics import Mesoscopic
from latentspike.models.neulvm.climb import best_parameters
from latentspike.models.neulvm.first_guess import smoothed_counts
from latentspike.models.neulvm.problem import Problem


class FullObservability(NamedTuple):
    """Fit with the population activity taken from the smoothed observed spikes."""

    free: np.ndarray  # [free], of the best start
    log_probability: float  # of the smoothed activity alone
    counts: np.ndarray  # [trials, bins, K], the smoothed activity
    starts: np.ndarray  # [starts, free], where each began
    ends: np.ndarray  # [starts, free], where each ended
    log_probabilities: np.ndarray  # [starts]


def fit_fully_observed(
    system: Mesoscopic,
    problem: Problem,
    *,
    seed: int,
    width: float = 0.0,
    n_starts: int = 200,
    n_steps: int = 200,
) -> FullObservability:
    """``argmax p(smoothed activity | parameters)`` from many random starts in the prior boxes.

    The spikes of the observed neurons count through the smoothed activity alone. Smoothing blurs
    what is synchronous, so that the best start may be far from the truth: that is the method.

    Parameters
    ----------
    system, problem : network and recording
    seed : of the starts
    width : standard deviation of the Gaussian that smooths the spikes, s (in the paper 1.4 ms for
        example 5.1, 400 ms for 5.2); chosen on the data if 0
    n_starts : starts, uniform in the boxes
    n_steps : iterations of L-BFGS-B at most, per start

    Raises
    ------
    ValueError : if there is no start, or none leads to a finite likelihood.

    References
    ----------
    René, Longtin & Macke (2020); Wang, Schmutz, Brea & Gerstner (2022), section 5.1.
    """
    if n_starts < 1:
        raise ValueError(f"n_starts must be at least 1, got {n_starts}")
    low, high = np.asarray(problem.low, float), np.asarray(problem.high, float)
    starts = np.random.default_rng(seed).uniform(low, high, (n_starts, low.size))
    with jax.enable_x64(True):
        counts = smoothed_counts(system, problem, width)
        none = np.zeros_like(problem.fired)
        unscored = problem._replace(fired=none, stayed=none)
        found = [best_parameters(system, unscored, s, counts, n_steps=n_steps) for s in starts]
    ends = np.array([end for end, _ in found]).reshape(starts.shape)
    values = np.array([value for _, value in found])
    if not np.isfinite(values).any():
        raise ValueError(
            f"none of {n_starts} starts has a finite likelihood: check the boxes of the network's "
            "free parameters"
        )
    best = int(np.argmax(np.where(np.isfinite(values), values, -np.inf)))
    return FullObservability(ends[best], float(values[best]), counts, starts, ends, values)
