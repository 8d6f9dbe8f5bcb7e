"""The mesoscopic model given the activity of all bins: one scan over ages, all bins at once.

A population is described by how many of its neurons last fired how long ago. Given the activity,
the potential is a linear filter of it, so the neurons of one age are computed in all bins together.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics.drive import Drive, drive
from latentspike.dynamics.escape import expected_spikes
from latentspike.dynamics.filters import delayed, varying_first_order
from latentspike.dynamics.parts import Values
from latentspike.dynamics.stepping import Mesoscopic

_STEEPEST = 6.0  # mV per bin: the correction for the slope of the voltage is not taken further
TINY = 1e-150  # below, a quotient of doubtful masses has no finite gradient


class Prediction(NamedTuple):
    """Activity expected in each bin, given that of all bins before; shares of the population."""

    mean: jax.Array  # [..., bins, K]
    variance: jax.Array  # [..., bins, K]
    log_det: jax.Array  # [..., bins], of the implicit step; 0 where nothing acts in its own bin
    potential: jax.Array  # [..., bins, K], mV, of a neuron that never fired
    mass: jax.Array  # [..., bins, K], share of the population that the age classes hold


class Sums(NamedTuple):
    """Sums over the age classes of each bin; ``m`` mass, ``w = (1 − S) m``, ``p`` to fire."""

    fire: jax.Array  # Σ m p
    mass: jax.Array  # Σ m
    doubtful_fire: jax.Array  # Σ w p
    doubtful: jax.Array  # Σ w
    slope: jax.Array  # Σ m dp/dh
    doubtful_slope: jax.Array  # Σ w dp/dh
    spread: jax.Array  # Σ m p (1 − p)

    def plus(
        self, mass: jax.Array, doubtful: jax.Array, expected: jax.Array, fire: jax.Array
    ) -> Sums:
        """With one more class, which expects so many spikes and fires with this probability."""
        silent = 1.0 - fire
        slope = expected * silent
        return Sums(
            self.fire + mass * fire,
            self.mass + mass,
            self.doubtful_fire + doubtful * fire,
            self.doubtful + doubtful,
            self.slope + mass * slope,
            self.doubtful_slope + doubtful * slope,
            self.spread + mass * fire * silent,
        )


_Carry = tuple[jax.Array, jax.Array, Sums]


def predict(
    system: Mesoscopic,
    values: Values,
    activity: jax.Array,
    initial_rate: jax.Array,
    current: jax.Array | None = None,
) -> Prediction:
    """One-bin predictions of the activity of every population.

    Parameters
    ----------
    system : static sizes
    values : numbers of the network
    activity : [..., bins, K], share of the population that fires in each bin
    initial_rate : [..., K], Hz, stationary before the first bin
    current : [..., bins, K], mV (resistance × external current), none before the first bin

    References
    ----------
    Wang et al. (2022), Eqs. 2 and 6; shared/spec/neulvm-time-stepping.md.
    """
    time_last = lambda x: None if x is None else jnp.swapaxes(x, -1, -2)  # noqa: E731
    activity = jnp.swapaxes(activity, -1, -2)
    driven = drive(system, values, activity, initial_rate, time_last(current))
    return predict_driven(system, values, driven, activity, initial_rate)


def predict_driven(
    system: Mesoscopic, values: Values, driven: Drive, activity: jax.Array, initial_rate: jax.Array
) -> Prediction:
    """`predict` where the potential is known already; activity is [..., K, bins] here."""
    sums = _over_ages(system, values, driven, activity, initial_rate)
    mean, slope, variance = moments(system, sums)
    log_det = _log_det(system, slope, driven.same_bin)
    parts = (mean, variance, driven.potential, sums.mass)
    mean, variance, potential, mass = (jnp.swapaxes(x, -1, -2) for x in parts)
    return Prediction(mean, variance, log_det, potential, mass)


def log_activity(system: Mesoscopic, prediction: Prediction, activity: jax.Array) -> jax.Array:
    """Log-density of the spike counts of each bin given those before, [..., bins]."""
    error = activity - prediction.mean
    log_variance = jnp.log(2 * np.pi * prediction.variance)
    each = -0.5 * (error**2 / prediction.variance + log_variance) - np.log(system.sizes)
    return jnp.sum(each, -1) + prediction.log_det


def moments(system: Mesoscopic, sums: Sums) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean of the activity, its slope in the potential (per mV), and its variance, [..., K, bins].

    What the classes do not hold (Wang et al. 2022, Eq. 6) fires as the doubtful ones do.
    """
    sizes = np.array(system.sizes)[:, None]
    has_doubt = sums.doubtful > TINY
    safe = jnp.where(has_doubt, sums.doubtful, 1.0)
    missing = 1.0 - sums.mass
    extra = jnp.where(has_doubt, sums.doubtful_fire / safe, 0.0)
    extra_slope = jnp.where(has_doubt, sums.doubtful_slope / safe, 0.0)
    mean = jnp.clip(sums.fire + extra * missing, 0.0, 1.0)
    slope = sums.slope + extra_slope * missing
    kind = system.stepping.variance
    if kind == "poisson":
        return mean, slope, mean / sizes + 0.1 * system.bin_width / sizes
    silent = 1.0 - mean
    if kind == "refined":
        fires = sums.fire > TINY
        silent = jnp.where(fires, sums.spread / jnp.where(fires, sums.fire, 1.0), silent)
    return mean, slope, mean * silent / sizes + 1.0 / sizes**2


