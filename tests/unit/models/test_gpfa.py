import jax
import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import multivariate_normal

from latentspike import SpikeData
from latentspike.evaluate import co_smoothing_bits
from latentspike.models.gpfa import GPFA
from latentspike.models.gpfa import trials as cutting
from latentspike.models.gpfa.em import expect, first_factors, fit_factors, maximize
from latentspike.models.gpfa.posterior import Factors, kernel, posterior, same_pattern
from latentspike.models.gpfa.readout import count_moments, expected_count
from latentspike.models.protocol import DataSpec, EstimatedModel
from latentspike.simulate import linear_factors

KEY = jax.random.key(0)


def _init(model, data):
    return model.init(DataSpec.of(data), key=KEY)


def _true_factors(n_neurons=5, timescales=(2.0, 6.0), seed=1):
    rng = np.random.default_rng(seed)
    return Factors(
        rng.normal(size=(n_neurons, len(timescales))),
        rng.normal(size=n_neurons),
        rng.uniform(0.2, 0.6, n_neurons),
        np.array(timescales),
    )


def _draw(factors, n_trials, n_bins, seed=0):
    """Latents [trials, bins, latents] and what is seen of them."""
    rng = np.random.default_rng(seed)
    covariances = [kernel(scale, n_bins) for scale in factors.timescales]
    x = np.stack(
        [rng.multivariate_normal(np.zeros(n_bins), c, n_trials) for c in covariances], axis=2
    )
    noise = rng.normal(size=(n_trials, n_bins, len(factors.noise))) * np.sqrt(factors.noise)
    return x, x @ factors.loadings.T + factors.offsets + noise


def _random_mask(*shape, share=0.3):
    return np.random.default_rng(7).random(shape) > share


def test_gpfa_follows_the_model_protocol():
    assert isinstance(GPFA(), EstimatedModel)


def test_the_posterior_is_that_of_the_dense_joint_gaussian():
    factors, n_bins = _true_factors(), 6
    _, y = _draw(factors, 3, n_bins)
    seen = _random_mask(n_bins, 5)
    # latents in the order latent, bin; observations in the order bin, neuron
    prior = np.kron(np.diag([1.0, 0.0]), kernel(2.0, n_bins))
    prior += np.kron(np.diag([0.0, 1.0]), kernel(6.0, n_bins))
    rows = np.einsum("nk,tu->tnku", factors.loadings, np.eye(n_bins))[seen].reshape(seen.sum(), -1)
    noise = np.diag(np.broadcast_to(factors.noise, seen.shape)[seen])
    mean = np.broadcast_to(factors.offsets, seen.shape)[seen]
    joint = rows @ prior @ rows.T + noise
    gain = prior @ rows.T @ np.linalg.inv(joint)
    found = posterior(factors, np.where(seen, y, np.nan), seen)
    for trial in range(3):
        expected = gain @ (y[trial][seen] - mean)
        np.testing.assert_allclose(found.mean[trial].ravel(), expected, atol=1e-10)
    expected = prior - gain @ rows @ prior
    np.testing.assert_allclose(found.covariance.reshape(12, 12), expected, atol=1e-10)
    likelihood = multivariate_normal(mean, joint).logpdf(y[:, seen]).sum()
    np.testing.assert_allclose(found.log_likelihood, likelihood, rtol=1e-10)


def test_posterior_spread_is_the_error_made():
    factors = _true_factors()
    x, y = _draw(factors, 2000, 8)
    found = posterior(factors, y, _random_mask(8, 5))
    error = found.mean.swapaxes(1, 2) - x
    variance = np.einsum("ktkt->tk", found.covariance)
    # of 2000 trials each; the standard error of a variance is sqrt(2 / 2000) of it
    np.testing.assert_allclose(error.var(axis=0) / variance, 1.0, atol=5 * np.sqrt(2 / 2000))


def test_trials_with_equal_gaps_come_together_and_every_trial_once():
    observed = np.ones((6, 3, 2), bool)
    observed[[1, 4], 0, 0] = observed[2, 2, 1] = False
    groups = sorted(group.tolist() for group in same_pattern(observed))
    assert groups == [[0, 3, 5], [1, 4], [2]]
    assert [group.tolist() for group in same_pattern(np.ones((2, 1, 1), bool))] == [[0, 1]]


