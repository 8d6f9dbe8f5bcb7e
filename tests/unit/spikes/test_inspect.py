import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from latentspike.spikes import SpikeData, describe, mask_bins
from latentspike.spikes.synchrony import moments, shared_between_bins, shared_between_neurons

BIN = 0.01


def session(rates, rng, bin_width=BIN):
    return SpikeData(rng.poisson(rates * bin_width), bin_width)


def jittered_copy(counts, fraction, rng):
    """Move a fraction of spikes of [trials, bins] counts by one or two bins."""
    moved = rng.binomial(counts, fraction)
    copy = counts - moved
    for trial, time_bin in np.argwhere(moved):
        for _ in range(moved[trial, time_bin]):
            target = time_bin + rng.choice([-2, -1, 1, 2])
            copy[trial, np.clip(target, 0, counts.shape[1] - 1)] += 1
    return copy


def slow_rates(rng, shape, mean, smooth, strength):
    shared = gaussian_filter1d(rng.normal(size=shape[:2]), smooth, axis=1)
    shared = shared / shared.std()
    return mean * np.exp(strength * shared)[:, :, None] * np.ones(shape)


@pytest.mark.parametrize("rate", [3.0, 20.0, 200.0])
def test_a_copied_neuron_is_found_with_a_fifth_of_its_spikes_moved(rate):
    rng = np.random.default_rng(1)
    counts = rng.poisson(slow_rates(rng, (40, 200, 6), rate, 20, 0.5) * BIN)
    counts[:, :, 4] = jittered_copy(counts[:, :, 1], 0.2, rng)
    found = describe(SpikeData(counts, BIN)).duplicated_neurons
    assert [(a, b) for a, b, _ in found] == [(1, 4)]
    assert 0.6 < found[0][2] < 0.95


@pytest.mark.parametrize("smooth", [0.3, 2, 20])
@pytest.mark.parametrize("mean", [5.0, 100.0, 500.0])
def test_neurons_that_share_strong_rate_modulation_are_not_duplicates(smooth, mean):
    rng = np.random.default_rng(2)
    data = session(slow_rates(rng, (40, 200, 6), mean, smooth, 1.0), rng)
    assert describe(data).duplicated_neurons == ()


def test_shared_modulation_alone_would_pass_the_correlation_threshold():
    # Otherwise the test above could not fail.
    rng = np.random.default_rng(2)
    data = session(slow_rates(rng, (40, 200, 6), 500.0, 20, 1.0), rng)
    assert shared_between_neurons(data)[0][0, 1] > 0.6


