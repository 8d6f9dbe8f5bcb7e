"""The LFADS network: encoders, decoder, readout (Fig. 1a of the 2019 paper; spec section 1)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from latentspike.models.bernoulli import dropout, dropout_scale, fold
from latentspike.models.gru import gru_step, named, run_gru
from latentspike.models.lfads.config import Architecture
from latentspike.models.recurrent import Dense, recurrent_scan

# one stream of each trial's key per use
_INPUT_IC, _INPUT_CI, _CODE, _ENCODING, _FACTOR, _GENERATOR, _START, _EXTERNAL, _NOISE = range(9)


class Noise(NamedTuple):
    """Standard normal draws; None in its place means posterior means pass through."""

    initial_condition: jax.Array  # [trials, ic_size]
    inferred_inputs: jax.Array | None  # [bins, trials, n_inferred_inputs]


class Outputs(NamedTuple):
    """What the network computes; time first. Inferred-input fields are None when autonomous."""

    predictor: jax.Array  # [bins, trials, neurons]; log expected count, or mean
    factors: jax.Array  # [bins, trials, n_factors]
    ic_mean: jax.Array  # [trials, ic_size]
    ic_std: jax.Array
    input_mean: jax.Array | None  # [bins, trials, n_inferred_inputs]
    input_std: jax.Array | None
    inferred_inputs: jax.Array | None  # the draw, or the mean
    generator_initial: jax.Array  # [trials, generator_size]
    generator: jax.Array | None  # [bins, trials, generator_size]; only if asked
    controller: jax.Array | None


def draw_noise(architecture: Architecture, keys: jax.Array, n_bins: int, dtype: Any) -> Noise:
    """Noise of each trial from its own key, so that batching does not change it."""

    def one(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        for_ic, for_inputs = jax.random.split(key)
        return (
            jax.random.normal(for_ic, (architecture.ic_size,), dtype),
            jax.random.normal(for_inputs, (n_bins, architecture.n_inferred_inputs), dtype),
        )

    initial, inputs = jax.vmap(one, out_axes=(0, 1))(fold(keys, _NOISE))
    return Noise(initial, inputs if architecture.has_controller else None)


def run_network(
    architecture: Architecture,
    params: dict[str, Any],
    read: jax.Array,
    external: jax.Array,
    *,
    noise: Noise | None = None,
    dropout_keys: jax.Array | None = None,
    dropout_rate: jax.Array | float = 0.0,
    all_states: bool = False,
) -> Outputs:
    """Encode what may be read and decode rates for every bin and neuron.

    Parameters
    ----------
    architecture : sizes
    params : of `init_params`
    read : [read bins, trials, read neurons]
    external : [bins, trials, n_inputs]; its length sets the number of decoded bins
    noise : draws for the posterior samples; None passes the means
    dropout_keys : PRNG key of each trial; None switches dropout off
    dropout_rate : probability to drop a unit
    all_states : also return generator and controller states
    """
    keys, rate = dropout_keys, dropout_rate
    n_bins = external.shape[0]
    ic_mean, ic_std = _encode_initial_condition(architecture, params, read, keys, rate)
    code = ic_mean if noise is None else ic_mean + ic_std * noise.initial_condition
    initial = _affine(params["generator_initial"], code)
    factor_weight = normalized_factor_weight(params)
    xs: dict[str, Any] = {"external": dropout(external, keys, rate, _EXTERNAL)}
    if keys is not None:
        xs["generator_scale"] = dropout_scale(
            keys, rate, n_bins, architecture.generator_size, _GENERATOR
        )
    if architecture.has_controller:
        encoding = _encode_for_controller(architecture, params, read, n_bins, keys, rate)
        xs["encoding"] = dropout(encoding, keys, rate, _ENCODING)
        if keys is not None:
            xs["factor_scale"] = dropout_scale(keys, rate, n_bins, architecture.n_factors, _FACTOR)
        if noise is not None:
            xs["noise"] = noise.inferred_inputs
    carry, weights, biases = _decoder_start(
        architecture, params, initial, factor_weight, keys, rate
    )
    _, ys = recurrent_scan(_decoder_step(architecture, all_states), weights, biases, carry, xs)
    return Outputs(
        predictor=_affine(params["readout"], ys["factors"]),
        factors=ys["factors"],
        ic_mean=ic_mean,
        ic_std=ic_std,
        input_mean=ys.get("input_mean"),
        input_std=ys.get("input_std"),
        inferred_inputs=ys.get("inferred_inputs"),
        generator_initial=initial,
        generator=ys.get("generator"),
        controller=ys.get("controller"),
    )


def normalized_factor_weight(params: dict[str, Any]) -> jax.Array:
    """[generator_size, n_factors] with each factor's weights scaled to length 1."""
    weight = params["factors"]
    return weight / jnp.maximum(jnp.sqrt(jnp.sum(weight**2, axis=0)), 1e-12)


