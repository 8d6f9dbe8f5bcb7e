"""New trials from the priors: what the generator does when nothing is read."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from latentspike.models.gru import gru_step, named
from latentspike.models.lfads.config import Architecture
from latentspike.models.lfads.network import normalized_factor_weight
from latentspike.models.observations import expected
from latentspike.models.recurrent import recurrent_scan
from latentspike.spikes import SpikeData


def simulate_from_prior(
    architecture: Architecture,
    params: dict[str, Any],
    *,
    n_trials: int,
    n_bins: int,
    bin_width: float,
    key: jax.Array,
) -> SpikeData:
    """Trials whose initial condition and inputs are drawn from the model's priors.

    Parameters
    ----------
    architecture, params : of the model; models with measured external inputs cannot be run without
    n_trials, n_bins : size of the simulated recording
    bin_width : seconds
    key : PRNG key

    Returns
    -------
    SpikeData
        With ``truth``: ``rates`` in Hz, ``factors`` and, if any, ``inputs``.
    """
    generator = params["generator"]
    n_external = generator["gates"].shape[0] - generator["candidate"].shape[1]
    n_external -= architecture.n_inferred_inputs
    if n_external:
        raise ValueError(
            f"this model was fitted with {n_external} measured inputs; it cannot be simulated "
            "from its priors alone"
        )
    key_run, key_noise = jax.random.split(key)
    found = _run(architecture, n_trials, n_bins, params, key_run)
    mean = np.asarray(found.pop("mean"), np.float64)
    noise = np.random.default_rng(np.asarray(jax.random.key_data(key_noise)).tolist())
    truth = {name: np.asarray(value) for name, value in found.items()}
    if architecture.observation == "gaussian":
        counts = mean + noise.standard_normal(mean.shape)
        return SpikeData(counts, bin_width, kind="continuous", truth={**truth, "rates": mean})
    return SpikeData(noise.poisson(mean), bin_width, truth={**truth, "rates": mean / bin_width})


@partial(jax.jit, static_argnums=(0, 1, 2))
def _run(
    architecture: Architecture, n_trials: int, n_bins: int, params: Any, key: jax.Array
) -> dict[str, jax.Array]:
    key_initial, key_inputs = jax.random.split(key)
    size = params["ic_prior"]["mean"].size
    spread = jnp.exp(0.5 * params["ic_prior"]["log_variance"])
    code = params["ic_prior"]["mean"] + spread * jax.random.normal(key_initial, (n_trials, size))
    layer = params["generator_initial"]
    initial = code @ layer["weight"] + layer["bias"]
    weights, biases = named(generator=params["generator"])
    weights["factors"] = normalized_factor_weight(params)
    xs: dict[str, jax.Array] = {"bin": jnp.zeros((n_bins, n_trials, 0))}
    if architecture.has_controller:
        noise = jax.random.normal(key_inputs, (n_bins, n_trials, architecture.n_inferred_inputs))
        xs["inputs"] = _autoregressive(params["input_prior"], noise)

    def step(dense: Any, state: jax.Array, x: dict[str, jax.Array]) -> Any:
        inputs = (x["inputs"],) if "inputs" in x else ()
        state = gru_step(dense, "generator", inputs, state, architecture.clip)
        return state, dense("factors", state)

    _, factors = recurrent_scan(step, weights, biases, initial, xs)
    predictor = factors @ params["readout"]["weight"] + params["readout"]["bias"]
    found = {"mean": expected(predictor, architecture.observation), "factors": factors}
    if "inputs" in xs:
        found["inputs"] = xs["inputs"]
    return {name: jnp.swapaxes(value, 0, 1) for name, value in found.items()}


def _autoregressive(prior: dict[str, jax.Array], noise: jax.Array) -> jax.Array:
    """Stationary AR(1) paths [bins, trials, dims] from standard normal draws."""
    alpha = jnp.exp(-jnp.exp(-prior["log_time_constant"]))
    std = jnp.exp(0.5 * prior["log_variance"])

    def step(previous: jax.Array, draw: jax.Array) -> tuple[jax.Array, jax.Array]:
        value = alpha * previous + std * draw
        return value, value

    first = std / jnp.sqrt(1 - alpha**2) * noise[0]
    _, rest = lax.scan(step, first, noise[1:])
    return jnp.concatenate([first[None], rest])
