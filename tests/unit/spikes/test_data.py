import numpy as np
import pytest

from latentspike.spikes import SpikeData


def rich():
    rng = np.random.default_rng(0)
    return SpikeData(
        rng.integers(0, 300, (4, 6, 3)),
        0.01,
        rng.random((4, 6, 3)) < 0.7,
        t_start=-0.02,
        heldout=np.array([False, True, False]),
        n_forward_bins=2,
        inputs=rng.normal(size=(4, 6, 2)),
        behavior={"hand": rng.normal(size=(4, 6, 2))},
        conditions=["a", "b", "a", "b"],
        trial_ids=[10, 11, 12, 13],
        neuron_ids=["u", "v", "w"],
        truth={"rates": rng.random((4, 6, 3)), "factors": rng.random((4, 6, 2))},
    )


def test_defaults():
    data = SpikeData(np.ones((2, 5, 3), int), 0.01)
    assert data.observed.all() and not data.heldout.any()
    assert data.trial_ids.tolist() == [0, 1] and data.neuron_ids.tolist() == [0, 1, 2]
    assert (data.n_inputs, data.n_read_bins, data.conditions) == (0, 5, None)
    np.testing.assert_allclose(data.times, [0.005, 0.015, 0.025, 0.035, 0.045])
    assert data.mean_rate == pytest.approx(100)


@pytest.mark.parametrize(("largest", "dtype"), [(1, "u1"), (256, "u2"), (70_000, "u4")])
def test_counts_take_the_smallest_type_that_holds_them(largest, dtype):
    counts = np.zeros((300, 1, 1))
    counts[299] = largest
    data = SpikeData(counts, 0.01)
    assert data.counts.dtype == np.dtype(dtype) and data.counts.max() == largest


def test_the_mean_rate_heeds_only_observed_entries():
    counts = np.array([[[1, 100], [3, 100]]])
    observed = np.array([[[True, False], [True, False]]])
    assert SpikeData(counts, 0.5, observed).mean_rate == pytest.approx(4.0)
    assert SpikeData(counts, 0.5, np.zeros_like(observed)).mean_rate == 0


def test_arrays_are_read_only_and_owned():
    counts, observed = np.ones((1, 2, 1), np.uint8), np.ones((1, 2, 1), bool)
    hand = np.zeros((1, 2, 1))
    data = SpikeData(counts, 0.01, observed, behavior={"hand": hand})
    counts[0, 0, 0], observed[0, 0, 0], hand[0, 0, 0] = 99, False, 5.0
    assert data.counts[0, 0, 0] == 1 and data.observed.all() and not data.behavior["hand"].any()
    for array in (data.counts, data.observed, data.behavior["hand"], data.trial_ids):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_memory_mapped_counts_stay_on_disk(tmp_path):
    np.save(tmp_path / "counts.npy", np.ones((3, 4, 2), np.uint8))
    mapped = np.load(tmp_path / "counts.npy", mmap_mode="r")
    assert np.shares_memory(SpikeData(mapped, 0.01).counts, mapped)


def test_readable_excludes_held_out_neurons_and_forward_bins():
    readable = rich().readable
    assert readable[:4, [0, 2]].all()
    assert not readable[4:].any() and not readable[:, 1].any()


def test_select_trials_takes_every_field_along():
    data, index = rich(), [3, 1]
    some = data.select_trials(index)
    assert some.trial_ids.tolist() == [13, 11]
    assert some.conditions is not None and some.conditions.tolist() == ["b", "b"]
    for get in (
        lambda d: d.counts,
        lambda d: d.observed,
        lambda d: d.inputs,
        lambda d: d.behavior["hand"],
        lambda d: d.truth["rates"],
    ):
        np.testing.assert_array_equal(get(some), get(data)[index])


