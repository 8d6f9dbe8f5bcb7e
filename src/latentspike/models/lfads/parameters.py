"""Fresh parameters of an LFADS network."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from latentspike.models.gru import init_gru
from latentspike.models.lfads.config import Architecture
from latentspike.models.protocol import DataSpec


def init_params(architecture: Architecture, spec: DataSpec, *, key: jax.Array) -> dict[str, Any]:
    """Gaussian weights of fan-in scale; the readout starts at each neuron's mean rate.

    Parameters
    ----------
    architecture : sizes
    spec : of the recording
    key : PRNG key

    Returns
    -------
    Nested dict of arrays; the names are the parts of spec section 1.
    """
    a = architecture
    keys = iter(jax.random.split(key, 12))
    params: dict[str, Any] = {
        "ic_encoder": _bidirectional(spec.n_read_neurons, a.ic_encoder_size, key=next(keys)),
        "ic_posterior": linear(2 * a.ic_encoder_size, 2 * a.ic_size, key=next(keys)),
        "ic_prior": {
            "mean": jnp.zeros(a.ic_size),
            "log_variance": jnp.full(a.ic_size, jnp.log(a.ic_prior_variance)),  # never trained
        },
        "generator_initial": linear(a.ic_size, a.generator_size, key=next(keys)),
        "generator": init_gru(
            a.n_inferred_inputs + spec.n_inputs, a.generator_size, key=next(keys)
        ),
        "factors": linear(a.generator_size, a.n_factors, key=next(keys))["weight"],
        "readout": linear(a.n_factors, spec.n_neurons, key=next(keys)),
    }
    params["readout"]["bias"] = _mean_predictor(spec, a)
    if a.has_controller:
        seen = 2 * a.ci_encoder_size + a.n_factors
        params |= {
            "ci_encoder": _bidirectional(spec.n_read_neurons, a.ci_encoder_size, key=next(keys)),
            "controller": init_gru(seen, a.controller_size, key=next(keys)),
            "controller_initial": jnp.zeros(a.controller_size),
            "input_posterior": linear(a.controller_size, 2 * a.n_inferred_inputs, key=next(keys)),
            "input_prior": {
                "log_time_constant": jnp.full(
                    a.n_inferred_inputs, jnp.log(a.input_prior_time_constant)
                ),
                "log_variance": jnp.full(a.n_inferred_inputs, jnp.log(a.input_prior_variance)),
            },
        }
    return params


def linear(n_in: int, n_out: int, *, key: jax.Array) -> dict[str, jax.Array]:
    """Weight [n_in, n_out] of fan-in scale and zero bias [n_out]."""
    weight = jax.random.normal(key, (n_in, n_out)) / jnp.sqrt(max(n_in, 1))
    return {"weight": weight, "bias": jnp.zeros(n_out)}


def _bidirectional(n_inputs: int, size: int, *, key: jax.Array) -> dict[str, Any]:
    forward, backward = jax.random.split(key)
    return {
        "forward": init_gru(n_inputs, size, scale_together=True, key=forward),
        "backward": init_gru(n_inputs, size, scale_together=True, key=backward),
        "forward_initial": jnp.zeros(size),
        "backward_initial": jnp.zeros(size),
    }


def _mean_predictor(spec: DataSpec, architecture: Architecture) -> jax.Array:
    mean = jnp.asarray(spec.mean_counts, dtype=jnp.zeros(()).dtype)
    if architecture.observation == "gaussian":
        return mean
    # a silent neuron starts at about one spike in a million bins, not at log 0
    return jnp.log(jnp.maximum(mean, 1e-6))
