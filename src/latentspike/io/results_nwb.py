"""What a model inferred, as a processing module in an NWB file."""

from __future__ import annotations

import os
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import numpy as np

from latentspike.io.nwb import event_times, row_names
from latentspike.io.nwb_file import (
    bin_centers,
    clock,
    open_nwb,
    require_pynwb,
    save_nwb,
    trial_starts,
)
from latentspike.spikes import Posterior

MODULE = "latentspike"
SERIES = {  # field of Posterior: unit, what it is
    "rates": ("Hz", "Inferred firing rates. Column i is row i of the neurons table"),
    "factors": ("a.u.", "Inferred latent factors"),
    "inferred_inputs": ("a.u.", "Inferred inputs to the latent dynamics"),
    "population_activity": ("Hz", "Inferred population activity. One column per population"),
}


def write_results_nwb(
    path_in: str | os.PathLike[str] | None,
    posterior: Posterior,
    path_out: str | os.PathLike[str],
    *,
    align_to: str | None = None,
    session_start_time: datetime | None = None,
) -> None:
    """Add inferred rates, factors and inputs to a copy of an NWB file, or to a new one.

    Parameters
    ----------
    path_in : the recording that was read; None for a new file, in which trials are laid end to
        end as in `write_nwb`.
    posterior : Posterior
        Initial conditions are no time series and are left out; `write_results_hdf5` keeps them.
    path_out : written atomically.
    align_to : str, optional
        The trials column that trials were aligned to; ``align_time`` by default, as in files from
        `write_nwb`. A single trial without it is taken as a continuous one, in session time.
    session_start_time : datetime, optional
        Of a new file; now by default.

    Raises
    ------
    ImportError
        Without pynwb.
    OSError
        If a file cannot be opened or written.
    ValueError
        If ``path_in`` is damaged, has results in it already, or lacks the trials or the column.

    Notes
    -----
    The processing module ``latentspike`` holds one time series per array, trials concatenated in
    order of time with the session time of each bin center, ``trial`` (the row of each sample's
    trial in ``trials``), and the tables ``neurons`` and ``trials`` with their names. Where trials
    overlap in time their samples interleave; ``trial`` tells them apart.

    Examples
    --------
    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "results.nwb")
    >>> names = dict(trial_ids=np.arange(2), neuron_ids=np.arange(3))
    >>> write_results_nwb(None, Posterior(np.full((2, 5, 3), 20.0), 0.01, **names), path)
    >>> with open_nwb(path) as (nwb, _):
    ...     print(nwb.processing["latentspike"]["rates"].data.shape)
    (10, 3)
    """
    with ExitStack() as stack:
        if path_in is None:
            nwb, source = _new_file(session_start_time), None
            starts = _laid_out(posterior)
        else:
            nwb, source = stack.enter_context(open_nwb(path_in))
            try:
                starts = _session_starts(nwb, posterior, align_to)
            except ValueError as error:
                raise ValueError(f"{path_in}: {error}") from error
        if MODULE in nwb.processing:
            raise ValueError(
                f"{path_in} already has a processing module {MODULE!r}; start from the recording "
                "without results"
            )
        _add_module(nwb, posterior, starts)
        save_nwb(path_out, nwb, source)


def _new_file(start: datetime | None) -> Any:
    return require_pynwb().NWBFile(
        session_description="Latent dynamics inferred by latentspike",
        identifier=str(uuid.uuid4()),
        session_start_time=start or datetime.now(UTC),
    )


def _laid_out(posterior: Posterior) -> np.ndarray:
    n_trials, n_bins, _ = posterior.rates.shape
    return trial_starts(n_trials, n_bins, posterior.bin_width, posterior.t_start)


def _session_starts(nwb: Any, posterior: Posterior, align_to: str | None) -> np.ndarray:
    """Session seconds [trials] at which trials start."""
    if align_to is None and posterior.rates.shape[0] == 1:
        return np.array([posterior.t_start])
    events = event_times(nwb, align_to or "align_time")
    rows = {str(label): row for row, label in enumerate(row_names(nwb.trials, "trial_name"))}
    if len(rows) != events.size:
        raise ValueError("trial names are not unique, so results cannot be placed by them")
    for label in posterior.trial_ids:
        if str(label) not in rows:
            raise ValueError(f"trial {label!r} of the results is not in the trials table")
    return events[[rows[str(label)] for label in posterior.trial_ids]] + posterior.t_start


def _add_module(nwb: Any, posterior: Posterior, starts: np.ndarray) -> None:
    module = nwb.create_processing_module(
        MODULE,
        "Latent dynamics that a latentspike model inferred from the spike trains in bins of "
        f"{posterior.bin_width:g} s",
    )
    n_trials, n_bins, _ = posterior.rates.shape
    times = bin_centers(starts, n_bins, posterior.bin_width).ravel()
    order = np.argsort(times, kind="stable")
    when = clock(times[order])
    for field, values in posterior.arrays().items():
        name = field.removesuffix("_std")
        if name not in SERIES:
            continue
        unit, text = SERIES[name]
        spread = "Posterior standard deviation. " if field.endswith("_std") else ""
        flat = np.asarray(values).reshape(-1, values.shape[2])[order]
        module.add(_time_series(field, flat, unit, spread + text, when))
    trial = np.repeat(np.arange(n_trials), n_bins)[order]
    module.add(_time_series("trial", trial, "n/a", "Row of the trials table", when))
    module.add(_table("neurons", "Columns of the inferred rates", posterior.neuron_ids))
    module.add(_table("trials", "Trials that were inferred", posterior.trial_ids))


def _time_series(name: str, data: np.ndarray, unit: str, text: str, when: dict[str, Any]) -> Any:
    return require_pynwb().TimeSeries(name=name, data=data, unit=unit, description=text, **when)


def _table(name: str, text: str, labels: np.ndarray) -> Any:
    core = require_pynwb().core
    names = np.asarray(labels)
    names = names.astype(str).tolist() if names.dtype.kind == "U" else names
    column = core.VectorData(name="label", description="as in the recording", data=names)
    return core.DynamicTable(name=name, description=text, columns=[column])
