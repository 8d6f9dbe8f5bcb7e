import jax
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from latentspike import SpikeData
from latentspike.evaluate import co_smoothing_bits, forward_bits
from latentspike.models.protocol import DataSpec, EstimatedModel
from latentspike.models.smoothing import (
    GaussianSmoothing,
    choose_heldout_width,
    choose_width,
    leave_one_out_log_likelihood,
    tuned_smoothing,
)
from latentspike.simulate import linear_factors

KEY = jax.random.key(0)


def _data(**changes):
    return linear_factors(
        n_conditions=8, n_trials_per_condition=5, n_neurons=12, mean_rate=30, seed=0
    ).replace(**changes)


def _fit(model, data):
    return model.estimate(model.init(DataSpec.of(data), key=KEY), data, key=KEY)


def test_smoothing_follows_the_model_protocol():
    assert isinstance(GaussianSmoothing(), EstimatedModel)


def test_rates_in_the_interior_are_scipys():
    data, model = _data(), GaussianSmoothing(width=0.05)
    posterior = model.infer(_fit(model, data), data, n_samples=3, key=KEY)
    expected = gaussian_filter1d(data.counts.astype(float), 5.0, axis=1) / data.bin_width
    np.testing.assert_allclose(posterior.rates[:, 20:-20], expected[:, 20:-20], atol=1e-9)
    np.testing.assert_array_equal(posterior.trial_ids, data.trial_ids)


def test_missing_bins_are_bridged_and_never_read():
    observed = np.ones((40, 100, 12), bool)
    observed[3, 20:40, 2] = False
    observed[4, :, 5] = False
    data, model = _data(observed=observed), GaussianSmoothing(width=0.03)
    params = _fit(model, data)
    spoiled = data.replace(counts=np.where(observed, data.counts, 9))
    rates = model.infer(params, data).rates
    np.testing.assert_array_equal(rates, model.infer(params, spoiled).rates)
    np.testing.assert_array_equal(params["mean_counts"], _fit(model, spoiled)["mean_counts"])
    np.testing.assert_allclose(rates[4, :, 5], params["mean_counts"][5] / data.bin_width)


def test_heldout_neurons_are_predicted_from_the_others_only():
    data, model = _data(heldout=np.arange(12) % 4 == 1), GaussianSmoothing()
    train, test = data.select_trials(slice(0, None, 2)), data.select_trials(slice(1, None, 2))
    params = _fit(model, train)
    posterior = model.infer(params, test)
    spoiled = test.counts.copy()
    spoiled[:, :, test.heldout] = 5
    again = model.infer(params, test.replace(counts=spoiled))
    np.testing.assert_array_equal(again.rates, posterior.rates)
    bits = co_smoothing_bits(test, posterior)
    assert bits.value > 3 * bits.standard_error


def test_parameters_before_any_fit_predict_the_mean():
    data, model = _data(heldout=np.arange(12) >= 10), GaussianSmoothing()
    rates = model.infer(model.init(DataSpec.of(data)), data).rates
    mean = data.counts[:, :, 10:].mean(axis=(0, 1)) / data.bin_width
    np.testing.assert_allclose(rates[:, :, 10:], np.broadcast_to(mean, (40, 100, 2)))


@pytest.mark.parametrize("forward", ["mean", "last"])
def test_forward_bins_are_predicted_without_reading_them(forward):
    data = _data(heldout=np.arange(12) >= 10, n_forward_bins=20)
    model = GaussianSmoothing(forward=forward)
    params = _fit(model, data)
    rates = model.infer(params, data).rates
    spoiled = data.counts.copy()
    spoiled[:, -20:] = 7
    np.testing.assert_array_equal(model.infer(params, data.replace(counts=spoiled)).rates, rates)
    np.testing.assert_allclose(rates[:, -20:], rates[:, -1:].repeat(20, axis=1))
    if forward == "last":
        np.testing.assert_allclose(rates[:, -21:-20], rates[:, -20:-19])
    else:
        assert np.ptp(rates[:, -1], axis=0) == pytest.approx(np.zeros(12), abs=1e-9)
    assert np.isfinite(forward_bits(data, model.infer(params, data)).value)


