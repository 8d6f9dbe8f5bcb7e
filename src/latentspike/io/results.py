"""What a model inferred, in the HDF5 names that LFADS analysis scripts expect."""

from __future__ import annotations

import os
from typing import Any

import h5py
import numpy as np

from latentspike.files import atomic_path
from latentspike.io.hdf5 import trial_order
from latentspike.io.hdf5_series import read_trial_labels
from latentspike.io.hdf5_write import split_parts, write_trial_index
from latentspike.io.opening import (
    list_members,
    number_attribute,
    numeric_dataset,
    open_hdf5,
    read_labels,
    read_numbers,
    write_labels,
)
from latentspike.spikes import Posterior, Split

EXPECTED = "an HDF5 file of results that latentspike wrote (train_rates_hz, bin_width)"
NAMES = {  # field of Posterior: dataset, in the words of LFADS where it has one
    "rates": "rates_hz",
    "rates_std": "rates_hz_std",
    "factors": "factors",
    "factors_std": "factors_std",
    "initial_condition": "gen_init",
    "initial_condition_std": "gen_init_std",
    "inferred_inputs": "gen_inputs",
    "inferred_inputs_std": "gen_inputs_std",
    "population_activity": "population_activity_hz",
    "population_activity_std": "population_activity_hz_std",
}
ALIASES = {  # second names of the same data, as hard links
    "gen_init": "ic_mean",
    "gen_init_std": "ic_std",
    "gen_inputs": "co_means",
    "gen_inputs_std": "co_stds",
}


def write_results_hdf5(
    path: str | os.PathLike[str],
    posterior: Posterior,
    *,
    split: Split | None = None,
    kind: str = "counts",
) -> None:
    """Write inferred rates, factors, inputs and initial conditions.

    Parameters
    ----------
    path : written atomically.
    posterior : Posterior
    split : Split, optional
        Must name every trial once. Without it every trial is a training trial.
    kind : "counts" or "continuous"
        As in the `SpikeData` that was read.

    Raises
    ------
    ValueError
        If the split leaves out a trial.

    Notes
    -----
    For ``train_`` and, with a split, ``valid_``: ``output_params`` [trials, bins, neurons] is the
    expected count per bin as in files of LFADS (rates × bin width; for continuous data the
    expected value), ``rates_hz`` the same in Hz, ``factors``, ``gen_inputs`` (inferred inputs,
    also named ``co_means``), ``gen_init`` (initial condition, also ``ic_mean``), with spread in
    ``*_std`` (also ``ic_std``, ``co_stds``), and ``inds``, the position of each trial in the
    recording.

    Examples
    --------
    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "results.h5")
    >>> names = dict(trial_ids=np.arange(2), neuron_ids=np.arange(3))
    >>> write_results_hdf5(path, Posterior(np.full((2, 5, 3), 20.0), 0.01, **names))
    >>> with h5py.File(path) as file:
    ...     print(file["train_output_params"][0, 0])
    [0.2 0.2 0.2]
    """
    if kind not in ("counts", "continuous"):
        raise ValueError(f"kind must be 'counts' or 'continuous', got {kind!r}")
    parts = split_parts(posterior.rates.shape[0], split)
    per_bin = posterior.bin_width if kind == "counts" else 1.0
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            latentspike="results",
            bin_width=posterior.bin_width,
            t_start=posterior.t_start,
            n_samples=posterior.n_samples,
            kind=kind,
            output_params="expected count per bin" if kind == "counts" else "expected value",
        )
        write_labels(file, "neuron_ids", np.asarray(posterior.neuron_ids))
        for prefix, trials in parts.items():
            write_trial_index(file, prefix, np.asarray(posterior.trial_ids), trials)
            file[f"{prefix}_output_params"] = posterior.rates[trials] * per_bin
            _write_arrays(file, prefix, posterior, trials)


def _write_arrays(file: h5py.File, prefix: str, posterior: Posterior, trials: np.ndarray) -> None:
    for field, value in posterior.arrays().items():
        name = NAMES[field]
        file[f"{prefix}_{name}"] = np.asarray(value)[trials]
        if name in ALIASES:
            file[f"{prefix}_{ALIASES[name]}"] = file[f"{prefix}_{name}"]


def read_results_hdf5(path: str | os.PathLike[str]) -> Posterior:
    """Read what `write_results_hdf5` wrote, trials in their original order.

    Parameters
    ----------
    path : file of results.

    Returns
    -------
    Posterior

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is truncated or foreign.

    Examples
    --------
    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "results.h5")
    >>> names = dict(trial_ids=np.arange(2), neuron_ids=np.arange(3))
    >>> write_results_hdf5(path, Posterior(np.full((2, 5, 3), 20.0), 0.01, **names))
    >>> read_results_hdf5(path)
    Posterior(2 trials × 5 bins × 3 neurons)
    """
    with open_hdf5(path, EXPECTED) as file:
        if "train_rates_hz" not in file or "bin_width" not in file.attrs:
            found = list_members(file)
            raise ValueError(f"{path} holds {found}; expected {EXPECTED}")
        prefixes = [prefix for prefix in ("train", "valid") if f"{prefix}_rates_hz" in file]
        sizes = [numeric_dataset(file, f"{prefix}_rates_hz").shape[0] for prefix in prefixes]
        rows, _ = trial_order(file, prefixes, sizes)
        ids = read_trial_labels(file, "trial_ids", rows)
        numbers = {
            name: number_attribute(file, name, default)
            for name, default in (("bin_width", None), ("t_start", 0.0), ("n_samples", 0))
        }
        neuron_ids = read_labels(file, "neuron_ids")
        arrays = {field: _read_array(file, name, rows) for field, name in NAMES.items()}
    fields: dict[str, Any] = {name: value for name, value in arrays.items() if value is not None}
    return Posterior(
        **fields,
        **numbers,
        trial_ids=np.arange(sum(sizes)) if ids is None else ids,
        neuron_ids=neuron_ids,
    )


def _read_array(file: h5py.File, name: str, rows: dict[str, np.ndarray]) -> np.ndarray | None:
    if f"train_{name}" not in file:
        return None
    missing = [f"{prefix}_{name}" for prefix in rows if f"{prefix}_{name}" not in file]
    if missing:
        raise ValueError(f"{file.filename} has train_{name} but lacks {missing[0]}")
    parts = np.concatenate([read_numbers(file, f"{prefix}_{name}") for prefix in rows])
    order = np.concatenate(list(rows.values()))
    if len(parts) != len(order):
        raise ValueError(
            f"{file.filename}: {name} covers {len(parts)} trials, but there are {len(order)}"
        )
    result = np.empty_like(parts)
    result[order] = parts
    return result
