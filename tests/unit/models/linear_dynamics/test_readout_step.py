"""The readout against a general optimizer."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from latentspike.models.linear_dynamics import readout_step
from latentspike.models.linear_dynamics.parameters import Readout
from latentspike.models.linear_dynamics.path import Spikes
from latentspike.models.linear_dynamics.prior import Moments
from latentspike.models.linear_dynamics.readout_step import best_readout


def problem(rng, n_bins=200, n_neurons=3):
    mean = rng.normal(size=(n_bins, 2))
    root = 0.4 * rng.normal(size=(n_bins, 2, 2))
    covariance = root @ np.swapaxes(root, 1, 2)
    moments = Moments(*(jnp.asarray(x) for x in (mean, covariance, covariance[1:])))
    seen = rng.random((n_bins, n_neurons)) > 0.1
    rate = np.exp(mean @ rng.normal(size=(2, n_neurons)) * 0.7 - 0.5)
    counts = np.where(seen, rng.poisson(rate), 0).astype(float)
    return Spikes(jnp.asarray(counts), jnp.asarray(seen)), moments


def converged(readout, spikes, moments, n=20):
    step = jax.jit(best_readout)
    for _ in range(n):
        readout = step(readout, spikes, moments)
    return readout


def objective(theta, counts, seen, moments):
    mean, covariance, _ = (np.asarray(x) for x in moments)
    c, d = theta[:2], theta[2]
    variance = np.einsum("tij,i,j->t", covariance, c, c)
    log_rate = mean @ c + d
    fit = np.sum(seen * (counts * log_rate - np.exp(log_rate + 0.5 * variance)))
    spread = np.cov(mean.T, bias=True) + covariance.mean(0)
    home = np.log((counts.sum() + 0.5) / (seen.sum() + 1))
    return -fit + 0.5 * c @ spread @ c + 0.5 * (d - home) ** 2


def test_every_neuron_is_at_its_optimum(rng):
    spikes, moments = problem(rng)
    found = converged(Readout(jnp.zeros((3, 2)), jnp.zeros(3)), spikes, moments)
    for neuron in range(3):
        one = np.asarray(spikes.counts)[:, neuron], np.asarray(spikes.seen)[:, neuron], moments
        best = minimize(objective, np.zeros(3), args=one, tol=1e-12)
        theta = np.append(found.C[neuron], found.d[neuron])
        assert objective(theta, *one) <= best.fun + 1e-8
        np.testing.assert_allclose(theta, best.x, atol=1e-4)


def test_a_bad_start_and_a_silent_neuron_stay_finite(rng):
    spikes, moments = problem(rng)
    silent = Spikes(spikes.counts.at[:, 0].set(0.0), spikes.seen)
    far = Readout(jnp.full((3, 2), 5.0), jnp.full(3, 20.0))
    near = Readout(jnp.zeros((3, 2)), jnp.zeros(3))
    a, b = (converged(start, silent, moments, 60) for start in (far, near))
    np.testing.assert_allclose(a.C, b.C, atol=1e-4)
    np.testing.assert_allclose(a.d, b.d, atol=1e-4)
    assert a.d[0] < a.d[1:].min() - 2


def test_the_penalty_knows_no_coordinates(rng, monkeypatch):
    monkeypatch.setattr(readout_step, "_PENALTY", 30.0)
    spikes, moments = problem(rng)
    turn = rng.normal(size=(2, 2))
    turned = Moments(
        moments.mean @ turn.T, turn @ moments.covariance @ turn.T, turn @ moments.cross @ turn.T
    )
    start = Readout(jnp.zeros((3, 2)), jnp.zeros(3))
    found, other = (converged(start, spikes, m) for m in (moments, turned))
    np.testing.assert_allclose(other.C @ turn, found.C, atol=1e-6)
    np.testing.assert_allclose(other.d, found.d, atol=1e-6)
