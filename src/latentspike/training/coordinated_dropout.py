"""Coordinated dropout: what is read is not graded, what is graded is not read (paper 3.2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from latentspike.models.bernoulli import bernoulli, fold

_STREAM = 1 << 16  # far from the streams that models use


def coordinated_dropout(
    values: jax.Array, readable: jax.Array, keep_ratio: jax.Array | float, keys: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Zero part of what an autoencoder may read, and grade only the rest.

    Property of the data and the loss, not of the model: feed ``read`` to any autoencoder and pass
    gradients only through the entries of its reconstruction loss that are ``graded``.

    Parameters
    ----------
    values : [trials, bins, neurons]
    readable : bool, broadcastable to the same shape; False for held-out neurons, forward bins,
        missing bins and sample-validation entries
    keep_ratio : probability to keep a readable entry, in (0, 1]; 1 switches coordinated dropout
        off (everything is read and graded). May be traced.
    keys : PRNG key of each trial [trials]

    Returns
    -------
    read : [trials, bins, neurons]
        Kept entries divided by ``keep_ratio``, others 0.
    graded : bool [trials, bins, neurons]
        True where nothing was read. The loss is not rescaled: a share ``1 − keep_ratio`` of the
        reconstruction gradient remains.

    Examples
    --------
    >>> keys = jax.random.split(jax.random.key(0), 4)
    >>> read, graded = coordinated_dropout(jnp.ones((4, 5, 6)), jnp.array(True), 0.7, keys)
    >>> bool(((read != 0) & graded).any())
    False
    """
    n_bins, n_neurons = values.shape[1:]
    kept = bernoulli(fold(keys, _STREAM), keep_ratio, n_bins, n_neurons, time_first=False)
    kept &= readable
    read = jnp.where(kept, values / keep_ratio, 0.0)
    return read, ~kept | (jnp.asarray(keep_ratio) >= 1)
