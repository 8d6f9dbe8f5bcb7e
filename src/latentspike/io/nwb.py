"""Recordings from NWB files: spike times, trials and behavior."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from latentspike.io.nwb_file import open_nwb, require_pynwb
from latentspike.io.options import ReadOptions, resolve_bin_width
from latentspike.spikes import SpikeData, align, bin_continuous, resample_series

Series = tuple[np.ndarray, np.ndarray]


def read_nwb(path: str | os.PathLike[str], options: ReadOptions) -> SpikeData:
    """Read the sorted units of an NWB file, aligned to an event or as one continuous trial.

    Parameters
    ----------
    path : file with a units table; trials table and time series are optional.
    options : ReadOptions
        ``bin_width`` is required. With ``align_to`` and ``window``, one trial per row of the
        trials table; otherwise a single trial from the first to the last recorded moment
        (``obs_intervals`` if there are any, else the spikes), or the given ``window``.
        ``behavior`` and ``inputs`` name time series anywhere in the file.

    Returns
    -------
    SpikeData
        Bins outside a unit's ``obs_intervals`` or inside ``invalid_times`` are not observed.
        ``neuron_ids`` and ``trial_ids`` are the ids of the two tables.

    Raises
    ------
    ImportError
        Without pynwb.
    OSError
        If the file cannot be opened.
    ValueError
        If it is truncated, not NWB, or a name is not in it: the names that are get listed.

    Examples
    --------
    >>> import tempfile, os
    >>> from latentspike.io import write_nwb
    >>> path = os.path.join(tempfile.mkdtemp(), "session.nwb")
    >>> write_nwb(path, SpikeData(np.ones((2, 5, 3), int), bin_width=0.01))
    >>> read_nwb(path, ReadOptions(bin_width=0.01, align_to="align_time", window=(0, 0.05)))
    SpikeData(2 trials × 5 bins × 3 neurons, bin 10 ms, 100 Hz mean rate)
    """
    bin_width = resolve_bin_width(path, None, options)
    with open_nwb(path) as (nwb, _):
        try:
            data = _read(nwb, bin_width, options)
        except (ValueError, OSError, KeyError) as error:
            raise ValueError(f"{path}: {error}") from error
    return data


def _read(nwb: Any, bin_width: float, options: ReadOptions) -> SpikeData:
    if nwb.units is None or "spike_times" not in nwb.units.colnames:
        raise ValueError("there is no units table with spike times in it")
    units = nwb.units
    spike_times = [np.asarray(units["spike_times"][i]) for i in range(len(units))]
    names = (*options.behavior, *((options.inputs,) if options.inputs else ()))
    series = {name: _time_series(nwb, name) for name in names}
    intervals = _observed_intervals(nwb)
    if options.align_to is None:
        data = _continuous(nwb, spike_times, intervals, series, bin_width, options)
    else:
        data = _aligned(nwb, spike_times, intervals, series, bin_width, options)
    changes: dict[str, Any] = {"neuron_ids": row_names(units, "neuron_name")}
    if "heldout" in units.colnames and np.asarray(units["heldout"][:]).dtype == bool:
        changes["heldout"] = np.asarray(units["heldout"][:])
    if options.inputs:
        changes["inputs"] = data.behavior[options.inputs]
        changes["behavior"] = {name: data.behavior[name] for name in options.behavior}
    return data.replace(**changes)


def _aligned(
    nwb: Any,
    spike_times: list[np.ndarray],
    intervals: list[np.ndarray] | None,
    series: dict[str, Series],
    bin_width: float,
    options: ReadOptions,
) -> SpikeData:
    condition = options.condition
    assert options.window is not None and options.align_to is not None
    return align(
        spike_times,
        event_times(nwb, options.align_to),
        window=options.window,
        bin_width=bin_width,
        observed_intervals=intervals,
        behavior=series,
        trial_ids=row_names(nwb.trials, "trial_name"),
        conditions=None if condition is None else _column(nwb, condition),
        drop_missing_events=options.drop_missing_events,
        duplicates=options.duplicates,
        max_gap=options.max_gap,
    )


def _continuous(
    nwb: Any,
    spike_times: list[np.ndarray],
    intervals: list[np.ndarray] | None,
    series: dict[str, Series],
    bin_width: float,
    options: ReadOptions,
) -> SpikeData:
    if options.condition is not None:
        raise ValueError(f"condition={options.condition!r} needs align_to: there are no trials")
    start, stop = options.window or _span(spike_times, intervals, bin_width)
    data = bin_continuous(
        spike_times,
        bin_width=bin_width,
        t_start=start,
        t_stop=stop,
        observed_intervals=intervals,
        duplicates=options.duplicates,
    )
    edges = start + np.arange(data.n_bins + 1) * bin_width
    behavior = {
        name: resample_series(times, values, edges, max_gap=options.max_gap)[None]
        for name, (times, values) in series.items()
    }
    return data.replace(behavior=behavior)


def _span(
    spike_times: list[np.ndarray], intervals: list[np.ndarray] | None, bin_width: float
) -> tuple[float, float]:
    """First to last recorded moment, rounded outwards to whole bins."""
    moments = np.concatenate([np.ravel(item) for item in (intervals or spike_times)])
    moments = moments if moments.size else np.concatenate(spike_times)
    if not moments.size:
        raise ValueError("no unit has a spike")
    first = np.floor(moments.min() / bin_width + 1e-6) * bin_width
    n_bins = max(1, int(np.ceil((moments.max() - first) / bin_width - 1e-6)))
    if intervals is None and moments.max() >= first + (n_bins - 1e-6) * bin_width:
        n_bins += 1  # the last spike lies on the last edge, which belongs to the next bin
    return float(first), float(first + n_bins * bin_width)


def _observed_intervals(nwb: Any) -> list[np.ndarray] | None:
    """Seconds [k, 2] when each unit was recorded; None if the file does not say."""
    units, invalid = nwb.units, nwb.invalid_times
    has_intervals = "obs_intervals" in units.colnames
    if not has_intervals and invalid is None:
        return None
    always = np.array([[-np.inf, np.inf]])
    holes = (
        np.empty((0, 2))
        if invalid is None
        else np.column_stack([invalid["start_time"][:], invalid["stop_time"][:]])
    )
    tables = [
        np.asarray(units["obs_intervals"][i]).reshape(-1, 2) if has_intervals else always
        for i in range(len(units))
    ]
    return [_without(table, holes) for table in tables]


def _without(intervals: np.ndarray, holes: np.ndarray) -> np.ndarray:
    for start, stop in holes:
        before = np.column_stack([intervals[:, 0], np.minimum(intervals[:, 1], start)])
        after = np.column_stack([np.maximum(intervals[:, 0], stop), intervals[:, 1]])
        pieces = np.concatenate([before, after])
        intervals = pieces[pieces[:, 0] < pieces[:, 1]]
    return intervals


def row_names(table: Any, name_column: str) -> np.ndarray:
    """Row names that `write_nwb` wrote because NWB ids are numbers only, else the ids."""
    if name_column in table.colnames:
        return np.asarray(table[name_column][:]).astype(str)
    return np.asarray(table.id[:])


def event_times(nwb: Any, name: str) -> np.ndarray:
    """Numeric trials column [trials], in session seconds."""
    values = _column(nwb, name)
    if values.dtype.kind not in "iuf":
        raise ValueError(f"the trials column {name!r} holds {values.dtype}, not times in seconds")
    return values.astype(np.float64)


def _column(nwb: Any, name: str) -> np.ndarray:
    if nwb.trials is None:
        raise ValueError(f"there is no trials table, so no column {name!r}")
    if name not in nwb.trials.colnames:
        raise ValueError(
            f"the trials table has no column {name!r}; it has {', '.join(nwb.trials.colnames)}"
        )
    values = np.asarray(nwb.trials[name][:])
    if values.shape != (len(nwb.trials),):
        raise ValueError(
            f"the trials column {name!r} has shape {values.shape}, not one value per trial"
        )
    return values


def list_series(nwb: Any) -> dict[str, Any]:
    """Every time series by name, and by its place (``behavior/Position/hand``) as well."""
    kind = require_pynwb().TimeSeries
    found = [item for item in nwb.objects.values() if isinstance(item, kind)]
    names = [item.name for item in found]
    unique = {item.name: item for item in found if names.count(item.name) == 1}
    return unique | {_place(item): item for item in found}


def _place(item: Any) -> str:
    parts = []
    while item is not None and item.parent is not None:  # the file itself has no parent
        parts.append(item.name)
        item = item.parent
    return "/".join(reversed(parts))


def _time_series(nwb: Any, name: str) -> Series:
    """Session seconds [samples] and values [samples, dims] in the series' unit."""
    series = list_series(nwb)
    if name not in series:
        have = ", ".join(sorted(series)) or "none"
        raise ValueError(f"there is no time series {name!r}; there are: {have}")
    item = series[name]
    values = np.asarray(item.data[:])
    if values.dtype.kind not in "biuf":
        raise ValueError(f"the time series {name!r} holds {values.dtype}, not numbers")
    if item.conversion != 1 or item.offset != 0:
        values = values * item.conversion + item.offset
    if item.timestamps is not None:
        return np.asarray(item.timestamps[:]), values
    return item.starting_time + np.arange(len(values)) / item.rate, values
