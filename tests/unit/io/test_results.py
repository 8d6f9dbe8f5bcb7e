import h5py
import numpy as np
import pytest

from latentspike.io import read_results_hdf5, write_results_hdf5
from latentspike.spikes import Posterior, Split

SPLIT = Split(train=[0, 2, 3], validation=[1, 4])


def some_posterior():
    rng = np.random.default_rng(0)
    shapes = {
        "rates": (5, 6, 4),
        "factors": (5, 6, 2),
        "initial_condition": (5, 3),
        "inferred_inputs": (5, 6, 1),
        "population_activity": (5, 6, 2),
    }
    arrays = {name: rng.random(shape).astype(np.float32) for name, shape in shapes.items()}
    spread = {f"{name}_std": rng.random(shape) for name, shape in shapes.items()}
    return Posterior(
        **arrays,
        **spread,
        bin_width=0.02,
        t_start=-0.1,
        trial_ids=np.array([7, 3, 5, 1, 9]),
        neuron_ids=np.array(["a", "b", "c", "d"]),
        n_samples=50,
    )


@pytest.mark.parametrize("split", [None, SPLIT])
def test_results_round_trip_in_their_order(split, tmp_path):
    before = some_posterior()
    write_results_hdf5(tmp_path / "a.h5", before, split=split)
    after = read_results_hdf5(tmp_path / "a.h5")
    assert after.arrays().keys() == before.arrays().keys()
    for name, value in before.arrays().items():
        assert after.arrays()[name].dtype == value.dtype
        np.testing.assert_array_equal(after.arrays()[name], value)
    np.testing.assert_array_equal(after.trial_ids, before.trial_ids)
    np.testing.assert_array_equal(after.neuron_ids, before.neuron_ids)
    assert (after.bin_width, after.t_start, after.n_samples) == (0.02, -0.1, 50)


def test_arrays_that_a_model_lacks_stay_absent(tmp_path):
    names = {"trial_ids": np.arange(2), "neuron_ids": np.arange(3)}
    write_results_hdf5(tmp_path / "a.h5", Posterior(np.ones((2, 4, 3)), 0.01, **names))
    assert list(read_results_hdf5(tmp_path / "a.h5").arrays()) == ["rates"]


def test_names_and_shapes_are_those_of_lfads(tmp_path):
    posterior = some_posterior()
    write_results_hdf5(tmp_path / "a.h5", posterior, split=SPLIT)
    with h5py.File(tmp_path / "a.h5") as file:
        for prefix, trials in (("train", [0, 2, 3]), ("valid", [1, 4])):
            n = len(trials)
            shapes = {
                "output_params": (n, 6, 4),
                "rates_hz": (n, 6, 4),
                "factors": (n, 6, 2),
                "gen_inputs": (n, 6, 1),
                "co_means": (n, 6, 1),
                "co_stds": (n, 6, 1),
                "gen_init": (n, 3),
                "ic_mean": (n, 3),
                "ic_std": (n, 3),
                "inds": (n,),
            }
            assert {name: file[f"{prefix}_{name}"].shape for name in shapes} == shapes
            assert file[f"{prefix}_inds"][:].tolist() == trials
            np.testing.assert_allclose(
                file[f"{prefix}_output_params"][:], 0.02 * posterior.rates[trials]
            )
            assert file[f"{prefix}_ic_mean"] == file[f"{prefix}_gen_init"]  # one copy, two names
        assert file.attrs["output_params"] == "expected count per bin"
        assert file.attrs["bin_width"] == 0.02


def test_continuous_output_is_not_scaled(tmp_path):
    posterior = some_posterior()
    write_results_hdf5(tmp_path / "a.h5", posterior, kind="continuous")
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["train_output_params"][:], posterior.rates)
        assert file.attrs["output_params"] == "expected value"
    with pytest.raises(ValueError, match="kind must be"):
        write_results_hdf5(tmp_path / "a.h5", posterior, kind="spikes")


def test_a_file_without_results_lists_what_it_has(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train_data"] = np.ones((1, 2, 3))
    with pytest.raises(ValueError, match=r"holds train_data; expected .*train_rates_hz"):
        read_results_hdf5(tmp_path / "a.h5")


def test_results_that_lack_a_part_are_refused(tmp_path):
    write_results_hdf5(tmp_path / "a.h5", some_posterior(), split=SPLIT)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["valid_factors"]
    with pytest.raises(ValueError, match="has train_factors but lacks valid_factors"):
        read_results_hdf5(tmp_path / "a.h5")