def _affine(layer: dict[str, jax.Array], values: jax.Array) -> jax.Array:
    return values @ layer["weight"] + layer["bias"]


def _bidirectional(
    encoder: dict[str, Any], values: jax.Array, clip: float, all_states: bool
) -> tuple[tuple[jax.Array, Any], tuple[jax.Array, Any]]:
    n_trials = values.shape[1]

    def run(direction: str, reverse: bool) -> tuple[jax.Array, Any]:
        start = encoder[f"{direction}_initial"]
        initial = jnp.broadcast_to(start, (n_trials, start.size))
        return run_gru(
            encoder[direction], initial, values, clip=clip, reverse=reverse, all_states=all_states
        )

    return run("forward", False), run("backward", True)


def _encode_initial_condition(
    architecture: Architecture, params: Any, read: jax.Array, keys: Any, rate: Any
) -> tuple[jax.Array, jax.Array]:
    values = dropout(read, keys, rate, _INPUT_IC)
    (forward, _), (backward, _) = _bidirectional(
        params["ic_encoder"], values, architecture.clip, all_states=False
    )
    both = jnp.concatenate([forward, backward], axis=-1)
    both = dropout(both[None], keys, rate, _CODE)[0]
    mean, log_variance = jnp.split(_affine(params["ic_posterior"], both), 2, axis=-1)
    return mean, jnp.sqrt(jnp.exp(log_variance) + architecture.ic_variance_floor)


def _encode_for_controller(
    architecture: Architecture, params: Any, read: jax.Array, n_bins: int, keys: Any, rate: Any
) -> jax.Array:
    """[bins, trials, 2 ci_encoder_size]: with a lag, bin ``t`` is in neither half at bin ``t``."""
    values = dropout(read, keys, rate, _INPUT_CI)
    (_, forward), (_, backward) = _bidirectional(
        params["ci_encoder"], values, architecture.clip, all_states=True
    )
    lag, n_read = architecture.ci_lag, read.shape[0]
    past = ((lag, n_bins - n_read), (0, 0), (0, 0))
    future = ((0, n_bins - n_read + lag), (0, 0), (0, 0))
    return jnp.concatenate(
        [jnp.pad(forward[: n_read - lag], past), jnp.pad(backward[lag:], future)], axis=-1
    )


def _decoder_start(
    architecture: Architecture,
    params: Any,
    initial: jax.Array,
    factor_weight: jax.Array,
    keys: Any,
    rate: Any,
) -> tuple[dict[str, jax.Array], dict[str, jax.Array], dict[str, jax.Array]]:
    weights, biases = named(generator=params["generator"])
    weights["factors"] = factor_weight
    carry = {"generator": initial}
    if architecture.has_controller:
        more_weights, more_biases = named(controller=params["controller"])
        weights |= more_weights | {"input_posterior": params["input_posterior"]["weight"]}
        biases |= more_biases | {"input_posterior": params["input_posterior"]["bias"]}
        start = params["controller_initial"]
        carry["controller"] = jnp.broadcast_to(start, (initial.shape[0], start.size))
        carry["factors"] = dropout(initial[None], keys, rate, _START)[0] @ factor_weight
    return carry, weights, biases


def _decoder_step(architecture: Architecture, all_states: bool) -> Any:
    clip = architecture.clip

    def step(dense: Dense, state: dict[str, Any], x: dict[str, Any]) -> tuple[Any, Any]:
        new: dict[str, jax.Array] = {}
        y: dict[str, jax.Array] = {}
        inputs = () if x["external"].shape[-1] == 0 else (x["external"],)
        if architecture.has_controller:
            seen = state["factors"] * x["factor_scale"] if "factor_scale" in x else state["factors"]
            controller = gru_step(
                dense, "controller", (x["encoding"], seen), state["controller"], clip
            )
            mean, log_variance = jnp.split(dense("input_posterior", controller), 2, axis=-1)
            std = jnp.exp(0.5 * log_variance)
            draw = mean + std * x["noise"] if "noise" in x else mean
            inputs = (draw, *inputs)
            new["controller"] = controller
            y |= {"input_mean": mean, "input_std": std, "inferred_inputs": draw}
        generator = gru_step(dense, "generator", inputs, state["generator"], clip)
        scaled = generator * x["generator_scale"] if "generator_scale" in x else generator
        y["factors"] = dense("factors", scaled)
        new["generator"] = generator
        if architecture.has_controller:
            new["factors"] = y["factors"]
        if all_states:
            y |= {k: new[k] for k in ("generator", "controller") if k in new}
        return new, y

    return step
