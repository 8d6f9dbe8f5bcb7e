"""Gaussians over a path: precision matrices of neighboring bins, solved in one sweep each way."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import linalg


class Chain(NamedTuple):
    """A block-tridiagonal precision matrix of a path x [bins, latents].

    Parameters
    ----------
    diagonal : [bins, latents, latents]
    lower : [bins - 1, latents, latents]; rows of bin t + 1, columns of bin t
    """

    diagonal: jax.Array
    lower: jax.Array


class Smoothed(NamedTuple):
    """Moments of a Gaussian path.

    Parameters
    ----------
    mean : [bins, latents]
    covariance : [bins, latents, latents]
    cross : [bins - 1, latents, latents]; covariance of x_t (rows) with x_{t+1} (columns)
    log_determinant : [], of the whole precision matrix
    """

    mean: jax.Array
    covariance: jax.Array
    cross: jax.Array
    log_determinant: jax.Array


def smooth(chain: Chain, linear: jax.Array) -> Smoothed:
    """Moments of the density ∝ exp(−½ x'Λx + h'x) over paths; O(bins · latents³).

    NaN where the precision matrix Λ is not positive definite.

    Parameters
    ----------
    chain : Λ
    linear : h [bins, latents]

    References
    ----------
    Rue & Held (2005), Gaussian Markov Random Fields, sections 2.4 and 2.6 (block by block).

    Examples
    --------
    >>> chain = Chain(jnp.full((3, 1, 1), 2.0), jnp.full((2, 1, 1), -1.0))
    >>> found = smooth(chain, jnp.ones((3, 1)))
    >>> found.mean[:, 0].round(2).tolist(), round(float(jnp.exp(found.log_determinant)), 2)
    ([1.5, 2.0, 1.5], 4.0)
    """
    remaining, gain, load = _eliminate(chain, linear)
    factor = linalg.cholesky(remaining, symmetrize_input=False)
    inverse = _inverse(factor)
    alone = jnp.einsum("tij,tj->ti", inverse, load)

    def back(carry, step):
        mean, covariance = carry
        gain, inverse, alone = step
        crossed = -gain @ covariance
        mean = alone - gain @ mean
        covariance = inverse - crossed @ gain.T
        return (mean, covariance), (mean, covariance, crossed)

    last = alone[-1], inverse[-1]
    _, (mean, covariance, cross) = jax.lax.scan(
        back, last, (gain, inverse[:-1], alone[:-1]), reverse=True
    )
    return Smoothed(
        jnp.concatenate([mean, alone[-1:]]),
        jnp.concatenate([covariance, inverse[-1:]]),
        cross,
        2 * jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)).sum(),
    )


def _eliminate(chain: Chain, linear: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What is left of each block once those before it are gone, gains, and right-hand sides."""

    def forth(carry, step):
        remaining, load = carry
        diagonal, lower, linear = step
        factor = linalg.cholesky(remaining, symmetrize_input=False)
        half = linalg.triangular_solve(factor, lower.T, left_side=True, lower=True)
        gain = linalg.triangular_solve(factor, half, left_side=True, lower=True, transpose_a=True)
        after = diagonal - half.T @ half
        return (after, linear - gain.T @ load), (remaining, gain, load)

    start = chain.diagonal[0], linear[0]
    steps = chain.diagonal[1:], chain.lower, linear[1:]
    (remaining, load), before = jax.lax.scan(forth, start, steps)
    return (
        jnp.concatenate([before[0], remaining[None]]),
        before[1],
        jnp.concatenate([before[2], load[None]]),
    )


def _inverse(factor: jax.Array) -> jax.Array:
    """Inverse of L L' from L [bins, latents, latents]."""
    eye = jnp.broadcast_to(jnp.eye(factor.shape[-1], dtype=factor.dtype), factor.shape)
    half = linalg.triangular_solve(factor, eye, left_side=True, lower=True)
    return jnp.swapaxes(half, 1, 2) @ half
