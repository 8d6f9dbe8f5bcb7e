import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentspike.evaluate.switching import find_switches, switch_rate

BIN = 0.004


def steps(*winners, seconds=2.0, strong=20.0, weak=5.0):
    """Rates [1, bins, 3] of two populations that win in turn, and of a third."""
    first = np.repeat([strong if w == 0 else weak for w in winners], round(seconds / BIN))
    third = np.full(first.size, 25.0)
    return np.stack([first, strong + weak - first, third], axis=1)[None]


def telegraph(rng, duration, dwell, sizes=(400, 400), rates=(20.0, 5.0)):
    """Counts [1, bins, 2] per neuron of a network that switches at random, and its true switches.

    Dwell times are exponential beyond a dead time of 1 s: real switches have a course of their own,
    and two within one window are no two switches to any window.
    """
    n_bins, first = round(duration / BIN), []
    while sum(first) < n_bins:
        first.append(round((1.0 + rng.exponential(dwell - 1.0)) / BIN))
    winner = np.repeat(np.arange(len(first)) % 2, first)[:n_bins]
    rate = np.where(winner[:, None] == [0, 1], *rates)
    counts = rng.poisson(rate * BIN * np.array(sizes)) / sizes
    return counts[None], int((np.diff(winner) != 0).sum())


def test_known_switches_are_found_with_time_and_direction():
    found = find_switches(steps(0, 1, 0, 0, 1), bin_width=BIN, names=["A", "B", "I"])
    assert found.winners.tolist() == [1, 0, 1]
    np.testing.assert_allclose(found.times, [2, 4, 8], atol=0.05)
    np.testing.assert_allclose(found.dwell_times(), [2, 4], atol=0.01)
    np.testing.assert_allclose(found.dwell_times("A"), [4], atol=0.01)
    np.testing.assert_allclose(found.dwell_times(1), [2], atol=0.01)
    assert found.names == ("A", "B")
    assert found.mean_dwell_time == pytest.approx(10 / 3)
    assert found.duration == pytest.approx(10)


def test_the_time_of_a_switch_is_where_the_winner_changes():
    found = find_switches(steps(0, 1), bin_width=BIN)
    (bin_of_switch,) = np.flatnonzero(np.diff(found.winner[0])) + 1
    assert found.times[0] == pytest.approx(bin_of_switch * BIN)
    assert found.contrast[0, bin_of_switch] < -0.5 <= found.contrast[0, bin_of_switch - 1]


def test_hysteresis_ignores_excursions_that_do_not_pass_the_other_threshold():
    activity = steps(0, 0, 0)
    activity[0, 500:800, :2] = [9.0, 16.0]  # contrast −0.28
    assert find_switches(activity, bin_width=BIN).times.size == 0
    assert find_switches(activity, bin_width=BIN, threshold=0.2).winners.tolist() == [1, 0]


def test_a_pair_may_be_any_two_by_index_or_name():
    activity = steps(0, 1)[:, :, [2, 1, 0]]
    by_index = find_switches(activity, bin_width=BIN, pair=(2, 1))
    by_name = find_switches(activity, bin_width=BIN, pair=("a", "b"), names=["i", "b", "a"])
    turned = find_switches(activity, bin_width=BIN, pair=(1, 2))
    assert by_index.winners.tolist() == by_name.winners.tolist() == [1]
    assert turned.winners.tolist() == [0]
    np.testing.assert_array_equal(turned.contrast, -by_index.contrast)


def test_before_the_first_decision_nobody_wins_and_nothing_switched():
    activity = np.concatenate([np.full((1, 500, 3), 10.0), steps(1, 0)], axis=1)
    found = find_switches(activity, bin_width=BIN)
    assert (found.winner[0, :480] == -1).all()
    assert found.winners.tolist() == [0]
    silent = find_switches(np.zeros((2, 50, 2)), bin_width=BIN)
    assert (silent.winner == -1).all()
    assert silent.mean_dwell_time == np.inf


