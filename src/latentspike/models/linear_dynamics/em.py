"""One iteration of expectation maximization, for one state or several."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.models.linear_dynamics.dynamics_step import best_dynamics
from latentspike.models.linear_dynamics.hmm import best_switching, forward_backward
from latentspike.models.linear_dynamics.parameters import Parameters
from latentspike.models.linear_dynamics.path import Effort, Spikes, find_path
from latentspike.models.linear_dynamics.prior import Moments, log_densities, prior_of
from latentspike.models.linear_dynamics.readout_step import best_readout

_BLOCK = 16  # trials whose paths are sought together: their arrays stay in the cache


class Recording(NamedTuple):
    """Trials as a fit reads them.

    Parameters
    ----------
    spikes : of every trial, [trials, bins, neurons]
    inputs : [trials, bins, inputs]
    """

    spikes: Spikes
    inputs: jax.Array


class Guess(NamedTuple):
    """What the search for a posterior begins from.

    Parameters
    ----------
    mean : [trials, bins, latents]
    covariance : [bins, latents, latents], average over trials
    states : [trials, bins, states], probabilities
    """

    mean: jax.Array
    covariance: jax.Array
    states: jax.Array


class Belief(NamedTuple):
    """The posterior of every trial.

    Parameters
    ----------
    moments : of the paths, [trials, bins, …]
    states : [trials, bins, states], probabilities
    pairs : [trials, states, states], expected number of steps from a state (row) to another
    bound : [trials], nats, without the part ``log counts!``
    """

    moments: Moments
    states: jax.Array
    pairs: jax.Array
    bound: jax.Array

    @property
    def guess(self) -> Guess:
        """Where the next search may begin."""
        return Guess(self.moments.mean, self.moments.covariance.mean(0), self.states)


def no_guess(parameters: Parameters, n_trials: int, n_bins: int) -> Guess:
    """The mean of the start, without spread, and states at their shares in the long run."""
    n_latents, n_states = parameters.readout.C.shape[1], parameters.n_states
    share = jnp.full((n_trials, n_bins, n_states), 1 / n_states)
    return Guess(
        jnp.zeros((n_trials, n_bins, n_latents)), jnp.zeros((n_bins, n_latents, n_latents)), share
    )


def believe(parameters: Parameters, recording: Recording, guess: Guess, effort: Effort) -> Belief:
    """Posterior of every trial: the path given the states, then the states given the path."""

    def one(trial: tuple[Spikes, jax.Array, jax.Array, jax.Array]) -> Belief:
        spikes, inputs, mean, states = trial
        prior = prior_of(parameters.dynamics, states, inputs)
        start = mean, guess.covariance
        path = find_path(prior, parameters.readout, spikes, start, effort)
        if parameters.n_states == 1:
            return Belief(path.moments, states, jnp.ones((1, 1)), path.bound)
        densities = log_densities(parameters.dynamics, path.moments, inputs)
        found = forward_backward(parameters.switching, densities)
        bound = path.bound - (states * densities).sum() + found.log_evidence
        return Belief(path.moments, found.states, found.pairs, bound)

    trials = (*recording, guess.mean, guess.states)
    n_trials = len(guess.mean)
    n_blocks = -(-n_trials // _BLOCK)
    # blocks of one size: the last trial fills the last block, and is left out again
    index = np.arange(n_blocks * -(-n_trials // n_blocks)).reshape(n_blocks, -1)

    def of_block(block: jax.Array) -> Belief:
        return jax.vmap(one)(jax.tree.map(lambda x: x[block], trials))

    found = jax.lax.map(of_block, np.minimum(index, n_trials - 1))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:n_trials], found)


@jax.jit
def improve(
    parameters: Parameters, recording: Recording, guess: Guess, effort: Effort
) -> tuple[Parameters, Guess, jax.Array]:
    """One iteration: better parameters, where to go on from, and the bound of those given."""
    belief = believe(parameters, recording, guess, effort)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (recording.spikes, belief.moments))
    better = Parameters(
        best_dynamics(belief.moments, belief.states, recording.inputs),
        best_readout(parameters.readout, *flat),
        best_switching(belief.states[:, 0], belief.pairs.sum(0)),
    )
    return better, belief.guess, belief.bound.sum()
