"""Closed forms against averages over many draws, and penalties by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from latentspike.models.lfads import LFADS, Architecture
from latentspike.models.lfads.objective import (
    kl_inferred_inputs,
    kl_initial_condition,
    l2_terms,
)
from latentspike.models.protocol import Batch, DataSpec

N_BINS, N_TRIALS, N_DIMS = 6, 3, 2
N_DRAWS = 40_000


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def posterior(seed=0):
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(N_BINS, N_TRIALS, N_DIMS))
    std = rng.uniform(0.1, 0.8, mean.shape)
    prior = {"log_time_constant": np.log([2.0, 12.0]), "log_variance": np.log([0.1, 0.4])}
    return rng, mean, std, prior


def assert_is_mean_of(value, draws):
    """Within five standard errors: ``draws`` [draws, trials]."""
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(np.asarray(value) - draws.mean(axis=0)) < 5 * error)
    assert np.all(error < 0.05 * np.abs(np.asarray(value)))  # the test has power


def log_ar1(path, prior):
    """Log density of paths [..., bins, trials, dims] under the prior (spec section 1)"""
    alpha = np.exp(-1 / np.exp(prior["log_time_constant"]))
    spread = np.exp(0.5 * np.asarray(prior["log_variance"]))
    first = stats.norm.logpdf(path[..., 0, :, :], 0, spread / np.sqrt(1 - alpha**2))
    rest = stats.norm.logpdf(path[..., 1:, :, :], alpha * path[..., :-1, :, :], spread)
    return first.sum(-1) + rest.sum((-3, -1))


def test_initial_condition_against_draws():
    rng, _, _, _ = posterior()
    mean, std = rng.normal(size=(N_TRIALS, 4)), rng.uniform(0.05, 0.6, (N_TRIALS, 4))
    prior = {"mean": rng.normal(size=4), "log_variance": np.full(4, np.log(0.1))}
    draws = mean + std * rng.normal(size=(N_DRAWS, N_TRIALS, 4))
    gap = stats.norm.logpdf(draws, mean, std) - stats.norm.logpdf(
        draws, prior["mean"], np.sqrt(0.1)
    )
    assert_is_mean_of(kl_initial_condition(mean, std, prior), gap.sum(-1))


def test_the_priors_variance_is_fixed_and_its_mean_learned():
    prior = {"mean": jnp.ones(4), "log_variance": jnp.zeros(4)}
    loss = lambda p: kl_initial_condition(jnp.zeros((2, 4)), jnp.ones((2, 4)), p).sum()  # noqa: E731
    gradient = jax.grad(loss)(prior)
    assert not gradient["log_variance"].any() and gradient["mean"].all()


def test_mean_field_inputs_against_draws():
    """Without a path: the whole expectation of log q(u) − log p(u)."""
    rng, mean, std, prior = posterior()
    draws = mean + std * rng.normal(size=(N_DRAWS, *mean.shape))
    gap = stats.norm.logpdf(draws, mean, std).sum((1, 3)) - log_ar1(draws, prior)
    assert_is_mean_of(kl_inferred_inputs(mean, std, prior), gap)


def test_inputs_given_a_path_against_draws():
    """Given the path, each bin's expectation is over its own draw, its past being that path."""
    rng, mean, std, prior = posterior(1)
    path = mean + std * rng.normal(size=mean.shape)
    fresh = mean + std * rng.normal(size=(N_DRAWS, *mean.shape))
    alpha = np.exp(-1 / np.exp(prior["log_time_constant"]))
    spread = np.exp(0.5 * prior["log_variance"])
    log_p = stats.norm.logpdf(fresh[:, 0], 0, spread / np.sqrt(1 - alpha**2)).sum(-1)
    log_p = log_p + stats.norm.logpdf(fresh[:, 1:], alpha * path[:-1], spread).sum((1, 3))
    gap = stats.norm.logpdf(fresh, mean, std).sum((1, 3)) - log_p
    assert_is_mean_of(kl_inferred_inputs(mean, std, prior, path), gap)


