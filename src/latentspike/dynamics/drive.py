"""The potential that a neuron would have if it had never fired, and how a spike pulls it down."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics.filters import delayed, first_order
from latentspike.dynamics.parts import Values
from latentspike.dynamics.stepping import Mesoscopic


class Reset(NamedTuple):
    """Pull of a spike on the potential: ``−amplitude · decay^n · potential(release)``."""

    amplitude: jax.Array  # [K]
    log_decay: jax.Array  # [K], log of its size
    is_alternating: jax.Array  # bool [K]: a Euler step longer than the membrane time changes sign
    per_bin: jax.Array  # [K], bin width / membrane time; 0 without a correction for its slope

    @property
    def decay(self) -> jax.Array:
        """Of the pull from one bin to the next, [K]."""
        return jnp.where(self.is_alternating, -1.0, 1.0) * jnp.exp(self.log_decay)

    def pull(self, n: jax.Array) -> jax.Array:
        """Factor of the potential at release, ``n`` bins after it."""
        sign = jnp.where(self.is_alternating & (n % 2 == 1), -1.0, 1.0)
        return -self.amplitude * sign * jnp.exp(self.log_decay * n)


class Drive(NamedTuple):
    """Free potential of each population."""

    potential: jax.Array  # [..., K, bins], mV
    initial: jax.Array  # [..., K], mV, in every bin before the first
    same_bin: jax.Array  # [K, K], mV that activity 1 of the source adds in its own bin
    reset: Reset


def same_bin_kernel(system: Mesoscopic, values: Values) -> jax.Array:
    """Mean effect within its own bin of a volley of the source, mV [K target, K source]."""
    a, b, factor = time_ratios(system, values)
    return factor * (_own_bin(a)[:, None] - _own_bin(b))


def drive(
    system: Mesoscopic,
    values: Values,
    activity: jax.Array,
    initial_rate: jax.Array,
    current: jax.Array | None,
) -> Drive:
    """Free potential from the activity of all bins.

    Parameters
    ----------
    activity : [..., K, bins], share of the population that fires
    initial_rate : [..., K], Hz, before the first bin
    current : [..., K, bins] or None, mV
    """
    mean_input = jnp.einsum("kl,...l->...k", values.strength, initial_rate)
    initial = values.resting + values.membrane_time * mean_input
    before = initial_rate * system.bin_width
    activity = delayed(activity, system.delay_bins, before)
    compute = _exact if system.stepping.membrane == "exact" else _euler
    potential = compute(system, values, activity, before, initial, current)
    kernel = jnp.zeros_like(values.strength)
    if system.stepping.membrane == "exact":
        is_immediate = np.array(system.delay_bins) == 0
        kernel = jnp.where(is_immediate, same_bin_kernel(system, values), 0.0)
    return Drive(potential, initial, kernel, reset(system, values))


def reset(system: Mesoscopic, values: Values) -> Reset:
    """How a spike pulls the potential down, per bin."""
    a = system.bin_width / values.membrane_time
    if system.stepping.membrane == "exact":
        return Reset(mean_decay(a) ** 2, -a, jnp.zeros_like(a, bool), a)
    keep = 1.0 - a
    size = jnp.maximum(jnp.abs(keep), 1e-300)
    return Reset(keep, jnp.log(size), keep < 0, jnp.zeros_like(a))


def mean_decay(x: jax.Array) -> jax.Array:
    """Mean of ``exp(−s x)`` over 0 < s < 1."""
    return -jnp.expm1(-x) / x


def _own_bin(x: jax.Array) -> jax.Array:
    """Mean over pairs of times in one bin, the later one second, of ``exp(−(t − s) x)``."""
    is_small = x < 1e-3
    safe = jnp.where(is_small, 1.0, x)
    return jnp.where(is_small, 0.5 - x / 6 + x**2 / 24, (1.0 - mean_decay(safe)) / safe)


def time_ratios(system: Mesoscopic, values: Values) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Bin width over the time constants of membrane [K] and synapse [K], and J τ / (τ − τ_s).

    Equal time constants take the limit: they are moved apart by 1e-5, below any effect.
    """
    tau = values.membrane_time[:, None]
    synapse = jnp.broadcast_to(values.synapse_time, (*tau.shape[:1], *values.synapse_time.shape))
    is_equal = jnp.abs(tau - synapse) < 1e-5 * tau
    apart = jnp.where(is_equal, tau * 1e-5, tau - synapse)
    a = system.bin_width / values.membrane_time
    return a, system.bin_width / (tau - apart), values.strength * tau / apart


def _exact(
    system: Mesoscopic,
    values: Values,
    activity: jax.Array,
    before: jax.Array,
    initial: jax.Array,
    current: jax.Array | None,
) -> jax.Array:
    """Exponential membrane, averaged over bins of spikes that are spread over theirs."""
    a, b, factor = time_ratios(system, values)
    earlier = delayed(activity, (1,) * system.n_populations, before)[..., None, :, :]

    def trace(x: jax.Array) -> jax.Array:  # [..., K target, K source, bins]
        start = before[..., None, :] / -jnp.expm1(-x)
        shape = (*activity.shape[:-2], *factor.shape)
        return first_order(
            jnp.broadcast_to(earlier, (*shape, activity.shape[-1])),
            jnp.broadcast_to(jnp.exp(-x), shape),
            jnp.broadcast_to(start, shape),
        )

    membrane = jnp.broadcast_to(a[:, None], factor.shape)
    later = mean_decay(membrane)[..., None] ** 2 * trace(membrane)
    later = later - mean_decay(b)[..., None] ** 2 * trace(b)
    same = factor * (_own_bin(a)[:, None] - _own_bin(b))
    mixed = factor[..., None] * later + same[..., None] * activity[..., None, :, :]
    potential = values.resting[:, None] + jnp.sum(mixed, -2)
    if current is None:
        return potential
    share = mean_decay(a)[:, None]
    charge = -jnp.expm1(-a)[:, None] * current
    zero = jnp.zeros(current.shape[:-1])
    at_end = first_order(charge, jnp.broadcast_to(jnp.exp(-a), zero.shape), zero)
    at_start = jnp.concatenate([zero[..., None], at_end[..., :-1]], -1)
    return potential + share * at_start + (1.0 - share) * current


def _euler(
    system: Mesoscopic,
    values: Values,
    activity: jax.Array,
    before: jax.Array,
    initial: jax.Array,
    current: jax.Array | None,
) -> jax.Array:
    """The published scheme: forward Euler, spikes act from the next bin on."""
    width = system.bin_width
    earlier = delayed(activity, (1,) * system.n_populations, before) / width
    decay = jnp.exp(-width / values.synapse_time)
    newest = (1.0 - decay)[:, None] * earlier
    shape = before.shape
    rate = first_order(newest, jnp.broadcast_to(decay, shape), before / width)
    leak = width / values.membrane_time
    target = values.resting[:, None] + (0.0 if current is None else current)
    moved = leak[:, None] * target
    moved = moved + width * jnp.einsum("kl,...lt->...kt", values.strength, rate)
    return first_order(moved, jnp.broadcast_to(1.0 - leak, shape), initial)
