"""From spike times to counts per bin, from fine bins to coarse ones.

One rule says which bin a spike falls in: bin ``k`` covers ``[t_start + k·w, t_start + (k+1)·w)``,
and a spike less than one millionth of a bin before an edge counts as on it, hence in the later
bin. So 0.3 s falls in bin 3 of bins of 0.1 s, although 0.3 / 0.1 is 2.9999999999999996, and a
spike is never counted in two neighboring windows or in none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from latentspike.spikes.data import SpikeData
from latentspike.spikes.times import (
    EDGE_TOLERANCE,
    Duplicates,
    check_increasing,
    check_series,
    check_spike_times,
    check_window,
    observed_bins,
    ranges,
    require_spikes,
)
from latentspike.spikes.validate import as_whole


def bin_trials(
    spike_times: Sequence[Sequence[Any]],
    *,
    bin_width: float,
    t_start: float,
    t_stop: float,
    neuron_ids: Any = None,
    trial_ids: Any = None,
    conditions: Any = None,
    duplicates: Duplicates = "raise",
) -> SpikeData:
    """Count spikes per bin of trials that are already aligned.

    Parameters
    ----------
    spike_times : ``spike_times[trial][neuron]`` is an array of seconds, sorted
        Relative to each trial's event. Spikes outside the window are not counted.
    bin_width, t_start, t_stop : float
        Seconds. The window ``[t_start, t_stop)`` must be a whole number of bins.
    neuron_ids, trial_ids, conditions : array, optional
        As in `SpikeData`.
    duplicates : "raise" or "keep"
        What to do when a neuron has two spikes at exactly the same time.

    Returns
    -------
    SpikeData

    Raises
    ------
    ValueError
        Naming the trial, neuron and value of a time that is not finite, not sorted or
        duplicated; or if the window is not a whole number of bins or holds no spike at all.

    Examples
    --------
    >>> trials = [[[0.0, 0.3], [0.15]], [[], [0.1, 0.11]]]
    >>> bin_trials(trials, bin_width=0.1, t_start=0.0, t_stop=0.4).counts[0].T
    array([[1, 0, 0, 1],
           [0, 1, 0, 0]], dtype=uint8)
    """
    width, n_bins = check_window(bin_width, t_start, t_stop)
    n_trials = len(spike_times)
    n_neurons = len(spike_times[0]) if n_trials else 0
    counts = np.zeros((n_trials, n_bins, n_neurons), np.uint32)
    for trial, neurons in enumerate(spike_times):
        if len(neurons) != n_neurons:
            raise ValueError(
                f"trial {trial} has spike times of {len(neurons)} neurons, but trial 0 of "
                f"{n_neurons}; give a silent neuron an empty array"
            )
        for neuron, values in enumerate(neurons):
            times = check_spike_times(values, f"trial {trial}, neuron {neuron}", duplicates)
            counts[trial, :, neuron] = _count(times, float(t_start), width, n_bins)
    require_spikes(counts, f"[{t_start}, {t_stop}) s")
    return SpikeData(
        counts,
        width,
        t_start=t_start,
        neuron_ids=neuron_ids,
        trial_ids=trial_ids,
        conditions=conditions,
    )


def bin_continuous(
    spike_times: Sequence[Any],
    *,
    bin_width: float,
    t_start: float,
    t_stop: float,
    observed_intervals: Any = None,
    neuron_ids: Any = None,
    duplicates: Duplicates = "raise",
) -> SpikeData:
    """Count spikes per bin of one long stretch, as a single trial.

    Parameters
    ----------
    spike_times : ``spike_times[neuron]`` is an array of seconds
        Session time, sorted.
    bin_width, t_start, t_stop : float
        Seconds. The window ``[t_start, t_stop)`` must be a whole number of bins.
    observed_intervals : array [k, 2], or a list of such arrays per neuron, optional
        Seconds when the neurons (or that neuron) were recorded. A bin not fully covered is
        unobserved; its count is kept but no model reads it.
    neuron_ids : array, optional
        As in `SpikeData`.
    duplicates : "raise" or "keep"
        What to do when a neuron has two spikes at exactly the same time.

    Returns
    -------
    SpikeData
        One trial.

    Raises
    ------
    ValueError
        As `bin_trials`, or if an interval does not end after it starts.

    Examples
    --------
    >>> data = bin_continuous([[0.05, 0.31]], bin_width=0.1, t_start=0.0, t_stop=0.4,
    ...                       observed_intervals=[[0.0, 0.25]])
    >>> data.counts[0, :, 0], data.observed[0, :, 0]
    (array([1, 0, 0, 1], dtype=uint8), array([ True,  True, False, False]))
    """
    width, n_bins = check_window(bin_width, t_start, t_stop)
    counts = np.zeros((1, n_bins, len(spike_times)), np.uint32)
    for neuron, values in enumerate(spike_times):
        times = check_spike_times(values, f"neuron {neuron}", duplicates)
        counts[0, :, neuron] = _count(times, float(t_start), width, n_bins)
    require_spikes(counts, f"[{t_start}, {t_stop}) s")
    starts = np.array([float(t_start)])
    observed = observed_bins(observed_intervals, starts, width, n_bins, len(spike_times))
    return SpikeData(counts, width, observed, t_start=t_start, neuron_ids=neuron_ids)


def rebin(data: SpikeData, factor: int, *, drop_last: bool = False) -> SpikeData:
    """Join every ``factor`` neighboring bins into one.

    Counts are summed (values of continuous data averaged); a coarse bin is observed if all of
    its fine bins are; inputs, behavior and truth are averaged, and NaN where any fine bin is.

    Parameters
    ----------
    data : SpikeData
        Any number of trials.
    factor : int
        Fine bins per coarse bin.
    drop_last : bool
        Drop bins at the end of each trial that do not fill a coarse bin.

    Returns
    -------
    SpikeData

    Raises
    ------
    ValueError
        If the bins, or the forward bins, are not a multiple of ``factor``.

    Examples
    --------
    >>> data = SpikeData(np.arange(6).reshape(1, 6, 1), bin_width=0.01)
    >>> coarse = rebin(data, 2)
    >>> coarse.counts[0, :, 0], coarse.bin_width
    (array([1, 5, 9], dtype=uint8), 0.02)
    """
    factor = as_whole("factor", factor, 1, data.n_bins)
    left_over = data.n_bins % factor
    if left_over and not drop_last:
        raise ValueError(
            f"{data.n_bins} bins are not a multiple of {factor}: the last {left_over} do not fill "
            "a coarse bin; cut them with select_bins or pass drop_last=True"
        )
    data = data.select_bins(0, data.n_bins - left_over)
    if data.n_forward_bins % factor:
        raise ValueError(
            f"{data.n_forward_bins} forward bins are not a multiple of {factor}; "
            "hold out forward bins after rebinning"
        )

    def fold(array: np.ndarray) -> np.ndarray:
        return array.reshape(data.n_trials, data.n_bins // factor, factor, array.shape[2])

    counts = fold(data.counts)
    return data.replace(
        counts=counts.sum(axis=2) if data.kind == "counts" else counts.mean(axis=2),
        observed=fold(data.observed).all(axis=2),
        bin_width=data.bin_width * factor,
        n_forward_bins=data.n_forward_bins // factor,
        inputs=None if data.inputs is None else fold(data.inputs).mean(axis=2),
        behavior={name: fold(value).mean(axis=2) for name, value in data.behavior.items()},
        truth={name: fold(value).mean(axis=2) for name, value in data.truth.items()},
    )


def resample_series(
    times: Any, values: Any, bin_edges: Any, *, max_gap: float = np.inf
) -> np.ndarray:
    """Mean of a sampled signal in each bin.

    A bin that holds samples gets their mean; one that holds none, the linear interpolation at
    its center between the samples on either side. NaN samples count as not measured.

    Parameters
    ----------
    times : array [samples]
        Seconds, strictly increasing.
    values : array [samples] or [samples, dims]
        Any unit.
    bin_edges : array [bins + 1]
        Seconds, strictly increasing.
    max_gap : float
        Seconds; bins between two samples further apart than this are not interpolated.

    Returns
    -------
    float array [bins, dims]
        NaN outside the measured range and across long gaps.

    Raises
    ------
    ValueError
        If times or edges do not increase, naming the value, or shapes do not fit.

    Examples
    --------
    >>> resample_series([0.0, 0.1, 0.5], [1.0, 3.0, 5.0], [0.0, 0.2, 0.4, 0.6, 0.8])[:, 0]
    array([ 2.,  4.,  5., nan])
    """
    moments, samples = check_series(times, values, "the series")
    edges = check_increasing(bin_edges, "bin_edges")
    if edges.size < 2:
        raise ValueError(f"bin_edges must hold at least two edges, got {edges.size}")
    return resample_checked(moments, samples, edges[None], float(max_gap))[0]


def resample_checked(
    times: np.ndarray, values: np.ndarray, edges: np.ndarray, max_gap: float
) -> np.ndarray:
    """`resample_series` of checked arrays, for many rows of edges [trials, bins + 1] at once."""
    columns = [_resample(times, column, edges, max_gap) for column in values.T]
    shape = (edges.shape[0], edges.shape[1] - 1, 0)
    return np.stack(columns, axis=2) if columns else np.empty(shape)


def _resample(
    times: np.ndarray, values: np.ndarray, edges: np.ndarray, max_gap: float
) -> np.ndarray:
    measured = np.isfinite(values)
    times, values = times[measured], values[measured]
    bounds = np.searchsorted(times, edges - EDGE_TOLERANCE * np.diff(edges).min())
    low, high = bounds[:, :-1].ravel(), bounds[:, 1:].ravel()
    n_samples = high - low
    owner, index = ranges(low, high)
    total = np.bincount(owner, values[index], minlength=low.size)
    mean = np.divide(total, n_samples, out=np.full(low.size, np.nan), where=n_samples > 0)
    inside = (n_samples == 0) & (low > 0) & (low < times.size)
    before, after = low[inside] - 1, low[inside]
    gap = times[after] - times[before]
    center = ((edges[:, :-1] + edges[:, 1:]) / 2).ravel()[inside]
    between = values[before] + (values[after] - values[before]) * (center - times[before]) / gap
    mean[inside] = np.where(gap <= max_gap, between, np.nan)
    return mean.reshape(edges.shape[0], -1)


def _count(times: np.ndarray, start: float, width: float, n_bins: int) -> np.ndarray:
    bins = np.floor((times - start) / width + EDGE_TOLERANCE)
    inside = bins[(bins >= 0) & (bins < n_bins)].astype(np.intp)
    return np.bincount(inside, minlength=n_bins)
