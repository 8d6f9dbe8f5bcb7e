"""Scores on test trials: the known cases, and that nothing is learned from these trials."""

import dataclasses

import numpy as np
import pytest

from latentspike.compare import scores
from latentspike.evaluate import co_smoothing_bits, decode_blind
from latentspike.spikes import Posterior, SpikeData, Split


def posterior(data, rates, **more):
    return Posterior(rates, data.bin_width, data.trial_ids, data.neuron_ids, **more)


@pytest.fixture
def world(rng):
    """Forty trials of a latent walk that drives neurons, a hand, and two populations."""
    latent = np.cumsum(rng.normal(size=(40, 30, 2)), axis=1) / 4
    rates = np.exp(latent @ rng.normal(size=(2, 8)) * 0.4 + 3)
    noise = rng.normal(size=(40, 30, 2))
    data = SpikeData(
        rng.poisson(rates * 0.02),
        0.02,
        heldout=np.arange(8) == 7,
        behavior={"hand": latent @ [[1.0, 0.3], [-0.4, 2.0]] + 0.5 * noise},
        conditions=np.arange(40) % 4,
        truth={"rates": rates, "population_rate": np.exp(latent)},
    )
    return data.select_trials(slice(0, 28)), data.select_trials(slice(28, 40)), latent


def table(train, test, known, found):
    return {row.metric: row for row in scores.measure(train, test, known, found, lag=0.0)}


def test_the_true_rates_score_as_they_must(world):
    train, test, _ = world
    found = table(
        train, test, posterior(train, train.truth["rates"]), posterior(test, test.truth["rates"])
    )
    assert list(found) == [
        "rates R²", "co-smoothing bits per spike", "held-in bits per spike", "PSTH R²",
        "hand R² (10 bins)", "hand R² (whole trial)", "population activity r",
    ]  # fmt: skip
    assert found["rates R²"].value == pytest.approx(1)
    assert found["rates R²"].standard_error == pytest.approx(0, abs=1e-12)
    assert found["population activity r"].note == "linear map from rates"
    assert all(len(row.replicates) == 12 for row in found.values())


def test_the_jackknife_agrees_with_the_delta_method(world):
    _, test, _ = world
    found = posterior(test, test.truth["rates"])
    row = table(test, test, None, found)["co-smoothing bits per spike"]
    bits = co_smoothing_bits(test, found)
    assert row.value == bits.value
    assert row.standard_error == pytest.approx(bits.standard_error, rel=0.25)


def test_the_decoder_is_fitted_to_training_trials_alone(world):
    train, test, _ = world
    known, found = (posterior(d, d.truth["rates"]) for d in (train, test))
    both = np.concatenate([train.truth["rates"], test.truth["rates"]])
    hand = np.concatenate([train.behavior["hand"], test.behavior["hand"]])
    fold = Split(np.arange(28), np.arange(28, 40))
    settings = {"method": "ridge", "n_history_bins": 10, "bin_width": 0.02}
    expected = decode_blind([both], hand, [fold], **settings)
    row = table(train, test, known, found)["hand R² (10 bins)"]
    assert row.value == pytest.approx(expected.mean) and 0.3 < row.value < 1
    # the sign of the test behavior turns the score over, which a decoder that saw it would follow
    turned = test.replace(behavior={"hand": -test.behavior["hand"]})
    assert table(train, turned, known, found)["hand R² (10 bins)"].value < 0


def test_populations_are_mapped_from_factors_or_matched(world):
    train, test, _ = world
    truth = test.truth["population_rate"]
    rates = [d.truth["rates"] for d in (train, test)]
    mixed = [np.asarray(x) @ [[1.0, 2.0], [-1.0, 0.5]] for x in
             (train.truth["population_rate"], truth)]  # fmt: skip
    pair = [posterior(d, r, factors=f) for d, r, f in zip(world, rates, mixed, strict=False)]
    row = table(train, test, *pair)["population activity r"]
    assert row.value == pytest.approx(1, abs=1e-4) and row.note == "linear map from factors"
    swapped = [np.asarray(d.truth["population_rate"])[..., ::-1] for d in (train, test)]
    pair = [
        posterior(d, r, population_activity=a)
        for d, r, a in zip(world, rates, swapped, strict=False)
    ]
    row = table(train, test, *pair)["population activity r"]
    assert row.value == pytest.approx(1) and row.note == "the model's own activity"
    three = [np.concatenate([a, a[..., :1]], -1) for a in swapped]
    pair = [
        posterior(d, r, population_activity=a) for d, r, a in zip(world, rates, three, strict=False)
    ]
    row = table(train, test, *pair)["population activity r"]
    assert row.note == "linear map from population activity" and row.value > 0.99


def test_what_cannot_be_scored_is_a_row_with_the_reason(world):
    train, test, _ = world
    flat = np.full(test.counts.shape, -1.0)
    rows = table(train.replace(behavior={}), test.replace(behavior={}), None, posterior(test, flat))
    row = rows["co-smoothing bits per spike"]
    assert row.value is None and "a rate is never < 0" in row.note and row.standard_error is None
    unmoved = {"hand": np.zeros((12, 30, 1))}
    known, found = (posterior(d, d.truth["rates"]) for d in (train, test))
    still = train.replace(behavior={"hand": np.zeros((28, 30, 1))})
    row = table(still, test.replace(behavior=unmoved), known, found)["hand R² (10 bins)"]
    assert row.value is None and row.note


def test_records_are_plain(world):
    train, test, _ = world
    rows = scores.measure(train, test, None, posterior(test, test.truth["rates"]), lag=0.0)
    record = scores.as_records(rows)[0]
    assert set(record) == {f.name for f in dataclasses.fields(scores.Measure)}
    assert isinstance(record["replicates"], list) and isinstance(record["value"], float)


def test_one_test_trial_has_no_error():
    assert scores.kept_trials(1) == []
    assert scores.jackknife([]) is None and scores.jackknife([1.0, None]) is None
