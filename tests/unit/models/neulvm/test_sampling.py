"""Chains from several starts: which are kept, and whose activity is reported."""

import dataclasses

import jax
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.dynamics import Free, Mesoscopic, Network, Population, Stepping
from latentspike.models.neulvm import Estimation, NeuLVM, sampling, swarms
from latentspike.models.neulvm.problem import make_problem
from latentspike.models.neulvm.sampling import Plan
from latentspike.models.neulvm.starts import starts_of
from latentspike.training import fit

KEY = jax.random.key(0)
NETWORK = Network(
    {"E": Population(50, 0.02, resting=14.0, threshold=9.0, refractory=0.004)},
    {"E": {"E": Free(0.0, 5.0)}},
)
FAST = Stepping("euler", "binomial", has_old=False, max_age=0.06)
SHORT = Estimation(n_starts=2, n_leapfrog=2, n_warmup=10, n_draws=20, n_particles=30)


def recording(n_trials=1):
    counts = np.random.default_rng(0).random((n_trials, 80, 3)) < 0.08
    return SpikeData(counts.astype(int), bin_width=0.004)


def prepared(data):
    system = Mesoscopic.of(NETWORK, data.bin_width, FAST)
    return system, make_problem(NETWORK, system, {}, data)


def test_one_start_has_all_the_draws_and_all_the_swarms():
    plan = Plan(dataclasses.replace(SHORT, n_starts=1))
    kinds = [kind for kind, _ in plan.steps]
    assert kinds == ["start"] + 3 * ["sample"] + 6 * ["follow"]


def test_every_start_warms_up_and_has_its_share_of_the_draws():
    plan = Plan(dataclasses.replace(SHORT, n_starts=3, n_warmup=25, n_draws=50))
    assert plan.n_warmup == 30 and plan.n_draws == 20  # each of whole blocks
    own = ["start"] + 5 * ["sample"]
    assert plan.steps[:18] == [(kind, chain) for chain in range(3) for kind in own]
    assert plan.steps[18:] == [("follow", i) for i in range(9)]


def test_starts_trust_spikes_of_several_widths_or_the_parameters():
    chance = np.where(np.arange(600) < 300, 0.02, 0.2)[:, None]  # best smoothed by a lot
    counts = np.random.default_rng(0).random((1, 600, 3)) < chance
    system, problem = prepared(SpikeData(counts.astype(int), bin_width=0.004))
    settings = Estimation(n_starts=5)
    found = starts_of(system, problem, settings, np.array([1.0]), key=KEY)
    assert [each.trusts_activity for each in found] == [True, False, True, False, True]
    assert found[0].free == found[1].free == 1.0
    others = [float(each.free[0]) for each in found[2:]]
    assert len(set(others)) == 3
    assert all(0.5 <= each <= 3.0 for each in others)  # halfway from 1 to a place in 0 to 5
    roughness = [np.abs(np.diff(each.counts, axis=1)).mean() for each in found]
    assert roughness[0] < roughness[4] < roughness[2] <= roughness[1]
    own = dataclasses.replace(settings, smoothing=0.05)
    widths = [each.counts for each in starts_of(system, problem, own, np.array([1.0]), key=KEY)]
    assert all(np.array_equal(counts, widths[0]) for counts in widths)


def finished(values):
    """State of a fit whose swarms have found ``values`` [chains, trials]."""
    settings = dataclasses.replace(SHORT, n_starts=len(values))
    plan = Plan(settings)
    data = recording(n_trials=len(values[0]))
    state = sampling.begin(*prepared(data), settings, np.array([1.0]), KEY)
    noise = np.tile([-1.0, 0.0, 1.0], plan.n_swarms // 3)[:, None]
    for chain, each in enumerate(values):
        rows = slice(chain * plan.n_swarms, (chain + 1) * plan.n_swarms)
        state["values"][rows] = np.asarray(each) + noise
        state["followed"][rows], state["followed_squares"][rows] = chain + 1, (chain + 1) ** 2
        state["draws"][chain], state["activity"][chain] = chain + 1, 10 * (chain + 1)
        state["squares"][chain] = 100 * (chain + 1) ** 2
    return settings, state


def test_a_chain_that_explains_the_spikes_worse_is_not_kept():
    found = sampling.summary(*finished([[-130.0], [-100.0]]))
    assert np.all(found["draws"] == 2) and found["free"] == 2
    np.testing.assert_array_equal(found["training_counts"], 2.0)


def test_chains_that_explain_the_spikes_alike_are_both_kept():
    found = sampling.summary(*finished([[-103.0], [-100.0]]))
    assert set(found["draws"].ravel()) == {1.0, 2.0}
    assert found["free"] == 2.0  # of the better one, not between the two
    np.testing.assert_array_equal(found["training_counts"], 1.5)
    np.testing.assert_allclose(found["training_counts_std"], 0.5)


def test_with_more_parameters_draws_of_a_posterior_differ_more():
    assert sampling.worse(0) == sampling.worse(1) == 5.0
    assert sampling.worse(12) == pytest.approx(21.026 / 2, abs=1e-3)  # a table of chi-square


def test_where_swarms_disagree_the_chains_tell_the_activity():
    settings, state = finished([[-100.0, -100.0], [-103.0, -100.0]])
    state["values"][:, 0] -= np.tile([0, 100, 200], 2)
    state["log_joints"][:] = [-500.0, -400.0]  # the swarms say the first by chance
    found = sampling.summary(settings, state)
    assert np.all(found["draws"] == 2) and found["free"] == 2  # of the best alone
    np.testing.assert_array_equal(found["training_counts"][0], 20.0)
    np.testing.assert_array_equal(found["training_counts"][1], 2.0)
    assert found["is_followed"].tolist() == [False, True]
    (said,) = sampling.remarks(found)
    assert "in 1 of 2 trials" in said
    assert sampling.remarks({"is_followed": np.ones(2, bool)}) == []


def test_swarms_have_lost_track_where_they_differ_more_than_draws_do(rng):
    values = np.stack([3 * rng.normal(size=12), 60 * rng.normal(size=12)], 1)
    assert swarms.has_lost_track(values).tolist() == [False, True]
    values[0, 0] = -1e6  # a single one that is lost is no reason
    assert not swarms.has_lost_track(values)[0]


@pytest.mark.parametrize(("n_draws", "expected"), [(100, [0, 50, 99]), (2, [0, 1])])
def test_swarms_begin_at_draws_from_all_of_the_chain(n_draws, expected):
    assert swarms.places(n_draws, 3).tolist() == expected


def test_a_fit_tells_what_each_start_is_worth():
    """A whole fit: values of the starts are log-likelihoods, of three swarms each."""
    fitted = fit(NeuLVM(NETWORK, stepping=FAST, estimation=SHORT), recording(), key=KEY)
    params, history = fitted.params, fitted.history
    followed = [row["log_likelihood"] for row in history if "log_likelihood" in row]
    expected = np.reshape(followed, (2, 3)).mean(1)
    np.testing.assert_allclose(params["start_values"], expected)
    n_kept = int(np.sum(expected >= expected.max() - 5))
    assert params["draws"].shape == params["warmup"].shape == (10 * n_kept, 1)
    assert params["training_counts"].shape == (1, 80, 1)
    assert np.all(params["training_counts_std"] > 0)
