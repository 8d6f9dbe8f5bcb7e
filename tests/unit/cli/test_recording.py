"""How a recording is prepared, split and graded."""

import dataclasses

import numpy as np
import pytest

from latentspike import Posterior, SpikeData
from latentspike.cli.configuration import Configuration, DataSettings
from latentspike.cli.outcome import UsageError
from latentspike.cli.recording import (
    choose_split,
    graded,
    prepare,
    resolved,
    select_trials,
    whole_split,
)
from latentspike.io import write_hdf5, write_npz
from latentspike.spikes import Split


def recording(n_trials: int, n_bins: int, n_neurons: int = 5) -> SpikeData:
    rng = np.random.default_rng(0)
    return SpikeData(rng.poisson(0.5, (n_trials, n_bins, n_neurons)), bin_width=0.05)


def written(tmp_path, data: SpikeData, **settings) -> DataSettings:
    path = tmp_path / "recording.npz"
    write_npz(path, data)
    return DataSettings(path=str(path), **settings)


def posterior_of(data: SpikeData) -> Posterior:
    """Rates that tell where they come from: trial, bin and neuron."""
    rates = np.arange(data.counts.size, dtype=float).reshape(data.counts.shape)
    return Posterior(rates, data.bin_width, data.trial_ids, data.neuron_ids, factors=rates[..., :2])


def test_trials_are_taken_as_they_are(tmp_path):
    data = recording(10, 20)
    prepared = prepare(written(tmp_path, data), seed=0)
    assert prepared.chopping is None
    np.testing.assert_array_equal(prepared.data.counts, data.counts)
    split = choose_split(prepared, 0.3, seed=1)
    validation, pick = graded(prepared, split)
    assert len(split.validation) == 3
    np.testing.assert_array_equal(validation.counts, data.counts[split.validation])
    assert pick(posterior_of(data)).rates.shape == validation.counts.shape


def test_the_split_of_the_file_is_kept(tmp_path):
    data, split = recording(6, 20), Split(train=[0, 2, 4, 5], validation=[1, 3])
    write_hdf5(tmp_path / "a.h5", data, split)
    prepared = prepare(DataSettings(path=str(tmp_path / "a.h5")), seed=0)
    np.testing.assert_array_equal(choose_split(prepared, 0.5, 9).validation, [1, 3])


def test_one_trial_is_cut_into_windows_with_a_notice(tmp_path, capsys):
    data = recording(1, 203)
    settings = written(tmp_path, data)
    prepared = prepare(settings, seed=0)
    assert "cut into windows of 20 bins (1 s)" in capsys.readouterr().err
    assert prepared.chopping.n_overlap_bins == 4
    # the resolved settings repeat it without a notice
    again = resolved(Configuration(data=settings), prepared).data
    np.testing.assert_array_equal(prepare(again, seed=0).data.counts, prepared.data.counts)
    assert capsys.readouterr().err == ""


def test_windows_that_validate_share_no_bin_with_training(tmp_path):
    data = recording(1, 203)
    prepared = prepare(written(tmp_path, data, chop_window=20, chop_overlap=5), seed=0)
    split = choose_split(prepared, 0.25, seed=0)
    starts = prepared.chopping.starts
    trained = {b for w in split.train for b in range(starts[w], starts[w] + 20)}
    validated = {b for w in split.validation for b in range(starts[w], starts[w] + 20)}
    assert trained and validated
    assert not trained & validated
    assert whole_split(prepared, split) is None


def test_one_trial_is_graded_on_its_end(tmp_path):
    data = recording(1, 203)
    prepared = prepare(written(tmp_path, data, chop_window=20, chop_overlap=5), seed=0)
    split = choose_split(prepared, 0.25, seed=0)
    validation, pick = graded(prepared, split)
    found = pick(posterior_of(data))
    start = prepared.chopping.starts[split.validation[0]]
    length = validation.n_trials * validation.n_bins
    flat = posterior_of(data).rates[0, start : start + length]
    np.testing.assert_array_equal(found.rates.reshape(length, -1), flat)
    np.testing.assert_array_equal(
        validation.counts.reshape(length, -1), data.counts[0, start : start + length]
    )
    assert found.trial_ids.tolist() == validation.trial_ids.tolist()


def test_windows_of_several_trials_follow_their_trial(tmp_path):
    data = recording(5, 40)
    prepared = prepare(written(tmp_path, data, chop_window=20, chop_overlap=0), seed=0)
    split = choose_split(prepared, 0.4, seed=0)
    trials = whole_split(prepared, split)
    assert len(trials.validation) == 2
    np.testing.assert_array_equal(
        split.validation, np.ravel([[2 * t, 2 * t + 1] for t in trials.validation])
    )
    validation, _ = graded(prepared, split)
    np.testing.assert_array_equal(validation.counts, data.counts[trials.validation])


def test_rebinning_and_hold_outs(tmp_path, capsys):
    data = recording(4, 21)
    settings = written(tmp_path, data, rebin=2, heldout_neurons=2, forward_bins=3)
    prepared = prepare(settings, seed=0).data
    assert (prepared.n_bins, prepared.n_forward_bins, prepared.heldout.sum()) == (10, 3, 2)
    assert "last 1 bins" in capsys.readouterr().err
    assert prepared.bin_width == pytest.approx(0.1)
    same = prepare(settings, seed=5, heldout=prepared.heldout).data
    np.testing.assert_array_equal(same.heldout, prepared.heldout)


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((1, 4), {}, "one trial"),
        ((1, 100), {"chop_window": 60}, "too few"),
        ((4, 20), {"chop_window": 10, "forward_bins": 2}, "exclude each other"),
        ((4, 20), {"heldout_neurons": 5}, "n_heldout"),
    ],
)
def test_what_does_not_suit_the_recording_is_named(tmp_path, shape, settings, message):
    with pytest.raises(ValueError, match=message):
        choose_split(prepare(written(tmp_path, recording(*shape), **settings), seed=0), 0.2, 0)


def test_other_neurons_than_fitted_and_no_path(tmp_path):
    settings = written(tmp_path, recording(4, 20))
    with pytest.raises(ValueError, match="has 5 neurons, but the model was fitted to 3"):
        prepare(settings, seed=0, heldout=np.zeros(3, bool))
    with pytest.raises(UsageError, match="no recording"):
        prepare(dataclasses.replace(settings, path=None), seed=0)


def test_select_trials_keeps_names_and_values():
    whole = posterior_of(recording(5, 4))
    part = select_trials(whole, np.array([3, 1]))
    np.testing.assert_array_equal(part.rates, whole.rates[[3, 1]])
    np.testing.assert_array_equal(part.factors, whole.factors[[3, 1]])
    assert part.trial_ids.tolist() == [3, 1]
