"""Activity at known parameters: a swarm for each of some posterior draws."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logit

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.particles import follow, of_trial
from latentspike.models.neulvm.problem import Problem

N_SWARMS = 6  # of a fit, each at another draw
_DISAGREE = 10.0  # nats, spread over draws: swarms that follow the spikes vary by three
_EDGE = 1e-6  # of a box


class Followed(NamedTuple):
    """What a swarm has seen of each trial."""

    values: np.ndarray  # [trials], log-likelihood of the spikes, nats
    counts: np.ndarray  # [trials, bins, K], spikes of the populations, mean
    squares: np.ndarray  # [trials, bins, K], mean of their squares


def follow_at(
    system: Mesoscopic, problem: Problem, free: np.ndarray, n_particles: int, *, key: jax.Array
) -> Followed:
    """A swarm through each trial, all networks with these parameters."""
    low, high = np.asarray(problem.low, float), np.asarray(problem.high, float)
    share = np.clip((np.asarray(free, float) - low) / (high - low), _EDGE, 1 - _EDGE)
    found = []
    with jax.enable_x64(False):
        logits = jnp.tile(jnp.asarray(logit(share), jnp.float32), (n_particles, 1))
        for trial in range(len(problem.spikes)):
            own_key = jax.random.fold_in(key, trial)
            one = follow(system, of_trial(problem, trial), logits, jnp.float32(0.0), key=own_key)
            found.append([np.asarray(x, float) for x in one[:3]])
    return Followed(*(np.stack(x) for x in zip(*found, strict=True)))


def has_lost_track(values: np.ndarray) -> np.ndarray:
    """Whether swarms at several draws disagree on a trial by more than draws do, bool [trials].

    Parameters
    ----------
    values : [swarms, trials], log-likelihoods
    """
    middle = np.median(values, 0)
    return 1.48 * np.median(np.abs(values - middle), 0) > _DISAGREE


def places(n_draws: int, n_swarms: int) -> np.ndarray:
    """Draws that swarms begin at, evenly over all, int [n_swarms]."""
    return np.linspace(0, n_draws - 1, min(n_swarms, n_draws)).round().astype(int)
