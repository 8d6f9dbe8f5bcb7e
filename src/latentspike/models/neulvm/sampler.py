"""Hamiltonian Monte Carlo over activity and parameters, in coordinates of equal curvature.

The activity is sampled as ``u = 2 √counts``, the parameters as logits of their shares of the
prior boxes.
"""

from __future__ import annotations

import hashlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.joint import log_joint
from latentspike.models.neulvm.metric import Metric, metric_at, to_free
from latentspike.models.neulvm.problem import Problem

TARGET_ACCEPTANCE = 0.8
_TINY = 1e-12


@partial(jax.jit, static_argnums=0)
def _density(
    system: Mesoscopic, problem: Problem, root: jax.Array, logit: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Log-density of (root, logit), uniform in the prior boxes, and its gradient."""

    def log_density(root: jax.Array, logit: jax.Array) -> jax.Array:
        found = log_joint(system, problem, to_free(problem, logit), root**2 / 4)
        prior = jnp.sum(jax.nn.log_sigmoid(logit) + jax.nn.log_sigmoid(-logit))
        volume = jnp.sum(jnp.log(jnp.abs(root) / 2 + _TINY))
        return jnp.sum(found.spikes + found.activity) + volume + prior

    return jax.value_and_grad(log_density, (0, 1))(root, logit)


_last: list[tuple[bytes, Metric]] = []  # a metric costs more than a trajectory


def _metric(system: Mesoscopic, problem: Problem, root: np.ndarray, logit: np.ndarray) -> Metric:
    """The metric at a point; the last one is remembered."""
    digest = hashlib.blake2b(repr(system).encode())
    for leaf in jax.tree.leaves((problem, root, logit)):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    if not _last or _last[0][0] != digest.digest():
        _last[:] = [(digest.digest(), metric_at(system, problem, root, logit))]
    return _last[0][1]


def log_evidence(
    system: Mesoscopic, problem: Problem, root: np.ndarray, logit: np.ndarray
) -> float:
    """Laplace approximation, up to a constant, of how probable the spikes are at the parameters.

    The most probable activity alone prefers parameters under which activity hardly varies; the
    volume of activities around it sets that right.
    """
    value, _ = _density(system, problem, root, logit)
    volume = np.log(metric_at(system, problem, root, logit).band[0]).sum()
    return float(value) - float(volume)


class Sampler:
    """A chain over (root, logit).

    Parameters
    ----------
    system, problem : what is sampled; a problem without free parameters samples the activity only
    root : [trials, bins, K]; present activity as 2 √counts
    logit : [free]; present parameters
    metric_point : (root, logit) whose curvature shapes the steps; by default the present ones
    log_step : of the trajectories, adapted while ``is_adapting``
    n_moves : how often it was adapted
    n_leapfrog : steps per trajectory
    """

    def __init__(
        self,
        system: Mesoscopic,
        problem: Problem,
        root: np.ndarray,
        logit: np.ndarray,
        *,
        metric_point: tuple[np.ndarray, np.ndarray] | None = None,
        log_step: float,
        n_moves: float = 0.0,
        n_leapfrog: int,
    ) -> None:
        self.system, self.problem = system, problem
        self.root, self.logit = root, logit
        self.log_step, self.n_moves, self.n_leapfrog = log_step, n_moves, n_leapfrog
        self.metric_point = metric_point or (root, logit)
        self.metric = _metric(system, problem, *self.metric_point)
        self.value, self._here_force = self._force(np.concatenate([root.ravel(), logit]))

    @property
    def free(self) -> np.ndarray:
        """Present parameters, [free]."""
        return np.asarray(to_free(self.problem, self.logit))

    def follow(self) -> None:
        """Take the curvature of the present point."""
        self.metric_point = (self.root, self.logit)
        self.metric = _metric(self.system, self.problem, *self.metric_point)
        self.n_moves = 0.0
        here = np.concatenate([self.root.ravel(), self.logit])
        self.value, self._here_force = self._force(here)

    def use(self, problem: Problem) -> None:
        """Go on with another problem (other known parameters), with the metric as it is."""
        self.problem = problem
        self.value, self._here_force = self._force(np.concatenate([self.root.ravel(), self.logit]))

    def _put(self, position: np.ndarray) -> None:
        n = self.root.size
        self.root, self.logit = np.abs(position[:n]).reshape(self.root.shape), position[n:]
        # the density is even in the root, and so is everything that reads it
        self.value, self._here_force = self._force(np.concatenate([self.root.ravel(), self.logit]))

    def move(self, rng: np.random.Generator, *, is_adapting: bool) -> float:
        """One trajectory; returns its acceptance probability."""
        here = np.concatenate([self.root.ravel(), self.logit])
        momentum = rng.standard_normal(here.size)
        step = np.exp(self.log_step) * rng.uniform(0.8, 1.2)
        before = self.value - momentum @ momentum / 2
        end, value, force = here, self.value, self._here_force
        for _ in range(self.n_leapfrog):
            momentum = momentum + step / 2 * force
            end = end + step * self.metric.to_position(momentum)
            value, force = self._force(end)
            if not np.isfinite(value):
                break
            momentum = momentum + step / 2 * force
        gain = value - momentum @ momentum / 2 - before
        gain = gain if np.isfinite(gain) else -np.inf
        if np.log(rng.uniform()) < gain:
            self._put(end)
        acceptance = float(np.exp(min(gain, 0.0)))
        if is_adapting:
            self.log_step += (acceptance - TARGET_ACCEPTANCE) / (self.n_moves + 3.0) ** 0.6
            self.n_moves += 1
        return acceptance

    def _force(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        """Log-density, and its gradient in coordinates of equal curvature."""
        n = self.root.size
        root, logit = position[:n].reshape(self.root.shape), position[n:]
        value, (by_root, by_logit) = _density(self.system, self.problem, root, logit)
        gradient = np.concatenate([np.asarray(by_root).ravel(), np.asarray(by_logit)])
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return -np.inf, np.zeros_like(gradient)
        return float(value), self.metric.to_force(gradient)
