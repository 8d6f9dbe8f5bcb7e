"""Write a recording as an NWB file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from latentspike.io.nwb_file import bin_centers, clock, require_pynwb, save_nwb, trial_starts
from latentspike.spikes import SpikeData


def write_nwb(
    path: str | os.PathLike[str],
    data: SpikeData,
    *,
    session_start_time: datetime | None = None,
    session_description: str = "Binned spike trains written by latentspike",
    identifier: str | None = None,
    subject: Mapping[str, str] | None = None,
) -> None:
    """Write a recording as units, trials and time series.

    Parameters
    ----------
    path : written atomically.
    data : SpikeData
        Spike counts. Trials are laid end to end, one bin apart. A single spike lies at the center
        of its bin, several are spread over it evenly. Bins that were not recorded lie outside
        ``obs_intervals`` and get no spikes. ``truth`` and ``n_forward_bins`` have no place in NWB
        and are left out.
    session_start_time : datetime, optional
        With time zone; now by default.
    session_description, identifier : str, optional
        A random identifier by default.
    subject : mapping, optional
        What is known of the animal, as `pynwb.file.Subject` takes it (``subject_id``, ``species``,
        ``sex``, ``age``); the DANDI archive asks for it.

    Raises
    ------
    ImportError
        Without pynwb.
    ValueError
        If the data are continuous, or a name cannot be that of a time series.

    Notes
    -----
    Read it back with ``ReadOptions(bin_width=…, align_to="align_time", window=(t_start, t_stop),
    condition="condition", behavior=(…), inputs="inputs")``. Behavior that is NaN between two
    measured bins is interpolated by then; `ReadOptions.max_gap` prevents it.

    Examples
    --------
    >>> import tempfile, os
    >>> from latentspike.io import ReadOptions, read_nwb
    >>> path = os.path.join(tempfile.mkdtemp(), "session.nwb")
    >>> write_nwb(path, SpikeData(np.ones((1, 5, 3), int), bin_width=0.01))
    >>> read_nwb(path, ReadOptions(bin_width=0.01))
    SpikeData(1 trials × 5 bins × 3 neurons, bin 10 ms, 100 Hz mean rate)
    """
    if data.kind != "counts":
        raise ValueError("continuous data have no spike times to write; use write_hdf5")
    pynwb = require_pynwb()
    starts = trial_starts(data.n_trials, data.n_bins, data.bin_width, data.t_start)
    nwb = pynwb.NWBFile(
        session_description=session_description,
        identifier=identifier or str(uuid.uuid4()),
        session_start_time=session_start_time or datetime.now(UTC),
    )
    if subject is not None:
        nwb.subject = pynwb.file.Subject(**subject)
    _add_units(nwb, data, starts)
    _add_trials(nwb, data, starts)
    _add_series(nwb, data, starts)
    save_nwb(path, nwb)


def _add_units(nwb: Any, data: SpikeData, starts: np.ndarray) -> None:
    ids, names = _as_ids(data.neuron_ids)
    if names is not None:
        nwb.add_unit_column("neuron_name", "name of the neuron")
    nwb.add_unit_column("heldout", "True if models may not read this neuron")
    for neuron in range(data.n_neurons):
        name = {} if names is None else {"neuron_name": names[neuron]}
        nwb.add_unit(
            id=ids[neuron],
            spike_times=_spike_times(data, neuron, starts),
            obs_intervals=_observed_intervals(data, neuron, starts),
            heldout=bool(data.heldout[neuron]),
            **name,
        )
    # NWB defines it as the smallest possible difference between two spike times of the table.
    nwb.units.resolution = data.bin_width / max(1, int(data.counts.max()))


def _spike_times(data: SpikeData, neuron: int, starts: np.ndarray) -> np.ndarray:
    """Session seconds: spike j of c in a bin lies (j + ½) / c into it."""
    counts = np.where(data.observed[:, :, neuron], data.counts[:, :, neuron], 0).astype(np.intp)
    flat = counts.ravel()
    owner = np.repeat(np.arange(flat.size), flat)
    nth = np.arange(owner.size) - np.repeat(np.cumsum(flat) - flat, flat)
    trial, time_bin = np.divmod(owner, data.n_bins)
    return starts[trial] + (time_bin + (nth + 0.5) / flat[owner]) * data.bin_width


def _observed_intervals(data: SpikeData, neuron: int, starts: np.ndarray) -> np.ndarray:
    """Session seconds [k, 2] of runs of recorded bins."""
    padded = np.pad(data.observed[:, :, neuron].astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(padded, axis=1)
    trial, first = np.nonzero(steps == 1)
    last = np.nonzero(steps == -1)[1]
    edges = starts[trial][:, None] + np.column_stack([first, last]) * data.bin_width
    return edges.reshape(-1, 2)


def _add_trials(nwb: Any, data: SpikeData, starts: np.ndarray) -> None:
    ids, names = _as_ids(data.trial_ids)
    nwb.add_trial_column("align_time", "time of the event that the trial is aligned to (seconds)")
    if names is not None:
        nwb.add_trial_column("trial_name", "name of the trial")
    if data.conditions is not None:
        nwb.add_trial_column("condition", "condition of the trial")
    duration = data.n_bins * data.bin_width
    for trial, start in enumerate(starts):
        extra: dict[str, Any] = {} if names is None else {"trial_name": names[trial]}
        if data.conditions is not None:
            extra["condition"] = data.conditions[trial].item()
        nwb.add_trial(
            id=ids[trial],
            start_time=float(start),
            stop_time=float(start + duration),
            align_time=float(start - data.t_start),
            **extra,
        )


def _as_ids(labels: np.ndarray) -> tuple[list[int], list[str] | None]:
    """Whole-number ids, and the names themselves where they are no unique whole numbers."""
    if labels.dtype.kind in "iu" and np.unique(labels).size == labels.size:
        return [int(label) for label in labels], None
    return list(range(labels.size)), [str(label) for label in labels]


def _add_series(nwb: Any, data: SpikeData, starts: np.ndarray) -> None:
    times = clock(bin_centers(starts, data.n_bins, data.bin_width).ravel())
    behavior = list(_time_series(data.behavior, times, "behavior resampled to the bins"))
    if behavior:
        module = nwb.create_processing_module("behavior", "behavior resampled to the bins")
        for series in behavior:
            module.add(series)
    if data.inputs is not None:
        named = {"inputs": data.inputs}
        for series in _time_series(named, times, "measured external inputs on the bins"):
            nwb.add_stimulus(series)


def _time_series(groups: Any, times: dict[str, Any], description: str) -> Iterator[Any]:
    for name, values in groups.items():
        if not name or "/" in name or ":" in name:
            raise ValueError(f"{name!r} cannot be the name of an NWB time series")
        yield require_pynwb().TimeSeries(
            name=name,
            data=values.reshape(-1, values.shape[2]),
            unit="unknown",
            description=description,
            **times,
        )
