import math

import numpy as np
import pytest

from latentspike import Posterior, SpikeData
from latentspike.evaluate import bits_per_spike, co_smoothing_bits, forward_bits, heldin_bits
from latentspike.evaluate.bits import FLOOR


def _random(seed=0, shape=(6, 12, 5)):
    rng = np.random.default_rng(seed)
    log_rates = rng.normal(-1.0, 0.7, shape)
    counts = rng.poisson(np.exp(log_rates))
    return log_rates, counts, rng.random(shape) < 0.8


def _naive(log_rates, counts, observed):
    """Pei et al. (2021), eq. (1), one entry after the other, factorials included."""
    total, spikes = 0.0, 0
    trials, bins, neurons = counts.shape
    for n in range(neurons):
        seen = [(b, t) for b in range(trials) for t in range(bins) if observed[b, t, n]]
        null = sum(counts[b, t, n] for b, t in seen) / len(seen)
        for b, t in seen:
            x = int(counts[b, t, n])
            for rate, sign in ((math.exp(log_rates[b, t, n]), 1), (null, -1)):
                log_rate = math.log(rate) if x else 0.0
                total += sign * (x * log_rate - rate - math.lgamma(x + 1))
            spikes += x
    return total / spikes / math.log(2)


@pytest.mark.parametrize("seed", range(3))
def test_bits_agree_with_a_naive_loop(seed):
    log_rates, counts, observed = _random(seed)
    result = bits_per_spike(log_rates, counts, observed)
    assert result.value == pytest.approx(_naive(log_rates, counts, observed), rel=1e-10)
    assert result.n_spikes == counts[observed].sum()


def test_neurons_weigh_by_their_spikes():
    log_rates, counts, observed = _random()
    result = bits_per_spike(log_rates, counts, observed)
    spikes = np.where(observed, counts, 0).sum(axis=(0, 1))
    assert np.average(result.per_neuron, weights=spikes) == pytest.approx(result.value)


def test_the_mean_rate_scores_exactly_zero():
    _, counts, observed = _random()
    mean = np.where(observed, counts, 0).sum(axis=(0, 1)) / observed.sum(axis=(0, 1))
    result = bits_per_spike(np.broadcast_to(np.log(mean), counts.shape), counts, observed)
    assert result.value == 0.0
    assert (result.per_neuron == 0.0).all()


def test_standard_error_agrees_with_a_bootstrap_over_trials():
    log_rates, counts, observed = _random(4, (60, 10, 4))
    result = bits_per_spike(log_rates, counts, observed)
    mean = np.where(observed, counts, 0).sum(axis=(0, 1)) / observed.sum(axis=(0, 1))
    gain = counts * (log_rates - np.log(mean)) - (np.exp(log_rates) - mean)
    gain = np.where(observed, gain, 0).sum(axis=(1, 2)) / np.log(2)
    spikes = np.where(observed, counts, 0).sum(axis=(1, 2))
    draws = np.random.default_rng(0).integers(0, 60, (4000, 60))
    bootstrap = (gain[draws].sum(axis=1) / spikes[draws].sum(axis=1)).std()
    assert result.standard_error == pytest.approx(bootstrap, rel=0.1)


def test_one_trial_has_no_standard_error():
    log_rates, counts, _ = _random(0, (1, 12, 5))
    assert np.isnan(bits_per_spike(log_rates, counts).standard_error)


def test_a_spike_at_rate_zero_costs_the_floor_and_stays_finite():
    counts = np.array([[[1], [1]]])
    result = bits_per_spike(np.array([[[-np.inf], [0.0]]]), counts)
    assert result.value == pytest.approx((math.log(FLOOR) + 1 - FLOOR) / 2 / math.log(2))


def test_a_silent_neuron_is_scored_for_its_false_alarms_only():
    counts = np.zeros((2, 5, 2), int)
    counts[:, :, 0] = 1
    quiet = np.log(np.broadcast_to([1.0, 0.1], counts.shape))
    result = bits_per_spike(quiet, counts)
    assert np.isnan(result.per_neuron[1])
    assert result.value == pytest.approx(-(0.1 - FLOOR) * 10 / 10 / math.log(2))


def test_no_spike_is_an_error():
    counts = np.zeros((2, 3, 1), int)
    counts[0, 0, 0] = 1
    observed = counts == 0
    with pytest.raises(ValueError, match="no spike"):
        bits_per_spike(np.zeros(counts.shape), counts, observed)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_bad_log_rate_is_located(value):
    log_rates, counts, _ = _random()
    log_rates[2, 3, 4] = value
    with pytest.raises(ValueError, match="trial 2, bin 3, neuron 4"):
        bits_per_spike(log_rates, counts)


def test_bits_of_other_shapes_are_an_error():
    with pytest.raises(ValueError, match="share a shape"):
        bits_per_spike(np.zeros((2, 3, 1)), np.zeros((2, 3, 2)))
    with pytest.raises(ValueError, match="bool"):
        bits_per_spike(np.zeros((2, 3, 1)), np.ones((2, 3, 1)), np.ones((2, 3, 1)))


def _session():
    log_rates, counts, observed = _random(7, (8, 20, 6))
    heldout = np.array([0, 1, 0, 0, 1, 0], bool)
    data = SpikeData(counts, 0.02, observed, heldout=heldout, n_forward_bins=5)
    rates = np.exp(log_rates) / 0.02
    return data, Posterior(rates, 0.02, data.trial_ids, data.neuron_ids), log_rates


def test_each_score_reads_its_own_neurons_and_bins():
    data, posterior, log_rates = _session()
    everyone = np.ones(6, bool)
    for score, bins, neurons in [
        (co_smoothing_bits, slice(0, 15), data.heldout),
        (heldin_bits, slice(0, 15), ~data.heldout),
        (forward_bits, slice(15, 20), everyone),
    ]:
        parts = (a[:, bins][:, :, neurons] for a in (log_rates, data.counts, data.observed))
        assert score(data, posterior).value == pytest.approx(_naive(*parts), rel=1e-9)


def test_scores_that_do_not_apply_say_why():
    data, posterior, _ = _session()
    nothing = data.replace(heldout=None, n_forward_bins=0)
    with pytest.raises(ValueError, match="held out"):
        co_smoothing_bits(nothing, posterior)
    with pytest.raises(ValueError, match="forward"):
        forward_bits(nothing, posterior)
    continuous = data.replace(kind="continuous", counts=data.counts.astype(float))
    with pytest.raises(ValueError, match="continuous"):
        heldin_bits(continuous, posterior)


def test_a_negative_rate_is_an_error():
    data, posterior, _ = _session()
    bad = Posterior(posterior.rates - 1e3, 0.02, data.trial_ids, data.neuron_ids)
    with pytest.raises(ValueError, match="never < 0"):
        heldin_bits(data, bad)
