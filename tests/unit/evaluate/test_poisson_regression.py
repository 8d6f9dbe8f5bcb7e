import numpy as np
import pytest
from scipy.optimize import minimize

from latentspike.evaluate.poisson_regression import fit_poisson


def _problem(n_features=3, n_rows=400, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(2.0, 3.0, (n_rows, n_features))
    weights = rng.normal(0, 0.1, (n_features, 2))
    return features, rng.poisson(np.exp(features @ weights - 1.0))


def _direct(features, counts, exposure, penalty):
    """The same objective in its total form, left to a general-purpose optimiser."""
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)

    def loss(theta):
        log_rates = scaled @ theta[1:] + theta[0] + np.log(exposure)
        return np.sum(np.exp(log_rates) - counts * log_rates) + penalty / 2 * np.sum(theta[1:] ** 2)

    theta = minimize(loss, np.zeros(features.shape[1] + 1), method="BFGS", tol=1e-7).x
    return np.exp(scaled @ theta[1:] + theta[0])


@pytest.mark.parametrize("with_exposure", [False, True])
def test_predictions_minimise_the_documented_objective(with_exposure):
    features, counts = _problem()
    exposure = np.random.default_rng(1).uniform(0.5, 2.0, counts.shape)
    exposure = exposure if with_exposure else np.ones(counts.shape)
    fitted = fit_poisson(features, counts, penalty=5.0, exposure=exposure)
    for neuron in range(2):
        expected = _direct(features, counts[:, neuron], exposure[:, neuron], 5.0)
        np.testing.assert_allclose(fitted.predict(features)[:, neuron], expected, rtol=2e-3)


def test_many_features_use_another_solver_with_the_same_answer(monkeypatch):
    features, counts = _problem(6)
    newton = fit_poisson(features, counts, penalty=3.0)
    monkeypatch.setattr("latentspike.evaluate.poisson_regression._MANY_FEATURES", 2)
    quasi_newton = fit_poisson(features, counts, penalty=3.0)
    np.testing.assert_allclose(newton.weights, quasi_newton.weights, atol=2e-3)


def test_rows_that_were_not_observed_do_not_count():
    features, counts = _problem()
    observed = np.random.default_rng(2).random(counts.shape) < 0.6
    first, second = (
        fit_poisson(features, np.where(observed, counts, fill), observed) for fill in (0, 50)
    )
    np.testing.assert_array_equal(first.weights, second.weights)
    assert not np.allclose(first.weights, fit_poisson(features, counts).weights)


def test_a_silent_neuron_gets_half_a_spike():
    features, counts = _problem()
    counts[:, 1] = 0
    predicted = fit_poisson(features, counts).predict(features)
    np.testing.assert_allclose(predicted[:, 1].sum(), 0.5)


def test_constant_features_and_far_extrapolation_stay_finite():
    features, counts = _problem()
    features[:, 0] = 3.0
    fitted = fit_poisson(features, counts)
    assert np.isfinite(fitted.weights).all()
    assert np.isfinite(fitted.predict(features * 1e6)).all()


def test_bad_poisson_regressions_are_errors():
    features, counts = _problem()
    with pytest.raises(ValueError, match="penalty"):
        fit_poisson(features, counts, penalty=0.0)
    with pytest.raises(ValueError, match="never observed"):
        fit_poisson(features, counts, np.zeros(counts.shape, bool))
