"""What each model is given where nothing is said: the one file here that knows models by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from latentspike.compare.settings import Rival, Tables, merged
from latentspike.evaluate import PopulationLabels, choose_psth_width, stability_against_number
from latentspike.models.neulvm import NeuLVM
from latentspike.models.registry import MODELS, model_from_config, model_to_config
from latentspike.models.smoothing import GaussianSmoothing, tuned_smoothing
from latentspike.models.tree import flatten
from latentspike.search.defaults import choose_model, choose_training
from latentspike.spikes import SpikeData
from latentspike.training.settings import TrainingSettings

# nothing in them is drawn: one fit is all there is to see
WITHOUT_CHANCE = ("smoothing", "psth", "glm", "gpfa", "plds")
# arrays beside the parameters: bounds, labels, what the estimation tells
_BESIDE = {
    "glm": ("ceiling", "mean_counts", "n_lags"),
    "gpfa": ("least", "log_likelihood"),
    "psth": ("conditions",),
}
_EXTRAS = {"neulvm": "populations", "glm": "glm"}

_SMOOTHING_WIDTH = 0.06  # s, of continuous data, where no width can be chosen

_N_LATENTS = (2, 12)  # least and most, of linear models

_MOST_BINS = 4000  # of all trials that neuLVM is fitted to: hours on one core
_MOST_DOUBLE = 0.1  # share of spikes that neuLVM may miss
_SIZE = 200  # neurons of a population, recorded or not
_MAX_AGE = 0.15  # s
_MOST_POPULATIONS = 3
_STABLE = 0.8  # adjusted Rand index between halves of the trials
_FEWEST = 2  # held-in neurons of a population
_MOST_TRIALS = 20  # single ones that are clustered
_N_GROUPS = 10  # of trials, superposed
_FILTER = 0.2  # s, of van Rossum's distance


def settle(tables: Tables, known: SpikeData) -> Rival:
    """A model with all its settings: defaults from the training trials, and what was given.

    Parameters
    ----------
    tables : as of `latentspike.compare.settings.check_models`
    known : training trials

    Raises
    ------
    ImportError : if a default needs an extra that is not installed.
    ValueError : naming the setting that is wrong.
    """
    name = tables["model"]["name"]
    choose = _CHOICES.get(name)
    chosen, notes = choose(known, tables) if choose else ({}, ())
    every = merged(chosen, tables)
    return Rival(
        model=model_from_config(every["model"]),
        hyperparams=dict(every.get("hyperparams", {})),
        training=TrainingSettings(**every.get("training", {})),
        n_samples=every.get("samples", 0),
        n_trials=every.get("trials"),
        notes=tuple(notes),
    )


def suited(
    name: str, train: SpikeData, test: SpikeData
) -> tuple[SpikeData, SpikeData, tuple[str, ...]]:
    """Trials as a model can read them, and what that leaves out; scores see all of it.

    neuLVM reads one spike of a neuron in a bin at most. Where second ones are few in the training
    trials, they are left out; where they are many, all stays as it is and the model refuses it.
    """
    if name != "neulvm" or train.kind != "counts":
        return train, test, ()
    seen = np.where(train.observed, train.counts, 0)
    double = int(np.maximum(seen - 1.0, 0).sum())
    share = double / max(float(seen.sum()), 1.0)
    if share > _MOST_DOUBLE:
        return train, test, ()
    once = [data.replace(counts=np.minimum(data.counts, 1)) for data in (train, test)]
    note = f"reads one spike per bin at most: {100 * share:.1f} % of spikes left out, all scored"
    return once[0], once[1], (note,) if double else ()


def reader(model: Any, tables: Tables) -> Any:
    """The model for inference with fitted parameters, which takes fewer steps than a fit."""
    if isinstance(model, NeuLVM) and "estimation" not in tables["model"]:
        return dataclasses.replace(
            model, estimation=dataclasses.replace(model.estimation, n_warmup=15)
        )
    return model


def n_parameters(name: str, params: Any) -> int:
    """Numbers that were fitted, without draws and notes of the estimation kept beside them."""
    if name == "neulvm":
        return int(np.size(params["free"]))
    arrays = flatten(params).items()
    return sum(int(np.size(a)) for key, a in arrays if key not in _BESIDE.get(name, ()))


def with_extra(name: str, error: ImportError) -> ImportError:
    """The error of a missing library, with the extra that brings it."""
    if "latentspike[" in str(error) or name not in _EXTRAS:
        return error
    return ImportError(f"{error}; install it with: pip install 'latentspike[{_EXTRAS[name]}]'")


# ---- one function per model ------------------------------------------------------------------

Chosen = tuple[Tables, tuple[str, ...]]


def _smoothing(known: SpikeData, tables: Tables) -> Chosen:
    if "width" in tables["model"]:
        return {}, ()
    fixed = GaussianSmoothing(_SMOOTHING_WIDTH)
    chosen = tuned_smoothing(known) if known.kind == "counts" else fixed
    widths = {"width": chosen.width, "heldout_width": chosen.heldout_width}
    return {"model": {k: v for k, v in widths.items() if v is not None}}, (chosen.label,)


def _psth(known: SpikeData, tables: Tables) -> Chosen:
    if known.kind != "counts" or "width" in tables["model"]:
        return {}, ()
    by_condition = tables["model"].get("by_condition", True)
    width = choose_psth_width(known if by_condition else known.replace(conditions=None))
    return {"model": {"width": width}}, (f"σ = {1e3 * width:g} ms",)


def _lfads(known: SpikeData, tables: Tables) -> Chosen:
    fraction = tables.get("training", {}).get("validation_fraction", 0.2)
    n_learned = known.n_trials - round(fraction * known.n_trials)
    training = choose_training(n_learned, TrainingSettings())
    return {
        "model": model_to_config(choose_model(known)),
        "training": dataclasses.asdict(training),
        "samples": 50,
    }, ()


def _latents(known: SpikeData, tables: Tables) -> Chosen:
    """As many latents as the root of the held-in neurons, within bounds."""
    kind = MODELS[tables["model"]["name"]]
    if "n_latents" not in {field.name for field in dataclasses.fields(kind)}:
        return {}, ()
    n_read = int((~known.heldout).sum())
    n_latents = min(int(np.clip(round(np.sqrt(n_read)), *_N_LATENTS)), max(n_read - 1, 1))
    n_latents = tables["model"].get("n_latents", n_latents)
    return {"model": {"n_latents": n_latents}}, (f"{n_latents} latents",)


def _neulvm(known: SpikeData, tables: Tables) -> Chosen:
    n_trials = int(np.clip(_MOST_BINS // known.n_bins, 1, known.n_trials))
    chosen: Tables = {"samples": 20, "trials": n_trials}
    n_trials = tables.get("trials", n_trials)
    notes = [f"fitted to {n_trials} trials"] if n_trials < known.n_trials else []
    if "network" in tables["model"]:
        return chosen, tuple(notes)
    groups = find_groups(known)
    notes.append(f"{len(groups)} population{'s' * (len(groups) > 1)}")
    chosen["model"] = {
        "network": _network(groups, known.n_inputs),
        "neurons": groups,
        "stepping": {"max_age": _MAX_AGE},
        "estimation": {"n_starts": 2, "n_warmup": 60, "n_draws": 60, "n_leapfrog": 20},
        "own_rates": True,
    }
    return chosen, tuple(notes)


_CHOICES: dict[str, Callable[[SpikeData, Tables], Chosen]] = {
    "lfads": _lfads,
    "neulvm": _neulvm,
    "plds": _latents,
    "slds": _latents,
    "gpfa": _latents,
    "smoothing": _smoothing,
    "psth": _psth,
}


# ---- populations for neuLVM ------------------------------------------------------------------


def _network(groups: dict[str, list[Any]], n_inputs: int) -> dict[str, Any]:
    """All populations connected, everything unknown but their size.

    Thresholds and resting voltages may lie below the reset, so that neurons may fire in bursts.
    """
    free = lambda low, high: {"low": low, "high": high}  # noqa: E731
    population = {
        "size": _SIZE,
        "membrane_time": free(0.005, 0.05),
        "resting": free(-10.0, 20.0),
        "threshold": free(-6.0, 20.0),
    }
    everyone = dict.fromkeys(groups, free(-20.0, 20.0))
    inputs = {f"input {i + 1}": dict.fromkeys(groups, free(-5.0, 5.0)) for i in range(n_inputs)}
    return {
        "populations": dict.fromkeys(groups, population),
        "connections": dict.fromkeys(groups, everyone),
        **({"inputs": inputs} if inputs else {}),
    }


def find_groups(known: SpikeData) -> dict[str, list[Any]]:
    """Neuron ids of up to three populations that come back in halves of the training trials.

    Neurons are compared by when they fire, not by how much, in single trials and in ten groups of
    superposed ones (of trials that repeat themselves a single one says little of neurons with few
    spikes). Of what comes back, most populations win; clusters with fewer than two held-in neurons
    join the nearest. Neurons without a spike go to the first.

    Raises
    ------
    ImportError : without elephant.
    """
    counts = np.where(known.observed, known.counts, 0)[:, : known.n_read_bins].astype(np.int64)
    some = np.linspace(0, known.n_trials - 1, min(known.n_trials, _MOST_TRIALS)).astype(int)
    views = [counts[some]]
    if known.n_trials > _N_GROUPS:
        order = np.random.default_rng(0).permutation(known.n_trials)
        views.append(np.stack([counts[g].sum(0) for g in np.array_split(order, _N_GROUPS)]))
    fires = views[0].sum(axis=(0, 1)) > 0
    stable = [found for view in views for found in _stable(view[..., fires], known.bin_width)]
    labels = np.zeros(known.n_neurons, int)
    if stable:
        best = max(stable, key=lambda found: (found.n_populations, found.stability))
        labels[fires] = _joined(best.labels, best.distance, ~known.heldout[fires])
    ids = known.neuron_ids
    return {f"population {k + 1}": ids[labels == k].tolist() for k in range(labels.max() + 1)}


def _stable(counts: np.ndarray, bin_width: float) -> list[PopulationLabels]:
    """Populations of each number that halves of a recording agree on."""
    numbers = range(2, min(_MOST_POPULATIONS, counts.shape[2] // _FEWEST) + 1)
    if not numbers:
        return []
    found = stability_against_number(
        SpikeData(counts, bin_width), numbers, time_constant=_FILTER, normalize="rate", seed=0
    )
    return [each for each in found if each.stability >= _STABLE]


def _joined(labels: np.ndarray, distance: np.ndarray, heldin: np.ndarray) -> np.ndarray:
    """Labels [neurons], clusters with too few held-in neurons joined to the nearest."""
    labels = labels.copy()
    while labels.any():
        n_heldin = np.bincount(labels[heldin], minlength=labels.max() + 1)
        small = int(np.argmin(n_heldin))
        if n_heldin[small] >= _FEWEST:
            break
        others = [k for k in range(labels.max() + 1) if k != small]
        near = [distance[np.ix_(labels == small, labels == k)].mean() for k in others]
        labels[labels == small] = others[int(np.argmin(near))]
        labels = np.unique(labels, return_inverse=True)[1]
    return labels
