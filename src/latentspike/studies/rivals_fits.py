"""One fit of `latentspike.studies.winner_take_all_rivals`, and what it infers and simulates."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from latentspike.evaluate import find_switches, switch_rate
from latentspike.files import save_arrays
from latentspike.io import read_npz
from latentspike.models import GLM, PLDS, SLDS
from latentspike.models.protocol import DataSpec
from latentspike.simulate import neurons_by_population
from latentspike.spikes import SpikeData, rebin
from latentspike.studies.winner_take_all_fits import BIN, agreement
from latentspike.training import RunOptions, fit

N_LATENTS = N_STATES = 3  # the populations; the metastable states and one of transition
SLOW_BIN = 10  # bins of 4 ms: the paper's SLDS needed 40 ms
EXAMPLE = "example.npz"
RIVALS = ("plds", "slds", "slds, 40 ms", "glm")


def make(name: str) -> tuple[Any, int]:
    """Model and its bin, in bins of the recording."""
    if name == "plds":
        return PLDS(n_latents=N_LATENTS), 1
    if name.startswith("slds"):
        factor = SLOW_BIN if name.endswith("40 ms") else 1
        return SLDS(n_latents=N_LATENTS, n_states=N_STATES), factor
    if name == "glm":
        return GLM(), 1
    raise ValueError(f"unknown rival {name!r}; known: {', '.join(RIVALS)}")


def run_fit(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fit one trial, infer all of them, and let the fitted model run freely."""
    trial = settings["trial"]
    model, factor = make(settings["model"])
    recording = read_npz(settings["recording"])
    data = rebin(recording, factor) if factor > 1 else recording
    begin = time.monotonic()
    key_fit, key_free = jax.random.split(jax.random.key(trial))
    one = data.select_trials(slice(trial, trial + 1))
    params = _fit(model, one, folder, key_fit)
    found: dict[str, Any] = {"fit_seconds": time.monotonic() - begin}
    shown: dict[str, np.ndarray] = {}
    if not isinstance(model, GLM):  # it has no latent activity
        agreements, shown["inferred"] = _agreements(model, params, data, recording, trial)
        found |= agreements
    n_bins = round(settings["seconds"] / data.bin_width)
    try:
        free = model.simulate(
            params, n_trials=1, n_bins=n_bins, bin_width=data.bin_width, key=key_free
        )
    except ValueError as error:
        return found | {"no_simulation": str(error)}
    rates = of_populations(free.truth["rates"], recording.neuron_ids)
    rate = switch_rate(find_switches(rates, bin_width=data.bin_width), block=settings["seconds"])
    shown["free"] = rates[0, : round(recording.n_bins * BIN / data.bin_width)]
    if settings["is_example"]:
        save_arrays(folder / EXAMPLE, shown, {"bin_width": data.bin_width})
    return found | {"switches": rate.value}


def _fit(model: Any, data: SpikeData, folder: Path, key: jax.Array) -> Any:
    if isinstance(model, GLM):  # in closed form; `fit` would want further trials to validate on
        return model.estimate(model.init(DataSpec.of(data), key=key), data, key=key)
    return fit(model, data, options=RunOptions(folder / "run", resume=True), key=key).params


def _agreements(
    model: Any, params: Any, data: SpikeData, recording: SpikeData, trial: int
) -> tuple[dict[str, float], np.ndarray]:
    """Agreement of one trial after two linear maps, and the activity by the second, [bins, K].

    One map is fitted to the true activity of the other trials, the other, as in the paper, to that
    of the trial that is scored.
    """
    true = recording.truth["population_counts"]
    factors = model.infer(params, data, key=jax.random.key(0)).factors
    factors = np.repeat(factors, true.shape[1] // factors.shape[1], axis=1)  # to bins of 4 ms
    others = np.arange(len(true)) != trial
    blind, own = (
        linear_map(factors[which], true[which])(factors[trial]) for which in (others, ~others)
    )
    scores = agreement(blind, true[trial])
    paper = agreement(own, true[trial])
    found = {**scores, "paper_r": paper["r"], "paper_r_difference": paper["r_difference"]}
    return found, blind


def linear_map(factors: np.ndarray, activity: np.ndarray) -> Any:
    """Best linear map, with an intercept, from factors [..., F] to activity [..., K]."""
    with_one = lambda x: np.concatenate([x, np.ones((*x.shape[:-1], 1))], -1)  # noqa: E731
    x = with_one(factors).reshape(-1, factors.shape[-1] + 1)
    weights = np.linalg.lstsq(x, activity.reshape(-1, activity.shape[-1]), rcond=None)[0]
    return lambda new: with_one(new) @ weights


def of_populations(rates: np.ndarray, neuron_ids: np.ndarray) -> np.ndarray:
    """Mean rate of the recorded neurons of each population, [trials, bins, K]."""
    ids = list(neuron_ids)
    groups = neurons_by_population(neuron_ids).values()
    columns = [[ids.index(neuron) for neuron in group] for group in groups]
    return np.stack([rates[..., c].mean(-1) for c in columns], axis=-1)
