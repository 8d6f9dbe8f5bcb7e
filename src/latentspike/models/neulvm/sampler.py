"""Hamiltonian Monte Carlo over activity and parameters, in coordinates of equal curvature.

The activity is sampled as `metric.to_counts` has it, the parameters as logits of their shares of
the prior boxes.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.joint import log_joint
from latentspike.models.neulvm.metric import Metric, metric_at, to_counts, to_free, to_place
from latentspike.models.neulvm.problem import Problem

TARGET_ACCEPTANCE = 0.8
_NEAR = 1e-4  # of a standard deviation, over which gradients are compared


@partial(jax.jit, static_argnums=0)
def _density(
    system: Mesoscopic, problem: Problem, place: jax.Array, logit: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Log-density of (place, logit), uniform in the prior boxes, and its gradient."""

    def log_density(place: jax.Array, logit: jax.Array) -> jax.Array:
        found = log_joint(system, problem, to_free(problem, logit), to_counts(place))
        prior = jnp.sum(jax.nn.log_sigmoid(logit) + jax.nn.log_sigmoid(-logit))
        volume = jnp.sum(jnp.log(jax.nn.softplus(place)) + jax.nn.log_sigmoid(place))
        return jnp.sum(found.spikes + found.activity) + volume + prior

    return jax.value_and_grad(log_density, (0, 1))(place, logit)


def _shaped(system: Mesoscopic, problem: Problem, place: np.ndarray, logit: np.ndarray) -> Metric:
    """Metric whose parameters have the size of the whole curvature, not of its average alone.

    Where the spikes say little of a parameter, the activity that it implies is moved far, and the
    bends of that path outweigh what Gauss and Newton count: a step that is right for most
    directions would have to be short for their sake.
    """
    metric = metric_at(system, problem, place, logit)
    here, columns = np.concatenate([place.ravel(), logit]), []
    for along in _NEAR * np.eye(logit.size, here.size, place.size):
        move = metric.to_position(along)  # differences: the derivative takes minutes to compile
        ahead, behind = (_gradient(system, problem, here + d, place.shape) for d in (move, -move))
        columns.append(metric.to_force(behind - ahead)[place.size :] / (2 * _NEAR))
    if not (columns and np.isfinite(columns).all()):
        return metric
    size, axes = np.linalg.eigh((np.array(columns) + np.array(columns).T) / 2)
    bends = (axes * np.maximum(np.abs(size), 1.0)) @ axes.T
    return metric._replace(corner=np.linalg.cholesky(metric.corner @ bends @ metric.corner.T))


def _gradient(
    system: Mesoscopic, problem: Problem, position: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    _, parts = _density(system, problem, *split(position, shape))
    return np.concatenate([np.ravel(part) for part in parts])


def split(position: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Activity and parameters of a position."""
    n = int(np.prod(shape))
    return position[:n].reshape(shape), position[n:]


_last: list[tuple[bytes, Metric]] = []  # a metric costs more than a trajectory


def _metric(system: Mesoscopic, problem: Problem, place: np.ndarray, logit: np.ndarray) -> Metric:
    """The metric at a point; the last one is remembered."""
    digest = hashlib.blake2b(repr(system).encode())
    for leaf in jax.tree.leaves((problem, place, logit)):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    if not _last or _last[0][0] != digest.digest():
        _last[:] = [(digest.digest(), _shaped(system, problem, place, logit))]
    return _last[0][1]


class MetricState(NamedTuple):
    """Where the metric is taken, and the samples since it was."""

    place: np.ndarray
    logit: np.ndarray
    counts: np.ndarray  # sum over the samples
    logits: np.ndarray
    n_samples: int

    @classmethod
    def at(cls, place: np.ndarray, logit: np.ndarray) -> MetricState:
        """At a point, before any sample."""
        return cls(place, logit, np.zeros(place.shape), np.zeros(logit.shape), 0)

    def plus(self, counts: np.ndarray, logit: np.ndarray) -> MetricState:
        """After another sample."""
        n = int(self.n_samples) + 1
        return self._replace(counts=self.counts + counts, logits=self.logits + logit, n_samples=n)

    def moved(self) -> MetricState:
        """To the mean of the samples."""
        n = self.n_samples
        return self.at(to_place(self.counts / n), self.logits / n) if n else self


class Sampler:
    """A chain over (place, logit).

    Parameters
    ----------
    system, problem : what is sampled; a problem without free parameters samples the activity only
    place : [trials, bins, K]; present activity
    logit : [free]; present parameters
    metric_state : where the curvature is taken that shapes the steps; by default at the present
        point
    log_step : of a trajectory
    n_leapfrog : steps per trajectory
    """

    def __init__(
        self,
        system: Mesoscopic,
        problem: Problem,
        place: np.ndarray,
        logit: np.ndarray,
        *,
        metric_state: MetricState | None = None,
        log_step: float,
        n_leapfrog: int,
    ) -> None:
        self.system, self.problem, self.n_leapfrog = system, problem, n_leapfrog
        self.place, self.logit = place, logit
        self.log_step = float(log_step)
        self.metric_state = metric_state or MetricState.at(place, logit)
        self.metric = _metric(system, problem, *self.metric_state[:2])
        self.value, self._here_force = self._force(self._position)

    @property
    def _position(self) -> np.ndarray:
        return np.concatenate([self.place.ravel(), self.logit])

    @property
    def free(self) -> np.ndarray:
        """Present parameters, [free]."""
        return np.asarray(to_free(self.problem, self.logit))

    @property
    def counts(self) -> np.ndarray:
        """Present activity, spikes per bin [trials, bins, K]."""
        return np.asarray(to_counts(self.place))

    def follow(self) -> None:
        """Take the curvature at the mean of the samples since the last time.

        At a sample itself the chance of every bin would be taken for the shape of the whole: steps
        could be a third as long.
        """
        self.metric_state = self.metric_state.moved()
        self.metric = _metric(self.system, self.problem, *self.metric_state[:2])
        self.value, self._here_force = self._force(self._position)

    def use(self, problem: Problem) -> None:
        """Go on with another problem (other known parameters), with the metric as it is."""
        self.problem = problem
        self.value, self._here_force = self._force(self._position)

    def sample(self, rng: np.random.Generator, *, is_adapting: bool) -> float:
        """One trajectory; returns the probability with which its end was accepted."""
        here = self._position
        momentum = rng.standard_normal(here.size)
        step = np.exp(self.log_step) * rng.uniform(0.8, 1.2)
        before = self.value - momentum @ momentum / 2
        end, value, force = here, self.value, self._here_force
        with np.errstate(over="ignore", invalid="ignore"):  # one that runs away is refused below
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
            self.place, self.logit = split(end, self.place.shape)
            self.value, self._here_force = value, force
        acceptance = float(np.exp(min(gain, 0.0)))
        if is_adapting:
            n = self.metric_state.n_samples
            self.log_step += 5 * (acceptance - TARGET_ACCEPTANCE) / (n + 4) ** 0.85
            self.metric_state = self.metric_state.plus(self.counts, self.logit)
        return acceptance

    def _force(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        """Log-density, and its gradient in coordinates of equal curvature."""
        place, logit = split(position, self.place.shape)
        value, parts = _density(self.system, self.problem, place, logit)
        gradient = np.concatenate([np.ravel(part) for part in parts])
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return -np.inf, np.zeros_like(gradient)
        return float(value), self.metric.to_force(gradient)
