"""Which state each bin is in: forward and backward over a Markov chain."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from latentspike.models.linear_dynamics.parameters import Switching

_STICKY, _ANY = 1.0, 0.1  # steps that each state is taken to have made to itself, and to each other


class States(NamedTuple):
    """Posterior of the states of a trial.

    Parameters
    ----------
    states : [bins, states], probabilities
    pairs : [states, states], expected number of steps from a state (row) to another (column)
    log_evidence : [], nats
    """

    states: jax.Array
    pairs: jax.Array
    log_evidence: jax.Array


def forward_backward(switching: Switching, log_densities: jax.Array) -> States:
    """Posterior of the states of one trial.

    Parameters
    ----------
    switching : of the states
    log_densities : [bins, states], of what each bin shows under each state

    References
    ----------
    Rabiner (1989), "A tutorial on hidden Markov models", equations (19)–(27) and (37), in
    logarithms.

    Examples
    --------
    >>> sticky = Switching(jnp.array([[0.9, 0.1], [0.1, 0.9]]), jnp.array([0.5, 0.5]))
    >>> found = forward_backward(sticky, jnp.log(jnp.array([[0.9, 0.1], [0.5, 0.5]])))
    >>> print(found.states[:, 0].round(2))
    [0.9  0.82]
    """
    log_P = jnp.log(switching.P)

    def forth(alpha: jax.Array, density: jax.Array) -> tuple[jax.Array, jax.Array]:
        alpha = jax.nn.logsumexp(alpha[:, None] + log_P, axis=0) + density
        return alpha, alpha

    def back(beta: jax.Array, density: jax.Array) -> tuple[jax.Array, jax.Array]:
        beta = jax.nn.logsumexp(log_P + density + beta, axis=1)
        return beta, beta

    first = jnp.log(switching.first) + log_densities[0]
    alpha = jax.lax.scan(forth, first, log_densities[1:])[1]
    alpha = jnp.concatenate([first[None], alpha])
    end = jnp.zeros_like(first)
    beta = jax.lax.scan(back, end, log_densities[1:], reverse=True)[1]
    beta = jnp.concatenate([beta, end[None]])
    evidence = jax.nn.logsumexp(alpha[-1])
    after = (log_densities + beta)[1:]
    pairs = jnp.exp(alpha[:-1, :, None] + log_P + after[:, None, :] - evidence).sum(0)
    return States(jax.nn.softmax(alpha + beta, axis=1), pairs, evidence)


def best_switching(first: jax.Array, pairs: jax.Array) -> Switching:
    """Most probable chain under a weak prior that states last.

    Parameters
    ----------
    first : [trials, states], probabilities in the first bin
    pairs : [states, states], expected steps of all trials
    """
    n_states = len(pairs)
    pairs = pairs + _STICKY * jnp.eye(n_states) + _ANY
    start = first.sum(0) + _ANY
    return Switching(pairs / pairs.sum(1, keepdims=True), start / start.sum())