@pytest.mark.parametrize("is_missing", [False, True])
def test_no_iteration_lowers_the_likelihood(is_missing):
    _, y = _draw(_true_factors(), 15, 12)
    observed = _random_mask(15, 12, 5) if is_missing else np.ones(y.shape, bool)
    y = np.where(observed, y, np.nan if is_missing else 0)
    first = first_factors(np.where(observed, y, 1e6), observed, 2, 0.02)
    factors, likelihood = first, []
    for _ in range(8):
        sums = expect(factors, np.nan_to_num(y), observed)
        likelihood.append(sums.log_likelihood)
        factors = maximize(factors, sums, np.zeros(5), n_trials=15)
    assert (np.diff(likelihood) > 0).all()
    # leaps go further in as many iterations, and end with the likelihood that they report
    fast, history = fit_factors(first, np.nan_to_num(y), observed, max_iterations=8, tolerance=0.0)
    assert len(history) == 9 and (np.diff(history) > 0).all() and history[-1] > likelihood[-1]
    assert expect(fast, np.nan_to_num(y), observed).log_likelihood == history[-1]


def test_likelihood_posterior_and_iterations_are_elephants():
    core = pytest.importorskip("elephant.gpfa.gpfa_core")
    _, y = _draw(_true_factors(6, (2.0, 4.0, 8.0)), 30, 20)
    observed = np.ones(y.shape, bool)
    factors = first_factors(y, observed, 3, 0.02)
    sequences = np.array([(20, trial.T) for trial in y], dtype=[("T", int), ("y", "O")])
    theirs = {
        "covType": "rbf",
        "gamma": 1 / factors.timescales**2,
        "eps": np.full(3, 1e-3),
        "d": factors.offsets.copy(),
        "C": factors.loadings.copy(),
        "R": np.diag(factors.noise),
        "notes": {"learnKernelParams": True, "learnGPNoise": False, "RforceDiagonal": True},
    }
    inferred, likelihood = core.exact_inference_with_ll(sequences, theirs)
    sums, found = expect(factors, y, observed), posterior(factors, y, observed[0])
    np.testing.assert_allclose(sums.log_likelihood, likelihood, rtol=1e-9)
    for trial in (0, 29):
        np.testing.assert_allclose(found.mean[trial], inferred[trial]["latent_variable"], atol=1e-7)
    theirs, _, history, _ = core.em(theirs, sequences, max_iters=5, freq_ll=1)
    least = 0.01 * y.var(axis=(0, 1))
    for step in range(5):
        sums = expect(factors, y, observed)
        np.testing.assert_allclose(sums.log_likelihood, history[step], rtol=1e-5)
        factors = maximize(factors, sums, least, n_trials=30)
    np.testing.assert_allclose(factors.loadings, theirs["C"], atol=2e-3)
    np.testing.assert_allclose(factors.offsets, theirs["d"], atol=1e-3)
    np.testing.assert_allclose(factors.noise, np.diag(theirs["R"]), atol=1e-3)
    # both search a timescale numerically, elephant until the likelihood hardly changes
    np.testing.assert_allclose(factors.timescales, 1 / np.sqrt(theirs["gamma"]), rtol=1e-2)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_timescales_and_loadings_are_recovered(share):
    truth = _true_factors(12, (2.0, 8.0), seed=3)
    _, y = _draw(truth, 80, 30)
    patterns = _random_mask(4, 30, 12, share=share)  # four ways to miss a fifth of the entries
    observed = patterns[np.arange(80) % 4]
    first = first_factors(y, observed, 2, 0.02)
    found, _ = fit_factors(first, y, observed, max_iterations=60, tolerance=1e-6)
    np.testing.assert_allclose(np.sort(found.timescales), truth.timescales, rtol=0.15)
    a, b = (np.linalg.qr(f.loadings)[0] for f in (found, truth))
    assert np.linalg.svd(a.T @ b, compute_uv=False).min() > 0.99
    np.testing.assert_allclose(found.noise, truth.noise, rtol=0.25)


