"""Write a recording in the HDF5 layout of LFADS."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import h5py
import numpy as np

from latentspike.files import atomic_path
from latentspike.io.hdf5_series import BARE_NAME
from latentspike.io.memory import trial_chunks
from latentspike.io.opening import write_labels
from latentspike.spikes import SpikeData, Split


def write_hdf5(path: str | os.PathLike[str], data: SpikeData, split: Split | None = None) -> None:
    """Write a recording that `read_hdf5` and LFADS read.

    Parameters
    ----------
    path : written atomically.
    data : SpikeData
        Held-in neurons come first in the file; ``neuron_order`` remembers where they were.
        Bins that were not recorded are False in ``*_observed``, which other programs ignore: they
        would take the values there for counts.
    split : Split, optional
        Must name every trial once. Without it every trial is a training trial.

    Raises
    ------
    ValueError
        If the split leaves out a trial, or a name cannot be a dataset's.

    Examples
    --------
    >>> import tempfile, os, numpy as np
    >>> from latentspike.io import read_hdf5
    >>> path = os.path.join(tempfile.mkdtemp(), "session.h5")
    >>> write_hdf5(path, SpikeData(np.ones((3, 5, 2), int), bin_width=0.01))
    >>> read_hdf5(path)
    (SpikeData(3 trials × 5 bins × 2 neurons, bin 10 ms, 100 Hz mean rate), None)
    """
    parts = split_parts(data.n_trials, split)
    series = dict(_series(data))
    order = np.argsort(data.heldout, kind="stable")
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            bin_width=data.bin_width, t_start=data.t_start, kind=data.kind, truth_unit="Hz"
        )
        if not np.array_equal(order, np.arange(data.n_neurons)):
            file["neuron_order"] = order
        write_labels(file, "neuron_ids", data.neuron_ids)
        for prefix, trials in parts.items():
            _write_counts(file, prefix, data, trials, order)
            write_trial_index(file, prefix, data.trial_ids, trials)
            if data.conditions is not None:
                write_labels(file, f"{prefix}_cond_idx", data.conditions[trials])
            for name, value in series.items():
                file[f"{prefix}_{name}"] = value[trials]


def split_parts(n_trials: int, split: Split | None) -> dict[str, np.ndarray]:
    """Trials of each part; all of them training trials without a split."""
    if split is None:
        return {"train": np.arange(n_trials)}
    parts = {"train": np.asarray(split.train), "valid": np.asarray(split.validation)}
    named = np.concatenate(list(parts.values()))
    if not np.array_equal(np.sort(named), np.arange(n_trials)):
        missing = np.setdiff1d(np.arange(n_trials), named)
        example = f" (trial {missing[0]} is in neither part)" if missing.size else ""
        raise ValueError(
            f"the split must name each of {n_trials} trials once to be written{example}; "
            "select the trials first"
        )
    return parts


def write_trial_index(
    file: h5py.File, prefix: str, trial_ids: np.ndarray, trials: np.ndarray
) -> None:
    """Position of each trial in the recording, and its own name where that says more."""
    file[f"{prefix}_inds"] = trials
    if not np.array_equal(trial_ids, np.arange(trial_ids.size)):
        write_labels(file, f"{prefix}_trial_ids", trial_ids[trials])


def _series(data: SpikeData) -> Iterator[tuple[str, np.ndarray]]:
    if data.inputs is not None:
        yield "ext_input", data.inputs
    groups: dict[str, Mapping[str, np.ndarray]] = {"behavior": data.behavior, "truth": data.truth}
    for group, members in groups.items():
        for name, value in members.items():
            if not name or "/" in name:
                raise ValueError(f"{group} {name!r} cannot be the name of an HDF5 dataset")
            yield group if name == BARE_NAME[group] else f"{group}_{name}", value


def _write_counts(
    file: h5py.File, prefix: str, data: SpikeData, trials: np.ndarray, order: np.ndarray
) -> None:
    n_read = int((~data.heldout).sum())
    shapes = {
        "encod_data": (trials.size, data.n_read_bins, n_read),
        "recon_data": (trials.size, data.n_bins, data.n_neurons),
    }
    sets = {
        name: file.create_dataset(f"{prefix}_{name}", shape, data.counts.dtype, compression="gzip")
        for name, shape in shapes.items()
    }
    if not data.observed.all():
        sets["observed"] = file.create_dataset(
            f"{prefix}_observed", shapes["recon_data"], bool, compression="gzip"
        )
    trial_bytes = data.n_bins * data.n_neurons * data.counts.dtype.itemsize
    for chunk in trial_chunks(trials.size, trial_bytes):
        counts = data.counts[trials[chunk]][:, :, order]
        sets["recon_data"][chunk] = counts
        sets["encod_data"][chunk] = counts[:, : data.n_read_bins, :n_read]
        if "observed" in sets:
            sets["observed"][chunk] = data.observed[trials[chunk]][:, :, order]
