import os
from pathlib import Path

import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.evaluate import (
    co_smoothing_bits,
    multi_lag_glm,
    psth_rates,
    smoothed_plus_psth,
)
from latentspike.evaluate.baselines import lagged_counts
from latentspike.simulate import linear_factors


def _pair(n_forward=0):
    data = linear_factors(
        n_conditions=1,
        n_trials_per_condition=80,
        n_neurons=16,
        mean_rate=30,
        modulation=1.2,
        shared_noise=0.8,
        bin_width=0.02,
        seed=0,
    ).replace(heldout=np.arange(16) >= 12, n_forward_bins=n_forward)
    return data.select_trials(slice(60)), data.select_trials(slice(60, None))


def test_psth_is_the_training_average_with_one_imaginary_trial():
    train, test = _pair()
    rates = psth_rates(train, test).rates
    mean = train.counts.mean(axis=(0, 1))
    expected = (train.counts.sum(axis=0) + mean) / 61 / train.bin_width
    np.testing.assert_allclose(rates, np.broadcast_to(expected, test.counts.shape))
    assert rates.min() > 0


def test_each_baseline_adds_to_the_one_before():
    train, test = _pair()
    psth = co_smoothing_bits(test, psth_rates(train, test)).value
    smoothed = co_smoothing_bits(test, smoothed_plus_psth(train, test)).value
    glm = co_smoothing_bits(test, multi_lag_glm(train, test, max_lag=0.06)).value
    assert psth > 0
    assert smoothed > psth + 0.02
    assert glm > psth + 0.02


def _short_glm(train, test):
    return multi_lag_glm(train, test, max_lag=0.04)


@pytest.mark.parametrize("baseline", [psth_rates, smoothed_plus_psth, _short_glm])
def test_baselines_never_read_what_is_held_out(baseline):
    train, test = _pair(n_forward=10)
    spoiled = test.counts.copy()
    spoiled[:, :, test.heldout] = 3
    spoiled[:, -10:] = 3
    first, second = (baseline(train, d) for d in (test, test.replace(counts=spoiled)))
    np.testing.assert_array_equal(first.rates, second.rates)
    assert first.rates.shape == test.counts.shape


def test_lagged_counts_are_the_counts_at_their_lags():
    train, _ = _pair(n_forward=10)
    lagged = lagged_counts(train, 2).reshape(60, 40, 5, 12)
    np.testing.assert_array_equal(lagged[:, :, 2], train.counts[:, :40, :12])
    np.testing.assert_array_equal(lagged[:, 5:, 0], train.counts[:, 3:38, :12])
    np.testing.assert_array_equal(lagged[:, :38, 4], train.counts[:, 2:40, :12])
    assert (lagged[:, 38:, 4] == 0).all()  # not the forward bins


def test_baselines_reject_data_that_do_not_belong_together():
    train, test = _pair()
    with pytest.raises(ValueError, match="held out"):
        smoothed_plus_psth(train.replace(heldout=None), test.replace(heldout=None))
    with pytest.raises(ValueError, match="different neurons"):
        psth_rates(train, test.replace(heldout=None))
    with pytest.raises(ValueError, match="differ in bins"):
        psth_rates(train, test.select_bins(0, 5))
    with pytest.raises(ValueError, match="bin widths"):
        psth_rates(train, test.replace(bin_width=0.01))


@pytest.mark.skipif("LATENTSPIKE_TEST_DATA" not in os.environ, reason="no LATENTSPIKE_TEST_DATA")
def test_baselines_keep_their_order_on_rat_motor_cortex():
    path = Path(os.environ["LATENTSPIKE_TEST_DATA"]) / "rat_motor_cortex/motor_ctx_data.npz"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    file = np.load(path, allow_pickle=False)
    counts = np.zeros((1266, 100, 30), np.uint16)
    bins = np.minimum(file["spiketimes"] // 20, 99).astype(int)
    np.add.at(counts, (file["trial_ids"], bins, file["neuron_ids"]), 1)
    heldout = np.zeros(30, bool)
    heldout[np.argsort(counts.mean(axis=(0, 1)))[2::3]] = True
    data = SpikeData(counts[:, 10:70], 0.02, t_start=0.2, heldout=heldout)
    order = np.random.default_rng(0).permutation(data.n_trials)
    train, test = data.select_trials(order[:1012]), data.select_trials(order[1012:])
    psth = co_smoothing_bits(test, psth_rates(train, test))
    smoothed = co_smoothing_bits(test, smoothed_plus_psth(train, test))
    assert psth.value > 5 * psth.standard_error
    assert smoothed.value > psth.value + smoothed.standard_error
