"""Spike times, windows and recorded intervals: checked, and placed in bins.

One rule says which bin a spike falls in: bin ``k`` covers ``[t_start + k·w, t_start + (k+1)·w)``,
and a spike less than one millionth of a bin before an edge counts as on it, hence in the later
bin. So 0.3 s falls in bin 3 of bins of 0.1 s, although 0.3 / 0.1 is 2.9999999999999996, and a
spike is never counted in two neighboring windows or in none.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from latentspike.spikes.validate import as_seconds, check_bin_width

EDGE_TOLERANCE = 1e-6
"""Fraction of a bin by which a time may miss an edge and still be on it."""

Duplicates = Literal["raise", "keep"]


def check_window(bin_width: Any, t_start: Any, t_stop: Any) -> tuple[float, int]:
    """Bin width in seconds and number of bins of a window that is a whole number of bins."""
    width = check_bin_width(bin_width)
    start, stop = as_seconds("t_start", t_start), as_seconds("t_stop", t_stop)
    n_exact = (stop - start) / width
    n_bins = round(n_exact)
    if n_bins < 1 or abs(n_exact - n_bins) > 1e-9 * n_bins:
        raise ValueError(
            f"the window from {start} to {stop} s is {n_exact:.12g} bins of {width} s; "
            "it must be a whole number of bins, at least one"
        )
    return width, n_bins


def check_spike_times(values: Any, where: str, duplicates: Duplicates) -> np.ndarray:
    """Sorted finite float seconds of one neuron; ``where`` names it in errors."""
    if duplicates not in ("raise", "keep"):
        raise ValueError(f"duplicates must be 'raise' or 'keep', got {duplicates!r}")
    try:
        times = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"spike times of {where} are not numbers: {error}") from error
    if times.ndim != 1:
        raise ValueError(f"spike times of {where} must be a vector, got shape {times.shape}")
    if not np.isfinite(times).all():
        first = int(np.flatnonzero(~np.isfinite(times))[0])
        raise ValueError(f"spike {first} of {where} is at {times[first]} s; drop it")
    steps = np.diff(times)
    if (steps < 0).any():
        first = int(np.flatnonzero(steps < 0)[0])
        raise ValueError(
            f"spike times of {where} are not sorted: {times[first + 1]} s follows "
            f"{times[first]} s; sort them if they are right"
        )
    if duplicates == "raise" and (steps == 0).any():
        first = int(np.flatnonzero(steps == 0)[0])
        raise ValueError(
            f"{where} has two spikes at {times[first]} s; remove one, or pass duplicates='keep'"
        )
    return times


def require_spikes(counts: np.ndarray, window: str) -> None:
    """Raise ValueError when nothing was counted: usually wrong units or a wrong window."""
    if not counts.any():
        raise ValueError(
            f"no neuron has a spike in the window {window}; are times in seconds, and is this the "
            "window you mean?"
        )


def observed_bins(
    intervals: Any, starts: np.ndarray, width: float, n_bins: int, n_neurons: int
) -> np.ndarray:
    """Bool [trials, bins, neurons]: bins fully inside an interval; all without intervals.

    ``starts`` [trials] are the session seconds of each trial's first edge.
    """
    shape = (len(starts), n_bins, n_neurons)
    if intervals is None:
        return np.broadcast_to(np.True_, shape)
    left = starts[:, None] + np.arange(n_bins) * width
    if _is_one_table(intervals):
        return np.broadcast_to(_covered(intervals, "all neurons", left, width)[..., None], shape)
    if len(intervals) != n_neurons:
        raise ValueError(
            f"observed_intervals must be one [k, 2] array or one per neuron; got {len(intervals)} "
            f"for {n_neurons} neurons"
        )
    masks = [_covered(item, f"neuron {i}", left, width) for i, item in enumerate(intervals)]
    return np.stack(masks, axis=2)


def _is_one_table(intervals: Any) -> bool:
    if isinstance(intervals, np.ndarray) and intervals.dtype != object:
        return intervals.ndim == 2
    return len(intervals) > 0 and np.ndim(intervals[0]) == 1 and len(intervals[0]) > 0


def _covered(intervals: Any, where: str, left: np.ndarray, width: float) -> np.ndarray:
    table = np.asarray(intervals, np.float64)
    if not table.size:
        return np.zeros(left.shape, bool)
    if table.ndim != 2 or table.shape[1] != 2:
        raise ValueError(f"observed_intervals of {where} must have shape [k, 2], got {table.shape}")
    for start, stop in table[~(table[:, 0] < table[:, 1])]:
        raise ValueError(
            f"observed interval [{start}, {stop}] s of {where} must end after it starts"
        )
    slack = EDGE_TOLERANCE * width
    starts, stops = _joined(table[np.argsort(table[:, 0])], slack)
    last = np.searchsorted(starts, left + slack, side="right") - 1
    return (last >= 0) & (stops[np.maximum(last, 0)] >= left + width - slack)


def _joined(table: np.ndarray, slack: float) -> tuple[np.ndarray, np.ndarray]:
    # Touching or overlapping intervals together may cover a bin that neither covers alone.
    reach = np.maximum.accumulate(table[:, 1])
    opens = np.append(True, table[1:, 0] > reach[:-1] + slack)
    closes = np.append(opens[1:], True)
    return table[opens, 0], reach[closes]


def check_series(times: Any, values: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Increasing seconds [samples] and float values [samples, dims] of a sampled signal."""
    moments = check_increasing(times, f"times of {where}")
    samples = np.asarray(values, np.float64)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if samples.ndim != 2 or len(samples) != len(moments):
        raise ValueError(
            f"values of {where} must have shape [{len(moments)} samples, dims], got {samples.shape}"
        )
    return moments, samples


def check_increasing(values: Any, name: str) -> np.ndarray:
    """Finite, strictly increasing float vector."""
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be a vector, got shape {array.shape}")
    if not np.isfinite(array).all():
        where = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, but entry {where} is {array[where]}")
    if (np.diff(array) <= 0).any():
        where = int(np.flatnonzero(np.diff(array) <= 0)[0])
        raise ValueError(
            f"{name} must increase, but {array[where + 1]} follows {array[where]} at {where + 1}"
        )
    return array


def ranges(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which range each entry belongs to, and every whole number of the ranges [low, high)."""
    sizes = high - low
    ends = np.cumsum(sizes)
    owner = np.repeat(np.arange(sizes.size), sizes)
    return owner, np.arange(owner.size) + np.repeat(low - (ends - sizes), sizes)
