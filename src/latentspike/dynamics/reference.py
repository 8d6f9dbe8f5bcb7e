"""One-bin predictions in the order of time: slow, readable, what `predict` must equal."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from latentspike.dynamics.bin_by_bin import (
    State,
    applied,
    close_bin,
    implicit_matrix,
    open_bin,
    outcome,
    start,
)
from latentspike.dynamics.mesoscopic import Prediction
from latentspike.dynamics.parts import Values
from latentspike.dynamics.stepping import Mesoscopic


def predict_bin_by_bin(
    system: Mesoscopic,
    values: Values,
    activity: jax.Array,
    initial_rate: jax.Array,
    current: jax.Array | None = None,
    *,
    is_conditioned: bool = False,
) -> Prediction:
    """What `mesoscopic.predict` computes, in the order of time; of one trial.

    Parameters and results as there, without leading axes. ``is_conditioned``: each count also says
    who is left of the classes, as in `free_run`; for a stepping that keeps the old neurons.
    """
    sizes = jnp.asarray(system.sizes)
    current = jnp.zeros_like(activity) if current is None else current

    def one_bin(state: State, now: tuple[jax.Array, jax.Array]) -> tuple[State, Prediction]:
        opened = open_bin(system, values, state, now[1])
        potential = opened.driven + applied(opened.same_bin, now[0])
        found = outcome(system, values, opened, potential, is_conditioned=is_conditioned)
        matrix = implicit_matrix(opened, found.slope)
        log_det = jnp.linalg.slogdet(matrix)[1]
        variance = found.variance + (1.0 / sizes**2 if is_conditioned else 0.0)
        state = close_bin(
            system, values, opened, potential, found, now[0], is_conditioned=is_conditioned
        )
        return state, Prediction(found.mean, variance, log_det, potential, found.mass)

    state = start(system, values, initial_rate)
    return jax.lax.scan(one_bin, state, (activity, current))[1]
