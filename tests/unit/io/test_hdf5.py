import gc
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentspike.io import ReadOptions, memory, read_hdf5, write_hdf5
from latentspike.spikes import SpikeData, Split

RNG = np.random.default_rng(0)
PARTS = (("train", 4), ("valid", 2))
BIN = ReadOptions(bin_width=0.005)


def save(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value
    return path


def lfads_arrays(n_train=4, n_valid=2, dtype=float):
    """Five neurons, of which three are read; eight bins, of which six are read."""
    whole = RNG.poisson(1.0, (n_train + n_valid, 8, 5)).astype(dtype)
    parts = {"train": whole[:n_train], "valid": whole[n_train:]}
    arrays = {}
    for prefix, recon in parts.items():
        arrays[f"{prefix}_encod_data"] = recon[:, :6, :3]
        arrays[f"{prefix}_recon_data"] = recon
    return whole, arrays


def test_neurons_and_bins_beyond_the_corner_are_held_out(tmp_path):
    whole, arrays = lfads_arrays()
    data, split = read_hdf5(save(tmp_path / "a.h5", **arrays), BIN)
    np.testing.assert_array_equal(data.counts, whole)
    assert data.counts.dtype == np.uint8
    assert data.heldout.tolist() == [False, False, False, True, True]
    assert data.n_forward_bins == 2 and data.bin_width == 0.005
    assert split.train.tolist() == [0, 1, 2, 3] and split.validation.tolist() == [4, 5]
    assert data.observed.all()


def test_original_indices_order_and_name_the_trials(tmp_path):
    whole, arrays = lfads_arrays()
    arrays |= {"train_inds": [7, 0, 5, 2], "valid_inds": [1, 9]}
    arrays |= {"train_cond_idx": [7, 0, 5, 2], "valid_cond_idx": [1, 9]}
    data, split = read_hdf5(save(tmp_path / "a.h5", **arrays), BIN)
    assert data.trial_ids.tolist() == [0, 1, 2, 5, 7, 9]
    assert data.conditions.tolist() == [0, 1, 2, 5, 7, 9]
    np.testing.assert_array_equal(data.counts, whole[[1, 4, 3, 2, 0, 5]])
    assert split.validation.tolist() == [1, 5]


def test_older_layout_has_nothing_held_out(tmp_path):
    counts = RNG.poisson(1.0, (3, 4, 2))
    path = save(tmp_path / "a.h5", train_data=counts, valid_data=counts[:1], dt=0.01)
    data, _ = read_hdf5(path)
    assert data.n_trials == 4 and data.n_forward_bins == 0 and not data.heldout.any()
    assert data.bin_width == 0.01


def test_series_beside_the_counts(tmp_path):
    _, arrays = lfads_arrays()
    arrays |= {
        "train_ext_input": np.ones((4, 8, 1)),
        "valid_ext_input": np.zeros((2, 8, 1)),
        "train_behavior": np.ones((4, 6, 2)),
        "train_behavior_speed": np.ones((4, 8)),
        "valid_behavior_speed": np.arange(16.0).reshape(2, 8),
        "train_behavior_reward": np.arange(12.0).reshape(4, 3),
        "train_truth": np.full((4, 8, 5), 0.1),
        "valid_truth": np.full((2, 8, 5), 0.2),
    }
    path = save(tmp_path / "a.h5", **arrays)
    data, _ = read_hdf5(path, ReadOptions(bin_width=0.005, truth_unit="counts_per_bin"))
    assert data.inputs[:4].all() and not data.inputs[4:].any()
    missing = np.isnan(data.behavior["behavior"])
    assert not missing[:4, :6].any() and missing[4:].all() and missing[:, 6:].all()
    np.testing.assert_array_equal(data.behavior["speed"][5, :, 0], np.arange(8.0, 16.0))
    np.testing.assert_array_equal(data.behavior["reward"][1], np.tile([3.0, 4.0, 5.0], (8, 1)))
    np.testing.assert_allclose(data.truth["rates"][[0, 5], 0, 0], [20.0, 40.0])
    assert read_hdf5(path, BIN)[0].truth["rates"][0, 0, 0] == 0.1


def test_nan_marks_missing_bins(tmp_path):
    whole, arrays = lfads_arrays()
    arrays["train_recon_data"] = arrays["train_recon_data"].copy()
    arrays["train_recon_data"][1, 2, :] = np.nan
    arrays["train_encod_data"] = arrays["train_recon_data"][:, :6, :3]
    data, _ = read_hdf5(save(tmp_path / "a.h5", **arrays), BIN)
    expected = np.ones(whole.shape, bool)
    expected[1, 2, :] = False
    np.testing.assert_array_equal(data.observed, expected)
    np.testing.assert_array_equal(data.counts, np.where(expected, whole, 0))


def benchmark_arrays():
    train, evaluation = RNG.poisson(1.0, (4, 8, 5)), RNG.poisson(1.0, (2, 8, 5))
    arrays = {
        "train_spikes_heldin": train[:, :6, :3],
        "train_spikes_heldout": train[:, :6, 3:],
        "train_spikes_heldin_forward": train[:, 6:, :3],
        "train_spikes_heldout_forward": train[:, 6:, 3:],
        "eval_spikes_heldin": evaluation[:, :6, :3],
        "train_behavior": np.ones((4, 6, 2)),
    }
    return train, evaluation, arrays


def test_benchmark_blocks_are_put_together(tmp_path):
    train, evaluation, arrays = benchmark_arrays()
    data, split = read_hdf5(save(tmp_path / "a.h5", **arrays), BIN)
    np.testing.assert_array_equal(data.counts[:4], train)
    np.testing.assert_array_equal(data.counts[4:, :6, :3], evaluation[:, :6, :3])
    assert data.observed[:4].all()
    assert data.observed[4:, :6, :3].all() and data.observed[4:].sum() == 2 * 6 * 3
    assert data.heldout.tolist() == [False] * 3 + [True] * 2 and data.n_forward_bins == 2
    assert split.validation.tolist() == [4, 5]
    assert np.isnan(data.behavior["behavior"][4:]).all()


def test_benchmark_lists_of_trials_per_condition_are_not_labels(tmp_path):
    _, _, arrays = benchmark_arrays()
    del arrays["eval_spikes_heldin"]
    arrays["train_cond_idx"] = np.zeros((2, 3))
    data, split = read_hdf5(save(tmp_path / "a.h5", **arrays), BIN)
    assert data.conditions is None and split is None


def test_benchmark_evaluation_with_held_out_neurons(tmp_path):
    train, evaluation, arrays = benchmark_arrays()
    for name in list(arrays):
        if name.startswith("train_spikes"):
            key = name.replace("train", "eval")
            bins = slice(6, 8) if "forward" in name else slice(0, 6)
            neurons = slice(3, 5) if "heldout" in name else slice(0, 3)
            arrays[key] = evaluation[:, bins, neurons]
    data, _ = read_hdf5(save(tmp_path / "a.h5", **arrays), BIN)
    np.testing.assert_array_equal(data.counts, np.concatenate([train, evaluation]))
    assert data.observed.all()


def test_benchmark_blocks_that_disagree_are_named(tmp_path):
    _, _, arrays = benchmark_arrays()
    arrays["eval_spikes_heldin"] = np.zeros((2, 6, 4))
    with pytest.raises(ValueError, match="eval_spikes_heldin has 4 neurons but train_spikes_h"):
        read_hdf5(save(tmp_path / "a.h5", **arrays), BIN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valid_recon_data": np.zeros((2, 8, 4))}, "4 neurons but train_recon_data has 5"),
        (
            {f"{p}_encod_data": np.zeros((n, 9, 3)) for p, n in PARTS},
            "must be its leading bins and neurons",
        ),
        ({"train_encod_data": np.zeros((3, 6, 3))}, "3 trials but train_recon_data has 4"),
        ({"train_recon_data": np.zeros((4, 8))}, "train_recon_data must have shape"),
        ({"train_recon_data": np.full((4, 8, 5), b"x")}, "train_recon_data has dtype"),
        ({"train_inds": [0, 1, 2, 3]}, "has train_inds but not the indices of every part"),
        ({"train_inds": [0, 1, 2, 3], "valid_inds": [3, 4]}, "trial index 3 appears more than"),
        ({"train_inds": [0, 1, 2], "valid_inds": [3, 4]}, "train_inds must hold 4 whole numbers"),
        ({"train_ext_input": np.ones((4, 8, 1))}, "has train_ext_input but lacks"),
        ({"train_cond_idx": np.ones(4)}, "has train_cond_idx but lacks"),
        ({"train_behavior": np.ones((4, 5, 2))}, "train_behavior must have shape"),
        ({"neuron_ids": [1, 1, 2, 3, 4]}, "neuron_ids must be unique"),
        ({"bin_width": [0.1, 0.2]}, "bin_width must be one number"),
    ],
)
def test_inconsistencies_are_named(change, message, tmp_path):
    arrays = lfads_arrays()[1] | change
    path = save(tmp_path / "a.h5", **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        read_hdf5(path, BIN)
    assert str(path) in str(caught.value)


def test_a_wrong_corner_is_located(tmp_path):
    _, arrays = lfads_arrays()
    arrays["valid_encod_data"] = arrays["valid_encod_data"].copy()
    arrays["valid_encod_data"][1, 4, 2] += 1
    with pytest.raises(ValueError, match=r"valid_encod_data\[trial 1, bin 4, neuron 2\]"):
        read_hdf5(save(tmp_path / "a.h5", **arrays), BIN)


@pytest.mark.parametrize("bad", [-1.0, 0.5, np.inf])
def test_values_that_are_no_counts_are_located(bad, tmp_path):
    counts = np.ones((3, 4, 2))
    counts[2, 3, 1] = bad
    path = save(tmp_path / "a.h5", train_data=counts)
    with pytest.raises(ValueError, match=r"train_data\[trial 2, bin 3, neuron 1\]"):
        read_hdf5(path, BIN)


def test_bin_width_must_be_known_and_agree(tmp_path):
    counts = np.ones((3, 4, 2))
    silent = save(tmp_path / "a.h5", train_data=counts)
    stated = save(tmp_path / "b.h5", train_data=counts, bin_width=0.01)
    with pytest.raises(ValueError, match="does not state its bin width"):
        read_hdf5(silent)
    with pytest.raises(ValueError, match=r"states bins of 0.01 s but bin_width=0.005"):
        read_hdf5(stated, BIN)
    assert read_hdf5(stated)[0].bin_width == 0.01


def test_the_file_that_lfads_reads_has_the_stated_names(tmp_path):
    data = SpikeData(
        RNG.poisson(1.0, (5, 8, 4)),
        0.01,
        heldout=[True, False, False, False],
        n_forward_bins=3,
        behavior={"behavior": np.ones((5, 8, 2))},
    )
    write_hdf5(tmp_path / "a.h5", data, Split(train=[0, 2, 4], validation=[1, 3]))
    with h5py.File(tmp_path / "a.h5") as file:
        shapes = {name: item.shape for name, item in file.items()}
        encod, recon = file["valid_encod_data"][:], file["valid_recon_data"][:]
    assert shapes == {
        "train_encod_data": (3, 5, 3),
        "train_recon_data": (3, 8, 4),
        "train_inds": (3,),
        "train_behavior": (3, 8, 2),
        "valid_encod_data": (2, 5, 3),
        "valid_recon_data": (2, 8, 4),
        "valid_inds": (2,),
        "valid_behavior": (2, 8, 2),
        "neuron_ids": (4,),
        "neuron_order": (4,),
    }
    np.testing.assert_array_equal(encod, recon[:, :5, :3])
    np.testing.assert_array_equal(encod, data.counts[[1, 3]][:, :5, 1:])


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.data())
def test_any_recording_round_trips_bit_for_bit(draw):
    import tempfile

    n_trials, n_bins, n_neurons = (draw.draw(st.integers(2, 5)) for _ in range(3))
    rng = np.random.default_rng(draw.draw(st.integers(0, 2**32 - 1)))
    shape = (n_trials, n_bins, n_neurons)
    data = SpikeData(
        rng.poisson(10.0 ** rng.integers(0, 4), shape),
        float(rng.random() + 1e-3),
        rng.random(shape) < rng.choice([0.5, 1.1]),
        t_start=float(rng.normal()),
        heldout=rng.permutation(n_neurons) < rng.integers(0, n_neurons),
        n_forward_bins=int(rng.integers(0, n_bins)),
        neuron_ids=rng.permutation(n_neurons),
    )
    cut = draw.draw(st.integers(1, n_trials - 1))
    order = rng.permutation(n_trials)
    split = Split(train=order[:cut], validation=order[cut:])
    with tempfile.TemporaryDirectory() as folder:
        write_hdf5(Path(folder) / "a.h5", data, split)
        after, split_after = read_hdf5(Path(folder) / "a.h5")
    for name in ("counts", "observed", "heldout", "neuron_ids", "trial_ids"):
        np.testing.assert_array_equal(getattr(after, name), getattr(data, name))
    assert (after.bin_width, after.t_start) == (data.bin_width, data.t_start)
    assert after.n_forward_bins == data.n_forward_bins
    np.testing.assert_array_equal(split_after.validation, split.validation)


