"""One table over every metric, and what must hold for all of them."""

from dataclasses import replace

import numpy as np
import pytest

from latentspike import Posterior
from latentspike.evaluate import (
    co_smoothing_bits,
    decode,
    few_shot_co_smoothing,
    forward_bits,
    heldin_bits,
    psth_r2,
    rate_r2,
    smooth,
)
from latentspike.simulate import linear_factors

N_NEURONS = 20


def _decode(data, posterior, **settings):
    return decode(posterior.rates, data.behavior["hand"], bin_width=data.bin_width, **settings).mean


METRICS = {
    "rate_r2": lambda data, p: rate_r2(data, p).mean,
    "rate_r2_pooled": lambda data, p: rate_r2(data, p).pooled,
    "co_smoothing_bits": lambda data, p: co_smoothing_bits(data, p).value,
    "heldin_bits": lambda data, p: heldin_bits(data, p).value,
    "forward_bits": lambda data, p: forward_bits(data, p).value,
    "psth_r2": lambda data, p: psth_r2(data, p, width=0.02).mean,
    "decode_ole": _decode,
    "decode_ridge": lambda data, p: _decode(data, p, method="ridge"),
    "decode_history": lambda data, p: _decode(data, p, method="ridge", n_history_bins=5),
    "decode_trial": lambda data, p: _decode(data, p, method="ridge", n_history_bins="trial"),
    "few_shot": lambda data, p: (
        few_shot_co_smoothing(
            np.log(p.rates[:, :, :10] + 0.1), data, n_shots=30, n_repeats=6, seed=0
        ).mean
    ),
}
"""Metric → (data, posterior) → the score, larger is better."""

# Folds and shots are cut from the order of trials, so these change a little with it.
ORDERED = {"decode_ole", "decode_ridge", "decode_history", "decode_trial", "few_shot"}
BITS = ("co_smoothing_bits", "heldin_bits", "forward_bits")


@pytest.fixture(scope="module")
def data():
    made = linear_factors(
        n_conditions=12,
        n_trials_per_condition=5,
        n_neurons=N_NEURONS,
        duration=0.6,
        mean_rate=25,
        modulation=1.0,
        shared_noise=0.5,
        max_frequency=1.5,
        seed=0,
    )
    order = np.random.default_rng(0).permutation(made.n_trials)
    made = made.select_trials(order)
    return made.replace(
        heldout=np.arange(N_NEURONS) >= 15,
        n_forward_bins=15,
        behavior={"hand": made.truth["factors"][:, :, :2]},
    )


def _posterior(data, rates):
    return Posterior(rates, data.bin_width, data.trial_ids, data.neuron_ids)


def _rates(data, kind):
    """Rates of three qualities; smoothing is of an independent draw, so that nothing is copied."""
    true = np.asarray(data.truth["rates"])
    if kind == "perfect":
        return true
    if kind == "shuffled":
        return true[np.random.default_rng(1).permutation(len(true))]
    counts = np.random.default_rng(2).poisson(true * data.bin_width)
    smoothed, _ = smooth(counts, np.ones(counts.shape, bool), width_bins=5.0)
    return smoothed / data.bin_width + 0.5


@pytest.mark.parametrize("name", METRICS)
def test_perfect_beats_smoothed_beats_shuffled(name, data):
    scores = [
        METRICS[name](data, _posterior(data, _rates(data, kind)))
        for kind in ("perfect", "smoothed", "shuffled")
    ]
    assert scores[0] > scores[1] > scores[2]


@pytest.mark.parametrize("name", METRICS)
def test_the_order_of_trials_does_not_matter(name, data):
    order = np.random.default_rng(3).permutation(data.n_trials)
    rates = _rates(data, "smoothed")
    score = METRICS[name](data, _posterior(data, rates))
    turned = data.select_trials(order)
    again = METRICS[name](turned, _posterior(turned, rates[order]))
    assert again == pytest.approx(score, abs=0.05 if name in ORDERED else 1e-9)


@pytest.mark.parametrize("name", BITS)
def test_the_null_model_scores_zero_bits(name, data):
    bins = slice(data.n_read_bins, None) if name == "forward_bits" else slice(data.n_read_bins)
    mean = data.counts[:, bins].mean(axis=(0, 1)) / data.bin_width
    null = _posterior(data, np.broadcast_to(mean, data.counts.shape))
    assert METRICS[name](data, null) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_grading_changes_neither_data_nor_posterior(name, data):
    posterior = _posterior(data, _rates(data, "smoothed"))
    rates, counts = posterior.rates.copy(), data.counts.copy()
    first = METRICS[name](data, posterior)
    np.testing.assert_array_equal(posterior.rates, rates)
    np.testing.assert_array_equal(data.counts, counts)
    assert METRICS[name](data, posterior) == first


@pytest.mark.parametrize("name", [m for m in METRICS if not m.startswith(("decode", "few"))])
def test_the_posterior_of_other_trials_is_rejected(name, data):
    posterior = _posterior(data, _rates(data, "perfect"))
    with pytest.raises(ValueError, match="trial 0"):
        METRICS[name](data, replace(posterior, trial_ids=posterior.trial_ids[::-1]))


@pytest.mark.parametrize("name", BITS)
def test_entries_that_were_not_observed_do_not_count(name, data):
    observed = np.random.default_rng(4).random(data.counts.shape) < 0.7
    rates = _rates(data, "perfect")
    masked = data.replace(observed=observed)
    spoiled = masked.replace(counts=np.where(observed, data.counts, 50))
    wrong = np.where(observed, rates, 1e4)
    clean = METRICS[name](masked, _posterior(data, rates))
    assert METRICS[name](spoiled, _posterior(data, wrong)) == clean
