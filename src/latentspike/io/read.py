"""One door to every file format, by the file's suffix."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from latentspike.io.hdf5 import read_hdf5
from latentspike.io.npz import read_npz
from latentspike.io.nwb import read_nwb
from latentspike.io.options import ReadOptions
from latentspike.spikes import SpikeData, Split

Reading = tuple[SpikeData, Split | None]


def _without_split(
    reader: Callable[[str | os.PathLike[str], ReadOptions], SpikeData],
) -> Callable[[str | os.PathLike[str], ReadOptions], Reading]:
    return lambda path, options: (reader(path, options), None)


READERS: dict[str, Callable[[str | os.PathLike[str], ReadOptions], Reading]] = {
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".npz": _without_split(read_npz),
    ".nwb": _without_split(read_nwb),
}


def read(path: str | os.PathLike[str], options: ReadOptions | None = None) -> SpikeData:
    """Read a recording from a file: HDF5 (LFADS, Neural Latents Benchmark), npz or NWB.

    Parameters
    ----------
    path : file ending in ``.h5``, ``.hdf5``, ``.npz`` or ``.nwb``.
    options : `ReadOptions`; what the file does not say about itself.

    Returns
    -------
    SpikeData
        Every trial; `read_split` also tells which the file reserves for validation.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the suffix is unknown, or the file is damaged, foreign or inconsistent.

    Examples
    --------
    >>> import tempfile, os, numpy as np
    >>> path = os.path.join(tempfile.mkdtemp(), "session.npz")
    >>> np.savez(path, counts=np.ones((2, 5, 3), int))
    >>> read(path, ReadOptions(bin_width=0.01))
    SpikeData(2 trials × 5 bins × 3 neurons, bin 10 ms, 100 Hz mean rate)
    """
    return read_split(path, options)[0]


def read_split(path: str | os.PathLike[str], options: ReadOptions | None = None) -> Reading:
    """Read a recording and the split into training and validation trials that its file carries.

    Parameters
    ----------
    path, options : as in `read`.

    Returns
    -------
    data : SpikeData
        Every trial.
    split : Split or None
        None in formats that carry none (npz, NWB).

    Raises
    ------
    OSError, ValueError
        As in `read`.

    Examples
    --------
    >>> import tempfile, os, numpy as np
    >>> from latentspike.io import write_hdf5
    >>> path = os.path.join(tempfile.mkdtemp(), "session.h5")
    >>> data = SpikeData(np.ones((3, 5, 2), int), bin_width=0.01)
    >>> write_hdf5(path, data, Split(train=[0, 2], validation=[1]))
    >>> read_split(path)[1].validation
    array([1])
    """
    suffix = Path(path).suffix.lower()
    if suffix not in READERS:
        raise ValueError(
            f"{path}: unknown suffix {suffix!r}; known are {', '.join(READERS)} (objects of "
            "pynapple and Neo: from_pynapple, from_neo)"
        )
    return READERS[suffix](path, options or ReadOptions())
