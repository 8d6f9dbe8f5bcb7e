import numpy as np
import pytest

from latentspike.spikes import SpikeData, bin_continuous, bin_trials, rebin, resample_series


def test_a_spike_on_an_edge_falls_in_the_later_bin():
    edges = [0.1 * k for k in range(10)]  # 0.30000000000000004 among them
    data = bin_trials([[edges]], bin_width=0.1, t_start=0.0, t_stop=1.0)
    assert data.counts[0, :, 0].tolist() == [1] * 10
    written = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    data = bin_trials([[written]], bin_width=0.1, t_start=0.0, t_stop=1.0)
    assert data.counts[0, :, 0].tolist() == [1] * 10


def test_edges_late_in_a_session_are_still_edges():
    start = 90_000.0
    times = start + np.arange(1000) * 0.001
    data = bin_continuous([times], bin_width=0.001, t_start=start, t_stop=start + 1)
    assert data.counts[0, :, 0].tolist() == [1] * 1000


def test_the_window_is_half_open():
    data = bin_trials([[[-0.1, 0.0, 0.15, 0.2]]], bin_width=0.1, t_start=0.0, t_stop=0.2)
    assert data.counts[0, :, 0].tolist() == [1, 1]


def test_a_clear_miss_of_the_edge_is_no_edge():
    data = bin_trials([[[0.0999]]], bin_width=0.1, t_start=0.0, t_stop=0.2)
    assert data.counts[0, :, 0].tolist() == [1, 0]


def test_bin_trials_hands_labels_on():
    data = bin_trials(
        [[[0.05], []], [[], [-0.05]]],
        bin_width=0.1,
        t_start=-0.1,
        t_stop=0.1,
        neuron_ids=["u", "v"],
        trial_ids=[7, 9],
        conditions=["go", "stop"],
    )
    assert data.t_start == -0.1
    assert data.neuron_ids.tolist() == ["u", "v"]
    assert data.trial_ids.tolist() == [7, 9]
    assert data.conditions is not None and data.conditions.tolist() == ["go", "stop"]
    assert data.counts.tolist() == [[[0, 0], [1, 0]], [[0, 1], [0, 0]]]


def test_duplicates_can_be_kept():
    data = bin_trials([[[0.1, 0.1]]], bin_width=1, t_start=0, t_stop=1, duplicates="keep")
    assert data.counts.max() == 2


@pytest.mark.parametrize("stop", [0.25, 0.0, -0.1, np.nan, 0.1 * (1 + 1e-7)])
def test_windows_of_broken_bins_are_refused(stop):
    with pytest.raises(ValueError, match=r"whole number of bins|t_stop"):
        bin_trials([[[0.05]]], bin_width=0.1, t_start=0.0, t_stop=stop)


def test_rounding_of_the_window_is_forgiven():
    assert bin_trials([[[0.05]]], bin_width=0.1, t_start=0.0, t_stop=0.1 + 0.2).n_bins == 3


def test_observed_intervals_for_all_neurons():
    intervals = [[0.0, 0.25], [0.55, 0.8], [0.3, 0.4]]
    data = bin_continuous(
        [[0.1], [0.9]], bin_width=0.1, t_start=0.0, t_stop=1.0, observed_intervals=intervals
    )
    want = [True, True, False, True, False, False, True, True, False, False]
    assert data.observed[0, :, 0].tolist() == want
    assert data.observed[0, :, 1].tolist() == want
    assert data.counts[0, 9, 1] == 1  # kept, though unobserved


@pytest.mark.parametrize("as_arrays", [False, True])
def test_observed_intervals_per_neuron(as_arrays):
    intervals = [[[0.0, 0.2]], [], [[0.0, 0.1], [0.1, 0.3]]]
    if as_arrays:
        intervals = [np.array(item, float).reshape(-1, 2) for item in intervals]
    data = bin_continuous(
        [[0.1]] * 3, bin_width=0.1, t_start=0.0, t_stop=0.3, observed_intervals=intervals
    )
    assert data.observed[0].T.tolist() == [[True, True, False], [False] * 3, [True] * 3]


def test_touching_and_nested_intervals_cover_a_bin_together():
    intervals = np.array([[0.25, 1.0], [0.0, 0.25], [0.1, 0.12]])
    data = bin_continuous(
        [[0.1]], bin_width=0.5, t_start=0.0, t_stop=1.0, observed_intervals=intervals
    )
    assert data.observed.all()


def test_an_empty_table_of_intervals_observes_nothing():
    data = bin_continuous(
        [[0.1]], bin_width=0.5, t_start=0, t_stop=1, observed_intervals=np.empty((0, 2))
    )
    assert not data.observed.any()


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ([[0.5, 0.5]], r"\[0.5, 0.5\] s of all neurons must end after"),
        ([[0.0, np.nan]], "must end after"),
        ([[0.0, 1.0, 2.0]], "all neurons must have shape"),
        ([[[0.0, 1.0]]], "one per neuron; got 1 for 2"),
        ([[[0.0, 1.0]], [[1.0, 0.0]]], "neuron 1 must end after"),
    ],
)
def test_bad_intervals_are_refused(intervals, message):
    with pytest.raises(ValueError, match=message):
        bin_continuous(
            [[0.1], [0.2]], bin_width=0.5, t_start=0, t_stop=1, observed_intervals=intervals
        )


