"""Inputs, behavior, truth and labels that lie beside the counts in an HDF5 file."""

from __future__ import annotations

import h5py
import numpy as np

from latentspike.io.hdf5_layout import Layout
from latentspike.io.memory import Shelf
from latentspike.io.opening import numeric_dataset, read_labels

BARE_NAME = {"behavior": "behavior", "truth": "rates"}


def read_series(
    file: h5py.File, group: str, layout: Layout, rows: dict[str, np.ndarray], shelf: Shelf
) -> dict[str, np.ndarray]:
    """Every ``{part}_{group}`` and ``{part}_{group}_<name>`` as name → [trials, bins, dims].

    NaN where a part, or its last bins, are not in the file.
    """
    names: dict[str, str] = {}
    for prefix in layout.prefixes:
        stem = f"{prefix}_{group}"
        for key in sorted(file):
            if key == stem:
                names[BARE_NAME[group]] = group
            elif key.startswith(f"{stem}_"):
                name = key.removeprefix(f"{stem}_")
                names[name] = f"{group}_{name}"
    return {name: _series(file, suffix, layout, rows, shelf) for name, suffix in names.items()}


def read_inputs(
    file: h5py.File, layout: Layout, rows: dict[str, np.ndarray], shelf: Shelf
) -> np.ndarray | None:
    """Measured external inputs, which every part must have in full."""
    named = [f"{p}_ext_input" for p in layout.prefixes if f"{p}_ext_input" in file]
    if not named or all(numeric_dataset(file, name).size == 0 for name in named):
        return None
    if len(named) != len(layout.parts):
        raise ValueError(f"{file.filename} has {named[0]} but lacks that of the other trials")
    return _series(file, "ext_input", layout, rows, shelf)


def read_trial_labels(
    file: h5py.File, suffix: str, rows: dict[str, np.ndarray]
) -> np.ndarray | None:
    """Labels [trials] from ``{part}_{suffix}``; None if no part has them."""
    named = [f"{prefix}_{suffix}" for prefix in rows if f"{prefix}_{suffix}" in file]
    if not named:
        return None
    if len(named) != len(rows):
        raise ValueError(f"{file.filename} has {named[0]} but lacks that of the other trials")
    parts = []
    for name, places in zip(named, rows.values(), strict=True):
        labels = read_labels(file, name)
        if labels.size != places.size:
            raise ValueError(
                f"{file.filename}: {name} must hold one label for each of {places.size} trials, "
                f"got shape {labels.shape}"
            )
        parts.append(labels.reshape(-1))
    together = np.concatenate(parts)
    result = np.empty_like(together)
    result[np.concatenate(list(rows.values()))] = together
    return result


def _series(
    file: h5py.File, suffix: str, layout: Layout, rows: dict[str, np.ndarray], shelf: Shelf
) -> np.ndarray:
    found = {
        prefix: numeric_dataset(file, f"{prefix}_{suffix}")
        for prefix in layout.prefixes
        if f"{prefix}_{suffix}" in file
    }
    cubes = {
        prefix: _on_bins(dataset, layout, rows[prefix].size) for prefix, dataset in found.items()
    }
    dims = {cube.shape[2] for cube in cubes.values()}
    if len(dims) != 1:
        raise ValueError(
            f"{file.filename}: {' and '.join(f'{p}_{suffix}' for p in cubes)} have different "
            f"numbers of dimensions {sorted(dims)}"
        )
    dtype = np.result_type(*(cube.dtype for cube in cubes.values()))
    dtype = dtype if dtype.kind == "f" else np.dtype(np.float64)
    values = shelf.zeros((layout.n_trials, layout.n_bins, dims.pop()), dtype)
    values[...] = np.nan
    for prefix, cube in cubes.items():
        values[rows[prefix], : cube.shape[1]] = cube
    values.flags.writeable = False
    return values


def _on_bins(dataset: h5py.Dataset, layout: Layout, n_trials: int) -> np.ndarray:
    values = np.asarray(dataset[()])
    lengths = (layout.n_bins, layout.n_read_bins)
    if values.ndim == 2 and values.shape[1] in lengths:
        values = values[:, :, None]
    elif values.ndim == 2:
        values = np.broadcast_to(values[:, None], (values.shape[0], layout.n_bins, values.shape[1]))
    if values.ndim != 3 or values.shape[0] != n_trials or values.shape[1] not in lengths:
        raise ValueError(
            f"{dataset.file.filename}: {str(dataset.name).lstrip('/')} must have shape "
            f"[{n_trials} trials, {layout.n_bins} bins, dims], got {dataset.shape}"
        )
    return values
