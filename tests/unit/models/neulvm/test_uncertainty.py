"""What is said about fitted parameters: spreads, chains, plain words; the cheap posterior."""

import jax
import numpy as np
import pytest

from latentspike.dynamics import Free, Mesoscopic, Network, Population
from latentspike.dynamics.stepping import Stepping
from latentspike.models.neulvm import NeuLVM
from latentspike.models.neulvm.chain import effective_draws, split_r_hat
from latentspike.models.neulvm.joint import log_joint
from latentspike.models.neulvm.laplace import laplace
from latentspike.models.neulvm.metric import to_counts, to_free, to_place
from latentspike.models.neulvm.problem import make_problem
from latentspike.models.neulvm.sampler import Sampler
from latentspike.models.neulvm.uncertainty import (
    identifiability,
    warnings_for,
    warnings_without_posterior,
)

KEY = jax.random.key(0)
LOW, HIGH = np.array([0.0, -10.0]), np.array([4.0, 10.0])
NAMES = ("J", "resting")


def judged(draws, names=NAMES, low=LOW, high=HIGH):
    return identifiability(names, low, high, np.asarray(draws))


def inside(shares, low=LOW, high=HIGH):
    """Draws from their shares of the boxes."""
    return low + (high - low) * np.asarray(shares)


def autoregressive(rng, n, slope):
    chain, noise = np.zeros(n), rng.normal(size=n)
    for i in range(1, n):
        chain[i] = slope * chain[i - 1] + noise[i]
    return chain


# --- spreads ------------------------------------------------------------------------------------


def test_moments_and_intervals(rng):
    draws = inside(rng.uniform(0.4, 0.6, (5000, 2)))
    found = judged(draws)
    np.testing.assert_allclose(found.mean, [2.0, 0.0], atol=0.1)
    np.testing.assert_allclose(found.interval, inside([[0.41] * 2, [0.59] * 2]), atol=0.06)
    np.testing.assert_allclose(found.share, 0.2, atol=0.01)
    assert found.sd[1] == pytest.approx(draws[:, 1].std())


def test_draws_from_the_prior_leave_all_of_it(rng):
    found = judged(inside(rng.uniform(size=(20_000, 2))))
    np.testing.assert_allclose(found.share, 1.0, atol=0.02)
    np.testing.assert_allclose(found.directions[0], 1.0, atol=0.03)


def test_directions_are_ordered_and_in_box_units(rng):
    wide, narrow = rng.uniform(-0.4, 0.4, 4000), rng.normal(0, 0.01, 4000)
    found = judged(inside(0.5 + np.stack([wide + narrow, wide - narrow], 1) / np.sqrt(2)))
    shares, axes = found.directions
    np.testing.assert_allclose(np.abs(axes[0]), np.sqrt(0.5), atol=0.01)
    assert axes[0, 0] * axes[0, 1] > 0 > axes[1, 0] * axes[1, 1]
    np.testing.assert_allclose(shares, [0.8, 0.01 * np.sqrt(12)], rtol=0.05)


@pytest.mark.parametrize(
    "draws, said",
    [
        (np.zeros((0, 2)), "there are no posterior draws"),
        (np.zeros((9, 3)), "draws of 3 parameters do not belong together"),
        (np.full((9, 2), np.nan), "must be finite"),
    ],
)
def test_draws_that_cannot_be_judged(draws, said):
    with pytest.raises(ValueError, match=said):
        judged(draws)


# --- chains -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_chains", [1, 3])
@pytest.mark.parametrize("n", [20, 201, 1000])
def test_chain_diagnostics_are_those_of_blackjax(n, n_chains, rng):
    diagnostics = pytest.importorskip("blackjax.diagnostics")
    slopes = (-0.5, 0.0, 0.7, 0.97)
    chains = np.stack(
        [np.stack([autoregressive(rng, n, slope) for slope in slopes], 1) for _ in range(n_chains)]
    )
    half, draws = n // 2, chains.reshape(-1, len(slopes))
    with jax.enable_x64(True):
        ours = effective_draws(draws, n_chains), split_r_hat(draws, n_chains)
        halves = np.concatenate([chains[:, :half], chains[:, n - half :]])
        theirs = (
            diagnostics.effective_sample_size(chains),
            diagnostics.potential_scale_reduction(halves),
        )
    # where the last lag is above those before, blackjax counts more than it has
    for mine, other, near in zip(ours, theirs, (0.04, 1e-6), strict=True):
        np.testing.assert_allclose(mine, other, rtol=near)
    assert np.isclose(ours[0], theirs[0], rtol=1e-6).mean() >= 0.75


