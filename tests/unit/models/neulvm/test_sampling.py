"""Chains from several starts: which go on, which are kept, and whose activity is reported."""

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


def test_one_start_goes_straight_to_its_draws():
    plan = Plan(dataclasses.replace(SHORT, n_starts=1))
    kinds = [kind for kind, _ in plan.steps]
    assert kinds == ["start", "warm up", "draw", "draw"] + ["follow"] * 6


def test_all_starts_are_compared_and_half_go_on():
    plan = Plan(dataclasses.replace(SHORT, n_starts=3, n_warmup=40, n_draws=40))
    assert plan.n_kept == 2 and plan.n_warmup == 20 + 40
    count = lambda kind: [which for k, which in plan.steps if k == kind]  # noqa: E731
    assert count("start") == count("compare") == [0, 1, 2]
    assert count("explore") == [0, 0, 1, 1, 2, 2]
    assert count("warm up") == [0] * 4 + [1] * 4 and count("draw") == [0, 0, 1, 1]
    assert count("follow") == list(range(6))


def test_starts_trust_spikes_of_several_widths_or_the_parameters():
    chance = np.where(np.arange(600) < 300, 0.02, 0.2)[:, None]  # best smoothed by a lot
    counts = np.random.default_rng(0).random((1, 600, 3)) < chance
    system, problem = prepared(SpikeData(counts.astype(int), bin_width=0.004))
    settings = Estimation(n_starts=5)
    found = starts_of(system, problem, settings, np.array([1.0]), key=KEY)
    assert [each.trusts_activity for each in found] == [True, False, True, False, True]
    assert found[0].free == found[1].free == 1.0
    assert len({float(each.free[0]) for each in found[2:]}) == 3
    roughness = [np.abs(np.diff(each.counts, axis=1)).mean() for each in found]
    assert roughness[0] < roughness[4] < roughness[2] <= roughness[1]
    own = dataclasses.replace(settings, smoothing=0.05)
    widths = [each.counts for each in starts_of(system, problem, own, np.array([1.0]), key=KEY)]
    assert all(np.array_equal(counts, widths[0]) for counts in widths)


def finished(values, n_starts=3):
    """State of a fit whose swarms have found ``values`` [kept chains, trials]."""
    settings = dataclasses.replace(SHORT, n_starts=n_starts)
    plan = Plan(settings)
    data = recording(n_trials=len(values[0]))
    state = sampling.begin(*prepared(data), settings, np.array([1.0]), KEY)
    state["start_values"] = np.array([-2.0, -1.0, -9.0])[:n_starts]
    noise = np.tile([-1.0, 0.0, 1.0], plan.n_swarms // 3)[:, None]
    for rank, each in enumerate(values):
        rows = slice(rank * plan.n_swarms, (rank + 1) * plan.n_swarms)
        state["values"][rows] = np.asarray(each) + noise
        state["followed"][rows], state["followed_squares"][rows] = rank + 1, (rank + 1) ** 2
        state["draws"][rank], state["activity"][rank] = rank + 1, 10 * (rank + 1)
        state["squares"][rank] = 100 * (rank + 1) ** 2
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


def test_where_swarms_disagree_the_chains_tell_the_activity():
    settings, state = finished([[-100.0, -100.0], [-300.0, -100.0]])
    state["values"][:, 0] += 100 * np.arange(len(state["values"])) % 170
    found = sampling.summary(settings, state)
    assert np.all(found["draws"] == 1)  # of the chain that was compared best
    np.testing.assert_array_equal(found["training_counts"][0], 10.0)
    np.testing.assert_array_equal(found["training_counts"][1], 1.0)
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


def test_the_start_that_explains_the_spikes_goes_on():
    """A whole fit: values of the starts are log-likelihoods, and the better chain has the draws."""
    fitted = fit(NeuLVM(NETWORK, stepping=FAST, estimation=SHORT), recording(), key=KEY)
    params, history = fitted.params, fitted.history
    compared = [row["log_likelihood"] for row in history if "log_likelihood" in row][:2]
    np.testing.assert_allclose(params["start_values"], compared)
    assert params["draws"].shape == (20, 1) and params["warmup"].shape == (20, 1)
    assert params["training_counts"].shape == (1, 80, 1)
    assert np.all(params["training_counts_std"] > 0)
