"""Recordings held in memory as Neo objects."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentspike.spikes import SpikeData, align


def from_neo(recording: Any, *, bin_width: float, condition: str | None = None) -> SpikeData:
    """Bin Neo spike trains; each Segment is a trial.

    Parameters
    ----------
    recording : neo.Block, neo.Segment, list of neo.Segment, or list of neo.SpikeTrain
        Every segment needs the same number of spike trains, in the same order. A list of spike
        trains is one trial. Units of time are converted to seconds.
    bin_width : float
        Seconds.
    condition : str, optional
        Segment annotation that becomes ``conditions``.

    Returns
    -------
    SpikeData
        Bins start at the earliest ``t_start`` of each segment's spike trains. Bins not fully
        between a train's ``t_start`` and ``t_stop`` are not observed; so shorter segments end in
        bins that are not observed. ``neuron_ids`` are the names of the spike trains where they
        are unique and the same in every segment. ``t_start`` is that of the segments where they
        agree, else 0.

    Raises
    ------
    ImportError
        Without neo.
    ValueError
        If segments disagree, naming the segment, or there is nothing to read.

    Examples
    --------
    >>> import neo
    >>> train = neo.SpikeTrain([50, 310], units="ms", t_stop=400)
    >>> from_neo([train], bin_width=0.1).counts[0, :, 0]
    array([1, 0, 0, 1], dtype=uint8)
    """
    segments, annotations = _segments(recording)
    n_neurons = len(segments[0])
    for number, trains in enumerate(segments):
        if not trains or len(trains) != n_neurons:
            raise ValueError(
                f"segment {number} has {len(trains)} spike trains, segment 0 has {n_neurons}; "
                "every segment needs the same neurons, at least one"
            )
    spans = np.array([[_span(train) for train in trains] for trains in segments])
    firsts = spans[:, :, 0].min(axis=1)
    longest = (spans[:, :, 1].max(axis=1) - firsts).max()
    n_bins = max(1, int(np.ceil(longest / bin_width - 1e-6)))
    t_start = float(firsts[0]) if np.allclose(firsts, firsts[0], rtol=0, atol=1e-9) else 0.0
    # Segments may share one clock or each have their own: give all of them places on a new one.
    shifts = np.arange(len(segments)) * (n_bins + 1) * bin_width - firsts
    return align(
        [
            np.concatenate(
                [
                    _seconds(trains[i]) + shift
                    for trains, shift in zip(segments, shifts, strict=True)
                ]
            )
            for i in range(n_neurons)
        ],
        firsts + shifts - t_start,
        window=(t_start, t_start + n_bins * bin_width),
        bin_width=bin_width,
        observed_intervals=[spans[:, i] + shifts[:, None] for i in range(n_neurons)],
        neuron_ids=_names(segments),
        conditions=None if condition is None else _conditions(annotations, condition),
    )


def _segments(recording: Any) -> tuple[list[list[Any]], list[dict[str, Any]]]:
    """Spike trains and annotations of each segment."""
    neo = _require_neo()
    if isinstance(recording, neo.Block):
        found = list(recording.segments)
    elif isinstance(recording, neo.Segment):
        found = [recording]
    else:
        found = list(recording)
    if found and all(isinstance(item, neo.SpikeTrain) for item in found):
        return [found], [{}]
    if not found or not all(isinstance(item, neo.Segment) for item in found):
        kinds = ", ".join(sorted({type(item).__name__ for item in found})) or "nothing"
        raise ValueError(f"expected a Block, Segments or SpikeTrains of Neo, got {kinds}")
    return [list(item.spiketrains) for item in found], [item.annotations for item in found]


def _seconds(train: Any) -> np.ndarray:
    return np.sort(np.asarray(train.rescale("s").magnitude, np.float64))


def _span(train: Any) -> tuple[float, float]:
    return float(train.t_start.rescale("s")), float(train.t_stop.rescale("s"))


def _names(segments: list[list[Any]]) -> list[str] | None:
    names = [str(train.name or "") for train in segments[0]]
    same = all([str(train.name or "") for train in trains] == names for trains in segments)
    return names if same and all(names) and len(set(names)) == len(names) else None


def _conditions(annotations: list[dict[str, Any]], name: str) -> np.ndarray:
    for number, known in enumerate(annotations):
        if name not in known:
            raise ValueError(
                f"segment {number} has no annotation {name!r}; it has {', '.join(known) or 'none'}"
            )
    return np.asarray([known[name] for known in annotations])


def _require_neo() -> Any:
    try:
        import neo
    except ImportError as error:
        raise ImportError("from_neo needs Neo: pip install 'latentspike[neo]'") from error
    return neo