def _log_det(system: Mesoscopic, slope: jax.Array, same_bin: jax.Array) -> jax.Array:
    """Log-determinant of ``1 − slope · same_bin`` in every bin."""
    if system.stepping.membrane == "euler" or all(system.delay_bins):
        return jnp.zeros((*slope.shape[:-2], slope.shape[-1]))
    slope = jnp.swapaxes(slope, -1, -2)
    if system.n_populations == 1:
        return jnp.log(jnp.abs(1.0 - slope[..., 0] * same_bin[0, 0]) + TINY)
    matrix = jnp.eye(system.n_populations) - slope[..., :, None] * same_bin
    return jnp.linalg.slogdet(matrix)[1]


def log_expected(
    system: Mesoscopic,
    threshold: jax.Array,
    potential: jax.Array,
    pull: jax.Array,
    per_bin: jax.Array,
) -> jax.Array:
    """Log of hazard × bin width at a voltage of ``potential + pull``; shapes that broadcast.

    ``per_bin · pull`` is how far the voltage moves within the bin; a convex hazard gains by it,
    once for the time of evaluation and once for the time of the last spike.
    """
    voltage = potential + pull
    if system.stepping.membrane == "exact":
        moved = jnp.clip(per_bin * pull, -_STEEPEST, _STEEPEST)
        voltage = voltage + moved**2 / 12
    return voltage - threshold + np.log(system.bin_width)


