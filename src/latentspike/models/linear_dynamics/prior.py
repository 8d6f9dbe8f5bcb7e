"""What the dynamics say about a path before any spike is read."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import linalg

from latentspike.models.linear_dynamics.gaussian_chain import Chain
from latentspike.models.linear_dynamics.parameters import Dynamics


class Prior(NamedTuple):
    """The expected log-density −½ x'Λx + h'x + constant of a path x.

    Parameters
    ----------
    chain : Λ
    linear : h [bins, latents]
    constant : []
    """

    chain: Chain
    linear: jax.Array
    constant: jax.Array


class Moments(NamedTuple):
    """What `prior_of` and `log_densities` need of a path: see `gaussian_chain.Smoothed`."""

    mean: jax.Array
    covariance: jax.Array
    cross: jax.Array


def prior_of(dynamics: Dynamics, states: jax.Array, inputs: jax.Array) -> Prior:
    """Log-density of a path, averaged over the states of each bin.

    Parameters
    ----------
    dynamics : of each state
    states : [bins, states], probabilities
    inputs : [bins, inputs]
    """
    inverse, log_scale = _inverses(dynamics.Q)
    first_inverse, first_scale = _inverses(dynamics.spread)
    first, rest = states[0], states[1:]
    pull = inverse @ dynamics.A
    drift = jnp.einsum("tm,kdm->tkd", inputs[1:], dynamics.B) + dynamics.b
    pushed = jnp.einsum("kij,tkj->tki", inverse, drift)
    diagonal = jnp.concatenate(
        [jnp.einsum("k,kij->ij", first, first_inverse)[None], _mix(rest, inverse)]
    )
    diagonal = diagonal.at[:-1].add(_mix(rest, jnp.swapaxes(dynamics.A, 1, 2) @ pull))
    from_start = jnp.einsum("k,kij,kj->i", first, first_inverse, dynamics.start)
    linear = jnp.concatenate([from_start[None], jnp.einsum("tk,tki->ti", rest, pushed)])
    linear = linear.at[:-1].add(-jnp.einsum("tk,kji,tkj->ti", rest, dynamics.A, pushed))
    at_start = jnp.einsum("ki,kij,kj->k", dynamics.start, first_inverse, dynamics.start)
    constant = (
        -0.5 * (first @ (first_scale + at_start))
        - 0.5 * (rest * (log_scale + (drift * pushed).sum(-1))).sum()
    )
    return Prior(Chain(diagonal, -_mix(rest, pull)), linear, constant)


def log_densities(dynamics: Dynamics, moments: Moments, inputs: jax.Array) -> jax.Array:
    """Expected log-density of each bin given the one before, under each state, [bins, states].

    Parameters
    ----------
    dynamics : of each state
    moments : of the path
    inputs : [bins, inputs]
    """

    def of_state(one: Dynamics) -> jax.Array:
        residual = moments.mean[1:] - moments.mean[:-1] @ one.A.T - inputs[1:] @ one.B.T - one.b
        crossed = one.A @ moments.cross
        spread = moments.covariance[1:] - crossed - jnp.swapaxes(crossed, 1, 2)
        spread += one.A @ moments.covariance[:-1] @ one.A.T
        spread += residual[:, :, None] * residual[:, None, :]
        offset = moments.mean[0] - one.start
        first = moments.covariance[0] + jnp.outer(offset, offset)
        return jnp.concatenate([_log_density(one.spread, first[None]), _log_density(one.Q, spread)])

    return jax.vmap(of_state, out_axes=1)(dynamics)


def _log_density(covariance: jax.Array, squares: jax.Array) -> jax.Array:
    """Of errors with expected outer products [bins, latents, latents], [bins]."""
    inverse, log_scale = _inverses(covariance[None])
    return -0.5 * (log_scale[0] + jnp.einsum("tij,ij->t", squares, inverse[0]))


def _mix(weights: jax.Array, matrices: jax.Array) -> jax.Array:
    return jnp.einsum("tk,kij->tij", weights, matrices)


def _inverses(covariances: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Inverses [states, …] and log det(2π …) [states]."""
    factor = linalg.cholesky(covariances)
    eye = jnp.broadcast_to(jnp.eye(factor.shape[-1]), factor.shape)
    half = linalg.triangular_solve(factor, eye, left_side=True, lower=True)
    logs = 2 * jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)).sum(-1)
    return jnp.swapaxes(half, 1, 2) @ half, logs + factor.shape[-1] * jnp.log(2 * jnp.pi)
