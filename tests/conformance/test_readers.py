"""One table over every format: write → read → the same recording, as far as the format can hold."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from latentspike.io import (
    ReadOptions,
    from_neo,
    from_pynapple,
    read,
    read_split,
    write_hdf5,
    write_npz,
    write_nwb,
)
from latentspike.spikes import SpikeData, Split

ALL = {
    "counts",
    "observed",
    "bin_width",
    "t_start",
    "heldout",
    "n_forward_bins",
    "inputs",
    "behavior",
    "conditions",
    "trial_ids",
    "neuron_ids",
    "truth",
    "kind",
}


def recording():
    rng = np.random.default_rng(0)
    shape = (6, 8, 5)
    return SpikeData(
        rng.poisson(1.0, shape),
        0.02,
        rng.random(shape) > 0.1,
        t_start=-0.04,
        heldout=np.array([False, True, False, False, True]),
        n_forward_bins=2,
        inputs=rng.normal(size=(6, 8, 2)),
        behavior={"hand": rng.normal(size=(6, 8, 2)), "eye": rng.normal(size=(6, 8, 1))},
        conditions=np.array(["left", "right"] * 3),
        trial_ids=np.array([3, 1, 4, 15, 9, 2]),
        neuron_ids=np.array(["a", "b", "c", "d", "ü"]),
        truth={"rates": rng.random(shape), "factors": rng.random((6, 8, 3)).astype(np.float32)},
    )


SPLIT = Split(train=[0, 2, 3, 5], validation=[1, 4])
NWB = ReadOptions(
    bin_width=0.02,
    align_to="align_time",
    window=(-0.04, 0.12),
    condition="condition",
    behavior=("hand", "eye"),
    inputs="inputs",
)


def through_pynapple(data, _):
    import pynapple as nap

    starts = np.arange(data.n_trials) * 1.0
    group = nap.TsGroup(
        {i: nap.Ts(spike_times(data, i, starts)) for i in range(data.n_neurons)},
        time_support=nap.IntervalSet(-1, data.n_trials),
    )
    hand = nap.TsdFrame(
        t=centers(data, starts), d=data.behavior["hand"].reshape(-1, 2), columns=["x", "y"]
    )
    return from_pynapple(
        group,
        bin_width=data.bin_width,
        events=nap.Ts(starts - data.t_start),
        window=(data.t_start, data.t_start + data.n_bins * data.bin_width),
        behavior={"hand": hand},
        conditions=data.conditions,
    )


def through_neo(data, _):
    import neo

    segments = []
    for trial in range(data.n_trials):
        segment = neo.Segment(condition=str(data.conditions[trial]))
        for neuron, name in enumerate(data.neuron_ids):
            one = data.select_trials([trial])
            times = spike_times(one, neuron, np.array([data.t_start]))
            segment.spiketrains.append(
                neo.SpikeTrain(1e3 * times, units="ms", t_start=-40, t_stop=120, name=str(name))
            )
        segments.append(segment)
    return from_neo(segments, bin_width=data.bin_width, condition="condition")


def spike_times(data, neuron, starts):
    times = []
    for trial, start in enumerate(starts):
        for time_bin, count in enumerate(data.counts[trial, :, neuron]):
            times += [start + (time_bin + (j + 0.5) / count) * data.bin_width for j in range(count)]
    return np.array(times)


def centers(data, starts):
    return (starts[:, None] + (np.arange(data.n_bins) + 0.5) * data.bin_width).ravel()


@dataclass
class Format:
    name: str
    through: object  # (data, folder) -> data
    holds: set = field(default_factory=lambda: set(ALL))


def through_hdf5(data, folder):
    write_hdf5(folder / "a.h5", data, SPLIT)
    return read(folder / "a.h5")


def through_hdf5_unsplit(data, folder):
    write_hdf5(folder / "a.hdf5", data)
    return read(folder / "a.hdf5")


def through_hdf5_mapped(data, folder):
    write_hdf5(folder / "a.h5", data, SPLIT)
    return read(folder / "a.h5", ReadOptions(memory_limit_bytes=0))


def through_npz(data, folder):
    write_npz(folder / "a.npz", data)
    return read(folder / "a.npz")


def through_nwb(data, folder):
    write_nwb(folder / "a.nwb", data)
    return read(folder / "a.nwb", NWB)


TABLE = [
    Format("hdf5", through_hdf5),
    Format("hdf5 without split", through_hdf5_unsplit),
    Format("hdf5 memory-mapped", through_hdf5_mapped),
    Format("npz", through_npz),
    Format("nwb", through_nwb, ALL - {"truth", "n_forward_bins"}),
    Format(
        "pynapple",
        through_pynapple,
        {"counts", "bin_width", "t_start", "conditions", "kind", "hand"},
    ),
    Format(
        "neo",
        through_neo,
        {"counts", "bin_width", "t_start", "conditions", "neuron_ids", "kind"},
    ),
]


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.name)
def test_a_recording_survives_the_round_trip(entry, tmp_path):
    before = recording()
    after = entry.through(before, tmp_path)
    # In formats of spike times nothing can be said about bins that were not recorded.
    spikes_only = entry.name == "nwb"
    for name in entry.holds:
        if name == "hand":
            np.testing.assert_array_equal(after.behavior["hand"], before.behavior["hand"])
            continue
        have, want = getattr(after, name), getattr(before, name)
        if name == "counts" and spikes_only:
            want = np.where(before.observed, want, 0)
        if isinstance(want, dict):
            assert have.keys() == want.keys()
            for key in want:
                assert have[key].dtype == want[key].dtype
                np.testing.assert_array_equal(have[key], want[key])
        elif isinstance(want, np.ndarray):
            np.testing.assert_array_equal(have, want)
            assert have.dtype.kind == want.dtype.kind
            if name in ("counts", "inputs"):
                assert have.dtype == want.dtype
        else:
            assert have == want


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_continuous_data_keep_every_bit(suffix, dtype, tmp_path):
    values = np.random.default_rng(1).normal(size=(3, 4, 2)).astype(dtype)
    before = SpikeData(values, 0.1, kind="continuous")
    path = tmp_path / f"a{suffix}"
    {".h5": write_hdf5, ".npz": write_npz}[suffix](path, before)
    after = read(path)
    assert after.kind == "continuous" and after.counts.dtype == dtype
    np.testing.assert_array_equal(after.counts, values)


def test_only_hdf5_carries_a_split(tmp_path):
    data = recording()
    write_hdf5(tmp_path / "a.h5", data, SPLIT)
    write_npz(tmp_path / "a.npz", data)
    _, split = read_split(tmp_path / "a.h5")
    assert split.train.tolist() == [0, 2, 3, 5] and split.validation.tolist() == [1, 4]
    assert read_split(tmp_path / "a.npz")[1] is None


def test_an_unknown_suffix_names_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"'\.csv'; known are \.h5, \.hdf5, \.npz, \.nwb"):
        read(tmp_path / "a.csv")


def test_reading_does_not_import_optional_libraries():
    import subprocess
    import sys

    code = (
        "import sys, latentspike.io;"
        "sys.exit(str([m for m in ('pynwb', 'hdmf', 'neo', 'pynapple') if m in sys.modules])"
        " if {'pynwb', 'hdmf', 'neo', 'pynapple'} & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
