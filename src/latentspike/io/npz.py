"""Our own simple layout: one ``.npz`` file of plain arrays."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from latentspike.files import atomic_path
from latentspike.io.opening import build, list_members, read_members
from latentspike.io.options import ReadOptions, resolve_bin_width
from latentspike.spikes import SpikeData

EXPECTED = "an npz file with the arrays counts [trials, bins, neurons] and bin_width (seconds)"
ARRAYS = ("observed", "inputs", "conditions", "trial_ids", "neuron_ids", "heldout")
GROUPS = ("behavior", "truth")


def read_npz(path: str | os.PathLike[str], options: ReadOptions | None = None) -> SpikeData:
    """Read a recording from an ``.npz`` file.

    Parameters
    ----------
    path : file with ``counts`` [trials, bins, neurons] and, all but the first optional,
        ``bin_width`` and ``t_start`` (seconds), ``observed``, ``heldout``, ``n_forward_bins``,
        ``inputs``, ``behavior_<name>``, ``truth_<name>``, ``conditions``, ``trial_ids``,
        ``neuron_ids`` and ``kind``: the fields of `SpikeData`. Other members are ignored.
    options : `ReadOptions`; ``bin_width`` is needed where the file does not state it.

    Returns
    -------
    SpikeData

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is truncated, foreign (naming the members it has) or holds pickled objects.

    Examples
    --------
    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "session.npz")
    >>> np.savez(path, counts=np.ones((2, 5, 3), int))
    >>> read_npz(path, ReadOptions(bin_width=0.01))
    SpikeData(2 trials × 5 bins × 3 neurons, bin 10 ms, 100 Hz mean rate)
    """
    members = read_members(path, EXPECTED)
    if "counts" not in members:
        found = list_members(members)
        raise ValueError(f"{path} holds {found}; expected {EXPECTED}")
    stated = _scalar(path, members, "bin_width", None)
    fields: dict[str, Any] = {name: members[name] for name in ARRAYS if name in members}
    for group in GROUPS:
        start = f"{group}_"
        fields[group] = {
            name.removeprefix(start): value
            for name, value in members.items()
            if name.startswith(start)
        }
    return build(
        path,
        counts=members["counts"],
        bin_width=resolve_bin_width(path, stated, options or ReadOptions()),
        t_start=_scalar(path, members, "t_start", 0.0),
        n_forward_bins=_scalar(path, members, "n_forward_bins", 0),
        kind=str(_scalar(path, members, "kind", "counts")),
        **fields,
    )


def write_npz(path: str | os.PathLike[str], data: SpikeData) -> None:
    """Write a recording that `read_npz` reads back exactly.

    Parameters
    ----------
    path : written atomically.
    data : SpikeData

    Examples
    --------
    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "session.npz")
    >>> write_npz(path, SpikeData(np.ones((2, 5, 3), int), bin_width=0.01))
    >>> read_npz(path)
    SpikeData(2 trials × 5 bins × 3 neurons, bin 10 ms, 100 Hz mean rate)
    """
    members: dict[str, Any] = {
        name: getattr(data, name)
        for name in ("counts", "bin_width", "t_start", "n_forward_bins", "kind", *ARRAYS)
    }
    members = {name: value for name, value in members.items() if value is not None}
    if data.observed.all():
        del members["observed"]
    for group in GROUPS:
        for name, value in getattr(data, group).items():
            members[f"{group}_{name}"] = value
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **members)


def _scalar(path: Any, members: dict[str, np.ndarray], name: str, default: Any) -> Any:
    value = members.get(name)
    if value is None:
        return default
    if value.size != 1:
        raise ValueError(f"{path}: {name} must be one value, got shape {value.shape}")
    return value.reshape(()).item()
