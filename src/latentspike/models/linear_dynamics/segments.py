"""Where switching begins: paths of linear dynamics cut into states."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.cluster import KMeans

from latentspike.models.linear_dynamics.dynamics_step import best_dynamics
from latentspike.models.linear_dynamics.em import Guess, Recording, believe
from latentspike.models.linear_dynamics.hmm import best_switching, forward_backward
from latentspike.models.linear_dynamics.parameters import Parameters
from latentspike.models.linear_dynamics.path import Effort
from latentspike.models.linear_dynamics.prior import log_densities

_N_ROUNDS = 20  # of dynamics and states in turn, on paths that stay as they are
_MOST_BINS = 20_000  # that clusters are sought in
_SURE = 0.9  # probability of the cluster a bin is in
_WEIGHTS = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))  # of place and of speed, start by start


def clusters(mean: np.ndarray, n_states: int, *, start: int, seed: int) -> np.ndarray:
    """Bins grouped by where the path is and how it moves, as probabilities.

    The first start looks at the place, the second at the speed, the third at both, and so on with
    other seeds.

    Parameters
    ----------
    mean : [trials, bins, latents], paths
    n_states : clusters
    start, seed : which start; of k-means

    Returns
    -------
    [trials, bins, n_states]
    """
    speed = np.gradient(mean, axis=1)
    place_weight, speed_weight = _WEIGHTS[start % len(_WEIGHTS)]
    features = np.concatenate(
        [place_weight * _standard(mean), speed_weight * _standard(speed)], axis=2
    )
    flat = features.reshape(-1, features.shape[2])
    some = np.random.default_rng(seed).permutation(len(flat))[:_MOST_BINS]
    found = KMeans(n_states, n_init="auto", random_state=seed + start).fit(flat[some])
    label = np.asarray(found.predict(flat)).reshape(mean.shape[:2])
    return (1 - _SURE) / n_states + _SURE * np.eye(n_states)[label]


def _standard(values: np.ndarray) -> np.ndarray:
    spread = values.std((0, 1))
    return (values - values.mean((0, 1))) / np.where(spread > 0, spread, 1.0)


@jax.jit
def switching_start(
    parameters: Parameters, recording: Recording, guess: Guess, states: jax.Array, effort: Effort
) -> tuple[Parameters, jax.Array]:
    """Dynamics of each state and their posterior, for paths under linear dynamics.

    An autoregressive hidden Markov model of the latents: the paths stay as they are.

    Parameters
    ----------
    parameters : with one state
    recording, guess, effort : of `em.believe`
    states : [trials, bins, states], probabilities to begin from
    """
    belief = believe(parameters, recording, guess, effort)
    densities_of = jax.vmap(log_densities, (None, 0, 0))

    def better(states: jax.Array, pairs: jax.Array) -> Parameters:
        dynamics = best_dynamics(belief.moments, states, recording.inputs)
        return Parameters(dynamics, parameters.readout, best_switching(states[:, 0], pairs))

    def again(_: int, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        found = better(*now)
        densities = densities_of(found.dynamics, belief.moments, recording.inputs)
        posterior = jax.vmap(forward_backward, (None, 0))(found.switching, densities)
        return posterior.states, posterior.pairs.sum(0)

    pairs = jnp.einsum("rtj,rtk->jk", states[:, :-1], states[:, 1:])
    now = jax.lax.fori_loop(0, _N_ROUNDS, again, (states, pairs))
    return better(*now), now[0]
