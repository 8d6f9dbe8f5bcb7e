"""The readout that explains the spikes best, given the posterior of the paths."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from latentspike.models.linear_dynamics.parameters import Readout
from latentspike.models.linear_dynamics.path import Spikes, log_expected
from latentspike.models.linear_dynamics.prior import Moments

_PENALTY = 1.0  # nats per unit of log-rate variance, and per squared unit of the offset / 2
_N_STEPS = 3  # of Newton; each fit's next iteration goes on from here
_LARGEST = 3.0  # change of an offset in one step


class _Place(NamedTuple):
    weights: jax.Array  # [neurons, latents + 1], loadings and offset
    value: jax.Array  # [neurons]
    change: jax.Array  # [neurons, latents + 1], Newton's step from here
    step: jax.Array  # [neurons]


def best_readout(readout: Readout, spikes: Spikes, moments: Moments) -> Readout:
    """Newton steps on the expected log-likelihood of every neuron, halved where they overshoot.

    Penalized by half the variance of each neuron's log rate, c' Cov(x) c / 2, which no change of
    coordinates alters, and by half the squared distance of the offset from the neuron's log mean
    count; both matter only for neurons with a handful of spikes.

    Parameters
    ----------
    readout : to begin from
    spikes : of all trials, [trials · bins, neurons]
    moments : of all paths, [trials · bins, …]; ``cross`` is not read
    """
    n_bins, n_latents = moments.mean.shape
    ones = jnp.ones((n_bins, 1))
    mean = jnp.concatenate([moments.mean, ones], 1)
    square = moments.covariance + moments.mean[:, :, None] * moments.mean[:, None, :]
    flat_square = square.reshape(n_bins, -1)
    flat = moments.covariance.reshape(n_bins, -1)
    center = moments.mean.mean(0)
    penalty = _PENALTY * (square.mean(0) - jnp.outer(center, center))
    penalty = jnp.zeros((n_latents + 1,) * 2).at[:-1, :-1].set(penalty).at[-1, -1].set(_PENALTY)
    total = spikes.counts.T @ mean
    offset = jnp.log((total[:, -1] + 0.5) / (spikes.seen.sum(0) + 1.0))
    home = jnp.zeros_like(total).at[:, -1].set(offset)

    def at(weights: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Objective and Newton's step."""
        loading = weights[:, :-1]
        rate = log_expected(Readout(loading, weights[:, -1]), moments.mean, moments.covariance)
        expected = spikes.seen * jnp.exp(rate)
        pulled = (weights - home) @ penalty
        value = (
            (weights * total).sum(1) - expected.sum(0) - 0.5 * (pulled * (weights - home)).sum(1)
        )
        first = expected.T @ mean
        covariance = (expected.T @ flat).reshape(-1, n_latents, n_latents)
        second = (expected.T @ flat_square).reshape(-1, n_latents, n_latents)
        tilt = jnp.einsum("nij,nj->ni", covariance, loading)
        gradient = total - first - pulled
        gradient = gradient.at[:, :-1].add(-tilt)
        curvature = _curvature(first, second, tilt) + penalty
        return value, jnp.linalg.solve(curvature, gradient[..., None])[..., 0]

    def advance(_: jax.Array, place: _Place) -> _Place:
        largest = jnp.abs(place.change[:, -1])
        change = place.change * jnp.minimum(1.0, _LARGEST / (largest + 1e-12))[:, None]
        weights = place.weights + place.step[:, None] * change
        value, change = at(weights)
        is_better = jnp.isfinite(value) & (value >= place.value)
        pick = lambda new, old: jnp.where(is_better[:, None], new, old)  # noqa: E731
        return _Place(
            pick(weights, place.weights),
            jnp.where(is_better, value, place.value),
            pick(change, place.change),
            jnp.where(is_better, jnp.minimum(1.0, 2 * place.step), place.step / 2),
        )

    weights = jnp.concatenate([readout.C, readout.d[:, None]], 1)
    place = _Place(weights, *at(weights), jnp.ones(len(weights)))
    weights = jax.lax.fori_loop(0, _N_STEPS, advance, place).weights
    return Readout(weights[:, :-1], weights[:, -1])


def _curvature(first: jax.Array, second: jax.Array, tilt: jax.Array) -> jax.Array:
    """Σ λ (a a' + V) with a = (m + Vc, 1), where Vc is replaced by its mean under the weights λ.

    Exact where the covariance is the same in every bin; positive definite always.
    """
    n_expected = first[:, -1]
    shift = tilt / jnp.maximum(n_expected, 1e-300)[:, None]
    crossed = shift[:, :, None] * first[:, None, :-1]
    corner = second + crossed + jnp.swapaxes(crossed, 1, 2)
    corner += n_expected[:, None, None] * shift[:, :, None] * shift[:, None, :]
    edge = first[:, :-1] + tilt
    top = jnp.concatenate([corner, edge[:, :, None]], 2)
    bottom = jnp.concatenate([edge, n_expected[:, None]], 1)
    return jnp.concatenate([top, bottom[:, None, :]], 1)
