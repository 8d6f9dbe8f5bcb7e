import json

import numpy as np
import pytest

from latentspike.spikes import Chopping, Posterior, SpikeData, chop


def recording(n_trials=1, n_bins=23, **more):
    rng = np.random.default_rng(0)
    return SpikeData(rng.poisson(1.0, (n_trials, n_bins, 3)), 0.01, **more)


def test_the_ragged_end_is_kept_as_unobserved_bins():
    data = recording(n_bins=11)
    windows, chopping = chop(data, n_window_bins=4, n_overlap_bins=1)
    assert chopping.starts.tolist() == [0, 3, 6, 9]
    assert windows.observed[:3].all()
    assert windows.observed[3, :, 0].tolist() == [True, True, False, False]
    assert (windows.counts[3, 2:] == 0).all()
    assert (windows.counts[3, :2] == data.counts[0, 9:]).all()


def test_no_window_more_than_needed():
    windows, _ = chop(recording(n_bins=10), n_window_bins=4, n_overlap_bins=2)
    assert windows.n_trials == 4 and windows.observed.all()
    windows, _ = chop(recording(n_bins=4), n_window_bins=4, n_overlap_bins=3)
    assert windows.n_trials == 1


def test_every_field_is_chopped():
    series = np.arange(2 * 7 * 1.0).reshape(2, 7, 1)
    data = recording(
        2,
        7,
        t_start=0.5,
        inputs=series,
        behavior={"hand": series},
        truth={"factors": series},
        conditions=["a", "b"],
        trial_ids=[10, 20],
        heldout=np.array([True, False, False]),
    )
    windows, _ = chop(data, n_window_bins=4, n_overlap_bins=0)
    assert windows.trial_ids.tolist() == ["10:0", "10:1", "20:0", "20:1"]
    assert windows.conditions is not None and windows.conditions.tolist() == ["a", "a", "b", "b"]
    assert windows.inputs is not None and windows.inputs[3, :, 0].tolist() == [11, 12, 13, 0]
    for value in (windows.behavior["hand"], windows.truth["factors"]):
        np.testing.assert_array_equal(value[3, :, 0], [11, 12, 13, np.nan])
    assert windows.t_start == 0 and windows.heldout[0]


@pytest.mark.parametrize("overlap", [0, 1, 3, 5, 8])
def test_fading_is_linear_and_complete(overlap):
    chopping = Chopping(1, 30, n_window_bins=9, n_overlap_bins=overlap)
    weights = chopping.weights
    assert (weights > 0).all() and weights.max() <= 1
    np.testing.assert_allclose(weights, weights[::-1])
    if overlap <= 4:
        assert (weights[overlap : 9 - overlap] == 1).all()
        np.testing.assert_allclose(weights[:overlap] + weights[9 - overlap :], 1)


def test_a_step_between_two_windows_becomes_a_ramp():
    chopping = Chopping(1, 8, n_window_bins=5, n_overlap_bins=2)
    merged = chopping.merge(np.array([[0.0] * 5, [3.0] * 5]))
    np.testing.assert_allclose(merged[0], [0, 0, 0, 1, 2, 3, 3, 3])


def test_merge_is_the_weighted_mean_for_any_overlap():
    rng = np.random.default_rng(1)
    chopping = Chopping(2, 17, n_window_bins=6, n_overlap_bins=5)
    values = rng.normal(size=(chopping.n_windows, 6, 2))
    top, bottom = np.zeros((2, 17, 2)), np.zeros((2, 17, 1))
    for window, row in enumerate(values):
        trial, place = divmod(window, chopping.starts.size)
        cover = slice(chopping.starts[place], chopping.starts[place] + 6)
        top[trial, cover] += chopping.weights[:, None] * row
        bottom[trial, cover, 0] += chopping.weights
    np.testing.assert_allclose(chopping.merge(values), top / bottom)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_merge_keeps_precision_and_infinities(dtype):
    chopping = Chopping(1, 9, n_window_bins=5, n_overlap_bins=3)
    merged = chopping.merge(np.full((chopping.n_windows, 5, 1), -np.inf, dtype))
    assert merged.dtype == dtype and (merged == -np.inf).all()


