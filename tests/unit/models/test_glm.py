import subprocess
import sys

import jax
import numpy as np
import pytest

from latentspike import SpikeData, devices
from latentspike.models.glm import GLM, lag_basis, weights
from latentspike.models.protocol import DataSpec, EstimatedModel

devices.prepare()
KEY = jax.random.key(0)
MODEL = GLM(history=0.05, n_basis=3)  # five bins
NAMES = np.array(["driver", "driven", "silent", "heldout", "alone"])


def _init(model, data):
    return model.init(DataSpec.of(data), key=KEY)


def _spikes(n_trials=120, n_bins=50):
    """The first neuron drives the second and the held-out one; the fifth only itself."""
    rng = np.random.default_rng(2)
    counts = np.zeros((n_trials, n_bins, 5), int)
    for t in range(n_bins):
        before = counts[:, t - 1] if t else np.zeros((n_trials, 5))
        log_counts = np.full((n_trials, 5), np.log(0.2))
        log_counts[:, [1, 3]] += 0.8 * before[:, :1]
        log_counts[:, 4] -= 1.5 * before[:, 4]
        counts[:, t] = rng.poisson(np.exp(log_counts))
    counts[:, :, 2] = 0
    return SpikeData(
        counts, bin_width=0.01, heldout=NAMES == "heldout", neuron_ids=NAMES, n_forward_bins=10
    )


@pytest.fixture(scope="module")
def spikes():
    return _spikes()


@pytest.fixture(scope="module")
def params(spikes):
    pytest.importorskip("nemos")
    return MODEL.estimate(_init(MODEL, spikes), spikes, key=KEY)


def test_a_glm_follows_the_model_protocol():
    assert isinstance(GLM(), EstimatedModel)


def test_each_lag_has_its_own_weight_where_history_is_short():
    np.testing.assert_array_equal(lag_basis(3, 5), np.eye(3, 5))
    np.testing.assert_array_equal(lag_basis(4, 4), np.eye(4))


@pytest.mark.parametrize(("n_lags", "n_basis"), [(6, 1), (10, 5), (200, 5), (30, 10)])
def test_basis_functions_follow_each_other_and_differ(n_lags, n_basis):
    basis = lag_basis(n_lags, n_basis)
    assert basis.shape == (n_lags, n_basis) and basis.min() >= 0 and basis.max() <= 1
    assert basis[0, 0] == 1 and (np.diff(basis.argmax(axis=0)) >= 0).all()
    assert np.linalg.cond(basis) < 100


def test_filters_point_where_spikes_came_from(params):
    filters = MODEL.filters(params)
    assert filters.shape == (5, 5, 5)
    np.testing.assert_allclose(filters[0, 0, [1, 3]], 0.8, atol=0.25)
    assert filters[0, 4, 4] < -0.7
    others = filters.copy()
    others[:, 0, [1, 3]] = others[:, 4, 4] = 0
    assert np.abs(others).max() < 0.4


def test_heldout_neurons_drive_nothing_and_are_predicted_from_the_others(params, spikes):
    assert not params["weights"][:, 3].any() and params["weights"][:, 0, 3].any()
    rates = MODEL.infer(params, spikes).rates
    after_spike = spikes.counts[:, 9, 0] > 0
    expected = 0.2 * np.exp(0.8 * spikes.counts[:, 9, 0]) / 0.01
    assert np.corrcoef(rates[:, 10, 3], expected)[0, 1] > 0.8
    assert rates[after_spike, 10, 3].mean() > 1.5 * rates[~after_spike, 10, 3].mean()


def test_the_rate_of_a_bin_does_not_depend_on_its_own_or_later_spikes(params, spikes):
    later = spikes.counts.copy()
    later[:, 20:] += 1
    rates, changed = (
        MODEL.infer(params, data).rates for data in (spikes, spikes.replace(counts=later))
    )
    np.testing.assert_array_equal(rates[:, :21], changed[:, :21])
    assert (rates[:, 21, 1] != changed[:, 21, 1]).all()


def test_no_filter_reaches_over_the_edge_of_a_trial(params, spikes):
    rates = MODEL.infer(params, spikes).rates
    baseline = np.exp(params["intercept"]) / 0.01
    np.testing.assert_allclose(rates[:, 0], np.tile(baseline, (120, 1)), rtol=1e-12)
    # so a trial alone is as it was among others
    np.testing.assert_array_equal(
        MODEL.infer(params, spikes.select_trials(slice(7, 8))).rates[0], rates[7]
    )


