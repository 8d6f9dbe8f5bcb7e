"""Checks at the container's boundary: what is wrong, where, and what to do."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

_CHUNK_TRIALS = 256
_LARGEST_COUNT = 2**32 - 1


def check_bin_width(bin_width: Any) -> float:
    """Bin width in seconds as a positive float; raises ValueError otherwise."""
    width = as_seconds("bin_width", bin_width)
    if width <= 0:
        raise ValueError(f"bin_width must be a positive number of seconds, got {bin_width!r}")
    return width


def as_seconds(name: str, value: Any) -> float:
    """Finite time in seconds as a float; raises ValueError otherwise."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = np.nan
    if not np.isfinite(seconds):
        raise ValueError(f"{name} must be a finite number of seconds, got {value!r}")
    return seconds


def steps_of(what: str, seconds: float, time_step: float) -> int:
    """A time as a whole number of steps, 0 or more; ValueError where it is none."""
    steps = round(seconds / time_step)
    if abs(steps * time_step - seconds) > 1e-6 * time_step:
        raise ValueError(
            f"{what} of {seconds} s is not a whole number of time steps of {time_step} s: "
            "change one of the two"
        )
    return steps


def as_whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Whole number in [low, high]; raises ValueError otherwise, never rounds."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from None
    if number < low or (high is not None and number > high):
        limits = f"at least {low}" if high is None else f"in [{low}, {high}]"
        raise ValueError(f"{name} must be {limits}, got {number}")
    return number


def as_index(name: str, selection: Any, length: int) -> np.ndarray:
    """Whole-number indices that an index, index array, slice or bool mask selects.

    Raises ValueError if it selects nothing or does not fit ``length``.
    """
    try:
        index = np.atleast_1d(np.arange(length)[selection])
    except (IndexError, TypeError) as error:
        raise ValueError(f"{name} does not select from {length} {name}: {error}") from error
    if index.ndim != 1 or index.size == 0:
        raise ValueError(
            f"{name} must select at least one of the {length} {name} with a vector or slice, "
            f"got a selection of shape {index.shape}"
        )
    return index


def as_counts(counts: Any, *, kind: str = "counts") -> np.ndarray:
    """Read-only [trials, bins, neurons] array in the smallest whole-number type (or float32).

    Checked in chunks of trials, so that a memory-mapped array is never held whole.
    """
    if kind not in ("counts", "continuous"):
        raise ValueError(f"kind must be 'counts' or 'continuous', got {kind!r}")
    array = _as_array("counts", counts)
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
    elif largest > _LARGEST_COUNT:
        raise ValueError(
            f"counts hold {largest:g} spikes in one bin, more than {_LARGEST_COUNT}: "
            "are these spikes per bin?"
        )
    else:
        dtype = np.min_scalar_type(int(largest))
    return _frozen(array if array.dtype == dtype else array.astype(dtype), given=counts)


def _as_array(name: str, values: Any) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return values
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is ragged; all trials need the same shape: {error}") from error


def _check_values(chunk: np.ndarray, first_trial: int, *, whole: bool) -> None:
    if chunk.dtype.kind == "f":
        hint = "is not finite; put 0 there and mark missing bins in `observed`"
        _raise_at(chunk, ~np.isfinite(chunk), first_trial, hint)
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
            f"({int(bad.sum())} such in trials {first_trial} to {first_trial + len(chunk) - 1})"
        )


def as_mask(name: str, mask: Any, shape: tuple[int, ...], *, default: bool) -> np.ndarray:
    """Read-only bool array of the given shape; ``default`` everywhere when None."""
    if mask is None:
        return np.broadcast_to(np.bool_(default), shape)
    array = _as_array(name, mask)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if array.dtype != bool:
        raise ValueError(f"{name} must be a bool mask, got dtype {array.dtype}")
    return _frozen(array, given=mask)


def as_series(
    name: str, values: Any, leading: tuple[int, int], *, finite: bool = False
) -> np.ndarray:
    """Read-only float array [trials, bins, dims]; a 2-d array gets one trailing dimension."""
    array = _as_array(name, values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numbers, got dtype {array.dtype}")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[:2] != leading:
        raise ValueError(
            f"{name} must have shape [{leading[0]} trials, {leading[1]} bins, dims], "
            f"got {array.shape}"
        )
    if finite and not np.isfinite(array).all():
        trial, time_bin, dim = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name}[trial {trial}, bin {time_bin}, dimension {dim}] = "
            f"{array[trial, time_bin, dim]} is not finite"
        )
    return _frozen(array, given=values)


def as_vector(name: str, values: Any, length: int, *, unique: bool = False) -> np.ndarray:
    """Read-only vector of labels; 0, 1, 2, … when None."""
    array = np.arange(length) if values is None else _as_array(name, values)
    if array.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},), got {array.shape}")
    if array.dtype.kind not in "biuSU":
        for where, label in enumerate(array):
            if label is None or label != label:
                raise ValueError(f"{name}[{where}] = {label} is missing; give every entry a label")
    if array.dtype.kind == "O":
        array = array.astype(str)
    seen, times = np.unique(array, return_counts=True) if unique else (array, None)
    if times is not None and seen.size != length:
        first = int(np.flatnonzero(times > 1)[0])
        raise ValueError(
            f"{name} must be unique, but {seen[first].item()!r} appears {times[first]} times"
        )
    return _frozen(array, given=values)


def _frozen(array: np.ndarray, *, given: Any) -> np.ndarray:
    # A writeable array of the caller is copied, so that it cannot change behind our back;
    # memory-mapped files stay on disk.
    shared = isinstance(given, np.ndarray) and np.may_share_memory(array, given)
    if shared and array.flags.writeable and not isinstance(array, np.memmap):
        array = array.copy()
    view = array.view()
    view.flags.writeable = False
    return view
