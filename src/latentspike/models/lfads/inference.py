"""Posterior means, or averages over posterior draws, streamed over trials and draws."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from latentspike.models.lfads.config import Architecture
from latentspike.models.lfads.network import Outputs, draw_noise, run_network
from latentspike.models.observations import expected
from latentspike.models.reading import padded_chunks, readable_counts
from latentspike.spikes import Posterior, SpikeData

_TRIALS_AT_ONCE = 64
_SPREAD = ("rates", "factors", "inferred_inputs")


def infer_posterior(
    architecture: Architecture,
    params: dict[str, Any],
    data: SpikeData,
    *,
    n_samples: int,
    key: jax.Array,
) -> Posterior:
    """See `LFADS.infer`."""
    if n_samples < 0:
        raise ValueError(f"n_samples must not be negative, got {n_samples}")
    check_fits(params, data)
    if architecture.observation == "poisson" and data.kind != "counts":
        raise ValueError("the model is of Poisson counts, but the recording is continuous")
    results: dict[str, np.ndarray] = {}
    for trials, valid in padded_chunks(data.n_trials, _TRIALS_AT_ONCE):
        read, external = readable_counts(data, trials)
        keys = jax.vmap(lambda trial: jax.random.fold_in(key, trial))(jnp.asarray(trials))
        found = _infer_chunk(architecture, n_samples, params, read, external, keys)
        for name, value in found.items():
            rows = np.asarray(value)[: valid.size]
            store = results.setdefault(name, np.empty((data.n_trials, *rows.shape[1:]), rows.dtype))
            store[valid] = rows
    if data.kind == "counts":
        for name in ("rates", "rates_std"):
            if name in results:
                results[name] /= data.bin_width
    return Posterior(
        bin_width=data.bin_width,
        t_start=data.t_start,
        trial_ids=data.trial_ids,
        neuron_ids=data.neuron_ids,
        n_samples=n_samples,
        **results,
    )


def check_fits(params: dict[str, Any], data: SpikeData) -> None:
    """Raise unless the recording has the neurons and inputs that the parameters expect."""
    n_read = params["ic_encoder"]["forward"]["candidate"].shape[0]
    n_read -= params["ic_encoder"]["forward"]["candidate"].shape[1]
    n_neurons = params["readout"]["bias"].shape[0]
    given = int((~data.heldout).sum()), data.n_neurons
    if given != (n_read, n_neurons):
        raise ValueError(
            f"the model reads {n_read} and predicts {n_neurons} neurons, but the recording has "
            f"{given[0]} held-in of {given[1]} neurons"
        )
    n_inputs = params["generator"]["gates"].shape[0] - params["factors"].shape[0]
    if "input_prior" in params:
        n_inputs -= params["input_prior"]["log_variance"].shape[0]
    if data.n_inputs != n_inputs:
        raise ValueError(
            f"the model takes {n_inputs} measured inputs, but the recording has {data.n_inputs}"
        )


@partial(jax.jit, static_argnums=(0, 1))
def _infer_chunk(
    architecture: Architecture,
    n_samples: int,
    params: dict[str, Any],
    read: jax.Array,
    external: jax.Array,
    keys: jax.Array,
) -> dict[str, jax.Array]:
    """Arrays of `Posterior` for one chunk of trials (rates per bin): [trials, …]."""
    read, external = jnp.swapaxes(read, 0, 1), jnp.swapaxes(external, 0, 1)
    if n_samples == 0:
        outputs = run_network(architecture, params, read, external)
        return _trial_first(_collect(architecture, outputs, sampled=False))

    def one_draw(sample: jax.Array) -> dict[str, jax.Array]:
        of_draw = jax.vmap(lambda k: jax.random.fold_in(k, sample))(keys)
        noise = draw_noise(architecture, of_draw, external.shape[0], read.dtype)
        outputs = run_network(architecture, params, read, external, noise=noise)
        return _collect(architecture, outputs, sampled=True)

    shapes = jax.eval_shape(one_draw, jnp.zeros((), jnp.int32))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    squares = {name: zeros[name] for name in _SPREAD if name in zeros}

    def add(carried: Any, sample: jax.Array) -> Any:
        mean, square = carried
        values = one_draw(sample)
        share = 1.0 / (sample + 1)
        delta = {n: values[n] - mean[n] for n in values}
        mean = {n: mean[n] + share * delta[n] for n in mean}
        square = {n: square[n] + delta[n] * (values[n] - mean[n]) for n in square}
        return (mean, square), None

    (mean, square), _ = lax.scan(add, (zeros, squares), jnp.arange(n_samples))
    if n_samples > 1:
        mean |= {f"{n}_std": jnp.sqrt(s / (n_samples - 1)) for n, s in square.items()}
    return _trial_first(mean)


def _collect(
    architecture: Architecture, outputs: Outputs, *, sampled: bool
) -> dict[str, jax.Array]:
    found = {
        "rates": expected(outputs.predictor, architecture.observation),
        "factors": outputs.factors,
        "initial_condition": outputs.ic_mean[None],
        "initial_condition_std": outputs.ic_std[None],
    }
    if outputs.inferred_inputs is not None and outputs.input_std is not None:
        found["inferred_inputs"] = outputs.inferred_inputs
        if not sampled:  # over draws, the spread is that of the draws themselves
            found["inferred_inputs_std"] = outputs.input_std
    return found


def _trial_first(found: dict[str, jax.Array]) -> dict[str, jax.Array]:
    turned = {name: jnp.swapaxes(value, 0, 1) for name, value in found.items()}
    for name in ("initial_condition", "initial_condition_std"):
        turned[name] = turned[name][:, 0]
    return turned
