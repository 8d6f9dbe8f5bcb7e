import numpy as np
import pytest

from latentspike.evaluate.clusters import cluster_states

N = 600
BIN = 0.001


def cycles(rng, order, frequency, duration, jitter=0.002, unequal=0.15):
    """Counts of N neurons in `order` groups of unequal size that take turns, with jitter."""
    sizes = np.maximum(1 + unequal * rng.normal(size=order), 0.3)
    groups = rng.choice(order, N, p=sizes / sizes.sum())
    counts = np.zeros(round(duration / BIN))
    for cycle in range(int(duration * frequency)):
        members = (groups == cycle % order).sum()
        times = (cycle + 0.5) / frequency + jitter * rng.normal(size=members)
        bins = np.clip(times / BIN, 0, counts.size - 1).astype(int)
        np.add.at(counts, bins, 1)
    return counts


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_the_order_of_a_cluster_state_is_found(order, rng):
    counts = np.stack([cycles(rng, order, f, 1.0) for f in (62.0, 77.3)])
    states = cluster_states(counts, N, bin_width=BIN)
    assert (states.order == order).all()
    assert states.most_frequent == order
    np.testing.assert_allclose(states.frequencies[0], 62.0, atol=1.0)
    np.testing.assert_allclose(states.frequencies[1], 77.3, atol=1.0)
    assert states.confidence.min() > 0.5
    assert states.rates.mean() == pytest.approx((62 + 77.3) / 2 / order, rel=0.1)


def test_a_transition_from_four_to_three_clusters_is_seen(rng):
    counts = np.concatenate([cycles(rng, 4, 80.0, 0.6), cycles(rng, 3, 72.0, 0.9)])
    states = cluster_states(counts[None], N, bin_width=BIN, window=0.2, step=0.02)
    early, late = states.times < 0.5, states.times > 0.7
    assert (states.order[0, early] == 4).all()
    assert (states.order[0, late] == 3).all()
    between = states.confidence[0, ~early & ~late]
    assert between.min() < 0.5 * states.confidence[0, late].min()


@pytest.mark.parametrize("jitter", [0.0, 0.0005])
def test_volleys_with_strong_harmonics_do_not_mislead(jitter, rng):
    states = cluster_states(cycles(rng, 2, 50.0, 1.0, jitter)[None], N, bin_width=BIN)
    assert (states.order == 2).all()


def test_asynchronous_activity_has_no_order(rng):
    states = cluster_states(rng.poisson(N * 30 * BIN, (30, 2000)), N, bin_width=BIN)
    assert (states.order > 0).mean() < 0.01
    assert np.quantile(states.confidence, 0.99) < 0.6
    assert states.most_frequent == 0


def test_silence_has_no_order_and_no_warning():
    states = cluster_states(np.zeros((2, 500)), N, bin_width=BIN)
    assert states.most_frequent == 0
    assert np.isnan(states.ratio).all()
    np.testing.assert_array_equal(states.confidence, 0)


def test_windows_lie_where_their_times_say(rng):
    counts = np.concatenate([np.zeros(500), cycles(rng, 2, 60.0, 0.5)])
    states = cluster_states(counts[None], N, bin_width=BIN, window=0.1, step=0.05)
    np.testing.assert_allclose(states.times, 0.05 + 0.05 * np.arange(19))
    np.testing.assert_array_equal(states.rates[0, states.times < 0.44], 0)
    assert (states.rates[0, states.times > 0.56] > 20).all()


@pytest.mark.parametrize(
    ("counts", "n", "window", "message"),
    [
        (np.zeros(500), N, 0.2, r"\[trials, bins\]"),
        (np.full((1, 500), -1.0), N, 0.2, "trial 0, bin 0"),
        (np.zeros((1, 500)), N, 1.0, "trials have 500"),
        (np.zeros((1, 500)), 0, 0.2, "n_neurons"),
    ],
)
def test_unusable_activity_of_a_cluster_state_is_refused(counts, n, window, message):
    with pytest.raises(ValueError, match=message):
        cluster_states(counts, n, bin_width=BIN, window=window)
