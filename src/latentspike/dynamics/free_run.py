"""Free simulation of the mesoscopic model: populations as numbers of spikes per bin."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

from latentspike.dynamics.bin_by_bin import (
    State,
    close_bin,
    implicit_matrix,
    open_bin,
    outcome,
    start,
)
from latentspike.dynamics.binomial import binomial_quantile
from latentspike.dynamics.parts import Values
from latentspike.dynamics.stepping import Mesoscopic

_NEWTON_STEPS = 2


class Random(NamedTuple):
    """What one bin draws, [..., K] each."""

    chance: jax.Array  # uniform
    normal: jax.Array  # normal quantile of the same
    rounding: jax.Array  # uniform

    @classmethod
    def draw(cls, shape: tuple[int, ...], *, key: jax.Array) -> Random:
        """For bins, or trials, or particles of one shape [..., K]."""
        key_chance, key_round = jax.random.split(key)
        rounding = jax.random.uniform(key_round, shape)
        # 0 itself has no normal quantile
        least = jnp.finfo(rounding.dtype).tiny
        chance = jax.random.uniform(key_chance, shape, minval=least)
        return cls(chance, ndtri(chance), rounding)


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
    Random numbers are drawn for all bins at once, which costs a fraction of drawing them bin by
    bin.
    """
    state = start(system, values, initial_rate)
    shape = (n_bins, system.n_populations)
    if current is None:
        current = jnp.zeros(shape)
    step = partial(_one_bin, system, values)
    return jax.lax.scan(step, state, (current, Random.draw(shape, key=key)))[1]


def _one_bin(
    system: Mesoscopic, values: Values, state: State, now: tuple[jax.Array, Random]
) -> tuple[State, jax.Array]:
    state, counts = next_bin(system, values, state, *now)
    return state, counts


def next_bin(
    system: Mesoscopic, values: Values, state: State, current: jax.Array, random: Random
) -> tuple[State, jax.Array]:
    """The state after a bin, and the spikes drawn in it, [K].

    Parameters
    ----------
    current : [K], mV
    random : [K] each

    Notes
    -----
    A bin's activity acts within the bin, so its mean is the fixed point of the one-bin map
    (Newton), and a random deviation of the drawn spikes grows by the inverse of its slope. Where
    the stepping keeps the old neurons, every count also says who is left (`survivors`).
    """
    sizes = jnp.asarray(system.sizes, random.chance.dtype)
    is_conditioned = system.stepping.has_old  # only then is every neuron in a class
    acts_at_once = system.stepping.membrane == "exact" and not all(system.delay_bins)
    opened = open_bin(system, values, state, current)
    at = partial(outcome, system, values, opened.state, is_conditioned=is_conditioned)
    mean = state.recent[0]
    for _ in range(_NEWTON_STEPS if acts_at_once else 1):
        found = at(opened.driven + opened.same_bin @ mean)
        matrix = implicit_matrix(opened, found)
        change = found.mean - mean
        change = solve(matrix, change) if acts_at_once else change
        mean = jnp.clip(mean + change, 0.0, 1.0)
    drawn = binomial_quantile(sizes, mean, random.chance, random.normal) / sizes - mean
    if system.stepping.variance == "refined":
        plain = mean * (1.0 - mean)
        # the likelihood's floor of one neuron is no noise
        floor = 0.0 if is_conditioned else 1.0 / sizes**2
        ratio = (found.variance - floor) * sizes / jnp.where(plain > 0, plain, 1.0)
        drawn = drawn * jnp.sqrt(jnp.clip(ratio, 0.0, None))
    if acts_at_once:
        drawn = solve(matrix, drawn)
    counts = jnp.clip(jnp.floor((mean + drawn) * sizes + random.rounding), 0.0, sizes)
    activity = counts / sizes
    potential = opened.driven + opened.same_bin @ activity
    if acts_at_once:
        found = at(potential)
    state = close_bin(
        system, values, opened, potential, found, activity, is_conditioned=is_conditioned
    )
    return state, counts


def solve(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """``x`` of ``matrix @ x = right``, [K]; finite also where the matrix is singular.

    By cofactors up to K = 3, where a call of LAPACK would cost more than all of it.
    """
    k = right.shape[0]
    if k == 1:
        return right / _not_zero(matrix[0])
    if k == 2:
        (a, b), (c, d) = matrix
        x = jnp.stack([d * right[0] - b * right[1], a * right[1] - c * right[0]])
        return x / _not_zero(a * d - b * c)
    if k == 3:
        first, second, third = matrix.T
        across = jnp.stack(
            [jnp.cross(second, third), jnp.cross(third, first), jnp.cross(first, second)]
        )
        return across @ right / _not_zero(first @ across[0])
    return jnp.nan_to_num(jnp.linalg.solve(matrix, right))


def _not_zero(determinant: jax.Array) -> jax.Array:
    return jnp.where(jnp.abs(determinant) < 1e-9, 1e-9, determinant)
