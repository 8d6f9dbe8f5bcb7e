"""Checks at the container's boundary: what is wrong, where, and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np

_CHUNK_TRIALS = 256


def check_bin_width(bin_width: Any) -> float:
    """Bin width in seconds as a positive float; raises ValueError otherwise."""
    width = float(bin_width)
    if not (np.isfinite(width) and width > 0):
        raise ValueError(f"bin_width must be a positive number of seconds, got {bin_width!r}")
    return width


def as_counts(counts: Any, *, kind: str = "counts") -> np.ndarray:
    """Read-only [trials, bins, neurons] array in the smallest whole-number type (or float32).

    Checked in chunks of trials, so that a memory-mapped array is never held whole.
    """
    if kind not in ("counts", "continuous"):
        raise ValueError(f"kind must be 'counts' or 'continuous', got {kind!r}")
    array = counts if isinstance(counts, np.ndarray) else np.asarray(counts)
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(
            "counts must have shape [trials, bins, neurons] with at least one of each, "
            f"got shape {array.shape}"
        )
    if array.dtype.kind not in "biuf":
        raise ValueError(f"counts must be numbers, got dtype {array.dtype}")
    largest = 0.0
    for start in range(0, array.shape[0], _CHUNK_TRIALS):
        chunk = np.asarray(array[start : start + _CHUNK_TRIALS])
        _check_values(chunk, start, whole=kind == "counts")
        largest = max(largest, float(chunk.max()))
    if kind == "continuous":
        dtype = np.dtype(np.float64 if array.dtype == np.float64 else np.float32)
    else:
        dtype = np.min_scalar_type(int(largest))
    return _frozen(array if array.dtype == dtype else array.astype(dtype))


def _check_values(chunk: np.ndarray, first_trial: int, *, whole: bool) -> None:
    if chunk.dtype.kind == "f":
        _raise_at(chunk, ~np.isfinite(chunk), first_trial, "is not finite; mark missing bins in `observed`")
    if not whole:
        return
    if chunk.dtype.kind in "if":
        _raise_at(chunk, chunk < 0, first_trial, "is negative; counts are spikes per bin")
    if chunk.dtype.kind == "f":
        hint = "is not a whole number; pass spikes per bin, or kind='continuous'"
        _raise_at(chunk, chunk != np.floor(chunk), first_trial, hint)


def _raise_at(chunk: np.ndarray, bad: np.ndarray, first_trial: int, why: str) -> None:
    if bad.any():
        trial, time_bin, neuron = (int(i) for i in np.argwhere(bad)[0])
        value = chunk[trial, time_bin, neuron]
        raise ValueError(
            f"counts[trial {first_trial + trial}, bin {time_bin}, neuron {neuron}] = {value} {why} "
            f"({int(bad.sum())} such entries near there)"
        )


def as_mask(name: str, mask: Any, shape: tuple[int, ...], *, default: bool) -> np.ndarray:
    """Read-only bool array of the given shape; ``default`` everywhere when None."""
    if mask is None:
        return np.broadcast_to(np.bool_(default), shape)
    array = np.asarray(mask)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if array.dtype != bool:
        raise ValueError(f"{name} must be a bool mask, got dtype {array.dtype}")
    return _frozen(array)


def as_series(
    name: str, values: Any, leading: tuple[int, int], *, finite: bool = False
) -> np.ndarray:
    """Read-only float array [trials, bins, dims]; a 2-d array gets one trailing dimension."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numbers, got dtype {array.dtype}")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[:2] != leading:
        raise ValueError(
            f"{name} must have shape [{leading[0]} trials, {leading[1]} bins, dims], got {array.shape}"
        )
    if finite and not np.isfinite(array).all():
        trial, time_bin, dim = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name}[trial {trial}, bin {time_bin}, dimension {dim}] = {array[trial, time_bin, dim]} "
            "is not finite"
        )
    return _frozen(array)


def as_vector(name: str, values: Any, length: int, *, unique: bool = False) -> np.ndarray:
    """Read-only vector of labels; 0, 1, 2, … when None."""
    array = np.arange(length) if values is None else np.asarray(values)
    if array.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},), got {array.shape}")
    if array.dtype.kind == "O":
        array = array.astype(str)
    if unique and np.unique(array).size != length:
        seen, times = np.unique(array, return_counts=True)
        raise ValueError(f"{name} must be unique, but {seen[times > 1][0]!r} appears {times.max()} times")
    return _frozen(array)


def _frozen(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
