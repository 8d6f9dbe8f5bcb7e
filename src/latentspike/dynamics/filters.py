"""First-order filters over all bins at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def first_order(inputs: jax.Array, decay: jax.Array, initial: jax.Array) -> jax.Array:
    """``y[t] = decay · y[t−1] + inputs[t]`` along the last axis, by doubling.

    Parameters
    ----------
    inputs : [..., bins]
    decay : [...], any sign
    initial : [...], ``y[−1]``

    Examples
    --------
    >>> first_order(jnp.array([1.0, 0.0, 0.0]), jnp.array(0.5), jnp.array(0.0)).tolist()
    [1.0, 0.5, 0.25]
    """
    n_bins = inputs.shape[-1]
    first = inputs[..., :1] + (decay * initial)[..., None]
    total = jnp.concatenate([jnp.broadcast_to(first, (*inputs.shape[:-1], 1)), inputs[..., 1:]], -1)
    weight, reach = decay[..., None], 1
    while reach < n_bins:
        total = total.at[..., reach:].add(weight * total[..., :-reach])
        weight, reach = weight * weight, 2 * reach
    return total


def varying_first_order(inputs: jax.Array, decay: jax.Array) -> jax.Array:
    """``y[t] = decay[t] · y[t−1] + inputs[t]`` along the last axis, with ``y[−1] = 0``.

    Parameters
    ----------
    inputs, decay : [..., bins]
    """

    def combine(
        earlier: tuple[jax.Array, jax.Array], later: tuple[jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    return jax.lax.associative_scan(combine, (decay, inputs), axis=-1)[1]


def delayed(values: jax.Array, n_bins: tuple[int, ...], before: jax.Array) -> jax.Array:
    """Each population's series shifted by its own whole number of bins.

    Parameters
    ----------
    values : [..., K, bins]
    n_bins : of each population; negative ones look ahead (the last value stays)
    before : [..., K], value of every bin before the first
    """

    def shifted(k: int, shift: int) -> jax.Array:
        series = values[..., k, :]
        if shift == 0:
            return series
        n = min(abs(shift), series.shape[-1])
        edge = before[..., k] if shift > 0 else series[..., -1]
        fill = jnp.broadcast_to(edge[..., None], (*series.shape[:-1], n))
        kept = series[..., :-n] if shift > 0 else series[..., n:]
        return jnp.concatenate([fill, kept] if shift > 0 else [kept, fill], -1)

    if not any(n_bins):
        return values
    return jnp.stack([shifted(k, shift) for k, shift in enumerate(n_bins)], axis=-2)
