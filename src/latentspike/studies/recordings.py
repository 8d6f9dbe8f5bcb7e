"""The real recordings of the test-data folder as `SpikeData`; nothing here is shipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from latentspike.io import ReadOptions, read_nwb
from latentspike.spikes import SpikeData, Split, bin_continuous, resample_series

MC_MAZE = "LATENTSPIKE_MC_MAZE"  # the variable that names the file of that recording
MC_MAZE_FILE = "sub-Jenkins_ses-full_desc-train_behavior+ecephys.nwb"
MC_MAZE_DOWNLOAD = "pip install dandi; dandi download DANDI:000128/0.220113.0400"


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


def mc_maze_file(given: str | None = None) -> Path:
    """Where the NWB file of MC_Maze is: as given, or from ``LATENTSPIKE_MC_MAZE``.

    Raises
    ------
    FileNotFoundError : if neither names a file, with the command that downloads it.
    """
    name = given or os.environ.get(MC_MAZE, "")
    if not name or not Path(name).is_file():
        found = f"{name} is no file" if name else f"{MC_MAZE} is not set"
        raise FileNotFoundError(
            f"{found}: set it to the recording MC_Maze, which `{MC_MAZE_DOWNLOAD}` downloads to "
            f"000128/sub-Jenkins/{MC_MAZE_FILE}"
        )
    return Path(name)


def mc_maze(
    path: str | os.PathLike[str],
    *,
    bin_width: float = 0.002,
    n_neurons: int | None = 150,
    seed: int = 0,
) -> SpikeData:
    """Straight and curved reaches of monkey J (Churchland & Kaufman; DANDI 000128, MC_Maze).

    Monkey and task of the 2019 paper: 2295 trials and 182 units where the paper has 2296 and 202.
    From 250 ms before to 450 ms after movement onset; units that the Neural Latents Benchmark
    holds out are units like all others here.

    Parameters
    ----------
    path : NWB file with trials column ``move_onset_time`` and time series ``hand_pos``,
        ``hand_vel``; trials without onset are left out
    bin_width : seconds
    n_neurons : so many units, drawn at random; None takes all
    seed : of that draw

    Returns
    -------
    Recording with ``behavior["hand_position"]`` and ``["hand_velocity"]`` [trials, bins, 2] in the
    file's units (m, m/s), NaN where the hand was not tracked, ``conditions`` the mazes.
    """
    data = read_nwb(
        path,
        ReadOptions(
            bin_width=bin_width,
            align_to="move_onset_time",
            window=(-0.25, 0.45),
            condition="trial_type",
            behavior=("hand_pos", "hand_vel"),
            drop_missing_events=True,
            duplicates="keep",  # a time to the millisecond may well come twice
            max_gap=0.02,
        ),
    )
    hand = {"hand_position": data.behavior["hand_pos"], "hand_velocity": data.behavior["hand_vel"]}
    data = data.replace(behavior=hand, heldout=None)
    if n_neurons is None or n_neurons >= data.n_neurons:
        return data
    generator = np.random.default_rng(seed)
    return data.select_neurons(np.sort(generator.choice(data.n_neurons, n_neurons, replace=False)))


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
