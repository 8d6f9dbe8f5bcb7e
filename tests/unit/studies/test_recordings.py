"""MC_Maze is read as its file is built; the file itself is not ours to ship, so one is made up."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from latentspike.cli.main import main
from latentspike.studies import catalog
from latentspike.studies.reaching_recordings import load
from latentspike.studies.recordings import MC_MAZE, mc_maze, mc_maze_file

pynwb = pytest.importorskip("pynwb")
N_UNITS, N_TRIALS, TRIAL = 9, 6, 2.0  # seconds from one start to the next
NO_ONSET = 4


def onset_of(trials):
    """Seconds after the start."""
    return 0.9 + 0.01 * (np.asarray(trials) % N_TRIALS)


def hand_at(times):
    """Position in mm and velocity in mm/s, [samples, 2]."""
    position = np.stack([100 * np.sin(times), 50 * np.cos(times)], axis=1)
    velocity = np.stack([100 * np.cos(times), -50 * np.sin(times)], axis=1)
    return position, velocity


def spikes_of(unit, n_trials):
    """Seconds: one in every trial at 10 × unit ms after the onset, and one twice over."""
    starts = TRIAL * np.arange(n_trials)
    at = starts + onset_of(np.arange(n_trials)) + 0.01 * unit + 0.001
    times = np.sort(np.append(at, starts + 0.1))
    return np.sort(np.append(times, times[0]))


@pytest.fixture
def file(tmp_path):
    """The tables and series of sub-Jenkins_ses-full_desc-train_behavior+ecephys.nwb, in small."""
    return write_maze(tmp_path / "maze.nwb", N_TRIALS)


def write_maze(path, n_trials):
    """NWB file of the structure of MC_Maze."""
    nwb = pynwb.NWBFile("made up", "1", datetime(2009, 9, 18, tzinfo=UTC))
    device = nwb.create_device("array")
    group = nwb.create_electrode_group("group", "96 channels", "M1", device)
    nwb.add_electrode(location="M1", group=group)
    nwb.add_unit_column("heldout", "unit is held out in the benchmark")
    intervals = [[TRIAL * k, TRIAL * k + 1.8] for k in range(n_trials)]
    for unit in range(N_UNITS):
        nwb.add_unit(
            spike_times=spikes_of(unit, n_trials), obs_intervals=intervals, electrodes=[0],
            heldout=unit % 4 == 0,
        )  # fmt: skip
    columns = ("target_on_time", "go_cue_time", "move_onset_time", "rt", "delay")
    texts = ("trial_type", "trial_version", "maze_id", "split", "num_targets", "active_target")
    for name in (*columns, *texts):
        nwb.add_trial_column(name, name)
    nwb.add_trial_column("target_pos", "mm", index=True)
    for k in range(n_trials):
        start = TRIAL * k
        onset = np.nan if k == NO_ONSET else start + onset_of(k)
        nwb.add_trial(
            start_time=start, stop_time=start + 1.8, target_on_time=start + 0.1,
            go_cue_time=start + 0.6, move_onset_time=onset, rt=0.3, delay=0.5, trial_type=k % 3,
            trial_version=k % 2, maze_id=7, split="val" if k == 1 else "train", num_targets=1,
            active_target=0, target_pos=[[80.0, 20.0]], timeseries=None,
        )  # fmt: skip
    times = np.concatenate([np.arange(a, b, 0.001) for a, b in intervals])  # not between trials
    module = nwb.create_processing_module("behavior", "the hand")
    for name, data in zip(("hand_pos", "hand_vel"), hand_at(times), strict=True):
        module.add(
            pynwb.TimeSeries(name=name, data=data, unit="m", conversion=1e-3, timestamps=times)
        )
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def test_mc_maze_is_cut_around_movement_onset(file):
    data = mc_maze(file, n_neurons=None)
    assert data.counts.shape == (N_TRIALS - 1, 350, N_UNITS)
    assert (data.bin_width, data.t_start) == (0.002, -0.25)
    assert data.trial_ids.tolist() == [0, 1, 2, 3, 5]  # one has no onset
    assert data.observed.all() and not data.heldout.any()
    for unit in range(N_UNITS):
        _, bins = np.nonzero(data.counts[:, :, unit])
        assert bins.tolist() == [125 + 5 * unit] * data.n_trials
    assert data.conditions is not None and data.conditions.tolist() == [0, 1, 2, 0, 2]


def test_mc_maze_brings_the_hand_in_metres(file):
    data = mc_maze(file, bin_width=0.01, n_neurons=None)
    assert set(data.behavior) == {"hand_position", "hand_velocity"}
    for row, trial in enumerate(data.trial_ids):
        centers = TRIAL * trial + onset_of(trial) + data.times
        position, velocity = hand_at(centers - 0.0005)  # mean of the ten samples of a bin
        np.testing.assert_allclose(data.behavior["hand_position"][row], position / 1e3, atol=1e-4)
        np.testing.assert_allclose(data.behavior["hand_velocity"][row], velocity / 1e3, atol=1e-4)


def test_mc_maze_draws_neurons_by_seed(file):
    first, again, other = (mc_maze(file, n_neurons=5, seed=s) for s in (0, 0, 1))
    assert first.n_neurons == 5
    np.testing.assert_array_equal(first.neuron_ids, again.neuron_ids)
    assert first.neuron_ids.tolist() != other.neuron_ids.tolist()


def test_without_the_file_the_download_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv(MC_MAZE, raising=False)
    with pytest.raises(FileNotFoundError, match=r"dandi download DANDI:000128/.*sub-Jenkins"):
        mc_maze_file()
    with pytest.raises(FileNotFoundError, match=r"none\.nwb is no file: .*dandi download"):
        mc_maze_file(str(tmp_path / "none.nwb"))
    (tmp_path / "a.nwb").touch()
    monkeypatch.setenv(MC_MAZE, str(tmp_path / "a.nwb"))
    assert mc_maze_file() == tmp_path / "a.nwb"
    assert MC_MAZE == catalog.MC_MAZE in catalog.find("keshtkaran-2019/fig5").needs


def test_the_study_of_reaches_reads_it_by_name_or_variable(file, monkeypatch):
    for given in (str(file), None):
        monkeypatch.setenv(MC_MAZE, str(file))
        reaches = load("mc_maze", given, bin_width=0.02, sizes={"n_neurons": 5})
        assert reaches.data.counts.shape == (N_TRIALS - 1, 35, 5)
        assert reaches.data.counts.sum() == 5 * (N_TRIALS - 1)
        assert np.isfinite(reaches.data.behavior["hand_velocity"]).all()


def test_the_study_of_mc_maze_runs_from_the_file(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv(MC_MAZE, str(write_maze(tmp_path / "maze.nwb", 60)))
    name, out = "keshtkaran-2019/fig5", str(tmp_path / "out")
    assert main(["study", "run", name, "--scale", "tiny", "--out", out]) == 0
    capsys.readouterr()
    record = json.loads((tmp_path / "out" / name / "tiny" / "study.json").read_text("utf-8"))
    assert record["status"] == "finished" and record["figures"] and record["tables"]
    assert len(record["claims"]) == len(catalog.find(name).claims)