def test_the_path_form_averages_to_the_mean_field_form():
    rng, mean, std, prior = posterior(2)
    paths = mean + std * rng.normal(size=(4000, *mean.shape))
    given_path = jax.jit(jax.vmap(lambda path: kl_inferred_inputs(mean, std, prior, path)))
    assert_is_mean_of(kl_inferred_inputs(mean, std, prior), np.asarray(given_path(paths)))


def test_the_divergence_of_the_prior_from_itself_is_zero():
    prior = {"log_time_constant": np.log([3.0]), "log_variance": np.log([0.2])}
    single = kl_inferred_inputs(
        np.zeros((1, 1, 1)), np.full((1, 1, 1), np.sqrt(0.2 / (1 - np.exp(-2 / 3)))), prior
    )
    np.testing.assert_allclose(single, 0, atol=1e-12)


@pytest.mark.parametrize("n_inferred_inputs", [0, 2])
def test_l2_terms_by_hand(n_inferred_inputs):
    architecture = Architecture(
        generator_size=4, n_factors=3, ic_encoder_size=5, ic_size=3, ci_encoder_size=6,
        controller_size=7, n_inferred_inputs=n_inferred_inputs,
    )  # fmt: skip
    spec = DataSpec(5, 8, 5, 8, 0, np.ones(5))
    params = LFADS(architecture).init(spec, key=jax.random.key(0))

    def half_mean_square(gru, size):
        recurrent = [np.ravel(gru[part][-size:]) for part in ("gates", "candidate")]
        return 0.5 * np.mean(np.concatenate(recurrent) ** 2)

    def both(encoder, size):
        return 0.5 * sum(half_mean_square(encoder[side], size) for side in ("forward", "backward"))

    expected = {
        "l2_gen": half_mean_square(params["generator"], 4),
        "l2_ic_encoder": both(params["ic_encoder"], 5),
    }
    if n_inferred_inputs:
        expected["l2_con"] = half_mean_square(params["controller"], 7)
        expected["l2_ci_encoder"] = both(params["ci_encoder"], 6)
    assert l2_terms(architecture, params) == pytest.approx(expected)


def test_the_ramp_scales_every_penalty_and_nothing_else():
    architecture = Architecture(
        generator_size=4, n_factors=3, ic_encoder_size=4, ic_size=3, ci_encoder_size=4,
        controller_size=4, n_inferred_inputs=2,
    )  # fmt: skip
    model, spec = LFADS(architecture), DataSpec(5, 6, 5, 6, 0, np.ones(5))
    params = model.init(spec, key=jax.random.key(0))
    counts = np.random.default_rng(0).poisson(1.0, (3, 6, 5)).astype(float)
    batch = Batch(counts, counts, None, None, np.zeros((3, 6, 0)), np.full(3, 1 / 3))
    h = {"kl_ic": 0.7, "kl_co": 0.3, "l2_gen": 11.0, "l2_con": 13.0, "l2_ic_encoder": 2.0}
    loss = jax.jit(lambda h: model.loss(params, batch, h, key=None))
    terms = {ramp: loss(h | {"ramp": ramp})[1] for ramp in (0.0, 0.25, 1.0)}
    recon = terms[0.0]["loss"]
    assert recon == pytest.approx(float(terms[0.0]["recon"]))
    full = terms[1.0]["loss"] - recon
    assert terms[0.25]["loss"] - recon == pytest.approx(0.25 * float(full))
    by_hand = h["kl_ic"] * terms[1.0]["kl_ic"] + h["kl_co"] * terms[1.0]["kl_co"] + terms[1.0]["l2"]
    assert full == pytest.approx(float(by_hand))
    l2 = l2_terms(architecture, params)
    assert terms[1.0]["l2"] == pytest.approx(float(sum(h.get(n, 0.0) * v for n, v in l2.items())))
