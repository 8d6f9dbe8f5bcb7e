"""Free simulation of the mesoscopic model: populations as numbers of spikes per bin."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

from latentspike.dynamics.bin_by_bin import (
    State,
    applied,
    close_bin,
    implicit_matrix,
    like,
    open_bin,
    outcome,
    start,
)
from latentspike.dynamics.binomial import binomial_quantile
from latentspike.dynamics.parts import Values
from latentspike.dynamics.stepping import Mesoscopic

_NEWTON_STEPS = 2


class Random(NamedTuple):
    """What one bin draws, [K, …] each."""

    chance: jax.Array  # uniform
    normal: jax.Array  # normal quantile of the same
    rounding: jax.Array  # uniform

    @classmethod
    def draw(cls, shape: tuple[int, ...], *, key: jax.Array) -> Random:
        """Of any shape; for many bins, those come first."""
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
    """The state after a bin, and the spikes drawn in it, [K, …]; further axes as in `bin_by_bin`.

    Parameters
    ----------
    values, state, current, random : numbers of the network; its past; [K, …], mV; [K, …] each

    Notes
    -----
    A bin's activity acts within the bin, so its mean is the fixed point of the one-bin map
    (Newton), and a random deviation of the drawn spikes grows by the inverse of its slope. Where
    the stepping keeps the old neurons, every count also says who is left (`survivors`).
    """
    sizes = like(system.sizes, random.chance).astype(random.chance.dtype)
    is_conditioned = system.stepping.has_old  # only then is every neuron in a class
    acts_at_once = system.stepping.membrane == "exact" and not all(system.delay_bins)
    opened = open_bin(system, values, state, current)
    opened = opened._replace(left=once(opened.left)[0])
    at = partial(outcome, system, values, opened, is_conditioned=is_conditioned)
    mean = state.recent[0]
    random = Random(*once(*random))
    for _ in range(_NEWTON_STEPS if acts_at_once else 1):
        (potential,) = once(opened.driven + applied(opened.same_bin, mean))
        found = at(potential)
        slope, change = once(found.slope, found.mean - mean)
        matrix = implicit_matrix(opened, slope)
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
        drawn = solve(matrix, *once(drawn))
    counts = jnp.clip(jnp.floor((mean + drawn) * sizes + random.rounding), 0.0, sizes)
    activity = counts / sizes
    potential, activity = once(opened.driven + applied(opened.same_bin, activity), activity)
    if acts_at_once:
        found = at(potential)
    state = close_bin(
        system, values, opened, potential, found, activity, is_conditioned=is_conditioned
    )
    return state, counts


def once(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """The same arrays, computed here once and for all.

    With many networks side by side XLA would compute what is small again for every age class that
    uses it. Nothing stops it but a loop of unknown length, here of none.
    """
    if arrays[0].ndim == 1:
        return arrays
    n_turns = jnp.isnan(arrays[0].ravel()[0]).astype(int)
    turned = lambda _, these: tuple(-x for x in these)  # noqa: E731
    return jax.lax.fori_loop(0, n_turns, turned, arrays)


def solve(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """``x`` of ``matrix @ x = right``, [K, …]; finite also where the matrix is singular.

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
        columns = [matrix[:, source] for source in range(3)]
        across = [_cross(columns[i - 2], columns[i - 1]) for i in range(3)]
        along = jnp.stack([_dot(each, right) for each in across])
        return along / _not_zero(_dot(columns[0], across[0]))
    matrix, right = jnp.moveaxis(matrix, (0, 1), (-2, -1)), jnp.moveaxis(right, 0, -1)
    return jnp.nan_to_num(jnp.moveaxis(jnp.linalg.solve(matrix, right[..., None])[..., 0], -1, 0))


def _cross(a: jax.Array, b: jax.Array) -> list[jax.Array]:
    return [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]


def _dot(a: Any, b: Any) -> jax.Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _not_zero(determinant: jax.Array) -> jax.Array:
    return jnp.where(jnp.abs(determinant) < 1e-9, 1e-9, determinant)
