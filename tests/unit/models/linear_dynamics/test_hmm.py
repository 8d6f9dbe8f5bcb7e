"""Forward and backward against all sequences of states."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.models.linear_dynamics import hmm
from latentspike.models.linear_dynamics.hmm import best_switching
from latentspike.models.linear_dynamics.parameters import Switching

forward_backward = jax.jit(hmm.forward_backward)


def test_posterior_is_that_of_all_sequences(rng):
    n_bins, n_states = 5, 3
    P, first = rng.dirichlet(np.ones(n_states), n_states), rng.dirichlet(np.ones(n_states))
    densities = 3 * rng.normal(size=(n_bins, n_states))
    states, pairs, total = np.zeros((n_bins, n_states)), np.zeros((n_states,) * 2), 0.0
    for z in itertools.product(range(n_states), repeat=n_bins):
        steps = list(itertools.pairwise(z))
        weight = first[z[0]] * np.prod([P[i, j] for i, j in steps])
        weight *= np.exp(sum(densities[t, k] for t, k in enumerate(z)))
        total += weight
        states[np.arange(n_bins), z] += weight
        for i, j in steps:
            pairs[i, j] += weight
    found = forward_backward(Switching(jnp.asarray(P), jnp.asarray(first)), jnp.asarray(densities))
    np.testing.assert_allclose(found.states, states / total, rtol=1e-9)
    np.testing.assert_allclose(found.pairs, pairs / total, rtol=1e-9)
    np.testing.assert_allclose(found.log_evidence, np.log(total), rtol=1e-10)


def test_very_unlikely_bins_underflow_nothing(rng):
    chain = Switching(jnp.full((2, 2), 0.5), jnp.full(2, 0.5))
    densities = jnp.asarray(rng.normal(size=(2000, 2)) - 1e4)
    found = forward_backward(chain, densities)
    np.testing.assert_allclose(found.states, jax.nn.softmax(densities, 1), atol=1e-8)
    np.testing.assert_allclose(found.states.sum(1), 1)


def test_switching_follows_the_steps_counted():
    pairs = jnp.array([[900.0, 100.0], [50.0, 950.0]])
    found = best_switching(jnp.array([[1.0, 0.0]] * 99 + [[0.0, 1.0]]), pairs)
    np.testing.assert_allclose(found.P, pairs / 1000, atol=2e-3)
    np.testing.assert_allclose(found.first, [0.99, 0.01], atol=2e-3)
    nothing = best_switching(jnp.zeros((1, 2)), jnp.zeros((2, 2)))
    assert (nothing.P.diagonal() > 0.5).all() and (nothing.P > 0).all()
