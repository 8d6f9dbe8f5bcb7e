"""The mesoscopic model one bin after the other, for free simulation and as a readable reference.

The same equations as `mesoscopic`, in the order in which time passes. All arrays may have further
axes at their end, for networks side by side with their own parameters and pasts: so the many are
next to each other in memory, and the few populations and classes are loops over them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics.drive import mean_decay, reset, same_bin_kernel, time_ratios
from latentspike.dynamics.escape import expected_spikes
from latentspike.dynamics.mesoscopic import (
    TINY,
    Sums,
    log_expected,
    moments,
    settled_pull,
)
from latentspike.dynamics.parts import Values
from latentspike.dynamics.stepping import Mesoscopic
from latentspike.dynamics.survivors import count_variance, survivors

_NEVER = -1e30  # log of a hazard


class Old(NamedTuple):
    """What is left of the last spikes of the neurons older than all classes."""

    pull: jax.Array  # [K], mV, mean over them
    count: jax.Array  # [K], share of the population that they are, as if nothing were left


class State(NamedTuple):
    """What the past of a network leaves behind."""

    membrane: jax.Array  # exact: trace per target and source [K, K]; Euler: free potential [K]
    synapse: jax.Array  # exact: [K, K]; Euler: filtered rate of each source [K], Hz
    displaced: jax.Array  # [K], mV, by the external current
    recent: jax.Array  # [delay + 1, K], activity of the last bins, the newest first
    last_potential: jax.Array  # [K]
    pull: jax.Array  # [K, ages], mV, of the last spike on each age class
    mass: jax.Array  # [K, classes], share of the population in each; a last one of old neurons
    doubtful: jax.Array  # [K, classes], variance of the same × N; those who fire are known
    old: Old


class Bin(NamedTuple):
    """One bin before its activity is known."""

    driven: jax.Array  # [K], mV, from all earlier bins
    same_bin: jax.Array  # [K, K]
    left: jax.Array  # [K, classes], log of hazard × bin width at threshold, by the last spikes
    state: State  # with the bin's external current in it


class Outcome(NamedTuple):
    """Moments of a bin's activity at a given potential."""

    mean: jax.Array  # [K]
    slope: jax.Array  # [K]
    variance: jax.Array  # [K]
    mass: jax.Array  # [K]
    fire: jax.Array  # [K, classes], probability to fire


