import numpy as np
import pytest
from sklearn.metrics import r2_score

from latentspike import Posterior, SpikeData
from latentspike.evaluate import rate_r2


def _pair(seed=0, noise=2.0):
    rng = np.random.default_rng(seed)
    true = rng.gamma(2.0, 5.0, (6, 15, 4)) * np.array([1.0, 2.0, 4.0, 8.0])
    data = SpikeData(np.ones(true.shape, int), 0.01, truth={"rates": true})
    inferred = true + noise * rng.normal(size=true.shape)
    return data, Posterior(inferred, 0.01, data.trial_ids, data.neuron_ids)


def test_rate_r2_agrees_with_scikit_learn():
    data, posterior = _pair()
    true, inferred = (a.reshape(-1, 4) for a in (data.truth["rates"], posterior.rates))
    result = rate_r2(data, posterior)
    expected = r2_score(true, inferred, multioutput="raw_values")
    np.testing.assert_allclose(result.per_neuron, expected)
    assert result.mean == pytest.approx(expected.mean()) == pytest.approx(float(result))
    weighted = r2_score(true, inferred, multioutput="variance_weighted")
    assert result.pooled == pytest.approx(weighted)


def test_a_neuron_of_constant_rate_is_left_out_of_the_mean():
    data, posterior = _pair()
    rates = data.truth["rates"].copy()
    rates[:, :, 1] = 5.0
    result = rate_r2(data.replace(truth={"rates": rates}), posterior)
    assert np.isnan(result.per_neuron[1])
    assert result.mean == pytest.approx(result.per_neuron[[0, 2, 3]].mean())


def test_rate_r2_without_truth_says_why():
    data, posterior = _pair()
    with pytest.raises(ValueError, match="truth"):
        rate_r2(data.replace(truth={}), posterior)


def test_rate_r2_of_rates_that_never_vary_is_an_error():
    data, posterior = _pair()
    flat = data.replace(truth={"rates": np.ones(data.counts.shape)})
    with pytest.raises(ValueError, match="varies"):
        rate_r2(flat, posterior)