def test_padding_is_never_merged():
    chopping = Chopping(1, 5, n_window_bins=4, n_overlap_bins=2)
    values = np.ones((2, 4, 1))
    values[1, 3] = np.nan
    assert (chopping.merge(values) == 1).all()


def posterior_of(windows, **arrays):
    return Posterior(
        bin_width=windows.bin_width,
        trial_ids=windows.trial_ids,
        neuron_ids=windows.neuron_ids,
        **arrays,
    )


def test_merge_posterior_restores_times_and_trials_and_drops_initial_conditions():
    data = recording(2, 11, t_start=-0.3, trial_ids=["x", "y"])
    windows, chopping = chop(data, n_window_bins=4, n_overlap_bins=2)
    rates = windows.counts.astype(float)
    posterior = posterior_of(
        windows,
        rates=rates,
        rates_std=rates + 1,
        factors=rates[:, :, :2],
        initial_condition=np.ones((windows.n_trials, 5)),
        initial_condition_std=np.ones((windows.n_trials, 5)),
        n_samples=7,
    )
    merged = chopping.merge_posterior(posterior)
    np.testing.assert_allclose(merged.rates, data.counts)
    assert merged.rates_std is not None and merged.factors is not None
    np.testing.assert_allclose(merged.rates_std, data.counts + 1.0)
    assert merged.initial_condition is None and merged.initial_condition_std is None
    assert merged.trial_ids.tolist() == ["x", "y"]
    assert (merged.t_start, merged.n_samples) == (-0.3, 7)


def test_windows_in_another_order_are_refused():
    windows, chopping = chop(recording(), n_window_bins=5, n_overlap_bins=1)
    shuffled = windows.select_trials(slice(None, None, -1))
    with pytest.raises(ValueError, match="in their order"):
        chopping.merge_posterior(posterior_of(shuffled, rates=shuffled.counts.astype(float)))
    with pytest.raises(ValueError, match="needs all 6 windows"):
        chopping.merge(windows.counts[:-1])


@pytest.mark.parametrize("ids", [[3, 5], ["a", "b"], None])
def test_a_chopping_survives_json(ids):
    _, chopping = chop(recording(2, t_start=-0.1, trial_ids=ids), n_window_bins=5, n_overlap_bins=3)
    again = Chopping.from_dict(json.loads(json.dumps(chopping.to_dict())))
    assert again == chopping
    assert again.window_ids.tolist() == chopping.window_ids.tolist()


def test_foreign_dictionaries_are_refused():
    values = Chopping(1, 9, 5, 3).to_dict()
    with pytest.raises(ValueError, match="surprise"):
        Chopping.from_dict({**values, "surprise": 1})
    del values["n_bins"]
    with pytest.raises(ValueError, match="n_bins"):
        Chopping.from_dict(values)


@pytest.mark.parametrize(
    ("window", "overlap", "message"),
    [
        (24, 0, "shorter than one window"),
        (5, 5, "n_overlap_bins"),
        (5, -1, "n_overlap_bins"),
        (0, 0, "n_window_bins"),
        (5.5, 0, "n_window_bins must be a whole number"),
    ],
)
def test_impossible_windows_are_refused(window, overlap, message):
    with pytest.raises(ValueError, match=message):
        chop(recording(), n_window_bins=window, n_overlap_bins=overlap)


def test_forward_bins_are_held_out_after_chopping():
    with pytest.raises(ValueError, match="chop first"):
        chop(recording(n_forward_bins=2), n_window_bins=5, n_overlap_bins=1)


def test_trial_ids_must_match():
    with pytest.raises(ValueError, match="2 trial_ids for 1 trials"):
        Chopping(1, 9, 5, 3, trial_ids=(1, 2))
