import numpy as np
import pytest

from latentspike.simulate import LinearFactors, linear_factors, noisy_linear_samples
from latentspike.simulate.linear_factors import transition_matrix

SMALL = LinearFactors(n_conditions=5, n_trials_per_condition=4, n_neurons=12, duration=0.3)


def test_factors_without_noise_follow_the_transition_matrix():
    data = linear_factors(SMALL, n_factors=5, shared_noise=0.0, seed=0)
    factors = data.truth["factors"]
    matrix = transition_matrix(LinearFactors(n_factors=5))
    np.testing.assert_allclose(factors[:, 1:], factors[:, :-1] @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(factors[0], factors[3], atol=1e-12)  # same condition
    assert np.abs(factors[0] - factors[4]).max() > 0.1


def test_full_shared_noise_keeps_unit_variance():
    data = linear_factors(SMALL, n_conditions=300, shared_noise=1.0, decay_time=0.05, seed=0)
    spread = data.truth["factors"][::4].std(axis=0)
    assert spread[-1] == pytest.approx(np.ones(4), abs=0.15)


@pytest.mark.parametrize("link", ["exp", "softplus"])
def test_log_rates_have_the_rank_of_the_factors(link):
    data = linear_factors(SMALL, link=link, seed=0)
    relative = data.truth["rates"] / SMALL.mean_rate
    drive = np.log(relative) if link == "exp" else np.log(np.expm1(relative * np.log(2)))
    singular = np.linalg.svd(drive.reshape(-1, 12), compute_uv=False)
    assert singular[3] > 1e-3 * singular[0]
    assert singular[4] < 1e-8 * singular[0]


def test_loadings_do_not_depend_on_the_number_of_conditions():
    few, many = linear_factors(SMALL, seed=4), linear_factors(SMALL, n_conditions=9, seed=4)
    np.testing.assert_allclose(few.truth["factors"][:, 0], many.truth["factors"][: few.n_trials, 0])
    np.testing.assert_allclose(few.truth["rates"][:, 0], many.truth["rates"][: few.n_trials, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [({"link": "log"}, "link"), ({"shared_noise": 1.5}, "shared_noise"), ({"n_factors": 0}, "n_f")],
)
def test_bad_settings_of_linear_factors_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        linear_factors(SMALL, seed=0, **change)


def test_noisy_linear_samples_are_the_papers():
    data = noisy_linear_samples(seed=1)
    true, observed = data.truth["rates"][:, 0], data.counts[:, 0]
    assert data.kind == "continuous"
    assert (data.n_trials, data.n_bins, data.n_neurons) == (1200, 1, 40)
    assert np.linalg.matrix_rank(true) == 5
    assert (observed - true).std() == pytest.approx(1.0, abs=0.02)
    readout = np.linalg.lstsq(data.truth["factors"][:, 0], true, rcond=None)[0]
    np.testing.assert_allclose(data.truth["factors"][:, 0] @ readout, true, atol=1e-10)
    assert readout.std() == pytest.approx(1.0, abs=0.2)


def test_noisy_linear_samples_share_a_readout_whatever_their_number():
    few, many = noisy_linear_samples(n_samples=30, seed=2), noisy_linear_samples(seed=2)
    np.testing.assert_allclose(few.truth["rates"], many.truth["rates"][:30])
    np.testing.assert_allclose(few.counts, many.counts[:30])
