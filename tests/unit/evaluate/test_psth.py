import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from latentspike import Posterior
from latentspike.evaluate import choose_psth_width, psth_r2
from latentspike.simulate import lorenz


def _data(n_trials=30):
    return lorenz(n_conditions=4, n_trials_per_condition=n_trials, n_neurons=6, seed=0)


def _posterior(data, rates):
    return Posterior(rates, data.bin_width, data.trial_ids, data.neuron_ids)


def test_psth_r2_agrees_with_a_naive_computation_in_the_interior():
    data = _data(3).select_trials([3, 0, 7, 1, 2, 4, 6])  # out of order, unequal conditions
    result = psth_r2(data, _posterior(data, data.truth["rates"]), width=0.03)
    for index, condition in enumerate(result.conditions):
        of = data.conditions == condition
        spikes = gaussian_filter1d(data.counts[of].astype(float), 3.0, axis=1).mean(axis=0) / 0.01
        np.testing.assert_allclose(result.spikes[index, 12:-12], spikes[12:-12], atol=1e-9)
        np.testing.assert_allclose(result.rates[index], data.truth["rates"][of].mean(axis=0))
    neuron = result.spikes[:, :, 2], result.rates[:, :, 2]
    expected = 1 - np.sum((neuron[0] - neuron[1]) ** 2) / np.sum(
        (neuron[0] - neuron[0].mean()) ** 2
    )
    assert result.per_neuron[2] == pytest.approx(expected)
    assert result.mean == pytest.approx(result.per_neuron.mean())


def test_true_rates_match_the_psth_and_the_mean_rate_does_not():
    data = lorenz(n_conditions=4, n_trials_per_condition=60, n_neurons=6, speed=1.5, seed=0)
    rates = data.truth["rates"]
    good = psth_r2(data, _posterior(data, rates), width=0.02).mean
    flat = psth_r2(data, _posterior(data, np.broadcast_to(rates.mean((0, 1)), rates.shape)))
    assert good > 0.8
    assert flat.mean < 0.05


def test_bins_that_were_not_observed_do_not_count():
    data = _data()
    observed = np.ones(data.counts.shape, bool)
    observed[5, 10:50] = False
    masked = data.replace(observed=observed)
    spoiled = data.truth["rates"].copy()
    spoiled[5, 10:50] = 1e4
    clean, dirty = (
        psth_r2(masked, _posterior(data, r)).mean for r in (data.truth["rates"], spoiled)
    )
    assert clean == pytest.approx(dirty)


def test_psth_needs_conditions_that_differ():
    data = _data(2)
    posterior = _posterior(data, data.truth["rates"])
    with pytest.raises(ValueError, match="conditions"):
        psth_r2(data.replace(conditions=None), posterior)
    with pytest.raises(ValueError, match="varies"):
        psth_r2(data.replace(counts=np.zeros(data.counts.shape, int)), posterior)


def test_the_chosen_width_lets_true_rates_score_above_those_of_a_wide_kernel():
    """Fast rates: 70 ms flatten their PSTH, and the truth looked worse than a constant."""
    data = lorenz(n_conditions=6, n_trials_per_condition=20, n_neurons=8, seed=0)
    train, test = (data.select_trials(np.arange(data.n_trials) % 2 == k) for k in (0, 1))
    width = choose_psth_width(train)
    true = _posterior(test, test.truth["rates"])
    assert psth_r2(test, true).mean > max(psth_r2(test, true, width=0.07).mean, 0.3)
    assert psth_r2(test, true).width == choose_psth_width(test)
    errors = {}
    for tried in (0.002, width, 0.15):
        found = psth_r2(train, _posterior(train, train.truth["rates"]), width=tried)
        errors[tried] = float(np.mean((found.spikes - found.rates) ** 2))
    assert errors[width] == min(errors.values())  # nearest to the truth, which it did not know


def test_a_single_trial_of_each_condition_has_the_usual_width():
    data = _data(1)
    assert choose_psth_width(data) == 0.07
    one = _data(60).select_trials(slice(0, 60))
    assert choose_psth_width(one.replace(conditions=None)) == choose_psth_width(one) < 0.07
