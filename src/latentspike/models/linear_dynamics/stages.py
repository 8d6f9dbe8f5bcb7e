"""A fit with several states: linear first, then several starts of switching, then the best."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.models.linear_dynamics import estimation
from latentspike.models.linear_dynamics.path import Effort
from latentspike.models.linear_dynamics.recording import Prepared
from latentspike.models.linear_dynamics.segments import clusters, switching_start
from latentspike.models.protocol import State

_LINEAR, _TRIED = 5, 3  # a fifth of all iterations is linear, a third goes into starts
_KEPT = ("linear/", "best/")


class Plan(NamedTuple):
    """Iterations of each stage.

    Parameters
    ----------
    n_linear : with one state
    n_each : of each start
    n_starts : from other clusters of the same paths
    n_iterations : all of them; the rest goes on from the best start
    """

    n_linear: int
    n_each: int
    n_starts: int
    n_iterations: int

    @classmethod
    def of(cls, n_iterations: int, n_starts: int) -> Plan:
        """Stages of a fit."""
        n_each = max(1, n_iterations // (_TRIED * n_starts))
        return cls(max(1, n_iterations // _LINEAR), n_each, n_starts, n_iterations)

    @property
    def end_of_starts(self) -> int:
        """Iterations until the best start is chosen."""
        return self.n_linear + self.n_starts * self.n_each


def advance(
    state: State, prepared: Prepared, plan: Plan, n_states: int
) -> tuple[State, dict[str, float]]:
    """One iteration, of whatever stage it belongs to."""
    step = int(state["step"])
    if n_states > 1 and plan.n_linear <= step < plan.end_of_starts:
        start, within = divmod(step - plan.n_linear, plan.n_each)
        if within == 0:
            state = _begin_start(state, prepared, start, n_states)
    elif n_states > 1 and step == plan.end_of_starts:
        state = _only(_best(state))
    kept = {name: value for name, value in state.items() if name.startswith(_KEPT)}
    after, bound = estimation.iterate(_only(state), prepared)
    return kept | after, {"bound_per_spike": bound}


def is_finished(state: State, plan: Plan, n_states: int, tolerance: float) -> bool:
    """Whether every iteration is done, or one of the last stage gained next to nothing."""
    is_last = n_states == 1 or int(state["step"]) > plan.end_of_starts + 1
    return estimation.is_finished(state, plan.n_iterations, tolerance if is_last else -np.inf)


def _only(state: State) -> State:
    return {name: value for name, value in state.items() if not name.startswith(_KEPT)}


def _best(state: State) -> State:
    """The best start so far, this one included; the others are forgotten."""
    mine = _only(state)
    theirs = {name.removeprefix("best/"): x for name, x in state.items() if name[:5] == "best/"}
    if theirs and theirs["bound"] > mine["bound"]:
        theirs = theirs | {"step": mine["step"], "gain": np.asarray(np.inf)}
        return theirs
    return mine


def _begin_start(state: State, prepared: Prepared, start: int, n_states: int) -> State:
    """The paths of the linear stage cut into states in another way."""
    if start == 0:
        linear, best = _only(state), {}
    else:
        linear = {n.removeprefix("linear/"): x for n, x in state.items() if n[:7] == "linear/"}
        best = {f"best/{name}": value for name, value in _best(state).items()}
    parameters, guess = estimation.from_state(linear)
    seed = int(linear["seed"])
    states = jnp.asarray(clusters(np.asarray(guess.mean), n_states, start=start, seed=seed))
    effort = Effort(jnp.asarray(20), jnp.asarray(1e-6))
    found, states = switching_start(parameters, prepared.recording, guess, states, effort)
    now = linear | estimation.to_state(found, guess._replace(states=states))
    now |= {"step": state["step"], "bound": np.asarray(-np.inf), "gain": np.asarray(np.inf)}
    return now | best | {f"linear/{name}": value for name, value in linear.items()}


def seed_of(key: jax.Array) -> np.ndarray:
    """Of k-means, from a PRNG key."""
    return np.asarray(np.asarray(jax.random.key_data(key)).ravel()[-1] % 2**31, np.int64)