def test_regular_neurons_that_share_slow_modulation_are_not_duplicates():
    # Every third spike of a fast Poisson process: a gamma renewal process, Fano factor 1/3.
    rng = np.random.default_rng(3)
    rates = slow_rates(rng, (40, 200, 5), 300.0, 20, 0.8)
    fast = rng.poisson(3 * rates * BIN)
    phase = rng.integers(0, 3, (40, 1, 5))
    before = np.cumsum(fast, axis=1) - fast + phase
    data = SpikeData((before + fast) // 3 - before // 3, BIN)
    assert shared_between_neurons(data)[0][0, 1] > 0.3
    assert describe(data).duplicated_neurons == ()


def test_copies_are_found_beside_missing_bins():
    rng = np.random.default_rng(4)
    counts = rng.poisson(0.2, (20, 100, 4))
    counts[:, :, 3] = counts[:, :, 0]
    counts[:, 50:, 3] = 7  # never observed: must not be read
    data = mask_bins(SpikeData(counts, BIN), bins=slice(50, 100), neurons=[3])
    found = describe(data)
    assert [(a, b) for a, b, _ in found.duplicated_neurons] == [(0, 3)]
    assert found.largest_count < 7
    assert found.missing_fraction == pytest.approx(1 / 8)


def test_too_few_spikes_prove_nothing():
    counts = np.zeros((10, 100, 2), int)
    counts[::2, 3] = 1
    assert describe(SpikeData(counts, BIN)).duplicated_neurons == ()


@pytest.mark.parametrize("lag", [0, 2])
def test_moments_agree_with_numpy_over_jointly_observed_bins(lag):
    rng = np.random.default_rng(5)
    counts, seen = rng.poisson(1.0, (70, 12, 3)), rng.random((70, 12, 3)) < 0.7
    got = moments(SpikeData(counts, BIN, seen), lag)
    early, late = counts[:, : 12 - lag, 0], counts[:, lag:, 2]
    both = seen[:, : 12 - lag, 0] & seen[:, lag:, 2]
    want = np.cov(early[both], late[both], bias=True)
    assert got.n[0, 2] == both.sum()
    assert got.covariance[0, 2] == pytest.approx(want[0, 1])
    assert got.variance[0][0, 2] == pytest.approx(want[0, 0])
    assert got.variance[1][0, 2] == pytest.approx(want[1, 1])


def test_moments_do_not_depend_on_the_path_for_complete_data():
    rng = np.random.default_rng(6)
    counts = rng.poisson(1.0, (70, 12, 3))
    padded = np.concatenate([counts, np.full((1, 12, 3), 9)])
    seen = np.ones(padded.shape, bool)
    seen[-1] = False
    masked = moments(SpikeData(padded, BIN, seen), 1)
    for a, b in zip(moments(SpikeData(counts, BIN), 1), masked, strict=True):
        np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("width", [2, 5])
def test_sliding_window_sums_are_noticed(width):
    rng = np.random.default_rng(7)
    fine = rng.poisson(slow_rates(rng, (30, 120, 8), 10.0, 20, 0.5) * BIN)
    sums = np.lib.stride_tricks.sliding_window_view(fine, width, axis=1).sum(axis=-1)
    found = describe(SpikeData(sums, BIN))
    assert found.is_sliding_window
    assert any("sliding-window" in warning for warning in found.warnings)
    shared = shared_between_bins(SpikeData(sums, BIN))[1]
    np.testing.assert_allclose(np.median(shared), (width - 1) / width, atol=0.1)


@pytest.mark.parametrize("mean", [10.0, 500.0])
def test_smooth_rates_are_not_taken_for_sliding_windows(mean):
    rng = np.random.default_rng(8)
    data = session(slow_rates(rng, (30, 120, 8), mean, 20, 1.0), rng)
    assert not describe(data).is_sliding_window


def test_numbers_of_a_small_recording():
    counts = np.zeros((2, 4, 3), int)
    counts[0, 0, 0], counts[1, 1, 1], counts[0, 2, 1] = 3, 1, 2
    data = SpikeData(counts, 0.5, neuron_ids=["a", "b", "c"])
    found = describe(mask_bins(data, bins=[3]))
    assert (found.n_trials, found.n_bins, found.n_neurons) == (2, 4, 3)
    np.testing.assert_allclose(found.rates, [1.0, 1.0, 0.0])
    assert found.mean_rate == pytest.approx(6 / (18 * 0.5))
    assert found.silent_neurons == ("c",)
    assert found.largest_count == 3
    assert found.multiple_fraction == pytest.approx(2 / 18)
    assert "1 of 3 neurons have no spike (c)" in found.warnings[0]


def test_description_survives_json_and_reads_as_a_table():
    data = mask_bins(SpikeData(np.ones((2, 4, 3), int), 0.5), neurons=[1])
    found = describe(data)
    again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert again["rates"] == [2.0, None, 2.0]
    assert again["silent_neurons"] == [1]
    table = str(found)
    assert "4 of 500 ms" in table and "warning:" in table and "33.3 %" in table


def test_continuous_data_are_described_without_spike_questions():
    values = np.random.default_rng(9).normal(-5, 1, (4, 30, 2))
    values[:, :, 1] = values[:, :, 0]
    found = describe(SpikeData(values, BIN, kind="continuous"))
    assert found.mean_rate == pytest.approx(values.mean(), rel=1e-5)
    assert found.largest_count == pytest.approx(values.max())
    assert found.duplicated_neurons == () and found.silent_neurons == ()


def test_nothing_observed_is_said():
    data = SpikeData(np.ones((1, 3, 2), int), BIN, np.zeros((1, 3, 2), bool))
    found = describe(data)
    assert found.missing_fraction == 1 and "no entry was observed" in found.warnings
    assert "none" in str(found)


def test_held_out_neurons_are_inspected_too():
    counts = np.random.default_rng(10).poisson(0.3, (20, 50, 3))
    counts[:, :, 2] = counts[:, :, 1]
    counts[:, :, 0] = 0
    data = SpikeData(counts, BIN, heldout=np.array([False, True, True]))
    assert [(a, b) for a, b, _ in describe(data).duplicated_neurons] == [(1, 2)]
