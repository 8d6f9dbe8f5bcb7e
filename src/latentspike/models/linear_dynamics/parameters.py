"""What both models of the family are made of, with a leading axis of states (one in a PLDS)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Dynamics(NamedTuple):
    """x_1 ~ N(m, V) and x_t = A x_{t-1} + b + B u_t + w, w ~ N(0, Q), for each state.

    Parameters
    ----------
    A : [states, latents, latents]
    B : [states, latents, inputs]
    b : [states, latents]; 0 with one state, where the readout's offset does the same
    Q : [states, latents, latents]
    start : [states, latents], mean m of the first bin
    spread : [states, latents, latents], covariance V of the first bin
    """

    A: jax.Array
    B: jax.Array
    b: jax.Array
    Q: jax.Array
    start: jax.Array
    spread: jax.Array


class Readout(NamedTuple):
    """Expected counts per bin exp(C x + d).

    Parameters
    ----------
    C : [neurons, latents]
    d : [neurons]
    """

    C: jax.Array
    d: jax.Array


class Switching(NamedTuple):
    """A Markov chain of states.

    Parameters
    ----------
    P : [states, states]; of the next state (column) given this one (row)
    first : [states], probability in the first bin
    """

    P: jax.Array
    first: jax.Array


class Parameters(NamedTuple):
    """Everything that a fit learns."""

    dynamics: Dynamics
    readout: Readout
    switching: Switching

    @property
    def n_states(self) -> int:
        """States."""
        return self.switching.first.shape[0]


def to_tree(parameters: Parameters) -> dict[str, Any]:
    """Nested dicts of NumPy arrays, for files."""
    return {
        name: {key: np.asarray(value, np.float64) for key, value in part._asdict().items()}
        for name, part in parameters._asdict().items()
    }


def from_tree(tree: dict[str, Any]) -> Parameters:
    """The inverse of `to_tree`, in double precision where JAX has it."""
    kinds = {"dynamics": Dynamics, "readout": Readout, "switching": Switching}
    parts = {
        name: kind(**{key: jnp.asarray(np.asarray(value)) for key, value in tree[name].items()})
        for name, kind in kinds.items()
    }
    return Parameters(**parts)