def test_a_split_that_leaves_out_a_trial_is_refused(tmp_path):
    data = SpikeData(np.ones((4, 3, 2), int), 0.01)
    with pytest.raises(ValueError, match="trial 2 is in neither part"):
        write_hdf5(tmp_path / "a.h5", data, Split(train=[0, 1], validation=[3]))
    assert not (tmp_path / "a.h5").exists()


def test_a_name_with_a_slash_is_refused(tmp_path):
    data = SpikeData(np.ones((1, 3, 2), int), 0.01, behavior={"a/b": np.ones((1, 3))})
    with pytest.raises(ValueError, match="'a/b' cannot be the name"):
        write_hdf5(tmp_path / "a.h5", data)


def big_file(path):
    """12 MB of counts as one byte each, 96 MB as they lie in the file."""
    with h5py.File(path, "w") as file:
        file.attrs["bin_width"] = 0.01
        for name, n_trials in (("train_data", 1500), ("valid_data", 500)):
            file.create_dataset(
                name, (n_trials, 100, 60), float, chunks=(50, 100, 60), fillvalue=3.0
            )
    return path


def peak_of_reading(path, options):
    tracemalloc.start()
    try:
        data, _ = read_hdf5(path, options)
        return tracemalloc.get_traced_memory()[1], data
    finally:
        tracemalloc.stop()


def test_a_low_memory_limit_keeps_the_peak_low(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CHUNK_BYTES", 1 << 19)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "scratch").mkdir()
    path = big_file(tmp_path / "a.h5")
    n_bytes = 2000 * 100 * 60
    peak, data = peak_of_reading(path, ReadOptions(memory_limit_bytes=1 << 20))
    assert peak < n_bytes / 2
    assert isinstance(data.counts, np.memmap) and data.counts.dtype == np.uint8
    assert (data.counts[::400] == 3).all()
    assert len(list((tmp_path / "scratch").iterdir())) == 1
    part = data.counts[5:]
    del data
    gc.collect()
    assert len(list((tmp_path / "scratch").iterdir())) == 1  # a view still looks into it
    assert part[0, 0, 0] == 3
    del part
    gc.collect()
    assert list((tmp_path / "scratch").iterdir()) == []
    in_memory, data = peak_of_reading(path, ReadOptions())
    assert in_memory > n_bytes and not isinstance(data.counts, np.memmap)
