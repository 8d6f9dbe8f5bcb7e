import numpy as np
import pytest
from sklearn.linear_model import Ridge

from latentspike.evaluate.regression import Regression, _design, contiguous_folds, fit_predict


def _problem(seed=0, shape=(24, 10, 3), noise=1.0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=shape)
    return features, features @ rng.normal(size=(3, 2)) + noise * rng.normal(size=(*shape[:2], 2))


TRAIN, TEST = np.arange(18), np.arange(18, 24)


def _standardised(features):
    flat = features[TRAIN].reshape(-1, features.shape[2])
    return (features - flat.mean(axis=0)) / flat.std(axis=0)


def test_history_ridge_is_scikit_learns_ridge():
    features, behavior = _problem()
    regression = Regression((0.3,), lag_bins=1, n_history_bins=2)
    guess, _ = fit_predict(features, behavior, TRAIN, TEST, regression)
    design = _design(_standardised(features), regression)
    ridge = Ridge(alpha=0.3 * 180).fit(
        design[TRAIN].reshape(180, -1), behavior[TRAIN].reshape(180, 2)
    )
    expected = ridge.predict(design[TEST].reshape(60, -1)).reshape(6, 10, 2)
    np.testing.assert_allclose(guess, expected, atol=1e-9)


def test_whole_trial_ridge_is_scikit_learns_ridge_for_each_bin():
    features, behavior = _problem()
    behavior[:3, 4] = np.nan
    guess, _ = fit_predict(features, behavior, TRAIN, TEST, Regression((0.3,), 0, None))
    design = _standardised(features).reshape(24, -1)
    for time_bin, rows in ((0, TRAIN), (4, TRAIN[3:])):
        ridge = Ridge(alpha=0.3 * len(rows)).fit(design[rows], behavior[rows, time_bin])
        np.testing.assert_allclose(guess[:, time_bin], ridge.predict(design[TEST]), atol=1e-9)


def test_a_bin_that_training_never_saw_is_not_predicted():
    features, behavior = _problem()
    behavior[TRAIN, 2] = np.nan
    guess, _ = fit_predict(features, behavior, TRAIN, TEST, Regression((0.3,), 0, None))
    assert np.isnan(guess[:, 2]).all()
    assert np.isfinite(np.delete(guess, 2, axis=1)).all()


@pytest.mark.parametrize("history", [2, None])
def test_the_penalty_is_the_best_of_the_inner_folds(history):
    features, behavior = _problem(noise=3.0)
    penalties = (1e-4, 0.1, 1.0, 1e4)
    errors = []
    for penalty in penalties:
        error = np.zeros(2)
        for fold in contiguous_folds(len(TRAIN), 5):
            fit, check = TRAIN[fold.train], TRAIN[fold.validation]
            # Scaling by all training trials, as the penalties' common scale
            alone = Regression((penalty,), 0, history)
            guess, _ = fit_predict(_standardised(features), behavior, fit, check, alone)
            error += np.sum((guess - behavior[check]) ** 2, axis=(0, 1))
        errors.append((error / behavior[TRAIN].var(axis=(0, 1))).sum())
    chosen = fit_predict(features, behavior, TRAIN, TEST, Regression(penalties, 0, history))[1]
    assert chosen == penalties[int(np.argmin(errors))]


def test_noise_asks_for_a_larger_penalty():
    def choose(noise):
        features, behavior = _problem(noise=noise)
        regression = Regression((1e-5, 1.0, 1e5), 0, 2)
        return fit_predict(features, behavior, TRAIN, TEST, regression)[1]

    assert choose(1e-3) == 1e-5
    assert choose(1e3) > choose(1e-3)


@pytest.mark.parametrize("history", [2, None])
def test_the_best_penalty_is_refitted_to_all_training_trials(history):
    features, behavior = _problem()
    guess, penalty = fit_predict(
        features, behavior, TRAIN, TEST, Regression((0.01, 0.1, 1.0), 0, history)
    )
    alone, _ = fit_predict(features, behavior, TRAIN, TEST, Regression((penalty,), 0, history))
    np.testing.assert_allclose(guess, alone, atol=1e-9)


def test_history_beyond_the_trial_is_the_training_mean():
    design = _design(np.ones((1, 3, 1)), Regression((0.0,), 0, 5))
    np.testing.assert_array_equal(design[0], np.tril(np.ones((3, 5))))
