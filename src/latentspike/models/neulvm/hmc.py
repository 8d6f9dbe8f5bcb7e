"""Hamiltonian Monte Carlo over the population activity, alone or with the parameters.

The activity is sampled as ``u = 2 √counts``: the spread of a Poisson-like count is then 1 at any
rate, and steps of one size suit all bins.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.joint import log_joint
from latentspike.models.neulvm.problem import Problem

TARGET_ACCEPTANCE = 0.8
_TINY = 1e-12


class Chain(NamedTuple):
    """State of a sampler."""

    root: jax.Array  # [trials, bins, K], 2 √counts
    free: jax.Array  # [free], coordinates of the parameters (whitened); empty if they are fixed
    log_step: jax.Array  # []
    n_moves: jax.Array  # [], how often the step size was adapted


class Scale(NamedTuple):
    """Parameters as ``sigmoid(center + matrix · coordinates)`` of their boxes."""

    center: Any  # [free]
    matrix: Any  # [free, free]

    def to_logit(self, coordinates: jax.Array) -> jax.Array:
        """Logit of the share of the box, [free]."""
        return self.center + self.matrix @ coordinates


def to_free(problem: Problem, logit: jax.Array) -> jax.Array:
    """Parameters from the logit of their share of the box."""
    return problem.low + (problem.high - problem.low) * jax.nn.sigmoid(logit)


def _jacobian(root: jax.Array) -> jax.Array:
    return jnp.sum(jnp.log(jnp.abs(root) / 2 + _TINY), (-1, -2))


Density = Callable[[Any], jax.Array]


def _leapfrog(
    density: Density, position: Any, step: jax.Array, n_steps: int, key: jax.Array
) -> Any:
    """End of a trajectory from random momenta, and its change of energy (per independent part)."""
    leaves, tree = jax.tree.flatten(position)
    keys = jax.random.split(key, len(leaves))
    momentum = [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
    momentum = jax.tree.unflatten(tree, momentum)

    def total(position: Any) -> tuple[jax.Array, jax.Array]:
        each = density(position)
        return jnp.sum(each), each

    value_and_grad = jax.value_and_grad(total, has_aux=True)

    def forces(position: Any) -> tuple[jax.Array, Any]:
        (_, each), gradient = value_and_grad(position)
        return each, gradient

    move = lambda x, v, s: jax.tree.map(lambda a, b: a + s * b, x, v)  # noqa: E731
    before, force = forces(position)
    kinetic = _kinetic(momentum, before)

    def one(carry: Any, _: None) -> tuple[Any, None]:
        position, momentum, force, _ = carry
        momentum = move(momentum, force, step / 2)
        position = move(position, momentum, step)
        after, force = forces(position)
        momentum = move(momentum, force, step / 2)
        return (position, momentum, force, after), None

    carry = (position, momentum, force, before)
    (end, momentum, _, after), _ = jax.lax.scan(one, carry, None, length=n_steps)
    return end, (after - _kinetic(momentum, after)) - (before - kinetic)


def _kinetic(momentum: Any, like: jax.Array) -> jax.Array:
    """Kinetic energy, of each trial if the density is one per trial."""
    leaves = jax.tree.leaves(momentum)
    if like.ndim == 0:
        return sum(jnp.sum(m**2) for m in leaves) / 2  # pyright: ignore
    return sum(jnp.sum(m**2, tuple(range(1, m.ndim))) for m in leaves) / 2  # pyright: ignore


def _adapted(chain: Chain, acceptance: jax.Array, is_adapting: bool | jax.Array) -> Chain:
    """With a step size that brings the acceptance nearer to its target (Robbins–Monro)."""
    gain = 1.0 / (chain.n_moves + 5.0) ** 0.6
    log_step = chain.log_step + gain * (acceptance - TARGET_ACCEPTANCE) * is_adapting
    return chain._replace(log_step=log_step, n_moves=chain.n_moves + is_adapting)


def _step(chain: Chain, key: jax.Array) -> jax.Array:
    """Step size with 20 % of jitter, so that no direction resonates."""
    return jnp.exp(chain.log_step) * jax.random.uniform(key, (), minval=0.8, maxval=1.2)


class Visit(NamedTuple):
    """What a trajectory leaves for the record."""

    free: jax.Array  # [free]
    acceptance: jax.Array  # []


@partial(jax.jit, static_argnums=(0, 5, 6))
def sample_activity(
    system: Mesoscopic,
    problem: Problem,
    free: jax.Array,
    chain: Chain,
    key: jax.Array,
    n_trajectories: int,
    n_leapfrog: int,
) -> tuple[Chain, Visit, tuple[jax.Array, jax.Array]]:
    """Trajectories with the parameters fixed; trials are accepted one by one.

    Returns
    -------
    chain, visits (stacked), (mean, mean square) of the counts over the trajectories
    """

    def density(root: jax.Array) -> jax.Array:
        found = log_joint(system, problem, free, root**2 / 4)
        return found.spikes + found.activity + _jacobian(root)

    def one(carry: Any, key: jax.Array) -> Any:
        chain, total, squares = carry
        key_step, key_momentum, key_accept = jax.random.split(key, 3)
        step = _step(chain, key_step)
        end, gain = _leapfrog(density, chain.root, step, n_leapfrog, key_momentum)
        gain = jnp.where(jnp.isfinite(gain), gain, -jnp.inf)
        accepted = jnp.log(jax.random.uniform(key_accept, gain.shape)) < gain
        root = jnp.abs(jnp.where(accepted[:, None, None], end, chain.root))
        acceptance = jnp.mean(jnp.exp(jnp.minimum(gain, 0.0)))
        chain = _adapted(chain._replace(root=root), acceptance, True)
        counts = root**2 / 4
        visit = Visit(free, acceptance)
        return (chain, total + counts, squares + counts**2), visit

    zeros = jnp.zeros_like(chain.root)
    keys = jax.random.split(key, n_trajectories)
    (chain, total, squares), visits = jax.lax.scan(one, (chain, zeros, zeros), keys)
    return chain, visits, (total / n_trajectories, squares / n_trajectories)


@partial(jax.jit, static_argnums=(0, 6, 7))
def sample_jointly(
    system: Mesoscopic,
    problem: Problem,
    scale: Scale,
    chain: Chain,
    key: jax.Array,
    is_adapting: jax.Array,
    n_trajectories: int,
    n_leapfrog: int,
) -> tuple[Chain, Visit, tuple[jax.Array, jax.Array]]:
    """Trajectories over activity and parameters together; uniform prior in the boxes."""

    def density(position: tuple[jax.Array, jax.Array]) -> jax.Array:
        root, coordinates = position
        logit = scale.to_logit(coordinates)
        found = log_joint(system, problem, to_free(problem, logit), root**2 / 4)
        prior = jnp.sum(jax.nn.log_sigmoid(logit) + jax.nn.log_sigmoid(-logit))
        return jnp.sum(found.spikes + found.activity + _jacobian(root)) + prior

    def one(carry: Any, key: jax.Array) -> Any:
        chain, total, squares = carry
        key_step, key_momentum, key_accept = jax.random.split(key, 3)
        here = (chain.root, chain.free)
        end, gain = _leapfrog(density, here, _step(chain, key_step), n_leapfrog, key_momentum)
        gain = jnp.where(jnp.isfinite(gain), gain, -jnp.inf)
        accepted = jnp.log(jax.random.uniform(key_accept)) < gain
        root, coordinates = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), end, here)
        chain = chain._replace(root=jnp.abs(root), free=coordinates)
        acceptance = jnp.exp(jnp.minimum(gain, 0.0))
        chain = _adapted(chain, acceptance, is_adapting)
        counts = root**2 / 4
        free = to_free(problem, scale.to_logit(coordinates))
        visit = Visit(free, acceptance)
        return (chain, total + counts, squares + counts**2), visit

    zeros = jnp.zeros_like(chain.root)
    keys = jax.random.split(key, n_trajectories)
    (chain, total, squares), visits = jax.lax.scan(one, (chain, zeros, zeros), keys)
    return chain, visits, (total / n_trajectories, squares / n_trajectories)
