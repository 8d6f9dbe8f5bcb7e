"""One fit of `studies.winner_take_all`, and how often a network or a fitted model switches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.ndimage import gaussian_filter1d

from latentspike.dynamics import Network
from latentspike.evaluate import find_switches, switch_rate
from latentspike.io import read_npz, write_npz
from latentspike.models.neulvm import Estimation, NeuLVM
from latentspike.models.neulvm.swarms import N_SWARMS
from latentspike.simulate import lif_network, neurons_by_population, winner_take_all
from latentspike.spikes import SpikeData
from latentspike.training import RunOptions, fit

BIN = 0.004  # s
TIME_STEP = 0.0002  # s, of the network; its membrane is exact
N_RECORDED = 3  # of each population
ORACLE_WIDTH = 0.048  # s
_BLOCK = 100.0  # s


def segments(
    path: Path, *, n: int, length: float, run: float, seed: int
) -> tuple[SpikeData, dict[str, Any]]:
    """Trials cut from one long run of the network, and how often the whole run switched.

    The recording is kept in a file, and read from there the next time.

    Parameters
    ----------
    path : of the file
    n : trials
    length : s of a trial
    run : s of the whole run
    seed : of network, recorded neurons and places of the trials

    Raises
    ------
    ValueError : if the run is too short for so many trials.
    """
    n_places = int(run / length + 1e-9)
    if n_places < n:
        raise ValueError(f"a run of {run:g} s has no {n} segments of {length:g} s")
    activity = lif_network(winner_take_all(), n_places * length, seed=seed, time_step=TIME_STEP)
    data = activity.record(N_RECORDED, BIN, seed=seed)
    switching = switches_of(data.truth["population_counts"])
    places = np.random.default_rng(seed).permutation(n_places)[:n]  # more trials change no other
    cut = lambda x: x.reshape(n_places, -1, x.shape[-1])[places]  # noqa: E731
    truth = {name: cut(values) for name, values in data.truth.items()}
    trials = SpikeData(cut(data.counts), BIN, neuron_ids=data.neuron_ids, truth=truth)
    write_npz(path, trials)
    return trials, switching


def switches_of(counts: np.ndarray) -> dict[str, Any]:
    """Switches per 100 s between the two excitatory populations, of spikes [trials, bins, K]."""
    rate = switch_rate(find_switches(counts, bin_width=BIN), block=_BLOCK)
    spread = None if np.isnan(rate.spread) else rate.spread
    return {
        "value": rate.value,
        "counting_error": rate.counting_error,
        "spread": spread,
        "seconds": rate.duration,
    }


def agreement(activity: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Pearson r with the true activity of one trial, both [bins, K].

    Returns
    -------
    ``r`` over both excitatory populations, one after the other; ``r_difference`` of E1 − E2.
    """
    pair, true = activity[:, :2], truth[:, :2]
    both = np.corrcoef(pair.T.ravel(), true.T.ravel())[0, 1]
    difference = np.corrcoef(pair[:, 0] - pair[:, 1], true[:, 0] - true[:, 1])[0, 1]
    return {"r": float(both), "r_difference": float(difference)}


