"""Rates, latents and states of any recording of the fitted neurons."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.models.linear_dynamics.em import (
    Guess,
    Recording,
    believe,
    no_guess,
)
from latentspike.models.linear_dynamics.parameters import Parameters, from_tree
from latentspike.models.linear_dynamics.path import Effort, log_expected
from latentspike.models.linear_dynamics.recording import as_read, check_match
from latentspike.models.reading import padded_chunks
from latentspike.spikes import Posterior, SpikeData

_CHUNK_ENTRIES = 4_000_000  # bins × neurons that are in memory at once
_N_STEPS, _TOLERANCE = 100, 1e-9
_N_SHORT = 10
_N_ROUNDS = 20  # of paths and states in turn
_LARGEST = 600.0  # variance of a log rate whose exponential is finite


class Inferred(NamedTuple):
    """Posterior of trials.

    Parameters
    ----------
    expected, expected_std : [trials, bins, neurons], counts per bin
    mean, std : [trials, bins, latents]
    states : [trials, bins, states], probabilities
    """

    expected: Any
    expected_std: Any
    mean: Any
    std: Any
    states: Any


def infer_posterior(params: dict[str, Any], data: SpikeData) -> Posterior:
    """Posterior of every trial, in closed form; see `PLDS.infer`."""
    found = infer_trials(params, data)
    return Posterior(
        rates=found.expected / data.bin_width,
        rates_std=found.expected_std / data.bin_width,
        factors=found.mean,
        factors_std=found.std,
        bin_width=data.bin_width,
        t_start=data.t_start,
        trial_ids=data.trial_ids,
        neuron_ids=data.neuron_ids,
    )


def infer_trials(params: dict[str, Any], data: SpikeData) -> Inferred:
    """NumPy arrays of every trial, read where `SpikeData.readable` and observed.

    Raises
    ------
    ValueError : if the recording does not have the neurons and inputs that were fitted.
    """
    check_match(params, data)
    size = max(1, _CHUNK_ENTRIES // (data.n_bins * data.n_neurons))
    parts: list[Inferred] = []
    with jax.enable_x64(True):
        parameters = from_tree(params)
        for trials, valid in padded_chunks(data.n_trials, size):
            some = data.select_trials(trials)
            recording = as_read(some, some.observed & some.readable)
            guess = no_guess(parameters, len(trials), data.n_bins)
            found = _infer(parameters, recording, guess)
            parts.append(Inferred(*(np.asarray(x)[: len(valid)] for x in found)))
    return Inferred(*(np.concatenate(x) for x in zip(*parts, strict=True)))


@jax.jit
def _infer(parameters: Parameters, recording: Recording, guess: Guess) -> Inferred:
    effort = Effort(jnp.asarray(_N_STEPS), jnp.asarray(_TOLERANCE))
    short = Effort(jnp.asarray(_N_SHORT), jnp.asarray(_TOLERANCE))

    def again(_: int, guess: Guess) -> Guess:
        # only what is a trial's own goes on: no trial shall depend on those beside it
        found = believe(parameters, recording, guess, short)
        return guess._replace(mean=found.moments.mean, states=found.states)

    if parameters.n_states > 1:
        guess = jax.lax.fori_loop(0, _N_ROUNDS, again, guess)
    belief = believe(parameters, recording, guess, effort)
    mean, covariance, _ = belief.moments
    n_trials, n_bins, n_latents = mean.shape
    readout = parameters.readout
    flat = mean.reshape(-1, n_latents), covariance.reshape(-1, n_latents, n_latents)
    log_rate = log_expected(readout, *flat)
    variance = 2 * (log_rate - flat[0] @ readout.C.T - readout.d)
    spread = jnp.sqrt(jnp.expm1(jnp.clip(variance, 0.0, _LARGEST)))
    expected = jnp.exp(log_rate)
    shape = (n_trials, n_bins, -1)
    std = jnp.sqrt(jnp.diagonal(covariance, axis1=2, axis2=3))
    most = jnp.finfo(float).max
    expected_std = jnp.minimum(expected * spread, most)
    return Inferred(expected.reshape(shape), expected_std.reshape(shape), mean, std, belief.states)