def test_rates_are_the_filters_applied_to_what_may_be_read(params, spikes):
    observed = np.random.default_rng(0).random(spikes.counts.shape) > 0.2
    data = spikes.replace(observed=observed)
    rates, filters = MODEL.infer(params, data).rates, MODEL.filters(params)
    readable = observed[5, :40]
    past = np.tile(params["mean_counts"], (50, 1))
    past[:40] = np.where(readable, data.counts[5, :40], past[:40])
    past[:, 3] = 0  # held out: its filters are zero anyway
    for t in (3, 17, 41, 47):
        drive = sum(past[t - lag] @ filters[lag - 1] for lag in range(1, min(t, 5) + 1))
        expected = np.minimum(np.exp(params["intercept"] + drive), params["ceiling"]) / 0.01
        np.testing.assert_allclose(rates[5, t], expected, rtol=1e-10)


def test_forward_bins_fall_back_to_one_rate(params, spikes):
    rates = MODEL.infer(params, spikes).rates
    assert rates[:, 40, 1].std() > 0.05 * rates[:, 40, 1].mean()
    far = rates[:, 45:]  # five bins after the last one read
    np.testing.assert_allclose(far, np.broadcast_to(far[:1, :1], far.shape), rtol=1e-12)
    np.testing.assert_allclose(far[0, 0] * 0.01, params["mean_counts"], atol=0.05)


def test_a_silent_neuron_breaks_nothing(params, spikes):
    assert not params["weights"][:, :, 2].any() and not params["weights"][:, 2].any()
    rates = MODEL.infer(params, spikes).rates[:, :, 2]
    np.testing.assert_allclose(rates, 0.5 / (120 * 50) / 0.01, rtol=1e-12)


def test_a_free_run_has_the_rates_of_the_recording(params, spikes):
    new = MODEL.simulate(params, n_trials=400, n_bins=50, bin_width=0.01, key=KEY)
    np.testing.assert_allclose(
        new.counts.mean(axis=(0, 1)), spikes.counts.mean(axis=(0, 1)), atol=0.02
    )
    # the truth is the rate given the spikes that were drawn
    without = {**params, "mean_counts": np.zeros(5)}
    read_again = MODEL.infer(without, new).rates
    np.testing.assert_allclose(new.truth["rates"], read_again, rtol=1e-10)


def test_a_filter_that_feeds_itself_cannot_explode(params):
    wild = {**params, "weights": params["weights"] + 2.0, "ceiling": np.full(5, 3.0)}
    new = MODEL.simulate(wild, n_trials=2, n_bins=50, bin_width=0.01, key=KEY)
    assert new.truth["rates"].max() <= 3.0 / 0.01 * (1 + 1e-12) and new.counts.mean() > 2


def test_a_long_recording_is_fitted_to_trials_at_even_distances(params, spikes, monkeypatch):
    rows = []

    def fake(design, targets, start, **_):
        rows.append(targets[:, 0])
        return start, np.zeros((design.shape[1], targets.shape[1]))

    monkeypatch.setattr("latentspike.models.glm.model.fit_weights", fake)
    model = GLM(max_rows=199)
    model.estimate(_init(model, spikes), spikes, key=KEY)
    np.testing.assert_array_equal(rows[0], spikes.counts[[0, 59, 119], :, 0].ravel())


def test_without_nemos_the_glm_names_the_extra(spikes, monkeypatch):
    weights._solver.cache_clear()
    monkeypatch.setitem(sys.modules, "nemos", None)
    with pytest.raises(ImportError, match=r"pip install 'latentspike\[glm\]'"):
        MODEL.estimate(_init(MODEL, spikes), spikes, key=KEY)


def test_nemos_changes_no_setting_of_jax():
    pytest.importorskip("nemos")
    code = (
        "import jax; before = dict(jax.config.values); import nemos; "
        "print([k for k, v in jax.config.values.items() if before.get(k) != v])"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_fitting_leaves_single_precision_in_force(params):
    assert not jax.config.jax_enable_x64
    assert all(np.asarray(value).dtype == np.float64 for value in params.values())


def test_what_does_not_suit_a_glm_is_named(spikes):
    params = _init(MODEL, spikes)
    hidden = np.ones(spikes.counts.shape, bool)
    hidden[:, :, 1] = False
    with pytest.raises(ValueError, match="neuron driven was never observed"):
        MODEL.estimate(params, spikes.replace(observed=hidden), key=KEY)
    with pytest.raises(ValueError, match="needs spike counts"):
        MODEL.infer(params, spikes.replace(kind="continuous"))
    with pytest.raises(ValueError, match="for 5 neurons, the data has 4"):
        MODEL.infer(params, spikes.select_neurons(np.arange(4)))


@pytest.mark.parametrize("option", ["history", "ridge", "n_basis", "max_rows"])
def test_options_of_a_glm_out_of_range_are_named(option):
    with pytest.raises(ValueError, match=f"{option} must be .*, got 0"):
        GLM(**{option: 0})