def _mean_agreement(activity: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    each = [agreement(a, b) for a, b in zip(activity, truth, strict=True)]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def smoothed(spikes: np.ndarray, width: float) -> np.ndarray:
    """Spikes [bins, …] smoothed by a Gaussian of so many seconds, cut off at the ends of the trial.

    The part of the Gaussian that lies in the trial has weight 1: repeating the first bin instead
    would turn a spike in it into a peak of tens of Hz.
    """
    fold = lambda x: gaussian_filter1d(x, width / BIN, axis=0, mode="constant")  # noqa: E731
    weight = fold(np.ones(len(spikes)))
    return fold(spikes.astype(float)) / weight.reshape(-1, *[1] * (spikes.ndim - 1))


def recorded_sums(data: SpikeData, trial: int) -> np.ndarray:
    """Spikes of the recorded neurons of each population, [bins, K]."""
    ids = data.neuron_ids.tolist()
    groups = neurons_by_population(data.neuron_ids).values()
    columns = [[ids.index(neuron) for neuron in group] for group in groups]
    return np.stack([data.counts[trial][:, c].sum(-1) for c in columns], axis=1)


def run_fit(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fit some trials; then let the fitted model and the network with its parameters run freely."""
    trial, n_trials = settings["trial"], settings.get("n_trials", 1)
    data = read_npz(settings["recording"]).select_trials(slice(trial, trial + n_trials))
    model = NeuLVM(
        winner_take_all(free=True),
        neurons=neurons_by_population(data.neuron_ids),
        estimation=Estimation(**settings["estimation"]),
    )
    key_fit, key_free, key_draws = jax.random.split(jax.random.key(trial), 3)
    options = RunOptions(folder=folder / "run", resume=True)
    fitted = fit(model, data, options=options, key=key_fit)
    params = fitted.params
    found: dict[str, Any] = {
        **_mean_agreement(params["training_counts"], data.truth["population_counts"]),
        "parameters": model.parameters(params),
        "mesoscopic": free_switches(model, params, settings["seconds"], key_free),
    }
    draws = np.asarray(params["draws"])
    chosen = np.linspace(0, len(draws) - 1, min(settings["n_draws"], len(draws))).astype(int)
    seconds = settings["seconds"] / max(len(chosen), 1)
    found["mesoscopic_of_draws"] = [
        free_switches(model, params | {"free": draws[i]}, seconds, key)["value"]
        for i, key in zip(chosen, jax.random.split(key_draws, len(chosen)), strict=True)
    ]
    if settings["network_seconds"]:
        network = model.fitted_network(params)
        found["network"] = network_switches(network, settings["network_seconds"], seed=trial)
    return found


def run_known(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Activity of a trial, inferred at the true parameters: no fit can know more of them."""
    data = read_npz(settings["recording"]).select_trials([settings["trial"]])
    model = NeuLVM(
        winner_take_all(free=True),
        neurons=neurons_by_population(data.neuron_ids),
        estimation=Estimation(n_particles=settings["n_particles"]),
    )
    draws = np.tile(true_parameters(model), (N_SWARMS, 1))
    params = {"free": draws[0], "draws": draws}
    found = model.infer(params, data, n_samples=N_SWARMS, key=jax.random.key(settings["trial"]))
    assert found.population_activity is not None
    return agreement(found.population_activity[0], data.truth["population_counts"][0])


def run_informed(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Parameters that suit the true activity of all neurons best, and how often they switch.

    No fit of a few recorded neurons can know more of the trial. Begins at the true parameters, so
    that no start is to blame, and at random ones; the most probable counts.
    """
    from latentspike.models.neulvm.climb import best_parameters

    data = read_npz(settings["recording"]).select_trials([settings["trial"]])
    model = NeuLVM(winner_take_all(free=True), neurons=neurons_by_population(data.neuron_ids))
    prepared = model.prepare(data)
    low, high = model.network.bounds
    drawn = np.random.default_rng(settings["trial"]).uniform(low, high, (2, low.size))
    counts = data.truth["population_counts"]
    with jax.enable_x64(True):
        found = [
            best_parameters(prepared.system, prepared.problem, start, counts, n_steps=500)
            for start in (true_parameters(model), *drawn)
        ]
    free, value = max(found, key=lambda each: each[1])
    params = {"free": free, "rate": np.full(3, 5.0), "n_recorded": np.full(3, N_RECORDED)}
    key = jax.random.key(settings["trial"])
    return {
        "free": free.tolist(),
        "log_joint": value,
        "mesoscopic": free_switches(model, params, settings["seconds"], key),
        "seen": switches_of(counts)["value"],
    }


def true_parameters(model: NeuLVM) -> np.ndarray:
    """Of the network that was recorded, in the order of the model's free ones."""
    low, high = model.network.bounds
    return np.where(low > 0, low, high) / 0.4  # the boxes of `winner_take_all(free=True)`


def free_switches(model: NeuLVM, params: Any, seconds: float, key: jax.Array) -> dict[str, Any]:
    """How often the mesoscopic model switches in a free run."""
    n_bins = max(1, round(seconds / BIN))
    free = model.simulate(params, n_trials=1, n_bins=n_bins, bin_width=BIN, key=key)
    return switches_of(free.truth["population_counts"])


def network_switches(network: Network, seconds: float, *, seed: int) -> dict[str, Any]:
    """How often a network switches, neuron by neuron."""
    activity = lif_network(network, seconds, seed=seed, time_step=TIME_STEP)
    return switches_of(activity.counts(BIN))