def test_effective_draws_of_a_known_chain(rng):
    # (1 − a)/(1 + a) of the draws of an autoregressive chain
    found = effective_draws(np.stack([autoregressive(rng, 40_000, 0.8) for _ in range(4)], 1))
    np.testing.assert_allclose(found.mean(), 40_000 / 9, rtol=0.1)


def test_chains_that_disagree_are_worth_little(rng):
    apart = np.repeat([0.0, 10.0], 100)[:, None] + rng.normal(size=(200, 1))
    assert split_r_hat(apart, 2)[0] > 5
    assert effective_draws(apart, 2)[0] < 5


def test_halves_that_disagree():
    drift = np.linspace(0, 1, 100)[:, None]
    assert split_r_hat(drift)[0] > 1.5
    assert split_r_hat(np.ones((100, 1)))[0] == np.inf and effective_draws(np.ones((100, 1))) == 0
    assert np.isnan(split_r_hat(drift[:5])).all() and np.isnan(effective_draws(drift[:5])).all()


# --- in plain language --------------------------------------------------------------------------


def test_good_fits_are_told_nothing(rng):
    assert warnings_for(judged(inside(rng.normal(0.5, 0.03, (400, 2))))) == []


def test_what_is_not_identified_is_named(rng):
    shares = np.stack([rng.normal(0.5, 0.03, 400), rng.uniform(size=400)], 1)
    (said,) = warnings_for(judged(inside(shares)))
    assert said.startswith("The data do not identify resting: its posterior (sd 5.")
    assert said.endswith("as wide as its prior box (-10 … 10, sd 5.77)")


def test_two_that_are_not_identified_are_not_known_together(rng):
    said = warnings_for(judged(inside(rng.uniform(size=(400, 2)))))
    assert [s.split(":")[0] for s in said] == [f"The data do not identify {n}" for n in NAMES]


def test_what_is_known_only_together_says_how(rng):
    # 5 J − resting is known to ± 0.2, neither is known alone
    share = rng.uniform(size=400)
    draws = inside(np.stack([share, share], 1))
    draws[:, 1] += rng.normal(0, 0.2, 400)
    (said,) = warnings_for(judged(draws))
    assert said.startswith(
        "J and resting are known only together: J − 0.2 × resting to ± 0.038, each"
    )


def test_three_known_only_by_their_sum(rng):
    names, low, high = ("a", "b", "c"), np.zeros(3), np.ones(3)
    a, b = rng.uniform(size=(2, 2000))
    kept = (a + b > 0.5) & (a + b < 1.5)
    a, b = a[kept], b[kept]
    draws = np.stack([a, b, 1.5 - a - b + rng.normal(0, 0.005, a.size)], 1)
    assert np.abs(np.corrcoef(draws.T) - np.eye(3)).max() < 0.8  # no pair tells
    (said,) = warnings_for(judged(draws, names, low, high))
    assert said.startswith("a, b and c are known only together: a + 1 × b + 1 × c to ± 0.005")


def test_few_draws_of_many_parameters_show_no_false_combination(rng):
    names = tuple("abcdefghijkl")
    for _ in range(20):
        draws = rng.uniform(size=(40, 12))
        said = warnings_for(judged(draws, names, np.zeros(12), np.ones(12)))
        assert not any("together" in s for s in said)


@pytest.mark.parametrize("share, end", [(0.01, "lower"), (0.99, "upper")])
def test_values_at_the_edge(share, end, rng):
    shares = np.stack([np.full(400, 0.5), np.clip(rng.normal(share, 0.02, 400), 0, 1)], 1)
    shares[:, 0] += rng.normal(0, 0.01, 400)
    (said,) = warnings_for(judged(inside(shares)))
    assert said == f"resting sits at the {end} edge of its box (-10 … 10); widen it"


@pytest.mark.parametrize(
    "chain, said",
    [
        (np.linspace(0.3, 0.7, 100), "The chain has not converged: R-hat is"),
        (np.full(100, 0.5), "The chain never moved in resting"),
        (0.5 + 0.05 * np.sin(np.arange(200) / 2.5), "The intervals are rough: the 200 draws of"),
        (np.linspace(0.4, 0.6, 5), "5 draws are too few"),
    ],
)
def test_chains_that_need_more(chain, said, rng):
    shares = np.stack([rng.normal(0.5, 0.03, len(chain)), chain], 1)
    (first, *_) = warnings_for(judged(inside(shares)))
    assert first.startswith(said)


