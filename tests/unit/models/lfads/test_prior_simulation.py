import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike.models.lfads import LFADS, Architecture
from latentspike.models.lfads.prior_simulation import _autoregressive
from latentspike.models.protocol import DataSpec

KEY = jax.random.key(0)


def model(**changes):
    sizes = {
        "generator_size": 6, "n_factors": 3, "ic_encoder_size": 5, "ic_size": 3,
        "n_inferred_inputs": 2, "ci_encoder_size": 5, "controller_size": 5,
    }  # fmt: skip
    return LFADS(Architecture(**sizes | changes))


def simulate(lfads, mean=0.5, n_trials=40, n_bins=15, key=KEY):
    params = lfads.init(DataSpec(4, 10, 4, 10, 0, np.full(4, mean)), key=KEY)
    return lfads.simulate(params, n_trials=n_trials, n_bins=n_bins, bin_width=0.05, key=key)


def test_shapes_and_truth():
    data = simulate(model())
    assert data.counts.shape == (40, 15, 4) and data.kind == "counts" and data.bin_width == 0.05
    assert {n: v.shape[2] for n, v in data.truth.items()} == {"rates": 4, "factors": 3, "inputs": 2}
    assert data.truth["rates"].min() > 0


def test_counts_are_poisson_around_the_true_rates_in_hz():
    data = simulate(model(), n_trials=200)
    expected = data.truth["rates"] * data.bin_width
    total, error = expected.sum(), np.sqrt(expected.sum())
    assert abs(data.counts.sum() - total) < 5 * error
    # the variance around the mean is the mean: chi-square per entry
    score = ((data.counts - expected) ** 2 / expected).mean()
    assert score == pytest.approx(1.0, abs=0.1)


def test_the_autonomous_model_has_no_inputs():
    assert set(simulate(model(n_inferred_inputs=0)).truth) == {"rates", "factors"}


def test_gaussian_models_simulate_continuous_values():
    data = simulate(model(observation="gaussian"), n_trials=100)
    assert data.kind == "continuous"
    assert (data.counts - data.truth["rates"]).std() == pytest.approx(1.0, abs=0.05)


def test_the_key_decides():
    a, b, c = (simulate(model(), key=jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.counts, b.counts)
    assert not np.array_equal(a.counts, c.counts)


def test_inputs_are_a_stationary_autoregressive_process():
    prior = {"log_time_constant": jnp.log(jnp.array([2.0, 8.0])),
             "log_variance": jnp.log(jnp.array([0.1, 0.3]))}  # fmt: skip
    n_trials = 20_000
    noise = np.random.default_rng(0).standard_normal((12, n_trials, 2)).astype(np.float32)
    paths = np.asarray(_autoregressive(prior, noise))
    alpha = np.exp(-1 / np.array([2.0, 8.0]))
    variance = np.array([0.1, 0.3]) / (1 - alpha**2)
    error = variance * np.sqrt(2 / n_trials)
    assert np.all(np.abs(paths.var(axis=1) - variance) < 5 * error)  # from the first bin on
    assert np.all(np.abs(paths.mean(axis=1)) < 5 * np.sqrt(variance / n_trials))
    covariance = (paths[1:] * paths[:-1]).mean(axis=1)
    assert np.all(np.abs(covariance / variance - alpha) < 5 * np.sqrt(2 / n_trials))
