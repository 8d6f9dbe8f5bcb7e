"""Curvature of the joint probability in activity and parameters, for samplers that step by it.

A parameter and the activity that it implies move together: along that direction nothing but the
observed spikes resists, while each alone is held tightly by the other. The Gauss–Newton matrix of
the one-bin errors knows the direction. It is banded in the activity (a neuron forgets), with a
dense border of parameters, so its Cholesky factor is cheap.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse

from latentspike.dynamics.drive import drive
from latentspike.dynamics.mesoscopic import predict_driven
from latentspike.dynamics.single_neurons import log_firing
from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.joint import external, free_mean, initial_rate
from latentspike.models.neulvm.problem import Problem

_REACH = 0.6  # of the model's memory: beyond it an activity hardly moves later ones
_PRIOR = 0.5  # curvature of a uniform prior in the logit, at most
_LEAST = 1e-3  # added to the diagonal of the activity


def to_free(problem: Problem, logit: Any) -> jax.Array:
    """Parameters from the logit of their share of the box."""
    return problem.low + (problem.high - problem.low) * jax.nn.sigmoid(logit)


def to_counts(place: Any) -> jax.Array:
    """Spikes per bin from coordinates in which their spread is about 1, at any rate.

    ``place`` is 2 √counts, but for bins with hardly a spike, where it goes on below zero.
    """
    return jax.nn.softplus(place) ** 2 / 4


def to_place(counts: np.ndarray) -> np.ndarray:
    """Inverse of `to_counts`."""
    root = np.maximum(2 * np.sqrt(counts), _LEAST)
    return root + np.log(-np.expm1(-root))


def _errors(
    system: Mesoscopic, problem: Problem, place: jax.Array, logit: jax.Array, weight: jax.Array
) -> jax.Array:
    """Standardized one-bin errors, and weighted distances to threshold, [2, trials, bins, K]."""
    values = problem.table.fill(to_free(problem, logit), system.n_populations)
    activity = to_counts(place) / np.array(system.sizes)
    rate = initial_rate(system, activity)
    time_last = jnp.swapaxes(activity, -1, -2)
    driven = drive(system, values, time_last, rate, external(values, problem.inputs))
    found = predict_driven(system, values, driven, time_last, rate)
    spread = jax.lax.stop_gradient(jnp.sqrt(found.variance))
    distance = weight * (found.potential - values.threshold)
    errors = (activity - found.mean) / spread
    if n_free := system.n_free_bins(place.shape[-2]):
        errors = jnp.concatenate([_free(place, n_free), errors[..., n_free:, :]], -2)
    return jnp.stack([errors, distance])


def _free(place: jax.Array, n_free: int) -> jax.Array:
    """What has the curvature of `joint.log_free` as a square, [trials, free bins, K]."""
    wide = jax.lax.stop_gradient(jnp.sqrt(2 * free_mean(to_counts(place))))
    return jax.nn.softplus(place[..., :n_free, :]) / wide


def _weight(system: Mesoscopic, problem: Problem, place: jax.Array, logit: jax.Array) -> jax.Array:
    """Root of the spikes that observed neurons are expected to fire, [trials, bins, K]."""
    values = problem.table.fill(to_free(problem, logit), system.n_populations)
    activity = jnp.swapaxes(to_counts(place) / np.array(system.sizes), -1, -2)
    rate = initial_rate(system, jnp.swapaxes(activity, -1, -2))
    driven = drive(system, values, activity, rate, external(values, problem.inputs))
    _, stay = log_firing(system, values, driven, ages=problem.ages, population=problem.population)
    expected = jnp.minimum(-stay, 1.0) * (problem.fired + problem.stayed)
    member = jax.nn.one_hot(problem.population, system.n_populations)
    return jnp.sqrt(expected @ member)


@partial(jax.jit, static_argnums=(0, 4))
def _responses(
    system: Mesoscopic, problem: Problem, place: jax.Array, logit: jax.Array, n_lags: int
) -> tuple[jax.Array, jax.Array]:
    """Derivatives of the errors by activity, [lag, K of the cause, 2, …], and by parameters.

    Bins farther apart than ``n_lags`` do not meet, so every ``n_lags``-th is moved at once.
    """
    weight = _weight(system, problem, place, logit)
    errors = partial(_errors, system, problem, weight=weight)
    _, push = jax.linearize(errors, place, logit)
    k, n_bins = system.n_populations, place.shape[-2]

    n_moves = n_lags * k
    # one loop for both, which compiles in half the time
    units = jnp.concatenate([jnp.zeros((n_moves, logit.size)), jnp.eye(logit.size)])

    def moved(number_unit: tuple[jax.Array, jax.Array]) -> jax.Array:
        number, unit = number_unit
        lag, cause = number // k, number % k
        which = (jnp.arange(n_bins) % n_lags == lag)[:, None] & (jnp.arange(k) == cause)
        return push(jnp.broadcast_to(which, place.shape).astype(place.dtype), unit)

    found = jax.lax.map(moved, (jnp.arange(len(units)), units))
    return found[:n_moves].reshape(n_lags, k, *found.shape[1:]), found[n_moves:]


class Metric(NamedTuple):
    """Cholesky factor of the curvature: ``[[L, 0], [Wᵀ, M]]``, L banded."""

    band: np.ndarray  # [width, trials × bins × K], lower
    border: np.ndarray  # W, [trials × bins × K, free]
    corner: np.ndarray  # M, [free, free]

    def to_position(self, z: np.ndarray) -> np.ndarray:
        """Displacement of (place, logit) whose whitened coordinates are ``z``: ``F⁻ᵀ z``."""
        n = self.band.shape[1]
        parameters = np.zeros(0)
        if self.corner.size:
            parameters = scipy.linalg.solve_triangular(self.corner, z[n:], lower=True, trans=1)
        place = _solve_band(self.band, z[:n] - self.border @ parameters, transposed=True)
        return np.concatenate([place, parameters])

    def to_force(self, gradient: np.ndarray) -> np.ndarray:
        """Gradient in whitened coordinates: ``F⁻¹ g``."""
        n = self.band.shape[1]
        place = _solve_band(self.band, gradient[:n], transposed=False)
        rest = gradient[n:] - self.border.T @ place
        if self.corner.size:
            rest = scipy.linalg.solve_triangular(self.corner, rest, lower=True)
        return np.concatenate([place, rest])


def _solve_band(band: np.ndarray, b: np.ndarray, *, transposed: bool) -> np.ndarray:
    if not b.size:
        return b  # LAPACK does not check for it
    trans = "T" if transposed else "N"
    solution, info = scipy.linalg.lapack.dtbtrs(  # pyright: ignore[reportAttributeAccessIssue]
        band, b, uplo="L", trans=trans
    )
    if info:
        raise np.linalg.LinAlgError(f"banded solve failed ({info})")
    return solution.reshape(b.shape)


def metric_at(system: Mesoscopic, problem: Problem, place: np.ndarray, logit: np.ndarray) -> Metric:
    """Metric at a point.

    Parameters
    ----------
    place : [trials, bins, K], activity as in `to_counts`
    logit : [free]
    """
    n_lags = min(max(int(_REACH * system.n_ages), 2), place.shape[1])
    by_place, by_logit = _responses(system, problem, place, logit, n_lags)
    jacobian = _sparse(np.asarray(by_place), place.shape, n_lags)
    width = n_lags * place.shape[2]
    curvature = scipy.sparse.coo_array(jacobian.T @ jacobian)
    below = curvature.row - curvature.col
    kept = (below >= 0) & (below < width)
    band = np.zeros((width, place.size))
    band[below[kept], curvature.col[kept]] = curvature.data[kept]
    band[0] += _LEAST
    band = scipy.linalg.cholesky_banded(band, lower=True)
    dense = np.asarray(by_logit).reshape(logit.size, 2 * place.size).T
    border = _solve_band(band, jacobian.T @ dense, transposed=False)
    corner = dense.T @ dense - border.T @ border + _PRIOR * np.eye(logit.size)
    return Metric(band, border, _cholesky(corner))


def _cholesky(matrix: np.ndarray) -> np.ndarray:
    """Of the nearest matrix whose eigenvalues are at least those of the prior."""
    if not matrix.size:
        return matrix
    size, axes = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.linalg.cholesky((axes * np.maximum(size, _PRIOR)) @ axes.T)


def _sparse(by_place: np.ndarray, shape: tuple[int, ...], n_lags: int) -> scipy.sparse.csc_array:
    """Errors × activities from the responses to every ``n_lags``-th bin."""
    n_trials, n_bins, k = shape
    time = np.arange(n_bins)
    blocks, rows, columns = [], [], []
    place = np.arange(np.prod((2, *shape))).reshape(2, *shape)
    for lag in range(n_lags):
        effect, cause = time[lag:], time[: n_bins - lag]
        for source in range(k):
            values = by_place[cause % n_lags, source, :, :, effect]  # [bins, 2, trials, K]
            row = np.moveaxis(place[:, :, effect], 2, 0)
            column = (np.arange(n_trials)[None] * n_bins + cause[:, None]) * k + source
            blocks.append(values.ravel())
            rows.append(row.ravel())
            columns.append(np.broadcast_to(column[:, None, :, None], row.shape).ravel())
    entries = (np.concatenate(blocks), (np.concatenate(rows), np.concatenate(columns)))
    size = int(np.prod(shape))
    return scipy.sparse.csc_array(entries, shape=(2 * size, size))
