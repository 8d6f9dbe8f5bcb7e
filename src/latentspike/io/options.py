"""`ReadOptions`: what a file does not say about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class ReadOptions:
    """How to turn a file into `SpikeData`; every field is optional until a format needs it.

    Parameters
    ----------
    bin_width : float, optional
        Seconds. Needed by NWB (which holds spike times) and by files of binned counts that do not
        state their own; must agree with the file where both exist.
    align_to : str, optional
        NWB: the trials column with the time (seconds) of the event that trials are aligned to.
        Without it the recording is read as one continuous trial.
    window : (float, float), optional
        NWB: start and end of a trial relative to ``align_to``, in seconds, as in ``(-0.2, 0.5)``;
        without ``align_to``, the stretch of session time to read (by default, all of it).
    condition : str, optional
        NWB: the trials column that becomes ``conditions``.
    behavior : tuple of str
        NWB: names of time series to bring onto the bins.
    inputs : str, optional
        NWB: name of the time series that becomes the measured external ``inputs``.
    drop_missing_events, duplicates, max_gap
        NWB: as in `latentspike.spikes.align`.
    memory_limit_bytes : int, optional
        HDF5: arrays beyond this total go to temporary memory-mapped files. Half of the available
        memory by default.
    truth_unit : "Hz" or "counts_per_bin"
        HDF5: unit of ``train_truth`` in files that do not state it.

    Raises
    ------
    ValueError
        If a value is out of range.

    Examples
    --------
    >>> ReadOptions(bin_width=0.01, align_to="go_cue_time", window=(-0.2, 0.5)).window
    (-0.2, 0.5)
    """

    bin_width: float | None = None
    align_to: str | None = None
    window: tuple[float, float] | None = None
    condition: str | None = None
    behavior: tuple[str, ...] = ()
    inputs: str | None = None
    drop_missing_events: bool = False
    duplicates: Literal["raise", "keep"] = "raise"
    max_gap: float = np.inf
    memory_limit_bytes: int | None = None
    truth_unit: Literal["Hz", "counts_per_bin"] = "Hz"

    def __post_init__(self) -> None:
        width = self.bin_width
        if width is not None and not (np.isfinite(width) and width > 0):
            raise ValueError(f"bin_width must be a positive number of seconds, got {width!r}")
        if isinstance(self.behavior, str):
            raise ValueError(f"behavior must be a tuple of names: ({self.behavior!r},)")
        if self.align_to is not None and self.window is None:
            raise ValueError(
                f"align_to={self.align_to!r} needs a window: (start, end) in seconds around it"
            )
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError(f"window must be (start, end) with start < end, got {self.window}")
        if self.memory_limit_bytes is not None and self.memory_limit_bytes < 0:
            raise ValueError(f"memory_limit_bytes must be ≥ 0, got {self.memory_limit_bytes}")
        if self.truth_unit not in ("Hz", "counts_per_bin"):
            raise ValueError(
                f"truth_unit must be 'Hz' or 'counts_per_bin', got {self.truth_unit!r}"
            )


def resolve_bin_width(path: object, stated: float | None, options: ReadOptions) -> float:
    """Bin width in seconds from the file or the options; raises where both or neither say."""
    asked = options.bin_width
    if stated is None and asked is None:
        raise ValueError(
            f"{path} does not state its bin width: pass it in seconds, as in "
            "ReadOptions(bin_width=0.005)"
        )
    if stated is None:
        return float(asked)  # pyright: ignore[reportArgumentType]
    if asked is not None and not np.isclose(asked, stated, rtol=1e-6, atol=0):
        raise ValueError(
            f"{path} states bins of {stated} s but bin_width={asked} s was asked: binned counts "
            "are not rebinned on reading; leave bin_width out"
        )
    return float(stated)
