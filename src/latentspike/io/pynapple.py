"""Recordings held in memory as pynapple objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from latentspike.spikes import SpikeData, align, bin_continuous, resample_series


def from_pynapple(
    tsgroup: Any,
    *,
    bin_width: float,
    events: Any = None,
    window: tuple[float, float] | None = None,
    epochs: Any = None,
    behavior: Mapping[str, Any] | None = None,
    conditions: Any = None,
) -> SpikeData:
    """Bin a group of spike trains from pynapple.

    Parameters
    ----------
    tsgroup : pynapple.TsGroup
        Its time support says when the neurons were recorded: bins outside are not observed. Note
        that pynapple lets the support run from the first to the last spike unless told otherwise.
    bin_width : float
        Seconds.
    events : pynapple.Ts, Tsd or array [trials], optional
        Seconds; one trial around each. Without it the recording is one continuous trial.
    window : (float, float), optional
        Seconds relative to each event; needed with ``events``.
    epochs : pynapple.IntervalSet, optional
        Restricts what counts as recorded further, to the running epochs for example.
    behavior : mapping of name to pynapple.Tsd or TsdFrame, optional
        Resampled to the bins.
    conditions : array [trials], optional
        Needs ``events``.

    Returns
    -------
    SpikeData
        ``neuron_ids`` are the keys of the group.

    Raises
    ------
    ImportError
        Without pynapple.
    ValueError
        If the argument is no group, or events and window do not come together.

    Examples
    --------
    >>> import pynapple as nap
    >>> group = nap.TsGroup({3: nap.Ts([0.05, 0.31])}, time_support=nap.IntervalSet(0, 0.4))
    >>> from_pynapple(group, bin_width=0.1).counts[0, :, 0]
    array([1, 0, 0, 1], dtype=uint8)
    """
    nap = _require_pynapple()
    if not isinstance(tsgroup, nap.TsGroup):
        raise ValueError(f"expected a pynapple.TsGroup, got {type(tsgroup).__name__}")
    if (events is None) != (window is None) or (events is None and conditions is not None):
        raise ValueError("events and window go together, and conditions need both")
    support = tsgroup.time_support if epochs is None else tsgroup.time_support.intersect(epochs)
    if not len(support):
        raise ValueError("the epochs do not overlap the time support of the group")
    spikes = {
        "spike_times": [np.asarray(tsgroup[key].times()) for key in tsgroup.keys()],
        "observed_intervals": np.asarray(support.values),
        "neuron_ids": np.asarray(tsgroup.index),
    }
    series = {
        name: (np.asarray(item.times()), np.asarray(item.values))
        for name, item in (behavior or {}).items()
    }
    if events is None or window is None:
        return _continuous(spikes, series, bin_width)
    moments = events.times() if hasattr(events, "times") else events
    return align(
        **spikes,
        events=np.asarray(moments),
        window=window,
        bin_width=bin_width,
        behavior=series,
        conditions=conditions,
    )


def _continuous(
    spikes: dict[str, Any], series: dict[str, tuple[np.ndarray, np.ndarray]], bin_width: float
) -> SpikeData:
    start, stop = spikes["observed_intervals"].min(), spikes["observed_intervals"].max()
    n_bins = max(1, int(np.ceil((stop - start) / bin_width - 1e-6)))
    data = bin_continuous(
        **spikes, bin_width=bin_width, t_start=start, t_stop=start + n_bins * bin_width
    )
    edges = start + np.arange(data.n_bins + 1) * bin_width
    resampled = {name: resample_series(*pair, edges)[None] for name, pair in series.items()}
    return data.replace(behavior=resampled)


def _require_pynapple() -> Any:
    try:
        import pynapple
    except ImportError as error:
        raise ImportError(
            "from_pynapple needs pynapple: pip install 'latentspike[pynapple]'"
        ) from error
    return pynapple
