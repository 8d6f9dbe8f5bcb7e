"""The Gaussian over paths that explains the spikes of a trial best."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.models.linear_dynamics.gaussian_chain import Chain, smooth
from latentspike.models.linear_dynamics.parameters import Readout
from latentspike.models.linear_dynamics.prior import Moments, Prior

_HIGHEST = 700.0  # exp of more is infinite in double precision
_SMALLEST_STEP = 1e-4


class Spikes(NamedTuple):
    """What is read of a trial.

    Parameters
    ----------
    counts : [bins, neurons]; 0 where not read
    seen : [bins, neurons]; 1 where read, else 0
    """

    counts: jax.Array
    seen: jax.Array


class Effort(NamedTuple):
    """When the search for a path ends.

    Parameters
    ----------
    n_steps : at most
    tolerance : gain of the bound in nats per spike below which it has converged
    """

    n_steps: jax.Array
    tolerance: jax.Array


class Path(NamedTuple):
    """The posterior of a trial.

    Parameters
    ----------
    moments : of the path
    bound : [], on the log-likelihood in nats, without the part ``log counts!``
    """

    moments: Moments
    bound: jax.Array


class _Place(NamedTuple):
    moments: Moments
    weight: jax.Array  # [bins, neurons]; curvature that each entry adds along its own log rate
    expected: jax.Array  # [bins, neurons], counts
    bound: jax.Array
    step: jax.Array
    n_steps: jax.Array
    is_done: jax.Array


def log_expected(readout: Readout, mean: jax.Array, covariance: jax.Array) -> jax.Array:
    """Log of the expected counts E exp(Cx + d) = exp(Cm + ½ diag(CVC') + d), [bins, neurons]."""
    outer = (readout.C[:, :, None] * readout.C[:, None, :]).reshape(len(readout.C), -1)
    variance = covariance.reshape(len(mean), -1) @ outer.T
    return jnp.minimum(mean @ readout.C.T + readout.d + 0.5 * variance, _HIGHEST)


def find_path(
    prior: Prior,
    readout: Readout,
    spikes: Spikes,
    start: tuple[jax.Array, jax.Array],
    effort: Effort,
) -> Path:
    """Best Gaussian q(x): damped Newton steps that never lower the bound.

    At the optimum the precision is Λ + C' diag(λ) C and the gradient h − Λm + C'(y − λ) is 0, with
    expected counts λ under q itself. (With λ at the mean instead, this is Laplace's method.) A
    step that lowers the bound, or overflows, is halved.

    Parameters
    ----------
    prior : log-density of paths
    readout : of the neurons
    spikes : of the trial
    start : mean [bins, latents] and covariance [bins, latents, latents] to begin from
    effort : when to end

    References
    ----------
    Macke et al. (2011), "Empirical models of spiking in neural populations" (Laplace's method);
    Opper & Archambeau (2009), "The variational Gaussian approximation revisited".
    """
    outer = (readout.C[:, :, None] * readout.C[:, None, :]).reshape(len(readout.C), -1)
    enough = effort.tolerance * (1.0 + spikes.counts.sum())

    def advance(place: _Place) -> _Place:
        mean = place.moments.mean
        step = jnp.where(place.n_steps == 0, 0.0, place.step)  # first: what the start is worth
        weight = place.weight + step * (place.expected - place.weight)
        added = ((spikes.seen * weight) @ outer).reshape(place.moments.covariance.shape)
        chain = Chain(prior.chain.diagonal + added, prior.chain.lower)
        gradient = prior.linear - _times(prior.chain, mean)
        gradient += (spikes.counts - spikes.seen * place.expected) @ readout.C
        found = smooth(chain, step * gradient)
        moments = Moments(mean + found.mean, found.covariance, found.cross)
        rate = log_expected(readout, moments.mean, moments.covariance)
        expected = jnp.exp(rate)
        bound = _bound(prior, moments, found.log_determinant)
        bound += (spikes.counts * (moments.mean @ readout.C.T + readout.d)).sum()
        bound -= (spikes.seen * expected).sum()
        return _choose(place, (moments, weight, expected, bound), enough)

    mean, covariance = start
    expected = jnp.exp(log_expected(readout, mean, covariance))
    cross = jnp.zeros_like(covariance[1:])
    place = _Place(
        Moments(mean, covariance, cross),
        expected,
        expected,
        jnp.asarray(-jnp.inf),
        jnp.asarray(1.0),
        jnp.asarray(0),
        jnp.asarray(False),
    )
    more = lambda p: ~p.is_done & (p.n_steps < effort.n_steps)  # noqa: E731
    place = jax.lax.while_loop(more, advance, place)
    return Path(place.moments, place.bound)


def _choose(place: _Place, candidate: tuple, enough: jax.Array) -> _Place:
    """The candidate if it is better, else the old place with half the step."""
    bound = candidate[-1]
    is_better = jnp.isfinite(bound) & (bound >= place.bound)
    gain = bound - place.bound
    step = jnp.where(is_better, jnp.minimum(1.0, 2 * place.step), place.step / 2)
    # what rounding alone takes away is no reason to go on
    is_level = jnp.isfinite(bound) & (jnp.abs(gain) < enough * place.step)
    moments, weight, expected, bound = jax.tree.map(
        lambda new, old: jnp.where(is_better, new, old),
        candidate,
        (place.moments, place.weight, place.expected, place.bound),
    )
    is_done = is_level | (step < _SMALLEST_STEP)
    return _Place(moments, weight, expected, bound, step, place.n_steps + 1, is_done)


def _bound(prior: Prior, moments: Moments, log_determinant: jax.Array) -> jax.Array:
    """E log p(x) + entropy of q."""
    chain, mean = prior.chain, moments.mean
    quadratic = (mean * _times(chain, mean)).sum() + (chain.diagonal * moments.covariance).sum()
    quadratic += 2 * (jnp.swapaxes(chain.lower, 1, 2) * moments.cross).sum()
    entropy = 0.5 * (mean.size * (1 + np.log(2 * np.pi)) - log_determinant)
    return prior.constant + (prior.linear * mean).sum() - 0.5 * quadratic + entropy


def _times(chain: Chain, mean: jax.Array) -> jax.Array:
    """Λ m, [bins, latents]."""
    found = jnp.einsum("tij,tj->ti", chain.diagonal, mean)
    found = found.at[1:].add(jnp.einsum("tij,tj->ti", chain.lower, mean[:-1]))
    return found.at[:-1].add(jnp.einsum("tji,tj->ti", chain.lower, mean[1:]))