def test_silence_keeps_the_last_winner():
    activity = np.concatenate([steps(0), np.zeros((1, 500, 3)), steps(0, 1)], axis=1)
    found = find_switches(activity, bin_width=BIN)
    assert found.winners.tolist() == [1]
    np.testing.assert_allclose(found.contrast[0, 530:970], 0)


def test_the_box_is_a_plain_mean_cut_at_the_ends(rng):
    activity = rng.uniform(1, 5, (2, 60, 2))
    found = find_switches(activity, bin_width=0.01, window=0.07)
    for time_bin in (0, 2, 30, 59):
        box = activity[:, max(time_bin - 3, 0) : time_bin + 4].mean(axis=1)
        expected = (box[:, 0] - box[:, 1]) / box.sum(axis=1)
        np.testing.assert_allclose(found.contrast[:, time_bin], expected)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.1, 100))
def test_neither_scale_nor_the_order_of_trials_matters(seed, scale):
    rng = np.random.default_rng(seed)
    activity = rng.gamma(0.5, 1.0, (4, 80, 2))
    order = rng.permutation(4)
    first = find_switches(activity, bin_width=0.01, window=0.05)
    other = find_switches(scale * activity[order], bin_width=0.01, window=0.05)
    np.testing.assert_array_equal(other.per_trial, first.per_trial[order])
    # Directions alternate within each trial.
    for trial in range(4):
        assert (np.diff(first.winners[first.trials == trial]) != 0).all()


def test_the_count_does_not_depend_on_the_window(rng):
    counts, true = telegraph(rng, 1000.0, 8.0)
    windows = (0.08, 0.1, 0.2, 0.4)
    found = [find_switches(counts, bin_width=BIN, window=w).times.size for w in windows]
    assert true > 80
    assert max(abs(n - true) for n in found) <= 0.03 * true


def test_rate_has_counting_error_and_spread_over_blocks(rng):
    counts, _ = telegraph(rng, 1050.0, 8.0)
    found = find_switches(counts, bin_width=BIN)
    rate = switch_rate(found)
    edges = np.histogram(found.times, bins=np.arange(0, 1001, 100))[0]
    np.testing.assert_allclose(rate.per_block, edges)
    assert rate.value == pytest.approx(found.times.size / 10.5)  # all of the time
    assert rate.spread == pytest.approx(edges.std(ddof=1))
    assert rate.counting_error == pytest.approx(np.sqrt(found.times.size) / 10.5)
    halves = switch_rate(found, block=50.0)
    assert halves.per_block.mean() == pytest.approx(rate.per_block.mean(), rel=0.1)


def test_short_trials_are_put_together_to_blocks():
    activity = np.concatenate([steps(0, 1), steps(1, 1), steps(0, 1), steps(1, 0), steps(0, 0)])
    rate = switch_rate(find_switches(activity, bin_width=BIN), block=8.0)
    np.testing.assert_allclose(rate.per_block, [1 / 0.08, 2 / 0.08])
    assert rate.n_switches == 3
    assert rate.value == pytest.approx(3 / 20 * 100)
    assert np.isnan(switch_rate(find_switches(activity, bin_width=BIN)).spread)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pair": (0, 3)}, "no population 3"),
        ({"pair": (1, 1)}, "twice"),
        ({"pair": ("A", "X"), "names": ["A", "B", "I"]}, "'X'; known: A, B, I"),
        ({"names": ["A"]}, "1 names"),
        ({"threshold": 1.0}, "threshold"),
        ({"window": 0.0}, "window"),
        ({"bin_width": 0.0}, "bin_width"),
    ],
)
def test_settings_of_switches_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        find_switches(steps(0, 1), **{"bin_width": BIN, **change})


@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf])
def test_activity_that_is_no_activity_names_its_place(value):
    activity = steps(0, 1)
    activity[0, 7, 1] = value
    with pytest.raises(ValueError, match="trial 0, bin 7, population 1"):
        find_switches(activity, bin_width=BIN)
    with pytest.raises(ValueError, match="block"):
        switch_rate(find_switches(steps(0, 1), bin_width=BIN), block=0)
