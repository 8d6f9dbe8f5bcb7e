import numpy as np
import pytest

from latentspike.io import ReadOptions, read_nwb, write_nwb, write_results_nwb
from latentspike.spikes import Posterior, SpikeData

pynwb = pytest.importorskip("pynwb")
nwbinspector = pytest.importorskip("nwbinspector")

SUBJECT = {
    "subject_id": "1",
    "species": "Mus musculus",
    "sex": "U",
    "age": "P90D",
    "description": "none",
}


def some_data():
    counts = np.random.default_rng(0).poisson(1.0, (3, 5, 4)) + 1
    return SpikeData(counts, 0.02, t_start=-0.04, trial_ids=["x", "y", "z"])


def some_posterior(**changes):
    rng = np.random.default_rng(1)
    fields = {
        "rates": rng.random((3, 5, 4)),
        "bin_width": 0.02,
        "t_start": -0.04,
        "trial_ids": np.array(["z", "x", "y"]),
        "neuron_ids": np.arange(4),
        "factors": rng.random((3, 5, 2)),
        "factors_std": rng.random((3, 5, 2)),
        "inferred_inputs": rng.random((3, 5, 1)),
        "initial_condition": rng.random((3, 7)),
    }
    return Posterior(**(fields | changes))


def contents(path):
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        module = nwb.processing["latentspike"]
        found = {
            name: (item.data[:], item.timestamps[:], item.unit)
            for name, item in module.data_interfaces.items()
            if isinstance(item, pynwb.TimeSeries)
        }
        return found, list(module["trials"]["label"][:])


def serious_findings(path, ignore=()):
    return [
        f"{item.importance.name} {item.check_function_name}: {item.message}"
        for item in nwbinspector.inspect_nwbfile(
            nwbfile_path=str(path),
            importance_threshold=nwbinspector.Importance.BEST_PRACTICE_VIOLATION,
        )
        if item.check_function_name not in ignore
    ]


def test_results_lie_at_the_times_of_their_trials(tmp_path):
    posterior = some_posterior()
    write_nwb(tmp_path / "a.nwb", some_data())
    write_results_nwb(tmp_path / "a.nwb", posterior, tmp_path / "b.nwb")
    found, labels = contents(tmp_path / "b.nwb")
    assert set(found) == {"rates", "factors", "factors_std", "inferred_inputs", "trial"}
    values, times, unit = found["rates"]
    # Trials x, y, z lie in this order in the recording, one bin apart.
    np.testing.assert_allclose(times, (np.arange(18).reshape(3, 6)[:, :5].ravel() + 0.5) * 0.02)
    np.testing.assert_array_equal(values, posterior.rates[[1, 2, 0]].reshape(15, 4))
    assert unit == "Hz" and labels == ["z", "x", "y"]
    assert found["trial"][0].tolist() == [1] * 5 + [2] * 5 + [0] * 5


def test_the_copy_stands_alone_and_still_holds_the_recording(tmp_path):
    write_nwb(tmp_path / "a.nwb", some_data())
    write_results_nwb(tmp_path / "a.nwb", some_posterior(), tmp_path / "b.nwb")
    (tmp_path / "a.nwb").unlink()
    options = ReadOptions(bin_width=0.02, align_to="align_time", window=(-0.04, 0.06))
    data = read_nwb(tmp_path / "b.nwb", options)
    np.testing.assert_array_equal(data.counts, some_data().counts)


def test_the_copy_may_replace_the_original(tmp_path):
    write_nwb(tmp_path / "a.nwb", some_data())
    write_results_nwb(tmp_path / "a.nwb", some_posterior(), tmp_path / "a.nwb")
    assert "rates" in contents(tmp_path / "a.nwb")[0]
    with pytest.raises(ValueError, match="already has a processing module 'latentspike'"):
        write_results_nwb(tmp_path / "a.nwb", some_posterior(), tmp_path / "b.nwb")


def test_a_copy_passes_the_validators(tmp_path):
    write_nwb(tmp_path / "a.nwb", some_data(), subject=SUBJECT)
    write_results_nwb(tmp_path / "a.nwb", some_posterior(), tmp_path / "b.nwb")
    assert pynwb.validate(path=str(tmp_path / "b.nwb")) == []
    assert serious_findings(tmp_path / "b.nwb") == []


@pytest.mark.parametrize("n_trials", [1, 3])
def test_a_new_file_passes_the_validators(n_trials, tmp_path):
    posterior = some_posterior()
    if n_trials == 1:
        rates = np.random.default_rng(0).random((1, 50, 4))
        posterior = Posterior(rates, 0.02, trial_ids=np.arange(1), neuron_ids=np.arange(4))
    write_results_nwb(None, posterior, tmp_path / "a.nwb")
    assert pynwb.validate(path=str(tmp_path / "a.nwb")) == []
    # Nothing is known of the animal here.
    assert serious_findings(tmp_path / "a.nwb", ignore={"check_subject_exists"}) == []


def test_overlapping_trials_interleave_in_time(tmp_path):
    posterior = some_posterior(trial_ids=np.array(["x", "y", "z"]))
    data = some_data()
    write_nwb(tmp_path / "a.nwb", data)
    wide = Posterior(
        rates=np.arange(3 * 8 * 4.0).reshape(3, 8, 4),
        bin_width=0.02,
        t_start=-0.05,
        trial_ids=posterior.trial_ids,
        neuron_ids=posterior.neuron_ids,
    )
    write_results_nwb(tmp_path / "a.nwb", wide, tmp_path / "b.nwb")
    found, _ = contents(tmp_path / "b.nwb")
    values, times, _ = found["rates"]
    assert (np.diff(times) >= 0).all()
    for trial in range(3):
        np.testing.assert_array_equal(values[found["trial"][0] == trial], wide.rates[trial])


def test_trials_that_are_not_in_the_file_are_named(tmp_path):
    write_nwb(tmp_path / "a.nwb", some_data())
    strangers = some_posterior(trial_ids=np.array(["x", "y", "q"]))
    with pytest.raises(ValueError, match=r"a\.nwb: trial .*q.* is not in the trials table"):
        write_results_nwb(tmp_path / "a.nwb", strangers, tmp_path / "b.nwb")
    with pytest.raises(ValueError, match="no column 'cue'"):
        write_results_nwb(tmp_path / "a.nwb", strangers, tmp_path / "b.nwb", align_to="cue")
    assert not (tmp_path / "b.nwb").exists()
