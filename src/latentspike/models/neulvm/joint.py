"""Joint log-probability of observed spikes and population activity, and its gradients."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics.drive import drive
from latentspike.dynamics.mesoscopic import log_activity, predict_driven
from latentspike.dynamics.parts import Values
from latentspike.dynamics.single_neurons import log_firing
from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.problem import Problem


class Terms(NamedTuple):
    """Log-probabilities per trial."""

    spikes: jax.Array
    activity: jax.Array


def log_joint(system: Mesoscopic, problem: Problem, free: jax.Array, counts: jax.Array) -> Terms:
    """``log p(observed spikes, activity | parameters)`` (Wang et al. 2022, Eq. 4).

    Parameters
    ----------
    system, problem : network and recording
    free : [free], the free parameters
    counts : [trials, bins, K], spikes of each population per bin

    Returns
    -------
    Terms, [trials] each
    """
    values = problem.table.fill(free, system.n_populations)
    activity = counts / np.array(system.sizes)
    rate = initial_rate(system, activity)
    time_last = jnp.swapaxes(activity, -1, -2)
    driven = drive(system, values, time_last, rate, external(values, problem.inputs))
    prediction = predict_driven(system, values, driven, time_last, rate)
    fire, stay = log_firing(
        system, values, driven, ages=problem.ages, population=problem.population
    )
    fired = jnp.where(problem.fired > 0, problem.fired * fire, 0.0)
    stayed = jnp.where(problem.stayed > 0, problem.stayed * stay, 0.0)
    each_bin = log_activity(system, prediction, activity)
    if n_free := system.n_free_bins(counts.shape[-2]):
        each_bin = jnp.concatenate([log_free(counts, n_free), each_bin[..., n_free:]], -1)
    return Terms(jnp.sum(fired + stayed, (-1, -2)), jnp.sum(each_bin, -1))


def log_free(counts: jax.Array, n_free: int) -> jax.Array:
    """Log-density of counts that nothing predicts, [..., free bins].

    Exponential with the mean of the trial: of all densities with that mean the one that says least.
    """
    mean = free_mean(counts)
    return jnp.sum(-counts[..., :n_free, :] / mean - jnp.log(mean), -1)


def free_mean(counts: jax.Array) -> jax.Array:
    """Spikes per bin, [..., 1, K]; one at least, which is also the least error of other bins."""
    return jnp.maximum(jnp.mean(counts, -2, keepdims=True), 1.0)


def external(values: Values, inputs: jax.Array) -> jax.Array | None:
    """External current, mV [trials, K, bins]."""
    if inputs.shape[-1] == 0:
        return None
    return jnp.einsum("kj,...tj->...kt", values.input_gain, inputs)


def initial_rate(system: Mesoscopic, activity: jax.Array) -> jax.Array:
    """Rate before the first bin, Hz [..., K]: that of as many bins as the model remembers."""
    first = activity[..., : min(system.n_ages, activity.shape[-2]), :]
    return jnp.mean(first, -2) / system.bin_width


@partial(jax.jit, static_argnums=0)
def by_parameters(
    system: Mesoscopic, problem: Problem, scaled: jax.Array, counts: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Negative log-joint of all trials and its gradient, parameters as shares of their boxes."""

    def objective(scaled: jax.Array) -> jax.Array:
        free = problem.low + (problem.high - problem.low) * scaled
        return -sum(jnp.sum(x) for x in log_joint(system, problem, free, counts))  # pyright: ignore

    return jax.value_and_grad(objective)(scaled)


@partial(jax.jit, static_argnums=0)
def by_activity(
    system: Mesoscopic, problem: Problem, free: jax.Array, root: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Negative log-joint of all trials and its gradient; the activity as ``2 √counts``."""

    def objective(root: jax.Array) -> jax.Array:
        terms = log_joint(system, problem, free, root**2 / 4)
        return -sum(jnp.sum(x) for x in terms)  # pyright: ignore

    return jax.value_and_grad(objective)(root)


@partial(jax.jit, static_argnums=0)
def terms(system: Mesoscopic, problem: Problem, free: jax.Array, counts: jax.Array) -> Terms:
    """`log_joint`, compiled."""
    return log_joint(system, problem, free, counts)
