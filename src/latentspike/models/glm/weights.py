"""Weights of the GLM by nemos."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_TOLERANCE = 1e-6  # of nemos' L-BFGS, on scaled weights and on nats per bin
_MAX_STEPS = 1000


def fit_weights(
    design: np.ndarray, targets: np.ndarray, start: np.ndarray, *, ridge: float, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Intercepts [neurons] and coefficients [features, neurons] of all neurons at once.

    ``targets`` are NaN where they do not count. ``own`` [features, neurons] says which features a
    neuron may use. Turned and scaled to be uncorrelated, with the penalty moved along, the
    features give the same optimum in a sixth of the steps.
    """
    n_rows, n_features = design.shape
    size = n_features if own.all() else int(own.sum(axis=0).max())
    # per bin and expected spike, as the curvature of the likelihood is
    floor = ridge / n_rows / max(float(np.nanmean(targets)), 1e-9)
    mean, turn, spread = _whitening(design, size, floor)
    strength = ridge / n_rows / spread**2
    with jax.enable_x64(True):  # the rest of the library stays in single precision
        solve = _solver(tuple(strength.tolist()), None if own.all() else _rows(own), len(start))
        (coefficients, intercept), is_done = solve(
            (design - mean) @ (turn / spread), targets, start
        )
    if not is_done:
        warnings.warn(
            f"the GLM did not converge in {_MAX_STEPS} steps of nemos' L-BFGS: its filters are not "
            "the most probable ones; raise the ridge or use fewer basis functions",
            RuntimeWarning,
            stacklevel=3,
        )
    coefficients = (turn / spread) @ coefficients
    return intercept - mean @ coefficients, coefficients


def _rows(table: np.ndarray) -> tuple[tuple[bool, ...], ...]:
    return tuple(map(tuple, table.tolist()))


def _whitening(
    design: np.ndarray, size: int, floor: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, rotation [features, features] and spread of uncorrelated features.

    Only features of the same block of ``size`` are mixed. The ridge sees a rotation as it saw the
    features, and divided by the squared spread what a scaling makes of them. The spread includes
    the ridge, as variance: what hardly varies is held by it.
    """
    mean = design.mean(axis=0)
    covariance = design.T @ design / len(design) - np.outer(mean, mean)
    turn, variance = np.zeros(covariance.shape), np.zeros(len(mean))
    for start in range(0, len(mean), size):
        block = slice(start, start + size)
        variance[block], turn[block, block] = np.linalg.eigh(covariance[block, block])
    return mean, turn, np.sqrt(np.maximum(variance, 0.0) + floor)


@lru_cache(maxsize=4)  # nemos compiles its solver anew for every model object
def _solver(
    strength: tuple[float, ...], own: tuple[tuple[bool, ...], ...] | None, n_neurons: int
) -> Callable[[np.ndarray, np.ndarray, np.ndarray], Any]:
    """Function of (design, targets, start) to ``(coefficients, intercept), is_done``."""
    try:
        import nemos
        from nemos.glm.params import GLMParams
    except ImportError as error:
        raise ImportError("the GLM needs nemos: pip install 'latentspike[glm]'") from error

    class PoissonWhereObserved(nemos.observation_models.PoissonObservations):
        """nemos drops rows in which any neuron has NaN; here only that entry counts for nothing."""

        def _negative_log_likelihood(
            self, y: Any, predicted_rate: Any, aggregate_sample_scores: Any = None
        ) -> Any:
            seen = ~jnp.isnan(y)
            rate = jnp.maximum(predicted_rate, jnp.finfo(predicted_rate.dtype).tiny)
            terms = jnp.where(seen, rate - jnp.where(seen, y, 0.0) * jnp.log(rate), 0.0)
            return jnp.sum(jnp.mean(terms, axis=0))

    shape = (len(strength), n_neurons)
    model = nemos.glm.PopulationGLM(
        observation_model=PoissonWhereObserved(),
        regularizer="Ridge",
        regularizer_strength=jnp.broadcast_to(jnp.asarray(strength)[:, None], shape),
        solver_name="LBFGS",
        solver_kwargs={"tol": _TOLERANCE, "maxiter": _MAX_STEPS},
        feature_mask=None if own is None else jnp.asarray(own, float),
    )
    zeros = jnp.zeros(shape)
    model.initialize_solver_and_state(
        jnp.zeros((1, shape[0])), jnp.zeros((1, n_neurons)), (zeros, zeros[0])
    )

    def solve(design: np.ndarray, targets: np.ndarray, start: np.ndarray) -> Any:
        begin = GLMParams(zeros, jnp.asarray(start))
        assert model.solver_run is not None
        found, state, _ = model.solver_run(begin, jnp.asarray(design), jnp.asarray(targets))
        values = np.asarray(found.coef), np.asarray(found.intercept)
        return values, bool(state.terminate)

    return solve
