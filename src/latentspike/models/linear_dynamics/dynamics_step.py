"""The dynamics that explain the posterior of the paths best, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from latentspike.models.linear_dynamics.parameters import Dynamics
from latentspike.models.linear_dynamics.prior import Moments

_JITTER = 1e-9  # of the mean variance: keeps covariances positive definite where inputs repeat


class _Sums(NamedTuple):
    """Expected sums over transitions: z = (x_{t-1}, 1, u_t) explains x_t."""

    zz: jax.Array  # [states, regressors, regressors]
    xz: jax.Array  # [states, latents, regressors]
    xx: jax.Array  # [states, latents, latents]
    n: jax.Array  # [states]


def best_dynamics(moments: Moments, states: jax.Array, inputs: jax.Array) -> Dynamics:
    """Weighted regression of each bin on the one before, for each state.

    Beside its own bins each state sees as many transitions as there are regressors of the average
    over all states, and one first bin that is the average over all bins: a state that is hardly
    visited, or a start that is seen once, keeps to the average. With one state the former changes
    nothing.

    Parameters
    ----------
    moments : of all paths, [trials, bins, …]
    states : [trials, bins, states], probabilities
    inputs : [trials, bins, inputs]
    """
    n_states, n_latents = states.shape[-1], moments.mean.shape[-1]
    sums = jax.vmap(_sums, (0, 0, 0, None))(moments, states, inputs, n_states > 1)
    sums = jax.tree.map(lambda x: x.sum(0), sums)
    weights, Q = _regress(_with_average(sums))
    start, spread = _first_bin(moments, states[:, 0])
    b = weights[:, :, n_latents]
    if n_states == 1:
        b = jnp.zeros_like(b)
    return Dynamics(weights[:, :, :n_latents], weights[:, :, n_latents + 1 :], b, Q, start, spread)


def _sums(moments: Moments, states: jax.Array, inputs: jax.Array, has_offset: bool) -> _Sums:
    """Of one trial."""
    rest, n_states = states[1:], states.shape[1]
    known = jnp.concatenate([jnp.full((len(rest), 1), float(has_offset)), inputs[1:]], 1)
    z = jnp.concatenate([moments.mean[:-1], known], 1)
    n_latents, n_all = moments.mean.shape[1], z.shape[1]

    def total(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.einsum("tk,ti,tj->kij", rest, a, b)

    def covariance(values: jax.Array) -> jax.Array:
        found = rest.T @ values.reshape(len(rest), -1)
        return found.reshape(n_states, n_latents, n_latents)

    x = moments.mean[1:]
    before = jnp.zeros((n_states, n_all, n_all)).at[:, :n_latents, :n_latents]
    crossed = jnp.zeros((n_states, n_latents, n_all)).at[:, :, :n_latents]
    return _Sums(
        total(z, z) + before.set(covariance(moments.covariance[:-1])),
        total(x, z) + crossed.set(jnp.swapaxes(covariance(moments.cross), 1, 2)),
        total(x, x) + covariance(moments.covariance[1:]),
        rest.sum(0),
    )


def _with_average(sums: _Sums) -> _Sums:
    """Sums of each state with some transitions of the average over all states."""
    n_all = jnp.maximum(sums.n.sum(), 1.0)
    share = sums.zz.shape[1] / n_all
    return jax.tree.map(lambda x: x + share * x.sum(0), sums)


def _regress(sums: _Sums) -> tuple[jax.Array, jax.Array]:
    """Weights [states, latents, regressors] and covariances of what they leave."""
    size = sums.zz.shape[1]
    scale = jnp.trace(sums.zz, axis1=1, axis2=2)[:, None, None] / size
    padded = sums.zz + _JITTER * scale * jnp.eye(size)
    weights = jnp.swapaxes(jnp.linalg.solve(padded, jnp.swapaxes(sums.xz, 1, 2)), 1, 2)
    crossed = weights @ jnp.swapaxes(sums.xz, 1, 2)
    left = sums.xx - crossed - jnp.swapaxes(crossed, 1, 2)
    left += weights @ sums.zz @ jnp.swapaxes(weights, 1, 2)
    return weights, _covariance(left / sums.n[:, None, None], sums.xx / sums.n[:, None, None])


def _first_bin(moments: Moments, states: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and covariance of the first bin for each state; ``states`` [trials, states]."""
    square = moments.covariance + moments.mean[..., :, None] * moments.mean[..., None, :]
    n = 1.0 + states.sum(0)
    mean = moments.mean.mean((0, 1)) + states.T @ moments.mean[:, 0]
    second = square.mean((0, 1)) + jnp.einsum("rk,rij->kij", states, square[:, 0])
    mean, second = mean / n[:, None], second / n[:, None, None]
    return mean, _covariance(second - mean[:, :, None] * mean[:, None, :], second)


def _covariance(found: jax.Array, total: jax.Array) -> jax.Array:
    """Symmetric, and positive definite despite rounding."""
    n = found.shape[-1]
    scale = jnp.trace(total, axis1=1, axis2=2)[:, None, None] / n
    return 0.5 * (found + jnp.swapaxes(found, 1, 2)) + _JITTER * scale * jnp.eye(n)
