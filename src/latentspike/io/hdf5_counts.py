"""Counts out of HDF5 in chunks of trials, so that memory holds little beside the result."""

from __future__ import annotations

import h5py
import numpy as np

from latentspike.io.hdf5_layout import Layout, Tile
from latentspike.io.memory import Shelf


def assemble(
    layout: Layout,
    rows: dict[str, np.ndarray],
    columns: np.ndarray,
    *,
    continuous: bool,
    shelf: Shelf,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Counts on the whole canvas, and the mask of what was recorded (None: everything).

    Parameters
    ----------
    layout : what the file holds
    rows : for each part, where its trials go
    columns : int [neurons]; where each column of the file goes
    continuous : values may be any number
    shelf : where the arrays are kept

    Returns
    -------
    counts : array [trials, bins, neurons]; 0 where nothing was recorded
    observed : bool array of the same shape, or None

    Notes
    -----
    The file is read twice in chunks of trials, first to find the smallest type and bad values,
    then to copy, so that no more than a chunk is ever held beside the result. NaN marks a missing
    bin.
    """
    tiles = [tile for part in layout.parts for tile in part.tiles]
    masks = [part.mask for part in layout.parts if part.mask is not None]
    largest, any_missing = 0.0, bool(masks) or not layout.is_covered
    for tile in tiles:
        top, missing = _scan(tile, whole=not continuous)
        largest, any_missing = max(largest, top), any_missing or missing
    shape = (layout.n_trials, layout.n_bins, layout.n_neurons)
    if continuous:
        double = any(tile.dataset.dtype == np.float64 for tile in tiles)
        dtype = np.dtype(np.float64 if double else np.float32)
    else:
        dtype = np.min_scalar_type(int(largest))
    counts = shelf.zeros(shape, dtype)
    observed = shelf.zeros(shape, bool) if any_missing else None
    for part in layout.parts:
        for tile in part.tiles:
            _copy(tile, part.mask, rows[part.prefix], columns, counts, observed)
    counts.flags.writeable = False
    return counts, observed


def _scan(tile: Tile, *, whole: bool) -> tuple[float, bool]:
    """Largest value, and whether NaN occurs; raises at a value that is no count."""
    largest, any_missing = 0.0, False
    for chunk in tile.chunks():
        values = tile.dataset[chunk]
        missing = values != values
        any_missing = any_missing or bool(missing.any())
        bad = np.isinf(values)
        if whole and values.dtype.kind != "b":
            bad = bad | (values < 0) | (~missing & (values != np.floor(values)))
        if bad.any():
            trial, time_bin, neuron = (int(i) for i in np.argwhere(bad)[0])
            want = "a non-negative whole number of spikes" if whole else "a finite number"
            raise ValueError(
                f"{tile.dataset.file.filename}: {tile.name}[trial {chunk.start + trial}, bin "
                f"{time_bin}, neuron {neuron}] = {values[trial, time_bin, neuron]}; expected "
                f"{want}, or NaN where nothing was recorded"
            )
        largest = max(largest, float(np.max(values, where=~missing, initial=0)))
    return largest, any_missing


def _copy(
    tile: Tile,
    mask: h5py.Dataset | None,
    rows: np.ndarray,
    columns: np.ndarray,
    counts: np.ndarray,
    observed: np.ndarray | None,
) -> None:
    _, n_bins, n_neurons = tile.dataset.shape
    tile_bins = slice(tile.first_bin, tile.first_bin + n_bins)
    tile_columns = slice(tile.first_neuron, tile.first_neuron + n_neurons)
    bins, neurons = np.arange(counts.shape[1])[tile_bins], columns[tile_columns]
    for chunk in tile.chunks():
        values = tile.dataset[chunk]
        present = values == values
        place = np.ix_(rows[chunk], bins, neurons)
        counts[place] = np.where(present, values, 0)
        if observed is not None:
            seen = True if mask is None else mask[chunk, tile_bins, tile_columns]
            observed[place] = present & seen
