"""Who is left of each age class once the spikes of a bin are counted: the gain of a Kalman filter.

The published equations (Schwalger, Deger & Gerstner 2017; Wang et al. 2022, Eq. 6) keep the number
of survivors that was expected when a class fired, and correct the sum of all classes alone. But
every count says more: if more neurons fired than expected, fewer are left, above all of the classes
that were about to fire. Without that, errors of one-bin predictions add up: the network of example
5.2 has less slow noise than the model and switches less often.

Given all counts so far, the classes' numbers are taken as Gaussian with variances ``N v`` that are
independent but for their known sum: covariance ``diag(v) − v vᵀ / Σ v``. A class of mass ``m`` that
fires with probability ``p`` sends ``p m`` neurons with variance ``p (1 − p) m + p² v``; the
covariance of those who stay with the total number of spikes, over its variance, is the gain.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

_TINY = 1e-12


def survivors(
    mass: jax.Array, doubtful: jax.Array, fire: jax.Array, activity: jax.Array
) -> jax.Array:
    """Share of the population in each class after a bin, given how many fired in it.

    Parameters
    ----------
    mass : [K, classes], before the bin; they add up to 1
    doubtful : [K, classes], ``v``
    fire : [K, classes], probability to fire in the bin
    activity : [K], share of the population that fired

    Returns
    -------
    [K, classes], not below 0; they add up to ``1 − activity``.
    """
    silent = 1.0 - fire
    binomial, spread = _parts(mass, doubtful, fire)
    variance = jnp.sum(binomial + spread * fire, 1, keepdims=True)
    gain = (silent * spread - binomial) / jnp.maximum(variance, _TINY)
    error = activity[:, None] - jnp.sum(mass * fire, 1, keepdims=True)
    left = jnp.maximum(silent * mass + gain * error, 0.0)
    total = jnp.sum(left, 1, keepdims=True)
    # a bin in which nearly all or, against all odds, somebody fired leaves the line of the gain
    is_empty = total < _TINY
    left = jnp.where(is_empty, 1.0 / mass.shape[1], left)
    return left * ((1.0 - activity[:, None]) / jnp.where(is_empty, 1.0, total))


def count_variance(mass: jax.Array, doubtful: jax.Array, fire: jax.Array) -> jax.Array:
    """Variance of the number of spikes of a bin over the population's size, [K]."""
    binomial, spread = _parts(mass, doubtful, fire)
    return jnp.sum(binomial + spread * fire, 1)


def _parts(mass: jax.Array, doubtful: jax.Array, fire: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``p (1 − p) m`` and ``v (p − Σ v p / Σ v)`` of each class."""
    total = jnp.maximum(jnp.sum(doubtful, 1, keepdims=True), _TINY)
    mean_fire = jnp.sum(doubtful * fire, 1, keepdims=True) / total
    return mass * fire * (1.0 - fire), doubtful * (fire - mean_fire)
