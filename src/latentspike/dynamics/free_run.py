"""Free simulation of the mesoscopic model: populations as numbers of spikes per bin."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from latentspike.dynamics.bin_by_bin import (
    State,
    close_bin,
    implicit_matrix,
    open_bin,
    outcome,
    start,
)
from latentspike.dynamics.network import Values
from latentspike.dynamics.stepping import Mesoscopic

_NEWTON_STEPS = 2
_UNROLL = 1


@partial(jax.jit, static_argnums=(0, 3))
def free_run(
    system: Mesoscopic,
    values: Values,
    initial_rate: jax.Array,
    n_bins: int,
    current: jax.Array | None,
    *,
    key: jax.Array,
) -> jax.Array:
    """Spike counts of every population, [bins, K]; one trial.

    Parameters
    ----------
    initial_rate : [K], Hz, stationary before the first bin
    current : [bins, K] or None, mV
    key : PRNG key

    Notes
    -----
    A bin's activity acts within the bin, so its mean is the fixed point of the one-bin map
    (Newton), and a random deviation of the drawn spikes grows by the inverse of its slope.
    """
    sizes = jnp.asarray(system.sizes)
    acts_at_once = system.stepping.membrane == "exact" and not all(system.delay_bins)

    def one_bin(state: State, now: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        opened = open_bin(system, values, state, now[0])
        mean = state.recent[0]
        for _ in range(_NEWTON_STEPS if acts_at_once else 1):
            found = outcome(system, values, opened.state, opened.driven + opened.same_bin @ mean)
            matrix = implicit_matrix(opened, found)
            mean = jnp.clip(mean + jnp.linalg.solve(matrix, found.mean - mean), 0.0, 1.0)
        key_count, key_round = jax.random.split(now[1])
        drawn = jax.random.binomial(key_count, sizes, mean) / sizes - mean
        plain = mean * (1.0 - mean) / sizes
        ratio = (found.variance - 1.0 / sizes**2) / jnp.where(plain > 0, plain, 1.0)
        if system.stepping.variance == "refined":
            drawn = drawn * jnp.sqrt(jnp.clip(ratio, 0.0, None))
        if acts_at_once:
            drawn = jnp.linalg.solve(matrix, drawn)
        whole = jnp.floor((mean + drawn) * sizes + jax.random.uniform(key_round, sizes.shape))
        counts = jnp.clip(whole, 0.0, sizes)
        activity = counts / sizes
        potential = opened.driven + opened.same_bin @ activity
        if acts_at_once:
            found = outcome(system, values, opened.state, potential)
        return close_bin(system, values, opened, potential, found, activity), counts

    state = start(system, values, initial_rate)
    if current is None:
        current = jnp.zeros((n_bins, system.n_populations))
    keys = jax.random.split(key, n_bins)
    return jax.lax.scan(one_bin, state, (current, keys), unroll=_UNROLL)[1]
