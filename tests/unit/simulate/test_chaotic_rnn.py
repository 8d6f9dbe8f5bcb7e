import dataclasses

import numpy as np
import pytest
from scipy.special import gammaln

from latentspike import Posterior
from latentspike.evaluate import rate_r2, smooth
from latentspike.simulate import ChaoticRNN, chaotic_rnn
from latentspike.simulate.chaotic_rnn import _network
from latentspike.simulate.observe import random_streams

SMALL = ChaoticRNN(n_conditions=4, n_trials_per_condition=3, n_neurons=10, duration=0.2)


def test_defaults_are_the_papers_recording():
    settings = ChaoticRNN()
    assert settings.n_conditions * settings.n_trials_per_condition == 4000
    assert (settings.n_bins, settings.n_neurons) == (100, 50)


def test_same_seed_same_recording_and_other_seed_another():
    first, again, other = (chaotic_rnn(SMALL, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.counts, again.counts)
    assert not np.array_equal(first.truth["rates"], other.truth["rates"])


def test_more_conditions_leave_earlier_trials_as_they_were():
    few = chaotic_rnn(SMALL, seed=3)
    many = chaotic_rnn(SMALL, n_conditions=7, seed=3)
    rates, inputs = few.truth["rates"], few.truth["inputs"]
    np.testing.assert_allclose(many.truth["rates"][: few.n_trials], rates, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(many.truth["inputs"][: few.n_trials], inputs)


def test_rates_follow_the_equation_step_by_step():
    settings = dataclasses.replace(SMALL, dt=0.005)
    data = chaotic_rnn(settings, seed=5)
    streams = random_streams(5, "network", "initial", "inputs", "spikes")
    recurrent, driving = (w.astype(float) for w in _network(settings, streams["network"]))
    starts = streams["initial"].standard_normal((4, 10))
    for trial in (0, 4):
        y = starts[data.conditions[trial]]
        for time_bin in range(data.n_bins):
            q = data.truth["inputs"][trial, time_bin]
            for _ in range(2):
                slope = (-y + recurrent @ np.tanh(y) + driving @ q) / settings.time_constant
                y = y + 0.005 * slope
            expected = 30 * (np.tanh(y) + 1) / 2
            found = data.truth["rates"][trial, time_bin]
            np.testing.assert_allclose(found, expected, atol=0.02)


def test_weights_have_the_papers_spread():
    settings = ChaoticRNN(n_neurons=200, gamma=2.5)
    recurrent, driving = _network(settings, np.random.default_rng(0))
    assert recurrent.std() == pytest.approx(2.5 / np.sqrt(200), rel=0.02)
    assert driving.std() == pytest.approx(1.0, rel=0.1)


def test_trials_of_a_condition_share_the_start_but_not_the_inputs():
    data = chaotic_rnn(SMALL, n_inputs=0, seed=0)
    assert "inputs" not in data.truth
    rates = data.truth["rates"].reshape(4, 3, data.n_bins, 10)
    np.testing.assert_allclose(rates[:, 0], rates[:, 2], rtol=1e-5)
    driven = chaotic_rnn(SMALL, seed=0).truth["rates"].reshape(4, 3, data.n_bins, 10)
    assert np.abs(driven[:, 0] - driven[:, 2]).max() > 1.0


def test_counts_are_poisson_of_the_rates():
    data = chaotic_rnn(SMALL, n_conditions=40, seed=0)
    expected = data.truth["rates"].astype(float) * data.bin_width
    chi2 = np.sum((data.counts - expected) ** 2) / expected.sum()
    assert chi2 == pytest.approx(1.0, abs=0.03)
    assert data.counts.sum() == pytest.approx(expected.sum(), rel=0.03)
    assert 0 <= data.truth["rates"].min() < data.truth["rates"].max() <= 30


def test_true_rates_have_the_loss_that_prototypes_found():
    # spec/lfads.md, section 7: 1935 nats per trial, on another network
    data = chaotic_rnn(n_conditions=80, seed=3)
    expected = np.maximum(data.truth["rates"].astype(float) * data.bin_width, 1e-9)
    loss = expected - data.counts * np.log(expected) + gammaln(data.counts + 1.0)
    assert loss.sum() / data.n_trials == pytest.approx(1935, abs=60)


def test_slow_networks_can_be_smoothed_as_in_the_prototypes():
    data = chaotic_rnn(n_conditions=40, seed=3)

    def score(width_bins):
        smoothed, _ = smooth(data.counts, data.observed, width_bins=width_bins)
        rates = smoothed / data.bin_width
        posterior = Posterior(rates, data.bin_width, data.trial_ids, data.neuron_ids)
        return rate_r2(data, posterior).mean

    best = max(score(width) for width in (5, 10, 20))
    assert best == pytest.approx(0.25, abs=0.08)
    assert score(1) < 0 < best


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_neurons": 0}, "n_neurons"),
        ({"gamma": float("nan")}, "gamma"),
        ({"n_inputs": -1}, "n_inputs"),
        ({"dt": 0.003}, "whole number"),
        ({"duration": 0.105}, "whole number"),
        ({"bin_width": 0.05, "duration": 1.0, "dt": 0.05}, "overshoot"),
    ],
)
def test_bad_settings_of_the_chaotic_network_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        chaotic_rnn(SMALL, seed=0, **change)


def test_unknown_setting_is_an_error():
    with pytest.raises(TypeError, match="n_neuron"):
        chaotic_rnn(seed=0, n_neuron=3)
