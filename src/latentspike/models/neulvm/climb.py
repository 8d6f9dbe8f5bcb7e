"""Maximization: parameters given the activity (M-step), activity given the parameters (E-step)."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
from scipy.optimize import minimize

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.joint import by_activity, by_parameters
from latentspike.models.neulvm.problem import Problem


def best_parameters(
    system: Mesoscopic, problem: Problem, free: np.ndarray, counts: np.ndarray, *, n_steps: int
) -> tuple[np.ndarray, float]:
    """Parameters in their boxes that explain an activity best, and their log-joint.

    Parameters
    ----------
    free : [free], where to begin
    counts : [trials, bins, K]
    n_steps : iterations of L-BFGS-B at most
    """
    low, high = np.asarray(problem.low), np.asarray(problem.high)

    def objective(scaled: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = by_parameters(system, problem, jnp.asarray(scaled), counts)
        return float(value), np.asarray(gradient)

    if free.size == 0:
        return free, -objective(free)[0]
    start = np.clip((free - low) / (high - low), 0.0, 1.0)
    found = minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * free.size,
        options={"maxiter": n_steps},
    )
    return low + (high - low) * found.x, -float(found.fun)


def best_activity(
    system: Mesoscopic,
    problem: Problem,
    free: np.ndarray,
    root: np.ndarray,
    *,
    method: str,
    n_steps: int = 200,
) -> tuple[np.ndarray, float]:
    """Most probable activity ``2 √counts`` given the parameters, and its log-joint.

    "lbfgs" works on the root, "adam" on the share of the population, as published.
    """
    if method == "adam":
        return _adam(system, problem, free, root, n_steps=n_steps)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = by_activity(system, problem, free, flat.reshape(root.shape))
        return float(value), np.asarray(gradient).ravel()

    found = minimize(
        objective, root.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": n_steps}
    )
    return np.abs(found.x.reshape(root.shape)), -float(found.fun)


def _adam(
    system: Mesoscopic, problem: Problem, free: np.ndarray, root: np.ndarray, *, n_steps: int
) -> tuple[np.ndarray, float]:
    """Adam with learning rate 1e-3 on n/N; stops after three gains in a row below 3e-4."""
    sizes = np.array(system.sizes)
    rule = optax.adam(1e-3)
    share = jnp.asarray(root**2 / 4 / sizes)
    state = rule.init(share)
    best, best_value, n_small = share, np.inf, 0
    for _ in range(n_steps):
        now = 2 * jnp.sqrt(share * sizes)
        value, gradient = by_activity(system, problem, free, now)
        gain = (best_value - float(value)) / max(abs(float(value)), 1.0)
        n_small = n_small + 1 if gain < 3e-4 else 0
        if value < best_value:
            best, best_value = share, float(value)
        if n_small >= 3:
            break
        by_share = gradient * jnp.sqrt(sizes / jnp.maximum(share, 1e-12))
        change, state = rule.update(by_share, state)
        share = jnp.maximum(optax.apply_updates(share, change), 0.0)  # pyright: ignore
    return np.asarray(2 * jnp.sqrt(best * sizes)), -best_value
