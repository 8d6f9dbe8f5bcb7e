"""Opening and saving NWB files: the one place that imports pynwb."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np

from latentspike.files import atomic_path
from latentspike.io.opening import check_file, list_members

EXPECTED = "an NWB file (HDF5) with a units table"


def require_pynwb() -> Any:
    """The pynwb package; raises ImportError naming the extra to install."""
    try:
        import pynwb
    except ImportError as error:
        raise ImportError("NWB files need pynwb: pip install 'latentspike[nwb]'") from error
    return pynwb


@contextmanager
def quiet_namespaces() -> Iterator[None]:
    """Silence one pynwb warning: a file made with another version of the NWB schema is normal."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Ignoring the following cached namespace")
        yield


@contextmanager
def open_nwb(path: str | os.PathLike[str]) -> Iterator[tuple[Any, Any]]:
    """The NWBFile at ``path`` and the pynwb IO object it came from.

    Raises
    ------
    OSError
        If the file cannot be opened at all.
    ValueError
        If it is truncated, not HDF5 or not NWB.
    """
    pynwb = require_pynwb()
    target = check_file(path, EXPECTED)
    with quiet_namespaces():
        try:
            file = h5py.File(target, "r")
        except OSError as error:
            raise ValueError(
                f"{target} is truncated or is not HDF5; expected {EXPECTED} ({error})"
            ) from error
        with file:
            io, nwb = _read(pynwb, file)
            with io:
                yield nwb, io


def _read(pynwb: Any, file: h5py.File) -> tuple[Any, Any]:
    if "nwb_version" not in file.attrs:
        found = list_members(file)
        raise ValueError(f"{file.filename} holds {found} and is not NWB; expected {EXPECTED}")
    try:
        io = pynwb.NWBHDF5IO(file=file, mode="r")
        return io, io.read()
    except Exception as error:  # pynwb raises many kinds for a damaged file
        raise ValueError(
            f"{file.filename} cannot be read as NWB; expected {EXPECTED} ({error})"
        ) from error


def save_nwb(path: str | os.PathLike[str], nwb: Any, source: Any = None) -> None:
    """Write an NWBFile atomically; ``source`` is the IO object it was read from, if any."""
    pynwb = require_pynwb()
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file, quiet_namespaces():
        # An open file is passed because pynwb warns at the temporary name, which is not *.nwb.
        io = pynwb.NWBHDF5IO(file=file, mode="w")
        if source is None:
            io.write(nwb)
        else:
            # By default pynwb links to the source file; the copy must stand alone.
            io.export(src_io=source, nwbfile=nwb, write_args={"link_data": False})


def trial_starts(n_trials: int, n_bins: int, bin_width: float, t_start: float) -> np.ndarray:
    """Session seconds at which trials start when laid end to end, one bin apart.

    The first starts late enough for its event (at ``-t_start`` into the trial) not to be negative.
    """
    return max(0.0, t_start) + np.arange(n_trials) * (n_bins + 1) * bin_width


def bin_centers(starts: np.ndarray, n_bins: int, bin_width: float) -> np.ndarray:
    """Session seconds [trials, bins] of bin centers."""
    return starts[:, None] + (np.arange(n_bins) + 0.5) * bin_width


def clock(times: np.ndarray) -> dict[str, Any]:
    """How a TimeSeries states its times: a rate where they are regular, else each one."""
    steps = np.diff(times)
    if steps.size and np.allclose(steps, steps.mean(), rtol=0, atol=1e-9):
        return {"starting_time": float(times[0]), "rate": float(1 / steps.mean())}
    return {"timestamps": times}