def test_the_readout_inverts_the_mean_root_of_a_poisson_count():
    n = np.arange(600)
    for count in (1e-5, 0.01, 0.3, 2.0, 30.0, 99.0, 101.0, 250.0):
        chance = np.exp(n * np.log(count) - count - gammaln(n + 1))
        np.testing.assert_allclose(expected_count(np.sqrt(n) @ chance), count, rtol=1e-4)
    assert expected_count(np.array([-1.0, 0.0])).tolist() == [0.0, 0.0]


def test_moments_of_the_readout_are_those_of_draws(rng):
    mean, variance = np.array([-0.1, 0.3, 1.5]), np.array([0.05, 0.1, 0.2])
    draws = expected_count(mean + np.sqrt(variance) * rng.standard_normal((200_000, 3)))
    first, spread = count_moments(mean, variance)
    np.testing.assert_allclose(first, draws.mean(axis=0), rtol=0.03)
    np.testing.assert_allclose(spread, draws.std(axis=0), rtol=0.03)


def _recording(**changes):
    data = linear_factors(
        n_conditions=10, n_trials_per_condition=10, n_neurons=16, mean_rate=25,
        bin_width=0.02, seed=0,
    )  # fmt: skip
    return data.select_bins(0, 40).replace(**changes)


@pytest.fixture(scope="module")
def gpfa_fit():
    """Model, parameters and recording with held-out, silent neurons, gaps and forward bins."""
    data = _recording(heldout=np.arange(16) % 4 == 3, n_forward_bins=4)
    counts, observed = data.counts.copy(), np.ones(data.counts.shape, bool)
    counts[:, :, 5] = 0
    observed[::3, 10:20] = False
    observed[1::3, :, 2] = False
    data = data.replace(counts=counts, observed=observed)
    model = GPFA(n_latents=4)
    return model, model.estimate(_init(model, data), data, key=KEY), data


def test_heldout_neurons_and_gaps_are_predicted(gpfa_fit):
    model, params, data = gpfa_fit
    found = model.infer(params, data)
    truth, rates = data.truth["rates"], found.rates
    assert co_smoothing_bits(data, found).value > 0.05
    mean = data.counts.mean(axis=(0, 1), where=data.observed) / data.bin_width
    gap = ~data.observed & (np.arange(16) != 5)
    baseline = np.broadcast_to(mean, rates.shape)
    assert np.mean((rates - truth)[gap] ** 2) < 0.8 * np.mean((baseline - truth)[gap] ** 2)


def test_mean_rates_are_those_of_the_training_trials(gpfa_fit):
    model, params, data = gpfa_fit
    everything = data.replace(heldout=None, n_forward_bins=0)
    rates = model.infer(params, everything).rates * data.bin_width
    mean = np.mean(rates, axis=(0, 1), where=data.observed)
    expected = np.mean(data.counts, axis=(0, 1), where=data.observed)
    spiking = np.arange(16) != 5
    np.testing.assert_allclose(mean[spiking], expected[spiking], rtol=1e-3)
    assert (np.abs(params["gain"] - 1) < 0.2).all()


def test_a_silent_neuron_has_the_rate_of_half_a_spike(gpfa_fit):
    model, params, data = gpfa_fit
    n_seen = data.observed[:, :, 5].sum()
    np.testing.assert_allclose(model.infer(params, data).rates[:, :, 5], 0.5 / n_seen / 0.02)


def test_the_spread_is_larger_where_less_is_read(gpfa_fit):
    model, params, data = gpfa_fit
    found = model.infer(params, data)
    assert found.rates_std.shape == found.rates.shape
    complete, gap = found.factors_std[2], found.factors_std[0]
    assert (gap[12:18] > 1.2 * complete[12:18]).all()
    assert (complete[-1] > complete[20]).all()  # a forward bin
    np.testing.assert_allclose(gap[30], complete[30], rtol=0.1)


def test_factors_are_orthonormal_coordinates_of_the_roots(gpfa_fit):
    model, params, data = gpfa_fit
    found = model.infer(params, data)
    x = posterior_means(params, data, trial=2)
    root = x @ params["loadings"].T
    np.testing.assert_allclose(
        np.sum(found.factors[2] ** 2, axis=1), np.sum(root**2, axis=1), rtol=1e-8
    )
    strength = found.factors.std(axis=(0, 1))
    assert strength[0] == strength.max()


