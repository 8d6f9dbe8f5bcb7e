import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from latentspike.evaluate.kernel import smooth


def _counts(seed=0, shape=(3, 80, 4)):
    return np.random.default_rng(seed).poisson(0.5, shape)


def test_interior_is_scipys_gaussian_filter():
    counts = _counts()
    smoothed, _ = smooth(counts, np.ones(counts.shape, bool), width_bins=4.0)
    expected = gaussian_filter1d(counts.astype(float), 4.0, axis=1)
    np.testing.assert_allclose(smoothed[:, 16:-16], expected[:, 16:-16], atol=1e-12)


def test_smoothing_over_missing_bins_is_a_weighted_mean_of_the_rest():
    rng = np.random.default_rng(1)
    counts, observed = _counts(1, (2, 25, 3)), rng.random((2, 25, 3)) < 0.7
    smoothed, weight = smooth(counts, observed, width_bins=3.0)
    for trial, time_bin, neuron in [(0, 0, 0), (1, 12, 2), (0, 24, 1)]:
        distance = np.arange(25) - time_bin
        kernel = np.exp(-0.5 * (distance / 3.0) ** 2) * (np.abs(distance) <= 12)
        kernel = kernel * observed[trial, :, neuron]
        expected = kernel @ counts[trial, :, neuron] / kernel.sum()
        assert smoothed[trial, time_bin, neuron] == pytest.approx(expected)
        assert 0 < weight[trial, time_bin, neuron] <= 1


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.integers(0, 10_000), st.floats(0.3, 30.0))
def test_a_value_that_was_not_observed_never_matters(seed, width):
    rng = np.random.default_rng(seed)
    counts, observed = _counts(seed, (2, 15, 2)), rng.random((2, 15, 2)) < 0.5
    changed = np.where(observed, counts, 99)
    first, weight = smooth(counts, observed, width_bins=width)
    np.testing.assert_array_equal(first, smooth(changed, observed, width_bins=width)[0])
    np.testing.assert_array_equal(first[weight == 0], 0)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.integers(0, 10_000), st.floats(0.3, 10.0), st.integers(0, 19))
def test_leave_one_out_never_reads_the_own_bin(seed, width, time_bin):
    counts = _counts(seed, (1, 20, 1)).astype(float)
    observed = np.ones(counts.shape, bool)
    before, _ = smooth(counts, observed, width_bins=width, leave_one_out=True)
    counts[0, time_bin, 0] += 50
    after, _ = smooth(counts, observed, width_bins=width, leave_one_out=True)
    assert after[0, time_bin, 0] == pytest.approx(before[0, time_bin, 0], abs=1e-9)
    assert not np.allclose(after, before)


def test_smoothing_keeps_the_mean_of_a_constant_at_the_edges():
    observed = np.ones((1, 30, 1), bool)
    observed[0, 10:14] = False
    smoothed, _ = smooth(np.full((1, 30, 1), 7), observed, width_bins=5.0)
    np.testing.assert_allclose(smoothed, 7.0)


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan")])
def test_a_width_that_is_not_positive_is_an_error(width):
    with pytest.raises(ValueError, match="width"):
        smooth(np.ones((1, 3, 1)), np.ones((1, 3, 1), bool), width_bins=width)
