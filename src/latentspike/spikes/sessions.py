"""Several recordings: sessions side by side, and trials one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from latentspike.spikes.data import SpikeData


def check_sessions(
    sessions: Mapping[str, SpikeData] | Iterable[tuple[str, SpikeData]],
) -> dict[str, SpikeData]:
    """Sessions that one model can explain together, by name.

    Neurons, trials and trial lengths may differ; what a bin means may not.

    Parameters
    ----------
    sessions : mapping of name to SpikeData, or pairs of name and SpikeData
        Names become folder and array names: not empty, without slashes.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If there is no session, a name is unfit or appears twice, or sessions differ in bin
        width, kind, or number of external inputs.

    Examples
    --------
    >>> monday = SpikeData(np.ones((2, 5, 3), int), bin_width=0.01)
    >>> sorted(check_sessions({"monday": monday, "tuesday": monday.select_neurons([0, 2])}))
    ['monday', 'tuesday']
    """
    pairs: list[Any] = list(sessions.items() if isinstance(sessions, Mapping) else sessions)
    if not pairs:
        raise ValueError("there is no session")
    checked: dict[str, SpikeData] = {}
    for name, data in pairs:
        _check_name(name, checked)
        if not isinstance(data, SpikeData):
            raise ValueError(f"session {name!r} must be a SpikeData, got {type(data).__name__}")
        checked[name] = data
    first_name, first = pairs[0]
    for name, data in checked.items():
        for what in ("bin_width", "kind", "n_inputs"):
            _check_same(what, first, data, f"session {first_name!r}", f"session {name!r}")
    return checked


def concatenate_trials(recordings: Sequence[SpikeData]) -> SpikeData:
    """Trials of several recordings of the same neurons, one recording after the other.

    Trial ids are kept as they are and may then repeat; ``replace(trial_ids=None)`` numbers them
    afresh.

    Parameters
    ----------
    recordings : sequence of SpikeData
        Same neuron ids in the same order, bins and bin width, held-out neurons and forward bins,
        and the same inputs, behavior, conditions and truth present.

    Returns
    -------
    SpikeData

    Raises
    ------
    ValueError
        Naming the recording and what differs from the first.

    Examples
    --------
    >>> data = SpikeData(np.ones((2, 5, 3), int), bin_width=0.01)
    >>> concatenate_trials([data, data.select_trials([0])]).n_trials
    3
    """
    if not recordings:
        raise ValueError("there is no recording to concatenate")
    first = recordings[0]
    same = ("bin_width", "t_start", "n_bins", "n_forward_bins", "kind", "n_inputs")
    for position, data in enumerate(recordings):
        where = f"recording {position}"
        for what in same:
            _check_same(what, first, data, "recording 0", where)
        for what in ("neuron_ids", "heldout"):
            if not np.array_equal(getattr(first, what), getattr(data, what)):
                raise ValueError(f"{where} and recording 0 differ in {what}; select_neurons first")
        _check_same_extras(first, data, where)

    def join(pick: Any) -> np.ndarray:
        return np.concatenate([pick(data) for data in recordings])

    return first.replace(
        counts=join(lambda data: data.counts),
        observed=join(lambda data: data.observed),
        inputs=None if first.inputs is None else join(lambda data: data.inputs),
        behavior={name: join(lambda data, n=name: data.behavior[n]) for name in first.behavior},
        conditions=None if first.conditions is None else join(lambda data: data.conditions),
        trial_ids=join(lambda data: data.trial_ids),
        truth={name: join(lambda data, n=name: data.truth[n]) for name in first.truth},
    )


def _check_name(name: Any, taken: Mapping[str, Any]) -> None:
    if not isinstance(name, str) or not name.strip() or name in (".", ".."):
        raise ValueError(f"a session name must be a word, got {name!r}")
    if "/" in name or "\\" in name:
        raise ValueError(f"session name {name!r} must not contain a slash: it names a folder")
    if name in taken:
        raise ValueError(f"session name {name!r} appears twice")


def _check_same(what: str, first: SpikeData, data: SpikeData, known: str, where: str) -> None:
    a, b = getattr(first, what), getattr(data, what)
    close = isinstance(a, float) and abs(a - b) <= 1e-9 * max(abs(a), first.bin_width)
    if a != b and not close:
        raise ValueError(f"{where} has {what} {b}, but {known} has {a}; make them agree first")


def _check_same_extras(first: SpikeData, data: SpikeData, where: str) -> None:
    if (first.conditions is None) != (data.conditions is None):
        raise ValueError(f"either all recordings have conditions or none; see {where}")
    for group in ("behavior", "truth"):
        a = {name: value.shape[2] for name, value in getattr(first, group).items()}
        b = {name: value.shape[2] for name, value in getattr(data, group).items()}
        if a != b:
            raise ValueError(f"{where} has {group} of dimensions {b}, but recording 0 has {a}")
    for label in ("conditions", "trial_ids"):
        a, b = getattr(first, label), getattr(data, label)
        if a is not None and (a.dtype.kind in "SU") != (b.dtype.kind in "SU"):
            raise ValueError(
                f"{label} are words in one of {where} and recording 0, numbers in the other"
            )
