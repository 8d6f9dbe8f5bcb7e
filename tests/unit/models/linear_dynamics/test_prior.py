"""Expected log-densities of paths against densities written out bin by bin."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import multivariate_normal

from latentspike.models.linear_dynamics import gaussian_chain, prior
from latentspike.models.linear_dynamics.parameters import Dynamics
from latentspike.models.linear_dynamics.path import _times
from latentspike.models.linear_dynamics.prior import Moments

N_BINS, N_STATES = 6, 3
smooth = jax.jit(gaussian_chain.smooth)
log_densities, prior_of = jax.jit(prior.log_densities), jax.jit(prior.prior_of)


def random_dynamics(n_states=N_STATES, n_latents=2, n_inputs=1, seed=0):
    rng = np.random.default_rng(seed)

    def covariances():
        root = rng.normal(size=(n_states, n_latents, n_latents))
        return root @ np.swapaxes(root, 1, 2) + 0.3 * np.eye(n_latents)

    found = Dynamics(
        A=0.4 * rng.normal(size=(n_states, n_latents, n_latents)),
        B=rng.normal(size=(n_states, n_latents, n_inputs)),
        b=rng.normal(size=(n_states, n_latents)),
        Q=covariances(),
        start=rng.normal(size=(n_states, n_latents)),
        spread=covariances(),
    )
    return jax.tree.map(jnp.asarray, found)


def written_out(dynamics, path, inputs):
    """log N(x_t; …) under each state, [bins, states]."""
    found = np.empty((len(path), len(dynamics.b)))
    for k in range(found.shape[1]):
        A, B, b, Q, start, spread = (np.asarray(x[k]) for x in dynamics)
        found[0, k] = multivariate_normal(start, spread).logpdf(path[0])
        for t in range(1, len(path)):
            mean = A @ path[t - 1] + b + B @ inputs[t]
            found[t, k] = multivariate_normal(mean, Q).logpdf(path[t])
    return found


def test_densities_of_a_known_path(rng):
    dynamics = random_dynamics()
    path, inputs = rng.normal(size=(N_BINS, 2)), rng.normal(size=(N_BINS, 1))
    states = rng.dirichlet(np.ones(N_STATES), N_BINS)
    expected = written_out(dynamics, path, inputs)
    sure = Moments(jnp.asarray(path), jnp.zeros((N_BINS, 2, 2)), jnp.zeros((N_BINS - 1, 2, 2)))
    np.testing.assert_allclose(log_densities(dynamics, sure, inputs), expected, rtol=1e-8)
    before = prior_of(dynamics, jnp.asarray(states), jnp.asarray(inputs))
    quadratic = (path * _times(before.chain, path)).sum()
    value = before.constant + (before.linear * path).sum() - 0.5 * quadratic
    np.testing.assert_allclose(value, (states * expected).sum(), rtol=1e-8)


def test_densities_of_an_uncertain_path(rng):
    """The average over draws of a path from another system."""
    dynamics, inputs = random_dynamics(), rng.normal(size=(N_BINS, 1))
    ones = jnp.ones((N_BINS, 1))
    other = prior_of(random_dynamics(1, seed=1), ones, jnp.zeros((N_BINS, 1)))
    found = smooth(other.chain, other.linear)
    moments = Moments(found.mean, found.covariance, found.cross)
    draws = paths_of(random_dynamics(1, seed=1), 20_000, rng)
    average = expected_densities(dynamics, draws, inputs)
    exact = np.asarray(log_densities(dynamics, moments, inputs))
    np.testing.assert_allclose(average, exact, rtol=0.05, atol=0.1)


def paths_of(dynamics, n, rng):
    A, _, b, Q, start, spread = (np.asarray(x[0]) for x in dynamics)
    paths = [rng.multivariate_normal(start, spread, size=n)]
    for _ in range(N_BINS - 1):
        noise = rng.multivariate_normal(np.zeros(2), Q, size=n)
        paths.append(paths[-1] @ A.T + b + noise)
    return np.stack(paths, 1)


def expected_densities(dynamics, paths, inputs):
    """log N(x_t; …) under each state, averaged over paths, [bins, states]."""
    found = np.empty((N_BINS, len(dynamics.b)))
    for k in range(found.shape[1]):
        A, B, b, Q, start, spread = (np.asarray(x[k]) for x in dynamics)
        errors = paths[:, 1:] - paths[:, :-1] @ A.T - inputs[1:] @ B.T - b
        errors = np.concatenate([paths[:, :1] - start, errors], 1)
        for t, covariance in enumerate([spread] + [Q] * (N_BINS - 1)):
            density = multivariate_normal(np.zeros(2), covariance)
            found[t, k] = density.logpdf(errors[:, t]).mean()
    return found
