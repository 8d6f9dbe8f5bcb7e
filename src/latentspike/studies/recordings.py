"""The real recordings of the test-data folder as `SpikeData`; nothing here is shipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from latentspike.spikes import SpikeData, Split, bin_continuous, resample_series


def rat_motor_cortex(folder: Path, *, draw: int = 1) -> tuple[SpikeData, Split]:
    """Timed lever press (Dhawale & Ölveczky): 1266 trials, 60 bins of 20 ms from 0.2 s, 30 units.

    One neuron of every three neighbours in rate is held out, and 254 trials are for testing.
    Co-smoothing scores depend heavily on which neurons are held out: ``draw`` 1 is the one whose
    baselines are closest to those stated with the recording.

    Returns
    -------
    Recording with 10 held-out neurons, and the split into 1012 training and 254 test trials.
    """
    with np.load(folder / "rat_motor_cortex" / "motor_ctx_data.npz", allow_pickle=False) as file:
        trial, time_ms, neuron = file["trial_ids"], file["spiketimes"], file["neuron_ids"]
    counts = np.zeros((1266, 100, 30), np.uint16)
    time_bin = np.minimum(time_ms // 20, 99).astype(int)
    np.add.at(counts, (trial, time_bin, neuron), 1)
    counts = counts[:, 10:70]
    generator = np.random.default_rng(draw)
    heldout = np.zeros(30, bool)
    for neighbours in np.argsort(counts.mean((0, 1))).reshape(10, 3):
        heldout[generator.choice(neighbours)] = True
    order = generator.permutation(1266)
    split = Split(np.sort(order[:1012]), np.sort(order[1012:]))
    return SpikeData(counts, 0.02, t_start=0.2, heldout=heldout), split


# the source does not state the bin width; nothing below depends on it but the unit of the rates
MONKEY_BIN_WIDTH = 0.05


def monkey_m1(folder: Path) -> SpikeData:
    """Reaches (Miller lab): 96 trials, 38 bins, 71 units, hand velocity from bin 7 on."""
    with np.load(folder / "monkey_m1" / "chewie_trials.npz", allow_pickle=False) as file:
        counts, velocity = file["counts"], file["velocity"]
    aligned = np.full((*counts.shape[:2], 2), np.nan)
    aligned[:, 7:] = velocity
    return SpikeData(counts.astype(np.int64), MONKEY_BIN_WIDTH, behavior={"velocity": aligned})


def linear_track(folder: Path, *, bin_width: float = 0.05) -> SpikeData:
    """A rat running on a track (nelpy example data): 31 units, 33 min, position at 60 Hz.

    Returns
    -------
    One continuous trial with ``behavior["position"]`` [1, bins, 2] in camera pixels.
    """
    document = loadmat(
        folder / "linear_track" / "spikes.mat", squeeze_me=True, struct_as_record=False
    )
    times = list(_unit_times(document["spikes"]))
    raw = (folder / "linear_track" / "trajectory.videoPositionTracking").read_bytes()
    fields = [("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("x2", "<u2"), ("y2", "<u2")]
    frames = np.frombuffer(raw.split(b"<End settings>\n", 1)[1], dtype=fields)
    seconds = frames["t"] / 30000.0
    order = np.unique(seconds, return_index=True)[1]
    n_bins = int((seconds[order[-1]] - seconds[order[0]]) / bin_width)
    start = float(seconds[order[0]])
    stop = start + n_bins * bin_width
    data = bin_continuous(times, bin_width=bin_width, t_start=start, t_stop=stop, duplicates="keep")
    place = np.stack([frames["x"], frames["y"]], axis=1).astype(float)[order]
    edges = start + bin_width * np.arange(n_bins + 1)
    position = resample_series(seconds[order], place, edges)
    return data.replace(behavior={"position": position[None]})


def _unit_times(cell: Any) -> Iterator[np.ndarray]:
    """Spike times of each unit in nested cell arrays of structs."""
    if isinstance(cell, np.ndarray) and cell.dtype == object:
        for entry in cell.ravel():
            yield from _unit_times(entry)
        return
    times = np.sort(np.atleast_1d(getattr(cell, "time", [])).astype(float))
    if times.size:
        yield times
