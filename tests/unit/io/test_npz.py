import numpy as np
import pytest

from latentspike.io import ReadOptions, read_npz, write_npz
from latentspike.spikes import SpikeData


def test_bare_counts_need_a_bin_width(tmp_path):
    counts = np.random.default_rng(0).poisson(1.0, (3, 4, 2))
    np.savez(tmp_path / "a.npz", counts=counts)
    with pytest.raises(ValueError, match=r"a\.npz does not state its bin width"):
        read_npz(tmp_path / "a.npz")
    data = read_npz(tmp_path / "a.npz", ReadOptions(bin_width=0.01))
    np.testing.assert_array_equal(data.counts, counts)


def test_a_foreign_file_lists_what_it_has_and_what_it_needs(tmp_path):
    np.savez(tmp_path / "a.npz", weights=np.ones(3), bias=np.ones(1))
    with pytest.raises(ValueError, match=r"holds bias, weights; expected .*counts"):
        read_npz(tmp_path / "a.npz")


def test_bad_values_name_the_file(tmp_path):
    np.savez(tmp_path / "a.npz", counts=-np.ones((1, 2, 3)), bin_width=0.01)
    with pytest.raises(ValueError, match=r"a\.npz: counts\[trial 0, bin 0, neuron 0\] = -1"):
        read_npz(tmp_path / "a.npz")


def test_a_scalar_that_is_none_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", counts=np.ones((1, 2, 3)), bin_width=[0.01, 0.02])
    with pytest.raises(ValueError, match="bin_width must be one value"):
        read_npz(tmp_path / "a.npz")


def test_fully_observed_data_store_no_mask(tmp_path):
    write_npz(tmp_path / "a.npz", SpikeData(np.ones((1, 2, 3), int), 0.01))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert "observed" not in file.files and {"counts", "bin_width"} <= set(file.files)