def test_chains_that_have_not_met_ask_for_more_of_them(rng):
    draws = np.repeat([[0.4], [0.6]], 100, axis=0) + rng.normal(0, 0.01, (200, 2))
    found = identifiability(NAMES, LOW, HIGH, inside(draws), n_chains=2)
    (first, *_) = warnings_for(found)
    assert first.startswith("The 2 chains have not met: R-hat is ")
    assert "raise estimation.n_starts, or try estimation.method = 'particles'" in first
    few = identifiability(NAMES, LOW, HIGH, inside(draws[95:105]), n_chains=2)
    assert warnings_for(few)[0].startswith("10 draws of 2 chains are too few")
    with pytest.raises(ValueError, match="200 draws are not those of 3 equally long chains"):
        identifiability(NAMES, LOW, HIGH, inside(draws), n_chains=3)


def test_without_a_posterior_only_edges_are_known():
    first, second = warnings_without_posterior(NAMES, LOW, HIGH, np.array([2.0, 10.0]))
    assert first.startswith("There is no posterior: estimation.method = 'hard'")
    assert second == "resting sits at the upper edge of its box (-10 … 10); widen it"
    assert warnings_without_posterior((), LOW[:0], HIGH[:0], np.zeros(0)) == []


# --- of a model ---------------------------------------------------------------------------------

NETWORK = Network(
    {"E": Population(60, 0.02, resting=Free(1.0, 5.0), threshold=0.0, refractory=0.004)},
    {"E": {"E": Free(0.0, 4.0)}},
)
FAST = Stepping("euler", "binomial", has_old=False, max_age=0.06)
MODEL = NeuLVM(NETWORK, stepping=FAST)


def test_the_model_tells_what_its_draws_say(rng):
    draws = inside(rng.uniform(0.4, 0.6, (300, 2)), *NETWORK.bounds)
    params = {"free": draws.mean(0), "draws": draws}
    table = MODEL.parameters(params)["E.resting"]
    found = MODEL.identifiability(params)
    place = NETWORK.free_names.index("E.resting")
    assert table["share"] == found.share[place] and table["sd"] == found.sd[place]
    assert table["low"] == pytest.approx(np.quantile(draws[:, place], 0.05))
    assert MODEL.warnings(params) == []
    apart = params | {"draws": draws + np.repeat([[0.0], [0.5]], 150, 0), "n_chains": np.array(2)}
    assert "The 2 chains have not met" in MODEL.warnings(apart)[0]
    hard = {"free": draws[0], "draws": draws[:0]}
    assert MODEL.parameters(hard)["E.resting"] == {"value": draws[0, place]}
    assert "There is no posterior" in MODEL.warnings(hard)[0]
    with pytest.raises(ValueError, match="no posterior draws"):
        MODEL.identifiability(hard)


TRUTH = np.array([3.2, 2.0])  # E.resting, E → E


def tiny_problem(n_bins=60, n_neurons=2):
    """A recording of the network itself, and the activity and parameters that made it."""
    params = {"free": TRUTH, "rate": np.array([20.0]), "n_recorded": np.array([n_neurons])}
    data = MODEL.simulate(params, n_trials=1, n_bins=n_bins, bin_width=0.004, key=KEY)
    system = Mesoscopic.of(NETWORK, data.bin_width, FAST)
    problem = make_problem(NETWORK, system, {}, data)
    share = (TRUTH - problem.low) / (problem.high - problem.low)
    place = to_place(np.maximum(data.truth["population_counts"], 0.5))
    return system, problem, place, np.log(share) - np.log1p(-share)


