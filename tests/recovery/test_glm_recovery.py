"""A coupled network of known filters, simulated here, and what the GLM finds of it."""

import jax
import numpy as np
import pytest

from latentspike import SpikeData, devices
from latentspike.evaluate import co_smoothing_bits
from latentspike.models.glm import GLM
from latentspike.models.protocol import DataSpec
from latentspike.spikes import Posterior

pytest.importorskip("nemos")
devices.prepare()
KEY = jax.random.key(0)
N_LAGS = 10


def true_filters(seed, n_neurons):
    """Log gain [lags, from, to]: refractory neurons, each driven by about one other."""
    rng = np.random.default_rng(seed)
    lags = np.arange(N_LAGS)
    decay = np.exp(-lags[:, None, None] / rng.uniform(1, 3, (n_neurons, n_neurons)))
    is_coupled = rng.random((n_neurons, n_neurons)) < 1.2 / n_neurons
    filters = decay * np.where(is_coupled, rng.choice([-0.6, 0.5], is_coupled.shape), 0.0)
    own = np.arange(n_neurons)
    filters[:, own, own] = -1.5 * np.exp(-lags[:, None])
    return filters


def network(seed, n_neurons, n_trials, n_bins=80):
    """Spikes of the coupled neurons, and their filters."""
    rng = np.random.default_rng(seed + 1000)
    filters = true_filters(seed, n_neurons)
    counts = np.zeros((n_trials, n_bins, n_neurons), int)
    rates = np.zeros(counts.shape)
    for t in range(n_bins):
        reach = min(t, N_LAGS)
        drive = np.tensordot(counts[:, t - reach : t][:, ::-1], filters[:reach], axes=2)
        rates[:, t] = np.exp(np.log(0.15) + drive)
        counts[:, t] = rng.poisson(rates[:, t])
    return SpikeData(counts, bin_width=0.02, truth={"rates": rates / 0.02}), filters


def check_recovery(seed, n_neurons, n_trials):
    data, filters = network(seed, n_neurons, n_trials)
    model = GLM(history=N_LAGS * 0.02)
    params = model.estimate(model.init(DataSpec.of(data), key=KEY), data, key=KEY)
    # strength of a coupling: its total log gain
    found, truth = model.filters(params).sum(axis=0), filters.sum(axis=0)
    between = ~np.eye(n_neurons, dtype=bool)
    # Cramér–Rao: the weight of a lag has the variance 1 / (bins · count² per bin), a sum of ten
    # independent ones ten times that; neurons that others silence are known less well.
    least = np.sqrt(N_LAGS / data.counts[:, :, 0].size) / data.counts.mean()
    assert np.sqrt(np.mean((found - truth)[between] ** 2)) < 1.25 * least
    assert abs(np.polyfit(truth[between], found[between], 1)[0] - 1) < 0.2
    assert np.corrcoef(found[between], truth[between])[0, 1] > 0.8
    assert (np.diag(model.filters(params)[0]) < -0.7).all()  # -1.5, a bin after the own spike
    np.testing.assert_allclose(params["intercept"], np.log(0.15), atol=0.2)
    rates = model.infer(params, data).rates
    assert np.corrcoef(rates.ravel(), data.truth["rates"].ravel())[0, 1] > 0.9
    return data, params, model


def test_coupling_filters_of_a_small_network_are_recovered():
    check_recovery(seed=0, n_neurons=6, n_trials=200)


def test_heldout_neurons_of_a_coupled_network_are_predicted():
    data, filters = network(0, n_neurons=6, n_trials=1000)
    driven = np.abs(filters.sum(axis=0) * (1 - np.eye(6))).sum(axis=0).argmax()
    data = data.replace(heldout=np.arange(6) == driven)
    train, test = data.select_trials(slice(0, 200)), data.select_trials(slice(200, None))
    model = GLM(history=N_LAGS * 0.02)
    params = model.estimate(model.init(DataSpec.of(train), key=KEY), train, key=KEY)
    spoiled = test.replace(counts=np.where(test.heldout, 9, test.counts))
    found = co_smoothing_bits(test, model.infer(params, spoiled))
    best = co_smoothing_bits(test, truth_of(test))  # that reads the neuron's own spikes too
    assert found.value > 5 * found.standard_error
    assert 0.2 * best.value < found.value < best.value


def truth_of(data):
    return Posterior(data.truth["rates"], data.bin_width, data.trial_ids, data.neuron_ids)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_coupling_filters_are_recovered(seed):
    check_recovery(seed, n_neurons=20, n_trials=500)
