import numpy as np
import pytest

from latentspike.evaluate import decode, decode_blind
from latentspike.spikes import Split


def _problem(seed=0, n_trials=30, n_bins=20, noise=0.5):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_trials, n_bins, 4)) * [1.0, 3.0, 10.0, 0.1] + [0.0, 5.0, -2.0, 1]
    weights = rng.normal(size=(4, 2)) / np.array([1.0, 3.0, 10.0, 0.1])[:, None]
    return features, features @ weights + 1.0 + noise * rng.normal(size=(n_trials, n_bins, 2))


def test_ole_is_least_squares_with_an_intercept():
    features, behavior = _problem()
    result = decode(features, behavior, bin_width=0.02, n_folds=3)
    for fold in result.folds:
        x, y = features[fold.train].reshape(-1, 4), behavior[fold.train].reshape(-1, 2)
        solution = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0]
        expected = features[fold.validation] @ solution[:4] + solution[4]
        np.testing.assert_allclose(result.predictions[fold.validation], expected, atol=1e-8)
    error = np.sum((behavior - result.predictions) ** 2, axis=(0, 1))
    spread = np.sum((behavior - behavior.mean(axis=(0, 1))) ** 2, axis=(0, 1))
    np.testing.assert_allclose(result.r2, 1 - error / spread)
    assert result.mean == pytest.approx(result.r2.mean())
    assert result.r2_per_fold.shape == (3, 2)


def test_folds_are_runs_of_trials_that_test_each_trial_once():
    features, behavior = _problem(n_trials=11)
    folds = decode(features, behavior, bin_width=0.02, n_folds=4).folds
    np.testing.assert_array_equal(np.concatenate([f.validation for f in folds]), np.arange(11))
    assert all(np.all(np.diff(fold.validation) == 1) for fold in folds)


def test_collinear_features_take_the_minimum_norm_solution():
    features, behavior = _problem()
    doubled = np.concatenate([features, features, np.ones((30, 20, 1))], axis=2)
    single = decode(features, behavior, bin_width=0.02)
    np.testing.assert_allclose(
        decode(doubled, behavior, bin_width=0.02).predictions, single.predictions, atol=1e-8
    )


def test_test_trials_cannot_leak_into_their_prediction():
    features, behavior = _problem()
    for settings in (
        {"method": "ole"},
        {"method": "ridge", "n_history_bins": 3},
        {"method": "ridge", "n_history_bins": "trial"},
    ):
        clean = decode(features, behavior, bin_width=0.02, **settings)
        test = clean.folds[0].validation
        spoiled = behavior.copy()
        spoiled[test] += 100 * np.random.default_rng(1).normal(size=spoiled[test].shape)
        again = decode(features, spoiled, bin_width=0.02, **settings)
        np.testing.assert_allclose(again.predictions[test], clean.predictions[test], atol=1e-8)


def test_lag_finds_activity_that_leads_and_leaves_out_bins_without_activity():
    features, _ = _problem()
    behavior = np.roll(features, 3, axis=1)[:, :, :2]
    behavior[:, :3] = 1e3  # no activity led these bins: they must not matter
    result = decode(features, behavior, bin_width=0.02, lag=0.06)
    assert result.mean == pytest.approx(1.0)
    assert np.isnan(result.predictions[:, :3]).all()
    assert np.isfinite(result.predictions[:, 3:]).all()
    backwards = np.roll(features, -2, axis=1)[:, :, :2]
    backwards[:, -2:] = 1e3
    assert decode(features, backwards, bin_width=0.02, lag=-0.04).mean == pytest.approx(1.0)


def test_history_finds_behavior_that_sums_the_past():
    features, _ = _problem()
    z = features[:, :, :1]
    behavior = z + 0.5 * np.roll(z, 1, axis=1) - 2 * np.roll(z, 2, axis=1)
    behavior[:, :2] = np.nan
    short = decode(features, behavior, bin_width=0.02)
    full = decode(features, behavior, bin_width=0.02, n_history_bins=3)
    assert full.mean == pytest.approx(1.0)
    assert short.mean < 0.5


