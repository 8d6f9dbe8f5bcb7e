"""The steps of a fit as `SteppedModel` wants them: a state of plain arrays."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from latentspike.models.linear_dynamics.em import Guess, improve, no_guess
from latentspike.models.linear_dynamics.parameters import (
    Parameters,
    from_tree,
    to_tree,
)
from latentspike.models.linear_dynamics.path import Effort
from latentspike.models.linear_dynamics.recording import Prepared
from latentspike.models.linear_dynamics.spectral_start import Start, starts
from latentspike.models.protocol import DataSpec, State
from latentspike.models.tree import flatten, nest

Tree = dict[str, Any]

_FIRST_STEPS, _STEPS = 40, 5  # of the search for a path: from nothing, and from the last one
_TOLERANCE = 1e-6  # nats per spike, of that search
_TRIAL_ITERATIONS = 3  # of each start
_COUNTED: State = {
    "step": np.asarray(0),
    "bound": np.asarray(-np.inf),
    "gain": np.asarray(np.inf),
}


def unfitted(spec: DataSpec, n_latents: int) -> Tree:
    """Parameters before any fit: slow independent latents that no neuron reads."""
    return _one_state(
        0.9 * np.eye(n_latents),
        np.zeros((spec.n_neurons, n_latents)),
        np.log(np.maximum(spec.mean_counts, 1e-6)),
        spec.n_inputs,
    )


def first_state(prepared: Prepared, n_latents: int) -> State:
    """State before the first iteration, with one state of the dynamics.

    Of several starts the one with the highest bound after a few iterations.
    """
    states = [
        _after_trials(_state_of(start, prepared), prepared)
        for start in starts(prepared.counts, prepared.seen, n_latents)
    ]
    best = max(states, key=lambda state: np.nan_to_num(float(state["bound"]), nan=-np.inf))
    return best | _COUNTED


def _state_of(start: Start, prepared: Prepared) -> State:
    parameters = from_tree(_one_state(*start, prepared.recording.inputs.shape[-1]))
    guess = no_guess(parameters, *prepared.counts.shape[:2])
    return to_state(parameters, guess) | _COUNTED


def _after_trials(state: State, prepared: Prepared) -> State:
    for _ in range(_TRIAL_ITERATIONS):
        state, _ = iterate(state, prepared)
    return state


def _one_state(A: np.ndarray, C: np.ndarray, d: np.ndarray, n_inputs: int) -> Tree:
    """A system whose latents have unit covariance."""
    n = len(A)
    dynamics = {
        "A": A[None],
        "B": np.zeros((1, n, n_inputs)),
        "b": np.zeros((1, n)),
        "Q": (np.eye(n) - A @ A.T)[None],
        "start": np.zeros((1, n)),
        "spread": np.eye(n)[None],
    }
    switching = {"P": np.ones((1, 1)), "first": np.ones(1)}
    return {"dynamics": dynamics, "readout": {"C": C, "d": d}, "switching": switching}


def iterate(state: State, prepared: Prepared) -> tuple[State, float]:
    """One iteration of EM; the bound in nats per spike of the parameters that it began with."""
    parameters, guess = from_state(state)
    is_first = not np.isfinite(state["bound"])
    effort = Effort(jnp.asarray(_FIRST_STEPS if is_first else _STEPS), jnp.asarray(_TOLERANCE))
    parameters, guess, bound = improve(parameters, prepared.recording, guess, effort)
    per_spike = (float(bound) + prepared.constant) / prepared.n_spikes
    gain = per_spike - state["bound"]
    counted = {"step": state["step"] + 1, "bound": np.asarray(per_spike), "gain": np.asarray(gain)}
    return state | to_state(parameters, guess) | counted, per_spike


def to_state(parameters: Parameters, guess: Guess) -> State:
    """Flat arrays."""
    arrays = flatten({"parameters": to_tree(parameters)})
    return arrays | {f"guess/{name}": np.asarray(x) for name, x in guess._asdict().items()}


def from_state(state: State) -> tuple[Parameters, Guess]:
    """The inverse of `to_state`."""
    tree: Tree = nest({k: v for k, v in state.items() if "/" in k})
    guess = Guess(**{name: jnp.asarray(np.asarray(x)) for name, x in tree["guess"].items()})
    return from_tree(tree["parameters"]), guess


def is_finished(state: State, n_iterations: int, tolerance: float) -> bool:
    """Whether every iteration is done, or the last one gained less than the tolerance."""
    return int(state["step"]) >= n_iterations or bool(state["gain"] < tolerance)


def found(state: State) -> Tree:
    """Parameters as nested NumPy arrays."""
    return to_tree(from_state(state)[0])