def applied(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    """``matrix @ vector`` of [K, K, …] and [K, …].

    Term by term: XLA's sum over a short axis in the middle takes a hundred times as long.
    """
    found = matrix[:, 0] * vector[0]
    for source in range(1, vector.shape[0]):
        found = found + matrix[:, source] * vector[source]
    return found


def like(per_population: Any, other: jax.Array) -> jax.Array:
    """Numbers of the populations, [K] or [K, ages], with further axes as of ``other``, [K, …]."""
    given = jnp.asarray(per_population)
    return given.reshape(*given.shape, *[1] * (other.ndim - 1))


def start(system: Mesoscopic, values: Values, initial_rate: jax.Array) -> State:
    """Stationary at a given rate, Hz [K]."""
    before = initial_rate * system.bin_width
    mean_input = applied(values.strength, initial_rate)
    potential = values.resting + values.membrane_time * mean_input
    pulled = reset(system, values)
    if system.stepping.membrane == "exact":
        a, b, _ = time_ratios(system, values)
        membrane = before / -jnp.expm1(-a)[:, None]
        synapse = before / -jnp.expm1(-b)
    else:
        membrane, synapse = potential, initial_rate
    ages = like(_ages(system), potential)
    columns = type(pulled)(*[x[:, None] for x in pulled])
    pull = columns.pull(jnp.maximum(ages, 0)) * potential[:, None]
    log_x = log_expected(
        system, values.threshold[:, None], potential[:, None], pull, columns.per_bin
    )
    expected = jnp.where(ages >= 0, expected_spikes(log_x), 0.0)
    log_survival = -jnp.cumsum(expected, 1)
    log_survival = jnp.concatenate([jnp.zeros_like(log_survival[:, :1]), log_survival], 1)
    survival = jnp.exp(log_survival)
    mass, doubt = survival[:, :-1] * before[:, None], -jnp.expm1(log_survival)
    old = jnp.maximum(1.0 - jnp.sum(mass, 1), 0.0)
    joining = pulled.pull(ages[:, -1] + 1) * potential
    settled = settled_pull(joining, _fire_of_old(system, values, potential), pulled.decay)
    if system.stepping.has_old:
        mass = jnp.concatenate([mass, old[:, None]], 1)
    return State(
        membrane=membrane,
        synapse=synapse,
        displaced=jnp.zeros_like(potential),
        recent=jnp.broadcast_to(before, (max(system.delay_bins) + 1, *before.shape)),
        last_potential=potential,
        pull=pull,
        mass=mass,
        doubtful=doubt[:, : mass.shape[1]] * mass,
        old=Old(settled, old),
    )


def _ages(system: Mesoscopic) -> np.ndarray:
    """Bins since the release of each age class, [K, ages]; below 0 while it is refractory."""
    return np.arange(system.n_ages) - np.array(system.refractory_bins)[:, None]


def _left(system: Mesoscopic, values: Values, state: State) -> jax.Array:
    """Log of hazard × bin width of each class if its potential were at threshold."""
    per_bin = reset(system, values).per_bin[:, None]
    zero = jnp.zeros((), state.pull.dtype)
    left = log_expected(system, zero, zero, state.pull, per_bin)
    left = jnp.where(like(_ages(system), state.last_potential) >= 0, left, _NEVER)
    if not system.stepping.has_old:
        return left
    old = log_expected(system, zero, zero, state.old.pull[:, None], per_bin)
    return jnp.concatenate([left, old], 1)


def _fire_of_old(system: Mesoscopic, values: Values, potential: jax.Array) -> jax.Array:
    """Probability to fire of neurons that feel no last spike any more, [K]."""
    zero = jnp.zeros((), potential.dtype)
    log_x = log_expected(system, values.threshold, potential, zero, zero)
    return -jnp.expm1(-expected_spikes(log_x))


def open_bin(system: Mesoscopic, values: Values, state: State, current: jax.Array) -> Bin:
    """The bin's potential as far as earlier bins determine it; ``current`` in mV [K]."""
    k = np.arange(system.n_populations)
    delay = np.array(system.delay_bins)
    if system.stepping.membrane == "euler":
        width = system.bin_width
        decay = jnp.exp(-width / values.synapse_time)
        rate = decay * state.synapse + (1.0 - decay) * state.recent[delay, k] / width
        leak = width / values.membrane_time
        kept = (1.0 - leak) * state.membrane
        driven = kept + leak * (values.resting + current) + width * applied(values.strength, rate)
        state = state._replace(membrane=driven, synapse=rate)
        left = _left(system, values, state)
        return Bin(driven, jnp.zeros_like(values.strength), left, state)
    a, b, factor = time_ratios(system, values)
    earlier = state.recent[delay, k]
    membrane = jnp.exp(-a)[:, None] * state.membrane + earlier
    synapse = jnp.exp(-b) * state.synapse + earlier
    later = mean_decay(a)[:, None] ** 2 * membrane - mean_decay(b) ** 2 * synapse
    driven = values.resting + applied(factor * later, jnp.ones_like(values.resting))
    share = mean_decay(a)
    driven = driven + share * state.displaced + (1.0 - share) * current
    displaced = jnp.exp(-a) * state.displaced - jnp.expm1(-a) * current
    kernel = same_bin_kernel(system, values)
    # what arrives after a delay of n bins acts in the bin where it arrives
    is_late = like(delay > 0, earlier)
    arrived = jnp.where(is_late, state.recent[np.maximum(delay - 1, 0), k], 0.0)
    driven = driven + applied(kernel, arrived)
    state = state._replace(membrane=membrane, synapse=synapse, displaced=displaced)
    return Bin(driven, jnp.where(is_late, 0.0, kernel), _left(system, values, state), state)


def outcome(
    system: Mesoscopic,
    values: Values,
    opened: Bin,
    potential: jax.Array,
    *,
    is_conditioned: bool = False,
) -> Outcome:
    """Moments of the activity of a bin at a potential, mV [K].

    ``is_conditioned``: the classes hold who is left by the counts so far (see `close_bin`), nobody
    is missing from them, and the variance is that of the counts.
    """
    expected = expected_spikes((potential - values.threshold)[:, None] + opened.left)
    silent = jnp.exp(-expected)
    fire = 1.0 - silent
    mass, doubtful = opened.state.mass, opened.state.doubtful
    if is_conditioned:
        mean = jnp.minimum(jnp.sum(mass * fire, 1), 1.0)
        slope = jnp.sum(mass * expected * silent, 1)
        variance = count_variance(mass, doubtful, fire) / like(system.sizes, mean)
        return Outcome(mean, slope, variance, jnp.sum(mass, 1), fire)
    each = Sums(*[jnp.zeros_like(mass)] * 7).plus(mass, doubtful, expected, fire)
    # there populations come last but one
    sums = Sums(*[jnp.moveaxis(jnp.sum(x, 1), 0, -1)[..., None] for x in each])
    mean, slope, variance = (jnp.moveaxis(x[..., 0], -1, 0) for x in moments(system, sums))
    return Outcome(mean, slope, variance, jnp.sum(mass, 1), fire)


def close_bin(
    system: Mesoscopic,
    values: Values,
    opened: Bin,
    potential: jax.Array,
    found: Outcome,
    activity: jax.Array,
    *,
    is_conditioned: bool = False,
) -> State:
    """The state after a bin whose activity [K] is known.

    ``is_conditioned``: who is left of each class is what the number of spikes says, else what was
    expected before they were counted (see `survivors`).
    """
    state = opened.state
    pulled = reset(system, values)
    newest = jnp.zeros_like(potential[:, None])
    # classes that are released in the next bin feel this bin's potential
    older = jnp.concatenate([newest, pulled.decay[:, None] * state.pull[:, :-1]], 1)
    released = pulled.pull(jnp.array(0)) * potential
    pull = jnp.where(like(_ages(system), potential) == 0, released[:, None], older)
    silent = 1.0 - found.fire
    doubtful = silent * (silent * state.doubtful + found.fire * state.mass)
    mass = silent * state.mass
    if is_conditioned:
        mass = survivors(state.mass, state.doubtful, found.fire, activity)
    staying = state.old.count * (1.0 - _fire_of_old(system, values, potential))
    joining = mass[:, system.n_ages - 1]
    count = staying + joining
    pulled_by = pulled.decay * (staying * state.old.pull + joining * state.pull[:, -1])
    has_some = count > TINY
    mean_pull = jnp.where(has_some, pulled_by / jnp.where(has_some, count, 1.0), 0.0)
    return state._replace(
        recent=jnp.concatenate([activity[None], state.recent[:-1]]),
        last_potential=potential,
        pull=pull,
        mass=_one_older(system, mass, activity[:, None]),
        doubtful=_one_older(system, doubtful, newest),
        old=Old(mean_pull, count),
    )


def _one_older(system: Mesoscopic, of_class: jax.Array, newest: jax.Array) -> jax.Array:
    """Every class one bin older; the oldest join the old ones, where those are kept."""
    older = jnp.concatenate([newest, of_class[:, :-1]], 1)
    return older.at[:, -1].add(of_class[:, -1]) if system.stepping.has_old else older


def implicit_matrix(opened: Bin, slope: jax.Array) -> jax.Array:
    """How an error of the activity grows within its own bin: ``1 − slope · same_bin`` [K, K]."""
    unit = like(jnp.eye(len(slope)), slope)
    return unit - slope[:, None] * opened.same_bin
