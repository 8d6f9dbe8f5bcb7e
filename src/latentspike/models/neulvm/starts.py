"""Where fits begin: guesses of activity and parameters, and rounds of Baum–Viterbi from there."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.climb import best_activity, best_parameters
from latentspike.models.neulvm.first_guess import best_width, smoothed_counts
from latentspike.models.neulvm.problem import Problem
from latentspike.models.neulvm.settings import Estimation

_ITERATIONS, _ROUNDS = 20, 2
_NARROW = 1.4  # bins
_NARROWER = (1.0, 0.1, 0.3)  # of the best width, in turn


class Start(NamedTuple):
    """A guess."""

    free: np.ndarray  # [free]
    counts: np.ndarray  # [trials, bins, K]
    trusts_activity: bool


class Improved(NamedTuple):
    """Where some rounds have led."""

    free: np.ndarray  # [free]
    root: np.ndarray  # [trials, bins, K], 2 √counts
    value: float  # log-joint


def starts_of(
    system: Mesoscopic, problem: Problem, settings: Estimation, start: np.ndarray, *, key: jax.Array
) -> list[Start]:
    """``settings.n_starts`` guesses; parameters of the first two are the start.

    Others are halfway from it to a random place in the boxes: near the corners the spikes have
    next to no likelihood, and chains from there take long.

    Every other one trusts the smoothed spikes. Their width is the one that predicts a bin best from
    the others, or narrower: where a network switches rarely the best one is so wide that short
    visits to another state disappear, and with them all that says that there are two. The others
    trust the parameters, and begin at spikes that are hardly smoothed: that finds volleys, which
    are narrower than what predicts a bin from its neighbors.
    """
    shares = np.asarray(jax.random.uniform(key, (settings.n_starts, start.size)))
    low, high = np.asarray(problem.low), np.asarray(problem.high)
    parameters = (start + low + (high - low) * shares) / 2
    parameters[:2] = start
    width = settings.smoothing or best_width(
        system, np.asarray(problem.spikes), np.asarray(problem.seen)
    )
    narrow = _NARROW * system.bin_width
    found = []
    for i, free in enumerate(parameters):
        trusts_activity = i % 2 == 0
        own = max(width * _NARROWER[i // 2 % 3], narrow) if trusts_activity else narrow
        counts = smoothed_counts(system, problem, settings.smoothing or own)
        found.append(Start(free, counts, trusts_activity))
    return found


def improved(system: Mesoscopic, problem: Problem, start: Start) -> Improved:
    """Parameters and activity after some rounds from a guess."""
    free, root = start.free, 2 * np.sqrt(start.counts)
    if start.trusts_activity:
        free, _ = best_parameters(system, problem, free, start.counts, n_steps=_ITERATIONS)
    value = -np.inf
    for _ in range(_ROUNDS):
        root, _ = best_activity(
            system, problem, free, root, method="lbfgs", n_steps=3 * _ITERATIONS
        )
        free, value = best_parameters(system, problem, free, root**2 / 4, n_steps=_ITERATIONS)
    return Improved(free, root, value)
