"""Binomial numbers from uniform ones, in a fixed number of operations."""

from __future__ import annotations

import jax
import jax.numpy as jnp

_LARGEST_EXACT = 16.0  # mean up to which the probabilities are added one by one
_N_EXACT = 56  # of them; a mean of 16 exceeds 56 in one of 10^14 draws


def binomial_quantile(
    n: jax.Array, probability: jax.Array, chance: jax.Array, normal: jax.Array
) -> jax.Array:
    """Smallest count whose cumulative probability reaches ``chance``.

    Exact where successes (or failures) are few, 16 on average or less; else by the third-order
    expansion of the quantile around the normal one, whose probabilities are off by less than 2e-4.

    Parameters
    ----------
    n : whole numbers
    probability : 0 to 1
    chance : uniform in (0, 1)
    normal : standard normal quantile of ``chance``

    References
    ----------
    Cornish & Fisher (1938).

    Examples
    --------
    >>> one = jnp.ones(1)
    >>> binomial_quantile(10 * one, 0.5 * one, 0.5 * one, 0 * one).tolist()
    [5.0]
    """
    # successes and failures change places, so that the rarer are counted
    is_rare = probability <= 0.5
    rare = jnp.where(is_rare, probability, 1.0 - probability)
    chance = jnp.where(is_rare, chance, 1.0 - chance)
    normal = jnp.where(is_rare, normal, -normal)
    few = n * rare <= _LARGEST_EXACT
    count = jnp.where(few, _added(n, jnp.where(few, rare, 0.0), chance), _expanded(n, rare, normal))
    return jnp.where(is_rare, count, n - count)


def _added(n: jax.Array, p: jax.Array, chance: jax.Array) -> jax.Array:
    odds = p / (1.0 - p)
    each = jnp.exp(n * jnp.log1p(-p))
    total, count = each, jnp.zeros_like(each)
    for k in range(_N_EXACT):
        count = count + (chance > total)
        each = each * odds * (jnp.maximum(n - k, 0.0) / (k + 1))
        total = total + each
    return jnp.minimum(count, n)


def _expanded(n: jax.Array, p: jax.Array, z: jax.Array) -> jax.Array:
    variance = jnp.maximum(n * p * (1.0 - p), 1e-300 if z.dtype == jnp.float64 else 1e-30)
    spread = jnp.sqrt(variance)
    skewness = (1.0 - 2.0 * p) / spread
    kurtosis = (1.0 - 6.0 * p * (1.0 - p)) / variance
    # a continuous number of the same moments has the variance of the whole one less that of
    # rounding, 1/12
    inner = jnp.sqrt(jnp.maximum(1.0 - 1.0 / (12.0 * variance), 0.0))
    moved = z + (z**2 - 1) * skewness / 6 + (z**3 - 3 * z) * kurtosis / 24
    moved = moved - (2 * z**3 - 5 * z) * skewness**2 / 36
    return jnp.clip(jnp.round(n * p + spread * inner * moved), 0.0, n)