def chain_of(system, problem, place, logit, *, n_warmup, n_draws):
    """Logits [draws, free] and counts [draws, bins] that our sampler visits."""
    rng = np.random.default_rng(1)
    log_step = np.log(0.01)
    sampler = Sampler(system, problem, place, logit, log_step=log_step, n_leapfrog=12)
    logits, counts = [], []
    with np.errstate(over="ignore"):  # a trajectory that runs away overflows before it is refused
        for number in range(n_warmup + n_draws):
            if number in (10, 40, n_warmup // 2, n_warmup * 4 // 5):
                sampler.follow()
            sampler.sample(rng, is_adapting=number < n_warmup)
            logits.append(sampler.logit.copy())
            counts.append(sampler.counts.ravel())
    return np.array(logits)[n_warmup:], np.array(counts)[n_warmup:]


def test_laplace_is_near_the_chain():
    with jax.enable_x64(True):
        system, problem, place, logit = tiny_problem(120, 12)
        logits, counts = chain_of(system, problem, place, logit, n_warmup=60, n_draws=150)
        shares = 1 / (1 + np.exp(-logits))
        free = problem.low + (problem.high - problem.low) * shares.mean(0)
        found = laplace(system, problem, counts.mean(0)[None, :, None], free)
    ratio = np.sqrt(np.diag(found.logit_covariance)) / logits.std(0)
    assert (ratio > 0.4).all() and (ratio < 2.5).all()
    np.testing.assert_allclose(found.share, shares.mean(0), atol=0.1)
    draws = found.draw(problem, 3000, seed=0)
    scaled = (draws - problem.low) / (problem.high - problem.low)
    np.testing.assert_allclose(np.cov(scaled.T), found.share_covariance, atol=0.01)


def test_laplace_narrows_with_what_is_seen():
    with jax.enable_x64(True):
        system, problem, place, _ = tiny_problem(120, 12)
        first = np.arange(12) < 2
        few = problem._replace(fired=problem.fired * first, stayed=problem.stayed * first)
        found = [
            laplace(system, each, np.asarray(to_counts(place)), TRUTH) for each in (few, problem)
        ]
    few, many = (np.linalg.det(each.logit_covariance) for each in found)
    assert many < few


def test_laplace_of_nothing_is_refused():
    with jax.enable_x64(True):
        system, problem, place, _ = tiny_problem(20)
        with pytest.raises(ValueError, match="no parameter is free"):
            laplace(system, problem.at(TRUTH), np.asarray(to_counts(place)), TRUTH[:0])


@pytest.mark.slow
def test_our_sampler_agrees_with_nuts():
    blackjax = pytest.importorskip("blackjax")
    with jax.enable_x64(True):
        system, problem, place, logit = tiny_problem()

        def log_density(position):
            """In other coordinates than ours: log counts."""
            log_counts, logit = position
            found = log_joint(system, problem, to_free(problem, logit), jax.numpy.exp(log_counts))
            prior = jax.nn.log_sigmoid(logit) + jax.nn.log_sigmoid(-logit)
            return sum(jax.numpy.sum(x) for x in (*found, prior, log_counts))

        start = np.log(np.asarray(to_counts(place))), logit
        log_counts, theirs = nuts(blackjax, log_density, start, n_warmup=500, n_draws=2500)
        ours = summaries(*chain_of(system, problem, place, logit, n_warmup=200, n_draws=6000))
    theirs = summaries(theirs, np.exp(log_counts.reshape(len(log_counts), -1)))
    inverse = 1 / effective_draws(ours) + 1 / effective_draws(theirs)
    assert (inverse < 1 / 50).all(), "chains too short to compare"
    spread = np.sqrt((ours.var(0) + theirs.var(0)) / 2)
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 4 * spread * np.sqrt(inverse)).all()
    assert (np.abs(np.log(ours.std(0) / theirs.std(0))) < 4 * np.sqrt(inverse / 2)).all()


def summaries(logits, counts):
    """Parameters, the mean activity and that of some bins, [draws, …]."""
    return np.concatenate([logits, counts.mean(1, keepdims=True), counts[:, ::12]], 1)


def nuts(blackjax, log_density, start, *, n_warmup, n_draws):
    """Positions that NUTS visits."""
    warm = blackjax.window_adaptation(blackjax.nuts, log_density)
    (state, tuned), _ = warm.run(jax.random.key(1), start, num_steps=n_warmup)
    step = jax.jit(blackjax.nuts(log_density, **tuned).step)
    positions = []
    for key in jax.random.split(jax.random.key(2), n_draws):
        state, _ = step(key, state)
        positions.append(state.position)
    return [np.array(part) for part in zip(*positions, strict=True)]


def test_the_metric_moves_to_the_mean_of_the_samples_since():
    with jax.enable_x64(True):
        system, problem, place, logit = tiny_problem()
        sampler = Sampler(system, problem, place, logit, log_step=np.log(0.05), n_leapfrog=5)
        rng = np.random.default_rng(0)
        sampler.follow()  # without a sample it stays
        np.testing.assert_array_equal(sampler.metric_state.place, place)
        counts, logits = [], []
        for _ in range(4):
            sampler.sample(rng, is_adapting=True)
            counts.append(sampler.counts)
            logits.append(sampler.logit)
        sampler.follow()
        assert np.ptp(counts, 0).max() > 0.1
        where = sampler.metric_state
        np.testing.assert_allclose(to_counts(where.place), np.mean(counts, 0), rtol=1e-8)
        np.testing.assert_allclose(where.logit, np.mean(logits, 0))
        assert where.n_samples == 0 and not where.counts.any()
        sampler.sample(rng, is_adapting=False)
        assert sampler.metric_state.n_samples == 0