def _over_ages(
    system: Mesoscopic, values: Values, driven: Drive, activity: jax.Array, initial_rate: jax.Array
) -> Sums:
    """Sums over the age classes, [..., K, bins].

    All arrays get one bin more in front, which holds the stationary state.
    """
    n_ages, refractory = system.n_ages, np.array(system.refractory_bins)
    initial = driven.initial[..., None]
    potential = jnp.concatenate([initial, driven.potential], -1)
    before = (initial_rate * system.bin_width)[..., None]
    fired = _behind(activity, before, n_ages)
    # a neuron of age i in bin t was released in bin t − 1 − i + refractory bins
    ahead = tuple(-int(r) for r in refractory)
    at_release = delayed(_behind(driven.potential, initial, n_ages), ahead, driven.initial)
    n_bins = potential.shape[-1]
    reset = driven.reset
    per_bin, threshold = reset.per_bin[..., None], values.threshold[..., None]

    def window(padded: jax.Array, age: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(padded, n_ages - age, n_bins, axis=-1)

    def one_age(carry: _Carry, age: jax.Array) -> tuple[_Carry, None]:
        survival, doubt, sums = carry
        pull = reset.pull(jnp.maximum(age - refractory, 0))[..., None] * window(at_release, age)
        expected = expected_spikes(log_expected(system, threshold, potential, pull, per_bin))
        expected = jnp.where((age >= refractory)[:, None], expected, 0.0)
        fire = -jnp.expm1(-expected)
        mass = survival * window(fired, age)
        sums = sums.plus(mass, doubt * mass, expected, fire)
        # its complement grows by what fires: 1 − S would lose its digits
        older = _older(survival * (1.0 - fire)), _older(doubt + survival * fire)
        return (*older, sums), None

    zeros = jnp.zeros(potential.shape)
    carry = (jnp.ones_like(zeros), zeros, Sums(*[zeros] * 7))
    step = jax.checkpoint(one_age)  # pyright: ignore[reportPrivateImportUsage]
    (survival, doubt, sums), _ = jax.lax.scan(step, carry, jnp.arange(n_ages))
    sums = Sums(*[x[..., 1:] for x in sums])
    if not system.stepping.has_old:
        return sums
    oldest = reset.pull(jnp.asarray(n_ages - refractory))
    joining = Joining(
        mass=survival * window(fired, jnp.array(n_ages)),
        doubt=doubt,
        pull=oldest[..., None] * window(at_release, jnp.array(n_ages)),
    )
    return _with_old(system, values, driven, sums, joining)


class Joining(NamedTuple):
    """Neurons of the age at which they join the old class in each bin, the stationary one first."""

    mass: jax.Array  # [..., K, 1 + bins]
    doubt: jax.Array
    pull: jax.Array  # mV


def _with_old(
    system: Mesoscopic, values: Values, driven: Drive, sums: Sums, joining: Joining
) -> Sums:
    """With the neurons older than all classes, which feel the mean of what is left of their pulls.

    How many of them are left, for that mean, is counted as if nothing were: else it would depend on
    itself, and only time in its order could tell it.
    """
    decay, per_bin = driven.reset.decay[..., None], driven.reset.per_bin[..., None]
    threshold = values.threshold[..., None]
    potential = jnp.concatenate([driven.initial[..., None], driven.potential], -1)

    def left_under(pull: jax.Array) -> tuple[jax.Array, jax.Array]:
        expected = expected_spikes(log_expected(system, threshold, potential, pull, per_bin))
        return expected, -jnp.expm1(-expected)

    _, free_fire = left_under(jnp.zeros(()))
    settled = settled_pull(joining.pull[..., :1], free_fire[..., :1], decay)
    # at the start, whoever is in no class is old
    first = jnp.maximum(1.0 - sums.mass[..., :1], 0.0)
    mass_in = jnp.concatenate([first, joining.mass[..., 2:]], -1)
    pull_in = jnp.concatenate([settled, joining.pull[..., 2:]], -1)
    left = _one_later(1.0 - free_fire[..., 1:])
    together = varying_first_order(mass_in, left)
    pulled = varying_first_order(mass_in * pull_in, decay * left)
    has_some = together > TINY
    pull = jnp.where(has_some, pulled / jnp.where(has_some, together, 1.0), 0.0)
    expected, fire = (x[..., 1:] for x in left_under(jnp.concatenate([settled, pull], -1)))
    left = _one_later(1.0 - fire)
    mass = varying_first_order(mass_in, left)
    doubtful_in = joining.doubt[..., 1:] * mass_in + left * (1.0 - left) * _one_later(mass)
    doubtful = varying_first_order(doubtful_in, left**2)
    return sums.plus(mass, doubtful, expected, fire)


def settled_pull(joining: jax.Array, fire: jax.Array, decay: jax.Array) -> jax.Array:
    """Mean pull on the old class, mV, where as many join it in every bin as leave it.

    Parameters
    ----------
    joining : mV, of those who join
    fire : probability to fire in a bin
    decay : of a pull from bin to bin
    """
    return joining * fire / (1.0 - decay * (1.0 - fire))


def _one_later(series: jax.Array) -> jax.Array:
    return jnp.concatenate([jnp.zeros_like(series[..., :1]), series[..., :-1]], -1)


def _older(of_age: jax.Array) -> jax.Array:
    """One bin later, one age older; the stationary bin in front stays where it is."""
    return jnp.concatenate([of_age[..., :1], of_age[..., :-1]], -1)


def _behind(series: jax.Array, before: jax.Array, n_ages: int) -> jax.Array:
    """Padded so that the slice from ``n_ages − age`` is the series ``age + 1`` bins earlier."""
    pad = jnp.broadcast_to(before, (*series.shape[:-1], n_ages + 2))
    return jnp.concatenate([pad, series[..., :-1]], -1)
