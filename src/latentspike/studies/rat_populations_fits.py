"""Rat motor cortex as a network of populations: recording, clusters, network, one fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from latentspike.dynamics import Free, Network, Population
from latentspike.dynamics.stepping import Stepping
from latentspike.evaluate import PopulationLabels, find_populations
from latentspike.evaluate.van_rossum import Normalize
from latentspike.models.neulvm import Estimation, NeuLVM
from latentspike.spikes import SpikeData, Split
from latentspike.studies.common import recordings_folder
from latentspike.studies.rat_motor_cortex import VARIANTS, run_once
from latentspike.studies.recordings import rat_motor_cortex
from latentspike.training import RunOptions, fit

BIN = 0.01  # s, of the network
SCORED_BIN = 0.02  # s, of `latentspike.studies.rat_motor_cortex`
START, STOP = 0.2, 1.4  # s, of a trial
N_COSINES = 8
MAX_AGE = 0.15  # s
N_GROUPS = 10  # of training trials, superposed
FEWEST = 2  # held-in neurons of a population
LONGEST = 0.2  # s, of the filter of van Rossum's distance
PARTS = ("fitted", "choice", "test")
Groups = dict[str, list[int]]


def spikes_of(recording: SpikeData) -> SpikeData:
    """The same trials and neurons in 10-ms bins of one spike at most, with a clock as input.

    Returns
    -------
    With ``inputs`` [trials, bins, 8]: cosines of the time in the trial, the same in every trial.
    """
    with np.load(
        recordings_folder() / "rat_motor_cortex" / "motor_ctx_data.npz", allow_pickle=False
    ) as file:
        trial, time_ms, neuron = file["trial_ids"], file["spiketimes"], file["neuron_ids"]
    first, last = round(START / BIN), round(STOP / BIN)
    counts = np.zeros((recording.n_trials, last, recording.n_neurons), np.uint8)
    time_bin = (time_ms // (1000 * BIN)).astype(int)
    kept = time_bin < last
    counts[trial[kept], time_bin[kept], neuron[kept]] = 1
    counts = counts[:, first:]
    time = (np.arange(last - first) + 0.5) / (last - first)
    clock = np.sqrt(2) * np.cos(np.pi * np.outer(time, np.arange(1, N_COSINES + 1)))
    inputs = np.broadcast_to(clock, (recording.n_trials, *clock.shape))
    return SpikeData(counts, BIN, t_start=START, heldout=recording.heldout, inputs=inputs.copy())


def parts_of(split: Split, n_fitted: int, n_choice: int, n_test: int) -> dict[str, np.ndarray]:
    """Trials to fit, to choose by, and to test; the first two are training trials."""
    order = np.random.default_rng(0).permutation(split.train)
    chosen = order[:n_fitted], order[n_fitted : n_fitted + n_choice]
    parts = (np.sort(chosen[0]), np.sort(chosen[1]), split.validation[:n_test])
    return dict(zip(PARTS, parts, strict=True))


def clusters(train: SpikeData, n: int, *, normalize: Normalize = "rate", seed: int) -> Groups:
    """Populations among all neurons, each with some that are held in.

    Training trials are superposed in ten groups, since single ones say little of the course of a
    neuron with few spikes. With "rate", neurons of a population share a course, with "none" rather
    their rate. A cluster with fewer than two held-in neurons joins the nearest, and one more is
    asked for.

    Raises
    ------
    ValueError : if there are no such populations.
    """
    if n == 1:
        return {"population 1": train.neuron_ids.tolist()}
    order = np.array_split(np.random.default_rng(seed).permutation(train.n_trials), N_GROUPS)
    together = np.stack([train.counts[group].sum(0, dtype=np.int64) for group in order])
    superposed = SpikeData(together, train.bin_width, neuron_ids=train.neuron_ids)
    for asked in range(n, train.n_neurons // FEWEST):
        found = find_populations(
            superposed, asked, time_constant=LONGEST, normalize=normalize, seed=seed
        )
        labels = merged(found, ~train.heldout)
        if labels.max() + 1 == n:
            break
    else:
        raise ValueError(f"there are no {n} populations with {FEWEST} held-in neurons each")
    print(f"  {n} populations: {asked} clusters, stability {found.stability:.2f}")
    return {f"population {k + 1}": train.neuron_ids[labels == k].tolist() for k in range(n)}


def merged(found: PopulationLabels, heldin: np.ndarray) -> np.ndarray:
    """Labels [neurons], clusters with too few held-in neurons joined to the nearest."""
    labels = found.labels.copy()
    while labels.any():
        n_heldin = np.bincount(labels[heldin], minlength=labels.max() + 1)
        small = int(np.argmin(n_heldin))
        if n_heldin[small] >= FEWEST:
            break
        others = [k for k in range(labels.max() + 1) if k != small]
        near = [found.distance[np.ix_(labels == small, labels == k)].mean() for k in others]
        labels[labels == small] = others[int(np.argmin(near))]
        labels = np.unique(labels, return_inverse=True)[1]
    return labels


def network(groups: Groups, size: int, *, has_clock: bool) -> Network:
    """All populations connected, everything unknown but their size.

    Thresholds and resting voltages may lie below the reset: neurons may then fire more often right
    after a spike, as bursts, and rates that differ within a population, make the recorded ones do.
    """
    population = Population(
        size,
        membrane_time=Free(0.005, 0.05),
        resting=Free(-10.0, 20.0),
        threshold=Free(-6.0, 20.0),
    )
    connections = {sender: {receiver: Free(-20, 20) for receiver in groups} for sender in groups}
    clock = {f"cosine {i + 1}": {name: Free(-5, 5) for name in groups} for i in range(N_COSINES)}
    return Network(
        dict.fromkeys(groups, population), connections, inputs=clock if has_clock else {}
    )


def run_fit(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fit some training trials; leaves the activity of all parts, Hz in 20-ms bins, in files.

    That of the fitted trials is inferred again, like that of the others: regressions on it are to
    meet the same spread in all parts.
    """
    coarse, split = rat_motor_cortex(recordings_folder(), draw=settings["draw"])
    data = spikes_of(coarse)
    if not settings["has_clock"]:
        data = data.replace(inputs=None)
    parts = parts_of(split, *settings["trials"])
    model = NeuLVM(
        network(settings["groups"], settings["size"], has_clock=settings["has_clock"]),
        settings["groups"],
        Stepping(max_age=MAX_AGE),
        Estimation(**settings["estimation"]),
    )
    options = RunOptions(folder=folder / "run", resume=True)
    fitted = fit(model, data.select_trials(parts["fitted"]), options=options, key=jax.random.key(0))
    reader = dataclasses.replace(
        model, estimation=dataclasses.replace(model.estimation, **settings["inference"])
    )
    for part in PARTS:
        if not activity_file(folder, part).exists():
            trials = data.select_trials(parts[part])
            key = jax.random.key(1)
            found = reader.infer(fitted.params, trials, n_samples=settings["samples"], key=key)
            _keep(folder, part, np.asarray(found.population_activity))
    return {
        "parameters": model.parameters(fitted.params),
        "warnings": model.warnings(fitted.params),
    }


def activity_file(folder: Path, part: str) -> Path:
    """Where a fit leaves the activity of some trials, [trials, scored bins, K] in Hz."""
    return folder / f"activity_{part}.npy"


def _keep(folder: Path, part: str, rates: np.ndarray) -> None:
    step = round(SCORED_BIN / BIN)
    pooled = rates.reshape(rates.shape[0], -1, step, rates.shape[2]).mean(2)
    np.save(activity_file(folder, part), pooled, allow_pickle=False)


def run_lfads(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """LFADS as in `latentspike.studies.rat_motor_cortex`, all training and test trials."""
    data, split = rat_motor_cortex(recordings_folder(), draw=settings["draw"])
    split = Split(split.train, split.validation[: settings["n_test"]])
    bits, error = run_once(
        data, split, VARIANTS[settings["variant"]], seed=0, n_epochs=settings["epochs"]
    )
    return {"value": bits, "standard_error": error}