def rich(n_bins=6, n_forward_bins=2):
    rng = np.random.default_rng(0)
    series = rng.normal(size=(2, n_bins, 2))
    return SpikeData(
        rng.integers(0, 200, (2, n_bins, 3)),
        0.01,
        rng.random((2, n_bins, 3)) < 0.8,
        t_start=-0.02,
        n_forward_bins=n_forward_bins,
        inputs=series,
        behavior={"hand": series + 1},
        truth={"rates": rng.random((2, n_bins, 3))},
        heldout=np.array([False, True, False]),
        conditions=["a", "b"],
    )


def test_rebin_treats_every_field():
    fine = rich()
    coarse = rebin(fine, 2)
    assert coarse.counts[1, 2, 0] == int(fine.counts[1, 4, 0]) + int(fine.counts[1, 5, 0])
    assert (coarse.observed == (fine.observed[:, ::2] & fine.observed[:, 1::2])).all()
    for name in ("inputs", "behavior", "truth"):
        pick = {"inputs": lambda d: d.inputs, "behavior": lambda d: d.behavior["hand"]}
        get = pick.get(name, lambda d: d.truth["rates"])
        np.testing.assert_allclose(get(coarse), (get(fine)[:, ::2] + get(fine)[:, 1::2]) / 2)
    assert (coarse.n_forward_bins, coarse.t_start) == (1, -0.02)
    assert coarse.bin_width == pytest.approx(0.02)
    assert coarse.heldout.tolist() == [False, True, False]


def test_rebin_refuses_or_drops_what_does_not_fill_a_bin():
    fine = rich(n_bins=7, n_forward_bins=1)
    with pytest.raises(ValueError, match="last 1 do not fill"):
        rebin(fine, 2)
    coarse = rebin(fine, 2, drop_last=True)
    assert (coarse.n_bins, coarse.n_forward_bins) == (3, 0)


def test_rebin_refuses_forward_bins_that_break_a_bin():
    with pytest.raises(ValueError, match="3 forward bins are not a multiple of 2"):
        rebin(rich(n_forward_bins=3), 2)


@pytest.mark.parametrize("factor", [0, 7, 1.5])
def test_rebin_refuses_impossible_factors(factor):
    with pytest.raises(ValueError, match="factor"):
        rebin(rich(), factor)


def test_rebin_averages_continuous_data():
    data = SpikeData(np.array([1.0, 2.0, 5.0, 6.0]).reshape(1, 4, 1), 0.1, kind="continuous")
    np.testing.assert_allclose(rebin(data, 2).counts[0, :, 0], [1.5, 5.5])


def test_resample_means_interpolates_and_marks_the_outside():
    times, values = [0.0, 0.1, 0.2, 0.9], [[0, 1], [2, 1], [4, 1], [11, 1]]
    got = resample_series(times, values, [-0.3, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2])
    np.testing.assert_allclose(got[:, 0], [np.nan, 1, 4, 7, 9, 11, np.nan])
    np.testing.assert_allclose(got[:, 1], [np.nan, 1, 1, 1, 1, 1, np.nan])


def test_resample_does_not_bridge_long_gaps():
    got = resample_series([0.0, 1.0, 1.1], [0.0, 1.0, 1.0], [0, 0.25, 0.5, 1.05, 1.2], max_gap=0.5)
    np.testing.assert_allclose(got[:, 0], [0, np.nan, 1, 1])


def test_missing_samples_are_not_samples():
    got = resample_series([0.0, 0.1, 0.2], [[1, np.nan], [np.nan, np.nan], [3, 5]], [0, 0.15, 0.3])
    np.testing.assert_allclose(got, [[1, np.nan], [3, 5]])


def test_resample_uses_the_edge_rule():
    got = resample_series([0.1, 0.3], [1.0, 3.0], np.arange(5) * 0.1)
    np.testing.assert_allclose(got[:, 0], [np.nan, 1, 2.5, 3])


@pytest.mark.parametrize(
    ("times", "values", "edges", "message"),
    [
        ([0.0, 0.0], [1, 2], [0, 1], "times of the series must increase, but 0.0 follows 0.0"),
        ([0.0, np.nan], [1, 2], [0, 1], "entry 1 is nan"),
        ([0.0, 1.0], [1], [0, 1], r"shape \[2 samples"),
        ([0.0, 1.0], [1, 2], [1, 0], "bin_edges must increase"),
        ([0.0, 1.0], [1, 2], [1], "at least two edges"),
        ([[0.0, 1.0]], [1, 2], [0, 1], "must be a vector"),
    ],
)
def test_bad_series_are_refused(times, values, edges, message):
    with pytest.raises(ValueError, match=message):
        resample_series(times, values, edges)
