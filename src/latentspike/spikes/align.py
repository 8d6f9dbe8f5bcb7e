"""From continuous recordings and events to aligned trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentspike.spikes.binning import resample_checked
from latentspike.spikes.data import SpikeData
from latentspike.spikes.times import (
    EDGE_TOLERANCE,
    Duplicates,
    check_series,
    check_spike_times,
    check_window,
    observed_bins,
    ranges,
    require_spikes,
)
from latentspike.spikes.validate import as_vector


def align(  # noqa: PLR0913  (one call says everything about a recording; only four are required)
    spike_times: Sequence[Any],
    events: Any,
    *,
    window: tuple[float, float],
    bin_width: float,
    observed_intervals: Any = None,
    behavior: Mapping[str, tuple[Any, Any]] | None = None,
    neuron_ids: Any = None,
    trial_ids: Any = None,
    conditions: Any = None,
    drop_missing_events: bool = False,
    duplicates: Duplicates = "raise",
    max_gap: float = np.inf,
) -> SpikeData:
    """Cut one trial around each event out of continuous spike times.

    Parameters
    ----------
    spike_times : ``spike_times[neuron]`` is an array of seconds
        Session time, sorted.
    events : array [trials]
        Session seconds. Trials may overlap: a spike is then counted in each.
    window : (before, after)
        Seconds relative to the event, for example ``(-0.25, 0.45)``; a whole number of bins.
    bin_width : float
        Seconds.
    observed_intervals : array [k, 2], or a list of such arrays per neuron, optional
        Session seconds when the neurons (or that neuron) were recorded; bins not fully covered
        are unobserved.
    behavior : mapping of name to (times [samples], values [samples, dims]), optional
        Session seconds and any unit; see `resample_series`.
    neuron_ids, trial_ids, conditions : array, optional
        As in `SpikeData`; one trial id and condition per event, missing events included.
    drop_missing_events : bool
        Leave out trials whose event is NaN instead of raising.
    duplicates : "raise" or "keep"
        What to do when a neuron has two spikes at exactly the same time.
    max_gap : float
        Seconds; behavior is NaN across longer gaps between its samples.

    Returns
    -------
    SpikeData
        With ``t_start`` equal to ``before``. Default trial ids number the events as given, so
        that dropped trials leave gaps.

    Raises
    ------
    ValueError
        Naming the neuron and value of a bad spike time, or the trial whose event is missing; if
        the window is not a whole number of bins, or no spike lies in any trial.

    Examples
    --------
    >>> data = align([[0.95, 1.05, 2.0]], [1.0, 2.0], window=(-0.1, 0.1), bin_width=0.1)
    >>> data.counts[:, :, 0]
    array([[1, 1],
           [0, 1]], dtype=uint8)
    """
    before, after = window
    width, n_bins = check_window(bin_width, before, after)
    moments, kept = _check_events(events, drop=drop_missing_events)
    starts = moments[kept] + float(before)
    counts = np.zeros((starts.size, n_bins, len(spike_times)), np.uint32)
    for neuron, values in enumerate(spike_times):
        times = check_spike_times(values, f"neuron {neuron}", duplicates)
        counts[:, :, neuron] = _count_around(times, starts, width, n_bins)
    require_spikes(counts, f"[{before}, {after}) s around any of {starts.size} events")
    return SpikeData(
        counts,
        width,
        observed_bins(observed_intervals, starts, width, n_bins, len(spike_times)),
        t_start=before,
        behavior=_resample_behavior(behavior or {}, starts, width, n_bins, max_gap),
        neuron_ids=neuron_ids,
        trial_ids=as_vector("trial_ids", trial_ids, moments.size)[kept],
        conditions=_kept_conditions(conditions, kept, moments.size),
    )


def _check_events(events: Any, *, drop: bool) -> tuple[np.ndarray, np.ndarray]:
    moments = np.asarray(events, np.float64)
    if moments.ndim != 1 or not moments.size:
        raise ValueError(f"events must be a vector of at least one time, got shape {moments.shape}")
    present = ~np.isnan(moments)
    if np.isinf(moments).any():
        raise ValueError(f"the event of trial {int(np.flatnonzero(np.isinf(moments))[0])} is inf")
    if not present.all() and not drop:
        raise ValueError(
            f"the event of trial {int(np.flatnonzero(~present)[0])} is missing (NaN; "
            f"{int((~present).sum())} such); pass drop_missing_events=True to leave such trials out"
        )
    if not present.any():
        raise ValueError(f"all {moments.size} events are missing (NaN)")
    return moments, np.flatnonzero(present)


def _kept_conditions(conditions: Any, kept: np.ndarray, n_events: int) -> np.ndarray | None:
    # Only kept trials need a label: a missing event often has no condition either.
    if conditions is None:
        return None
    labels = np.asarray(conditions)
    if labels.shape != (n_events,):
        raise ValueError(f"conditions must have one entry per event, got shape {labels.shape}")
    return labels[kept]


def _count_around(times: np.ndarray, starts: np.ndarray, width: float, n_bins: int) -> np.ndarray:
    slack = EDGE_TOLERANCE * width
    low = np.searchsorted(times, starts - slack)
    high = np.searchsorted(times, starts + n_bins * width - slack)
    trial, spike = ranges(low, high)
    # The window's rounding and the bin's may differ in the last digit: keep spikes found inside.
    bins = np.floor((times[spike] - starts[trial]) / width + EDGE_TOLERANCE).astype(np.intp)
    flat = trial * n_bins + np.clip(bins, 0, n_bins - 1)
    return np.bincount(flat, minlength=starts.size * n_bins).reshape(starts.size, n_bins)


def _resample_behavior(
    behavior: Mapping[str, tuple[Any, Any]],
    starts: np.ndarray,
    width: float,
    n_bins: int,
    max_gap: float,
) -> dict[str, np.ndarray]:
    edges = starts[:, None] + np.arange(n_bins + 1) * width
    series = {
        name: check_series(times, values, f"behavior[{name!r}]")
        for name, (times, values) in behavior.items()
    }
    return {
        name: resample_checked(times, values, edges, float(max_gap))
        for name, (times, values) in series.items()
    }