def test_continuous_data_keep_their_unit():
    trace = np.random.default_rng(0).normal(5.0, 1.0, (3, 50, 2))
    data, model = SpikeData(trace, 0.02, kind="continuous"), GaussianSmoothing(width=0.1)
    assert model.infer(_fit(model, data), data).rates.mean() == pytest.approx(5.0, abs=0.3)


def test_parameters_of_other_data_are_an_error():
    data, model = _data(), GaussianSmoothing()
    params = _fit(model, data)
    with pytest.raises(ValueError, match="parameters are for 12"):
        model.infer(params, data.select_neurons(slice(0, 5)))
    with pytest.raises(ValueError, match="parameters are for 12"):
        model.infer(params, data.replace(heldout=np.arange(12) == 0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0.0}, "width"),
        ({"heldout_width": -1.0}, "heldout_width"),
        ({"forward": "next"}, "forward"),
        ({"penalty": -1}, "penalty"),
    ],
)
def test_bad_smoothing_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        GaussianSmoothing(**settings)


def test_the_chosen_width_is_close_to_the_best_for_the_true_rates():
    data = linear_factors(
        n_conditions=30, n_trials_per_condition=2, max_frequency=4.0, mean_rate=25, seed=1
    )
    widths = (0.01, 0.03, 0.06, 0.12, 0.25, 1.0)
    true = data.truth["rates"]

    def error(width):
        model = GaussianSmoothing(width=width)
        return float(np.mean((model.infer(_fit(model, data), data).rates - true) ** 2))

    errors = [error(width) for width in widths]
    chosen = choose_width(data, widths)
    assert 0.01 < chosen < 1.0
    assert errors[widths.index(chosen)] < 1.3 * min(errors)


def test_leaving_the_own_bin_out_stops_the_narrowest_kernel_from_winning():
    data = SpikeData(np.random.default_rng(0).poisson(0.3, (20, 60, 5)), 0.01)  # constant rates
    assert choose_width(data, (0.005, 0.05, 0.5)) == 0.5
    scores = [leave_one_out_log_likelihood(data, w) for w in (0.005, 0.05, 0.5)]
    assert scores == sorted(scores)


def test_with_heldout_neurons_the_width_is_the_best_for_them_in_new_trials():
    data = linear_factors(
        n_conditions=30, n_trials_per_condition=6, max_frequency=4.0, mean_rate=30, seed=1
    )
    data = data.replace(heldout=np.arange(data.n_neurons) % 4 == 0)
    train, test = data.select_trials(slice(0, 120)), data.select_trials(slice(120, None))
    widths = (0.01, 0.03, 0.06, 0.12, 0.25, 1.0)

    def bits(width):
        model = GaussianSmoothing(width=0.5, heldout_width=width)
        return float(co_smoothing_bits(test, model.infer(_fit(model, train), test)))

    scores = [bits(width) for width in widths]
    chosen = widths.index(choose_heldout_width(train, widths))
    assert scores[chosen] > 0.9 * max(scores) > 0
    assert scores[chosen] > scores[-1] + 0.02


def test_heldout_neurons_change_neither_the_width_nor_the_rates_of_the_others():
    """A regression averages over neurons and likes narrow kernels; own rates must not suffer."""
    data = linear_factors(n_conditions=30, n_trials_per_condition=4, mean_rate=20, seed=1)
    some = data.replace(heldout=np.arange(data.n_neurons) % 4 == 0)
    tuned = tuned_smoothing(some)
    assert tuned.width == choose_width(data.select_neurons(~some.heldout))
    assert tuned.heldout_width == choose_heldout_width(some)
    narrow = GaussianSmoothing(tuned.width, heldout_width=0.01)
    wide = GaussianSmoothing(tuned.width, heldout_width=0.25)
    a, b = (model.infer(_fit(model, some), some).rates for model in (narrow, wide))
    assert (a[:, :, ~some.heldout] == b[:, :, ~some.heldout]).all()
    assert np.abs(a[:, :, some.heldout] - b[:, :, some.heldout]).max() > 1


def test_choose_width_needs_widths_and_counts():
    with pytest.raises(ValueError, match="at least one"):
        choose_width(_data(), ())
    with pytest.raises(ValueError, match="counts"):
        choose_width(SpikeData(np.ones((2, 5, 1)), 0.01, kind="continuous"))
