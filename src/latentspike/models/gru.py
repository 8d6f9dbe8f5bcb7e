"""The gated recurrent unit of LFADS: parameters, one step, one pass over bins."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from latentspike.models.recurrent import Dense, recurrent_scan

Gru = dict[str, jax.Array]


def init_gru(n_inputs: int, size: int, *, scale_together: bool = False, key: jax.Array) -> Gru:
    """Fresh parameters: Gaussian weights of fan-in scale, bias 1 on both gates, 0 on the candidate.

    Parameters
    ----------
    n_inputs, size : inputs and units
    scale_together : scale by ``n_inputs + size`` (encoders) instead of by each block's own fan-in

    Returns
    -------
    ``gates`` [n_inputs + size, 2 size] (update, then reset), ``candidate`` [n_inputs + size, size],
    ``gates_bias`` [2 size], ``candidate_bias`` [size]. Input rows come first.
    """
    key_inputs, key_state = jax.random.split(key)
    fan_in = n_inputs + size if scale_together else max(n_inputs, 1)
    fan_state = n_inputs + size if scale_together else size
    from_inputs = jax.random.normal(key_inputs, (n_inputs, 3 * size)) / jnp.sqrt(fan_in)
    from_state = jax.random.normal(key_state, (size, 3 * size)) / jnp.sqrt(fan_state)
    stacked = jnp.concatenate([from_inputs, from_state])
    return {
        "gates": stacked[:, : 2 * size],
        "candidate": stacked[:, 2 * size :],
        "gates_bias": jnp.ones(2 * size),
        "candidate_bias": jnp.zeros(size),
    }


def recurrent_kernels(gru: Gru) -> tuple[jax.Array, jax.Array]:
    """Rows that multiply the state: [size, 2 size] of the gates, [size, size] of the candidate."""
    size = gru["candidate"].shape[1]
    return gru["gates"][-size:], gru["candidate"][-size:]


def kernel_penalty(gru: Gru) -> jax.Array:
    """``‖U‖² / (2 · size)``: half the mean squared recurrent weight (spec section 2)."""
    gates, candidate = recurrent_kernels(gru)
    total = jnp.sum(gates**2) + jnp.sum(candidate**2)
    return 0.5 * total / (gates.size + candidate.size)


def named(**grus: Gru) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """Weights and biases of several GRUs under the names that `gru_step` asks for."""
    weights: dict[str, jax.Array] = {}
    biases: dict[str, jax.Array] = {}
    for prefix, gru in grus.items():
        for part in ("gates", "candidate"):
            weights[f"{prefix}_{part}"] = gru[part]
            biases[f"{prefix}_{part}"] = gru[f"{part}_bias"]
    return weights, biases


def gru_step(
    dense: Dense, prefix: str, inputs: tuple[jax.Array, ...], state: jax.Array, clip: float
) -> jax.Array:
    """One bin of a GRU whose state is clipped to ``[-clip, clip]`` (spec section 1).

    The reset gate multiplies the state *before* the recurrent product (the original GRU), and the
    update gate keeps the *old* state: ``h' = z h + (1 − z) n``.

    Parameters
    ----------
    dense : of `recurrent_scan`
    prefix : of the weight names
    inputs : arrays [trials, …], concatenated before the state
    state : [trials, size]
    clip : bound on the state
    """
    size = state.shape[-1]
    gates = dense(f"{prefix}_gates", *inputs, state, activation="sigmoid")
    update, reset = gates[..., :size], gates[..., size:]
    candidate = dense(f"{prefix}_candidate", *inputs, reset * state, activation="tanh")
    return jnp.clip(candidate + update * (state - candidate), -clip, clip)


def run_gru(
    gru: Gru,
    initial: jax.Array,
    inputs: jax.Array,
    *,
    clip: float,
    reverse: bool = False,
    all_states: bool = True,
) -> tuple[jax.Array, jax.Array | None]:
    """Final state [trials, size] and, if asked, the state after each bin [bins, trials, size]."""

    def step(dense: Dense, state: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        state = gru_step(dense, "gru", (x,), state, clip)
        return state, state if all_states else None

    weights, biases = named(gru=gru)
    return recurrent_scan(step, weights, biases, initial, inputs, reverse)
