"""Method "hard", Baum–Viterbi: the most probable activity, and the parameters for it, in turn."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.climb import best_activity, best_parameters
from latentspike.models.neulvm.problem import Problem
from latentspike.models.neulvm.settings import Estimation
from latentspike.models.neulvm.starts import improved, starts_of

State = dict[str, np.ndarray]
Row = dict[str, float]

_ITERATIONS = 200  # of the maximization


def n_steps(settings: Estimation) -> int:
    """Steps of a whole fit; it may stop earlier."""
    return settings.n_iterations


def begin(
    system: Mesoscopic, problem: Problem, settings: Estimation, start: np.ndarray, key: jax.Array
) -> State:
    """The start whose log-joint is highest."""
    found = [
        improved(system, problem, each)
        for each in starts_of(system, problem, settings, start, key=key)
    ]
    values = np.array([each.value for each in found])
    if not np.isfinite(values).any():
        raise FloatingPointError("no start has a finite likelihood; narrow the prior boxes")
    best = found[int(np.nanargmax(values))]
    return {
        "step": np.array(0),
        "is_finished": np.array(0),
        "starts": np.array([each.free for each in found]),
        "start_values": values,
        "free": best.free,
        "root": best.root,
        "value": np.array(best.value),
    }


def advance(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State
) -> tuple[State, Row]:
    """One iteration."""
    root, _ = best_activity(system, problem, state["free"], state["root"], method=settings.e_step)
    free, value = best_parameters(system, problem, state["free"], root**2 / 4, n_steps=_ITERATIONS)
    step, before = int(state["step"]), float(state["value"])
    has_converged = value - before < settings.tolerance * abs(before) and step > 0
    is_finished = has_converged or step + 1 >= n_steps(settings)
    changes = {
        "step": np.array(step + 1),
        "is_finished": np.array(int(is_finished)),
        "free": free,
        "root": root,
        "value": np.array(value),
    }
    return state | changes, {"log_joint": value}


def summary(settings: Estimation, state: State) -> dict[str, Any]:
    """What the fit ends with; there are no draws and no spread."""
    counts = state["root"] ** 2 / 4
    return {
        "free": state["free"],
        "draws": np.zeros((0, state["free"].size)),
        "warmup": np.zeros((0, state["free"].size)),
        "starts": state["starts"],
        "start_values": state["start_values"],
        "training_counts": counts,
        "training_counts_std": np.zeros(counts.shape),
    }


def remarks(params: dict[str, Any]) -> list[str]:
    """Nothing but what is said of every fit without a posterior."""
    return []