def posterior_means(params, data, trial):
    factors = Factors(*(params[name] for name in Factors._fields))
    seen = data.observed[trial] & data.readable
    return posterior(factors, np.sqrt(data.counts[trial : trial + 1]), seen).mean[0].T


def test_windows_of_a_long_trial_agree_with_the_whole(gpfa_fit, monkeypatch):
    model, params, data = gpfa_fit
    params = params | {"timescales": np.array([1.0, 1.5, 2.0, 2.0])}
    whole = model.infer(params, data)
    monkeypatch.setattr(cutting, "_LONGEST", 4 * 26)
    parts = model.infer(params, data)
    assert 0 < np.abs(parts.rates - whole.rates).max() < 0.02 * whole.rates.max()
    np.testing.assert_allclose(parts.factors, whole.factors, atol=0.02)


def test_long_trials_are_fitted_in_equal_pieces_and_common_gaps_first(monkeypatch):
    data = _recording()
    observed = np.ones(data.counts.shape, bool)
    for trial in range(1, 6):
        observed[trial, 20 + trial] = False
    y, seen = cutting.pieces(data.replace(observed=observed), 4)
    np.testing.assert_array_equal(y, np.sqrt(data.counts))
    np.testing.assert_array_equal(seen, observed)
    monkeypatch.setattr(cutting, "_LONGEST", 4 * 15)
    monkeypatch.setattr(cutting, "_MAX_PATTERNS", 1)
    y, seen = cutting.pieces(data.replace(observed=observed), 4)
    assert y.shape == (295, 13, 16) and seen.all()  # three pieces of 100 trials, five with gaps
    np.testing.assert_array_equal(y[0], np.sqrt(data.counts[0, :13]))
    np.testing.assert_array_equal(y[3], np.sqrt(data.counts[1, :13]))


def test_simulated_trials_have_the_rates_and_the_latents_of_the_fit(gpfa_fit):
    model, params, data = gpfa_fit
    new = model.simulate(params, n_trials=300, n_bins=40, bin_width=0.02, key=KEY)
    assert new.truth["factors"].shape == (300, 40, 4)
    recorded = data.counts.mean(axis=(0, 1), where=data.observed)
    np.testing.assert_allclose(new.counts.mean(axis=(0, 1)), recorded, rtol=0.25, atol=0.01)
    found = model.infer(params, new)
    for k in range(2):
        pair = found.factors[:, :, k].ravel(), new.truth["factors"][:, :, k].ravel()
        assert np.corrcoef(*pair)[0, 1] > 0.7


def test_what_does_not_suit_gpfa_is_named():
    data, model = _recording(), GPFA(n_latents=3)
    params = _init(model, data)
    counts, observed = data.counts.copy(), np.ones(data.counts.shape, bool)
    counts[:, :, :13] = 0
    observed[:, :, 4] = False
    with pytest.raises(ValueError, match="less than the 3 neurons whose counts vary, got 3"):
        model.estimate(params, data.replace(counts=counts))
    with pytest.raises(ValueError, match="neuron 4 was never observed"):
        model.estimate(params, data.replace(observed=observed))
    with pytest.raises(ValueError, match="n_latents must be less than the 16 neurons, got 16"):
        _init(GPFA(n_latents=16), data)
    with pytest.raises(ValueError, match="needs spike counts"):
        model.infer(params, data.replace(kind="continuous"))
    with pytest.raises(ValueError, match="for 16 neurons, the data has 10"):
        model.infer(params, data.select_neurons(np.arange(10)))


@pytest.mark.parametrize(
    ("option", "value"), [("n_latents", 0), ("max_iterations", 0), ("tolerance", -1.0)]
)
def test_options_of_gpfa_out_of_range_are_named(option, value):
    with pytest.raises(ValueError, match=f"{option} must .*, got {value}"):
        GPFA(**{option: value})


def test_spike_data_of_one_trial_is_enough_to_infer():
    data, model = _recording(), GPFA(n_latents=3)
    one = SpikeData(data.counts[:1], bin_width=0.02)
    assert model.infer(_init(model, data), one).rates.shape == (1, 40, 16)
