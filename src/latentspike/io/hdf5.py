"""HDF5 recordings in the layouts of LFADS and of the Neural Latents Benchmark."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from latentspike.io.hdf5_counts import assemble
from latentspike.io.hdf5_layout import Layout, find_layout
from latentspike.io.hdf5_series import read_inputs, read_series, read_trial_labels
from latentspike.io.memory import Shelf
from latentspike.io.opening import (
    build,
    number_attribute,
    open_hdf5,
    read_labels,
    read_numbers,
    text_attribute,
)
from latentspike.io.options import ReadOptions, resolve_bin_width
from latentspike.spikes import SpikeData, Split

EXPECTED = "an HDF5 file with train_encod_data and train_recon_data, or train_spikes_heldin"
TRUTH_UNITS = ("Hz", "counts_per_bin")


def read_hdf5(
    path: str | os.PathLike[str], options: ReadOptions | None = None
) -> tuple[SpikeData, Split | None]:
    """Read a recording with its training and validation trials.

    Parameters
    ----------
    path : file in one of three layouts, recognized by its datasets:

        * LFADS: ``{train,valid}_encod_data`` [trials, read bins, held-in neurons] is the leading
          corner of ``{train,valid}_recon_data`` [trials, bins, neurons]; the neurons and bins
          beyond it become held-out neurons and forward bins.
        * older LFADS: ``train_data`` and ``valid_data``.
        * Neural Latents Benchmark: ``{train,eval}_spikes_{heldin,heldout}`` with optional
          ``_forward``. Blocks that are absent (the held-out neurons of the evaluation trials, in
          public files) are not observed. Evaluation trials take the place of validation trials.

        Beside the counts: ``*_inds`` (original trial indices), ``*_ext_input``, ``*_behavior`` or
        ``*_behavior_<name>``, ``*_cond_idx``, ``*_truth`` (rates) or ``*_truth_<name>``,
        ``neuron_ids``, and ``bin_width`` or ``dt`` in seconds. Other datasets, ``test_*`` among
        them, are not read.
    options : `ReadOptions`; ``bin_width`` is needed where the file does not state it.

    Returns
    -------
    data : SpikeData
        With ``*_inds``: trials in their original order, named by those indices. Without: training
        trials, then validation trials.
    split : Split or None
        Which trials were training and which validation; None if the file holds only the former.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is truncated, foreign or inconsistent, naming dataset, trial and neuron.

    Notes
    -----
    NaN among the counts marks a bin that was not recorded: it becomes 0 in ``counts`` and False in
    ``observed``. Behavior and truth that end before the forward bins continue as NaN, and behavior
    with one value per trial [trials, dims] is repeated over its bins. ``*_cond_idx`` of the
    benchmark lists trials per condition instead and is not read. Large arrays go to temporary
    memory-mapped files (`ReadOptions.memory_limit_bytes`).

    Examples
    --------
    >>> import tempfile, os
    >>> from latentspike.spikes import SpikeData
    >>> path = os.path.join(tempfile.mkdtemp(), "session.h5")
    >>> with h5py.File(path, "w") as file:
    ...     file["train_data"], file["valid_data"] = np.ones((3, 5, 2)), np.zeros((1, 5, 2))
    >>> read_hdf5(path, ReadOptions(bin_width=0.01))[0]
    SpikeData(4 trials × 5 bins × 2 neurons, bin 10 ms, 75 Hz mean rate)
    """
    options = options or ReadOptions()
    with open_hdf5(path, EXPECTED) as file:
        layout = find_layout(file)
        rows, trial_ids = trial_order(file, layout.prefixes, layout.sizes)
        fields = _fields(file, layout, rows, options)
        if fields.get("trial_ids") is None:
            fields["trial_ids"] = trial_ids
    return build(path, **fields), _split(rows)


def _fields(
    file: h5py.File, layout: Layout, rows: dict[str, np.ndarray], options: ReadOptions
) -> dict[str, Any]:
    shelf = Shelf(options.memory_limit_bytes)
    bin_width = resolve_bin_width(file.filename, stated_bin_width(file), options)
    columns = _columns(file, layout.n_neurons)
    kind = text_attribute(file, "kind", ("counts", "continuous"), "counts")
    counts, observed = assemble(layout, rows, columns, continuous=kind == "continuous", shelf=shelf)
    heldout = np.zeros(layout.n_neurons, bool)
    heldout[columns[layout.n_read_neurons :]] = True
    truth = read_series(file, "truth", layout, rows, shelf)
    unit = text_attribute(file, "truth_unit", TRUTH_UNITS, options.truth_unit)
    if "rates" in truth and unit == "counts_per_bin":
        truth["rates"] = truth["rates"] / bin_width
    is_benchmark = "train_spikes_heldin" in file
    return {
        "counts": counts,
        "observed": observed,
        "bin_width": bin_width,
        "t_start": number_attribute(file, "t_start", 0.0),
        "heldout": heldout,
        "n_forward_bins": layout.n_bins - layout.n_read_bins,
        "inputs": read_inputs(file, layout, rows, shelf),
        "behavior": read_series(file, "behavior", layout, rows, shelf),
        "truth": truth,
        "conditions": None if is_benchmark else read_trial_labels(file, "cond_idx", rows),
        "trial_ids": read_trial_labels(file, "trial_ids", rows),
        "neuron_ids": read_labels(file, "neuron_ids") if "neuron_ids" in file else None,
        "kind": kind,
    }


def stated_bin_width(file: h5py.File) -> float | None:
    """Bin width that the file states, in seconds."""
    for name in ("bin_width", "dt"):
        if name in file.attrs:
            return number_attribute(file, name, None)
        if name in file:
            value = read_numbers(file, name)
            if value.size != 1:
                raise ValueError(f"{file.filename}: {name} must be one number, got {value.shape}")
            return float(value.reshape(()))
    return None


def trial_order(
    file: h5py.File, prefixes: Sequence[str], sizes: Sequence[int]
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Where the trials of each part go, and their original indices in that order.

    Without ``*_inds`` the parts follow one another and there are no indices.
    """
    named = [f"{prefix}_inds" for prefix in prefixes if f"{prefix}_inds" in file]
    if not named:
        starts = np.cumsum([0, *sizes])
        return {
            prefix: np.arange(start, start + size)
            for prefix, start, size in zip(prefixes, starts, sizes, strict=False)
        }, None
    if len(named) != len(prefixes):
        raise ValueError(
            f"{file.filename} has {named[0]} but not the indices of every part "
            f"({', '.join(f'{prefix}_inds' for prefix in prefixes)})"
        )
    indices = [_trial_indices(file, name, n) for name, n in zip(named, sizes, strict=True)]
    together = np.concatenate(indices)
    values, times = np.unique(together, return_counts=True)
    if (times > 1).any():
        raise ValueError(
            f"{file.filename}: trial index {values[times > 1][0]} appears more than once in "
            f"{' and '.join(named)}"
        )
    rows = [np.searchsorted(values, part) for part in indices]
    return dict(zip(prefixes, rows, strict=True)), values


def _trial_indices(file: h5py.File, name: str, n_trials: int) -> np.ndarray:
    indices = read_numbers(file, name)
    indices = indices.reshape(-1) if indices.size == n_trials else indices
    if indices.shape != (n_trials,) or not np.array_equal(indices, np.floor(indices)):
        raise ValueError(
            f"{file.filename}: {name} must hold {n_trials} whole numbers, one per trial, got shape "
            f"{indices.shape} of {indices.dtype}"
        )
    return indices.astype(np.int64)


def _columns(file: h5py.File, n_neurons: int) -> np.ndarray:
    """Where each column goes; the identity except in files that `write_hdf5` had to reorder."""
    if "neuron_order" not in file:
        return np.arange(n_neurons)
    columns = read_numbers(file, "neuron_order")
    if not np.array_equal(np.sort(columns, axis=None), np.arange(n_neurons)):
        raise ValueError(
            f"{file.filename}: neuron_order must hold each of 0 … {n_neurons - 1} once"
        )
    return columns.reshape(-1).astype(np.int64)


def _split(rows: dict[str, np.ndarray]) -> Split | None:
    parts = [np.sort(part) for part in rows.values()]
    return Split(train=parts[0], validation=parts[1]) if len(parts) == 2 else None