def test_bins_without_behavior_neither_train_nor_score():
    features, behavior = _problem()
    holes = behavior.copy()
    holes[::3, 5:9, 1] = np.nan
    filled = np.where(np.isnan(holes), np.nan, holes)
    filled[::3, 5:9, 0] = 1e6  # the other dimension of a missing bin must not matter either
    for settings in ({}, {"method": "ridge", "n_history_bins": "trial"}):
        first, second = (decode(features, b, bin_width=0.02, **settings) for b in (holes, filled))
        np.testing.assert_allclose(first.r2, second.r2)
        np.testing.assert_allclose(first.predictions, second.predictions)


def test_behavior_of_one_dimension_may_be_two_dimensional():
    features, behavior = _problem()
    flat = decode(features, behavior[:, :, 0], bin_width=0.02)
    assert flat.r2 == pytest.approx(decode(features, behavior, bin_width=0.02).r2[:1])


def test_blind_decoding_with_the_same_features_is_plain_decoding():
    features, behavior = _problem()
    plain = decode(features, behavior, bin_width=0.02, method="ridge")
    blind = decode_blind([features] * 5, behavior, plain.folds, bin_width=0.02, method="ridge")
    np.testing.assert_allclose(blind.predictions, plain.predictions)
    np.testing.assert_array_equal(blind.penalties, plain.penalties)


def test_blind_decoding_reads_the_features_of_each_fold():
    features, behavior = _problem()
    folds = decode(features, behavior, bin_width=0.02, n_folds=3).folds
    turned = [features[:, :, ::-1], features, features[:, :, :2]]
    result = decode_blind(turned, behavior, folds, bin_width=0.02)
    for index, fold in enumerate(folds):
        alone = decode_blind([turned[index]], behavior, [fold], bin_width=0.02)
        test = fold.validation
        np.testing.assert_allclose(alone.predictions[test], result.predictions[test], atol=1e-9)


def test_blind_decoding_rejects_folds_that_overlap_or_do_not_exist():
    features, behavior = _problem(n_trials=4)
    twice = [Split(train=[0, 1], validation=[2, 3]), Split(train=[0, 1], validation=[3])]
    with pytest.raises(ValueError, match="tested by two"):
        decode_blind([features] * 2, behavior, twice, bin_width=0.02)
    with pytest.raises(ValueError, match="1 feature arrays for 2"):
        decode_blind([features], behavior, twice, bin_width=0.02)
    with pytest.raises(ValueError, match="of 4"):
        decode_blind([features], behavior, [Split([0, 1], [9])], bin_width=0.02)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "kalman"}, "method"),
        ({"lag": 0.013}, "whole number of bins"),
        ({"n_history_bins": 0}, "n_history_bins"),
        ({"n_history_bins": "trial"}, "ridge"),
        ({"n_history_bins": "trial", "method": "ridge", "lag": 0.02}, "no lag"),
        ({"method": "ridge", "penalties": (0.0,)}, "positive"),
        ({"n_folds": 31}, "n_folds"),
        ({"n_folds": 1}, "n_folds"),
    ],
)
def test_bad_decoder_settings_are_named(settings, message):
    features, behavior = _problem()
    with pytest.raises(ValueError, match=message):
        decode(features, behavior, bin_width=0.02, **settings)


def test_bad_decoding_data_are_located():
    features, behavior = _problem()
    features[4, 5, 2] = np.inf
    with pytest.raises(ValueError, match="trial 4, bin 5, 2"):
        decode(features, behavior, bin_width=0.02)
    with pytest.raises(ValueError, match="share trials"):
        decode(features[:, :3], behavior, bin_width=0.02)
    with pytest.raises(ValueError, match="fewer than two"):
        decode(np.ones((9, 5, 1)), np.full((9, 5, 1), np.nan), bin_width=0.02)
    with pytest.raises(ValueError, match="varies"):
        decode(_problem()[0], np.ones((30, 20, 1)), bin_width=0.02)
