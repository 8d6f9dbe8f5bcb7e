import jax
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.models import registry
from latentspike.models.fitted import Fitted
from latentspike.models.protocol import DataSpec, EstimatedModel
from latentspike.models.psth import PSTH

KEY = jax.random.key(0)


def _recording(n_trials=40, **changes):
    rng = np.random.default_rng(3)
    conditions = np.resize(["left", "right", "none"], n_trials)
    phase = {"left": 0.0, "right": 2.0, "none": 4.0}
    angle = np.array([phase[c] for c in conditions])[:, None, None] + np.arange(12)[:, None] / 3
    rates = 60 + 50 * np.sin(angle + np.arange(4))
    fields = {"conditions": conditions, "truth": {"rates": rates}, "bin_width": 0.02}
    return SpikeData(rng.poisson(rates * 0.02), **(fields | changes))


def _fit_psth(model, data):
    return model.estimate(model.init(DataSpec.of(data), key=KEY), data, key=KEY)


def test_psth_follows_the_model_protocol():
    assert isinstance(PSTH(), EstimatedModel)


def test_psth_is_the_mean_over_observed_trials():
    rng = np.random.default_rng(0)
    data = _recording(conditions=None, observed=rng.random((40, 12, 4)) > 0.3)
    spoiled = data.replace(counts=np.where(data.observed, data.counts, 7))
    params = _fit_psth(PSTH(prior_trials=1e-9), spoiled)
    mean = np.ma.masked_array(data.counts, ~data.observed).mean(axis=0)
    np.testing.assert_allclose(params["counts"], mean, atol=1e-8)
    rates = PSTH().infer(params, data).rates
    np.testing.assert_allclose(rates, np.broadcast_to(mean / 0.02, rates.shape), atol=1e-6)


def test_conditions_have_their_own_histograms_shrunk_to_that_of_all():
    data, model = _recording(), PSTH(prior_trials=2.0)
    rates = model.infer(_fit_psth(model, data), data).rates
    neuron_mean = data.counts.mean(axis=(0, 1))
    together = (data.counts.sum(axis=0) + 2 * neuron_mean) / 42
    left = data.conditions == "left"
    expected = (data.counts[left].sum(axis=0) + 2 * together) / (left.sum() + 2)
    np.testing.assert_allclose(
        rates[left] * 0.02, np.broadcast_to(expected, rates[left].shape), rtol=1e-12
    )
    truth = data.truth["rates"]
    pooled_model = PSTH(by_condition=False)
    pooled = pooled_model.infer(_fit_psth(pooled_model, data), data).rates
    # 13 trials of each condition: the noise of a mean is 60 / 0.02 / 13 Hz² = (15 Hz)²
    assert np.mean((rates - truth) ** 2) < 15**2 < np.mean((pooled - truth) ** 2) / 4


def test_an_unknown_condition_gets_the_histogram_of_all_trials():
    data, model = _recording(), PSTH()
    params = _fit_psth(model, data)
    other = data.replace(conditions=np.resize(["left", "never seen"], 40))
    rates = model.infer(params, other).rates
    np.testing.assert_array_equal(rates[1], params["counts"] / 0.02)
    np.testing.assert_array_equal(rates[0], model.infer(params, data).rates[0])
    unlabelled = model.infer(params, data.replace(conditions=None)).rates
    np.testing.assert_array_equal(unlabelled[0], params["counts"] / 0.02)


def test_smoothing_over_time_lowers_the_error_of_few_trials():
    data = _recording(n_trials=6)
    errors = {}
    for width in (0.0, 0.02, 1.0):
        model = PSTH(width=width)
        rates = model.infer(_fit_psth(model, data), data).rates
        errors[width] = np.mean((rates - data.truth["rates"]) ** 2)
    assert errors[0.02] < 0.8 * errors[0.0] and errors[0.02] < 0.8 * errors[1.0]


def test_silent_neurons_and_unseen_bins_keep_positive_rates():
    data = _recording(conditions=None)
    counts, observed = data.counts.copy(), np.ones(data.counts.shape, bool)
    counts[:, :, 1] = 0
    observed[:, 5] = False
    observed[:, :, 3] = False
    data = data.replace(counts=counts, observed=observed)
    for width in (0.0, 0.03):
        model = PSTH(width=width)
        rates = model.infer(_fit_psth(model, data), data).rates
        assert np.isfinite(rates).all() and (rates > 0).all()
        # half a spike in the 440 bins seen, spread over 12 bins with a weight of one trial in 41
        assert rates[0, :, 1].max() <= 0.5 / 440 / 0.02 * (1 + 1e-12)
    unsmoothed = PSTH().infer(_fit_psth(PSTH(), data), data).rates
    mean = np.mean(counts[:, :, 0], where=observed[:, :, 0])
    np.testing.assert_allclose(unsmoothed[0, 5, 0] * 0.02, mean, rtol=1e-12)


def test_simulated_trials_follow_the_histograms():
    data, model = _recording(), PSTH()
    params = _fit_psth(model, data)
    new = model.simulate(params, n_trials=3000, n_bins=8, bin_width=0.02, key=KEY)
    assert sorted(set(new.conditions)) == ["left", "none", "right"]
    for name in ("left", "none", "right"):
        mine = model.infer(params, data).rates[data.conditions == name][0][:8]
        trials = new.conditions == name
        np.testing.assert_allclose(new.truth["rates"][trials][0], mine, rtol=1e-12)
        # a mean of 1000 Poisson counts, within five standard errors
        noise = np.sqrt(mine / 0.02 / 1000)
        assert (np.abs(new.counts[trials].mean(axis=0) / 0.02 - mine) < 5 * noise).all()
    with pytest.raises(ValueError, match="12 bins cannot make trials of 13"):
        model.simulate(params, n_trials=1, n_bins=13, bin_width=0.02, key=KEY)


@pytest.mark.parametrize("labels", [["left", "right"], [10, 2], [0.5, -1.0]])
def test_labels_of_any_type_find_their_histogram(labels):
    data = _recording(conditions=np.resize(labels, 40))
    params = _fit_psth(PSTH(), data)
    rates = PSTH().infer(params, data).rates
    assert not np.array_equal(rates[0], rates[1])
    np.testing.assert_array_equal(rates[0], rates[2])


def test_a_psth_for_other_data_says_so():
    data = _recording()
    params = _fit_psth(PSTH(), data)
    with pytest.raises(ValueError, match="for 12 bins and 4 neurons, the data has 11 and 4"):
        PSTH().infer(params, data.select_bins(0, 11))
    with pytest.raises(ValueError, match="needs spike counts"):
        PSTH().estimate(params, data.replace(kind="continuous"))
    with pytest.raises(ValueError, match="width must be 0 or a positive number of seconds, got -1"):
        PSTH(width=-1)
    with pytest.raises(ValueError, match="prior_trials must be positive, got 0"):
        PSTH(prior_trials=0)


def test_a_psth_by_condition_survives_its_file(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.MODELS, "psth", PSTH)
    data = _recording()
    Fitted(PSTH(), _fit_psth(PSTH(), data)).save(tmp_path)
    loaded = Fitted.load(tmp_path)
    np.testing.assert_array_equal(
        loaded.infer(data, key=KEY).rates, PSTH().infer(_fit_psth(PSTH(), data), data).rates
    )
