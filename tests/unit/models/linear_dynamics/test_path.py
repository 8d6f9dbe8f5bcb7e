"""The posterior of a path: optimal, never below what it came from, and blind to what is hidden."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from latentspike.models.linear_dynamics import path
from latentspike.models.linear_dynamics.parameters import Dynamics, Readout
from latentspike.models.linear_dynamics.path import Effort, Spikes, _times, log_expected
from latentspike.models.linear_dynamics.prior import prior_of

find_path = jax.jit(path.find_path)
ENOUGH = Effort(jnp.asarray(200), jnp.asarray(1e-13))


def problem(n_bins=30, n_latents=2, n_neurons=4, *, most=3.0, seed=0):
    """Prior, readout and spikes of a trial with missing entries."""
    rng = np.random.default_rng(seed)
    eye = np.eye(n_latents)[None]
    dynamics = Dynamics(
        *(jnp.asarray(x) for x in (0.9 * eye, np.zeros((1, n_latents, 0)))),
        *(jnp.asarray(x) for x in (np.zeros((1, n_latents)), 0.19 * eye)),
        *(jnp.asarray(x) for x in (np.zeros((1, n_latents)), eye)),
    )
    prior = prior_of(dynamics, jnp.ones((n_bins, 1)), jnp.zeros((n_bins, 0)))
    readout = Readout(
        jnp.asarray(rng.normal(size=(n_neurons, n_latents))), jnp.full(n_neurons, 0.5)
    )
    seen = rng.random((n_bins, n_neurons)) > 0.2
    counts = np.where(seen, rng.poisson(rng.uniform(0, most, seen.shape)), 0).astype(float)
    return prior, readout, Spikes(jnp.asarray(counts), jnp.asarray(seen))


def cold(prior):
    return jnp.zeros(prior.linear.shape), jnp.zeros(prior.chain.diagonal.shape)


def test_gradient_vanishes_and_curvature_is_that_of_the_counts_expected():
    prior, readout, spikes = problem()
    moments = find_path(prior, readout, spikes, cold(prior), ENOUGH).moments
    expected = jnp.exp(log_expected(readout, moments.mean, moments.covariance))
    error = spikes.counts - spikes.seen * expected
    gradient = prior.linear - _times(prior.chain, moments.mean) + error @ readout.C
    np.testing.assert_allclose(gradient, 0, atol=1e-5)
    n_bins, n_latents = moments.mean.shape
    dense = np.zeros((n_bins, n_latents, n_bins, n_latents))
    for t in range(n_bins):
        C, weight = readout.C, spikes.seen[t] * expected[t]
        dense[t, :, t] = prior.chain.diagonal[t] + C.T @ (weight[:, None] * C)
    for t in range(n_bins - 1):
        dense[t + 1, :, t], dense[t, :, t + 1] = prior.chain.lower[t], prior.chain.lower[t].T
    size = n_bins * n_latents
    blocks = np.linalg.inv(dense.reshape(size, size)).reshape(dense.shape)
    for t in range(n_bins):
        np.testing.assert_allclose(moments.covariance[t], blocks[t, :, t], atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_bound_lies_just_below_the_evidence(count):
    """One bin, one latent: the evidence is an integral over a number."""
    prior, readout, _ = problem(1, 1, 1)
    spikes = Spikes(jnp.full((1, 1), float(count)), jnp.ones((1, 1), bool))
    bound = find_path(prior, readout, spikes, cold(prior), ENOUGH).bound
    loading, offset = float(readout.C[0, 0]), float(readout.d[0])

    def density(x):
        rate = loading * x + offset
        return np.exp(count * rate - np.exp(rate)) * norm.pdf(x)

    evidence = np.log(quad(density, -10, 10)[0])
    assert evidence - 0.02 < bound < evidence


@pytest.mark.parametrize("most", [0.0, 3.0, 3000.0])
def test_more_steps_never_lower_the_bound(most):
    prior, readout, spikes = problem(most=most)
    bounds = [
        float(find_path(prior, readout, spikes, cold(prior), effort).bound)
        for effort in (Effort(jnp.asarray(n), jnp.asarray(0.0)) for n in (3, 5, 10, 20, 40, 80))
    ]
    assert np.isfinite(bounds).all()
    assert (np.diff(bounds) >= 0).all()
    assert bounds[-1] - bounds[-2] < 1e-6 * (1 + float(spikes.counts.sum()))


def test_a_burst_in_one_bin_is_climbed_in_few_steps():
    """Newton's first step alone would go far beyond it, and take as many steps back."""
    prior, readout, spikes = problem(most=0.5)
    burst = Spikes(spikes.counts.at[10].set(300.0), jnp.ones_like(spikes.seen))
    some, all_ = (
        find_path(prior, readout, burst, cold(prior), Effort(jnp.asarray(n), jnp.asarray(0.0)))
        for n in (40, 300)
    )
    assert np.isfinite(some.bound)
    assert all_.bound - some.bound < 1e-3 * float(burst.counts.sum())


def test_without_spikes_the_posterior_is_the_prior():
    prior, readout, spikes = problem()
    nothing = Spikes(jnp.zeros_like(spikes.counts), jnp.zeros_like(spikes.seen))
    found = find_path(prior, readout, nothing, cold(prior), ENOUGH)
    np.testing.assert_allclose(found.moments.mean, 0, atol=1e-10)
    np.testing.assert_allclose(found.bound, 0, atol=1e-8)
    np.testing.assert_allclose(
        found.moments.covariance, np.broadcast_to(np.eye(2), (30, 2, 2)), atol=1e-8
    )