def test_select_neurons_takes_every_field_along():
    data, index = rich(), [2, 1]
    some = data.select_neurons(index)
    assert some.neuron_ids.tolist() == ["w", "v"] and some.heldout.tolist() == [False, True]
    for get in (lambda d: d.counts, lambda d: d.observed, lambda d: d.truth["rates"]):
        np.testing.assert_array_equal(get(some), get(data)[:, :, index])
    assert some.truth["factors"].shape == (4, 6, 2)


def test_select_bins_moves_times_and_cuts_forward_bins():
    data = rich()
    some = data.select_bins(1, 5)
    np.testing.assert_array_equal(some.counts, data.counts[:, 1:5])
    np.testing.assert_allclose(some.times, data.times[1:5])
    assert some.n_forward_bins == 1
    np.testing.assert_array_equal(some.truth["factors"], data.truth["factors"][:, 1:5])


@pytest.mark.parametrize("cut", [(3, 3), (-1, 2), (0, 7)])
def test_bins_outside_a_trial_are_refused(cut):
    with pytest.raises(ValueError, match="do not lie in a trial of 6 bins"):
        rich().select_bins(*cut)


def test_forward_bins_alone_are_refused():
    with pytest.raises(ValueError, match="all forward bins"):
        rich().select_bins(4, 6)


@pytest.mark.parametrize("selection", [[], [7], np.zeros(4, bool), [0.5], np.ones(9, bool)])
def test_selections_of_nothing_are_refused(selection):
    with pytest.raises(ValueError, match="trials"):
        rich().select_trials(selection)
    with pytest.raises(ValueError, match="neurons"):
        rich().select_neurons(selection)


def test_held_out_neurons_alone_are_refused():
    with pytest.raises(ValueError, match="every neuron is held out"):
        rich().select_neurons([1])


def test_replace_validates_again():
    with pytest.raises(ValueError, match="observed"):
        rich().replace(observed=np.ones((4, 5, 3), bool))


def test_repr_tells_the_size_and_what_is_held_out():
    text = repr(rich())
    assert "4 trials × 6 bins × 3 neurons" in text
    assert "1 held-out neurons" in text and "2 forward bins" in text
    continuous = SpikeData(np.zeros((1, 2, 1)), 0.01, kind="continuous")
    assert "continuous" in repr(continuous)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bin_width": 0}, "bin_width must be a positive"),
        ({"bin_width": "fast"}, "bin_width must be a finite"),
        ({"bin_width": None}, "bin_width must be a finite"),
        ({"t_start": np.nan}, "t_start must be a finite"),
        ({"n_forward_bins": 6}, r"n_forward_bins must be in \[0, 5\], got 6"),
        ({"n_forward_bins": -1}, "n_forward_bins"),
        ({"n_forward_bins": 1.5}, "n_forward_bins must be a whole number, got 1.5"),
        ({"heldout": np.ones(3, bool)}, "every neuron is held out"),
        ({"heldout": [0, 1, 0]}, "heldout must be a bool mask"),
        ({"observed": np.ones((4, 6, 3))}, "observed must be a bool mask"),
        ({"trial_ids": [1, 2]}, r"trial_ids must have shape \(4,\), got \(2,\)"),
        ({"neuron_ids": ["u", "u", "w"]}, "'u' appears 2 times"),
        ({"conditions": [0.0, np.nan, 1.0, 1.0]}, r"conditions\[1\] = nan is missing"),
        ({"conditions": ["a", None, "a", "a"]}, r"conditions\[1\] = None is missing"),
        ({"inputs": np.full((4, 6, 1), np.inf)}, r"inputs\[trial 0, bin 0, dimension 0\] = inf"),
        ({"inputs": np.zeros((4, 5, 1))}, "inputs must have shape"),
        ({"behavior": {"hand": np.zeros((3, 6))}}, r"behavior\['hand'\] must have shape"),
        ({"behavior": {"hand": [["a"] * 6] * 4}}, "must be numbers"),
        ({"truth": {"rates": np.zeros((4, 6, 2))}}, "must cover all 3 neurons"),
        ({"kind": "spikes"}, "kind must be 'counts' or 'continuous'"),
    ],
)
def test_bad_fields_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        rich().replace(**changes)
