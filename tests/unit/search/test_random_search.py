"""Random search: any number of members, each drawn on its own, none of them ever mixed."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.stats import kstest

from latentspike.search.algorithm import Algorithm, SearchState
from latentspike.search.random_search import RandomSearch
from latentspike.search.space import Range, Space

KEY, SPACE = jax.random.key(3), Space.table_1()
BOTH = pytest.mark.parametrize("quasi", [False, True])


def run(search, histories, space=SPACE):
    """States and infos of a search whose generations score as given [generations, members]."""
    states, infos = [search.init(space, len(histories[0]), key=KEY)], []
    for scores in histories:
        state, info = search.step(space, states[-1], np.array(scores), key=KEY)
        states.append(state)
        infos.append(info)
    return states, infos


@BOTH
def test_a_random_search_is_an_algorithm(quasi):
    assert isinstance(RandomSearch(2, quasi), Algorithm)


@BOTH
@pytest.mark.parametrize("n_members", [1, 2, 7, 33])
def test_a_draw_does_not_depend_on_the_number_of_draws(quasi, n_members):
    many = RandomSearch(1, quasi).init(SPACE, 40, key=KEY)
    few = RandomSearch(1, quasi).init(SPACE, n_members, key=KEY)
    assert few.hyperparams == many.hyperparams[:n_members]
    assert few.scores == (None,) * n_members and few.generation == 0 and few.best is None


@BOTH
def test_the_key_decides(quasi):
    search = RandomSearch(1, quasi)
    assert search.init(SPACE, 3, key=KEY) == search.init(SPACE, 3, key=KEY)
    other = search.init(SPACE, 3, key=jax.random.key(4))
    assert all(a != b for a, b in zip(search.init(SPACE, 3, key=KEY).hyperparams,
                                      other.hyperparams, strict=True))  # fmt: skip


@BOTH
def test_draws_are_uniform_on_the_scale_and_independent(quasi):
    members = RandomSearch(1, quasi).init(SPACE, 400, key=KEY).hyperparams
    columns = []
    for name in SPACE.drawn:
        found, values = SPACE.ranges[name], np.array([member[name] for member in members])
        f = np.log if found.scale == "log" else np.asarray
        columns.append((f(values) - f(found.low)) / (f(found.high) - f(found.low)))
        assert kstest(columns[-1], "uniform").pvalue > 1e-3
    off_diagonal = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(off_diagonal).max() < 0.2  # four standard errors


def test_halton_points_fill_the_space_more_evenly():
    def gap(quasi):
        members = RandomSearch(1, quasi).init(SPACE, 64, key=KEY).hyperparams
        values = np.array([member["dropout"] / 0.7 for member in members])
        return kstest(values, "uniform").statistic

    assert gap(True) < 0.05 < gap(False)


@BOTH
def test_a_start_is_kept_until_the_user_takes_it_away(quasi):
    search = RandomSearch(1, quasi)
    members = search.init(SPACE, 20, key=KEY).hyperparams
    assert {(m["keep_ratio"], m["learning_rate"]) for m in members} == {(0.5, 0.01)}
    free = SPACE.updated({"keep_ratio": {"start": "random"}})
    members = search.init(free, 20, key=KEY).hyperparams
    assert len({member["keep_ratio"] for member in members}) == 20


@BOTH
def test_members_of_a_space_without_draws_are_alike(quasi):
    space = Space({"kl_ic": Range(0.1, 1, "log", start=0.2)}, {"dropout": 0.3})
    members = RandomSearch(1, quasi).init(space, 3, key=KEY).hyperparams
    assert members == ({"kl_ic": 0.2, "dropout": 0.3},) * 3


def test_nobody_continues_from_another():
    states, infos = run(RandomSearch(3), [[3.0, 1.0, 2.0], [2.0, 5.0, 1.5], [0.5, 4.0, 9.0]])
    for state, info in zip(states[1:], infos, strict=True):
        np.testing.assert_array_equal(info.ancestors, [0, 1, 2])
        assert info.reasons == ("", "", "")
        assert state.hyperparams == states[0].hyperparams
    assert [state.generation for state in states] == [0, 1, 2, 3]
    assert [state.best for state in states] == [None, 1.0, 1.0, 0.5]
    assert [state.best_generation for state in states] == [0, 1, 1, 3]
    assert states[2].scores == (2.0, 5.0, 1.5)  # the newest, not smoothed


def test_a_random_search_ends_at_its_budget():
    states, _ = run(RandomSearch(2), [[1.0], [1.0]])
    assert [state.stopped for state in states] == [None, None, "reached 2 generations"]


def test_a_random_search_can_be_given_more_generations():
    scores = [[2.0, 1.0], [1.5, 3.0], [1.0, 0.5]]
    states, _ = run(RandomSearch(3), scores)
    short, _ = run(RandomSearch(2), scores[:2])
    on, _ = RandomSearch(3).step(SPACE, short[-1], np.array(scores[2]), key=KEY)
    assert short[-1] == replace(states[2], stopped="reached 2 generations")
    assert on == states[-1]


def test_a_member_that_failed_stays_failed():
    nan, inf = np.nan, np.inf
    states, _ = run(RandomSearch(9), [[1.0, nan, 3.0], [inf, 0.1, 2.0], [0.2, 0.1, 1.0]])
    assert states[1].scores == (1.0, None, 3.0)
    assert states[2].scores == (None, None, 2.0)
    assert states[3].scores == (None, None, 1.0)
    assert (states[3].best, states[3].best_generation) == (1.0, 1)


@pytest.mark.parametrize("n_members", [1, 3])
def test_a_random_search_of_failures_stops(n_members):
    states, _ = run(RandomSearch(9), [np.arange(n_members) + 1.0, np.full(n_members, -np.inf)])
    reason = f"all {n_members} members failed: no finite score in generation 2"
    assert [state.stopped for state in states] == [None, None, reason]
    assert (states[-1].best, states[-1].best_generation) == (1.0, 1)


@BOTH
@pytest.mark.parametrize("n_members", [0, -1, 2.0, True])
def test_a_number_of_members_that_makes_no_sense_raises(quasi, n_members):
    with pytest.raises(ValueError, match=f"n_members .* got {n_members}"):
        RandomSearch(1, quasi).init(SPACE, n_members, key=KEY)


@pytest.mark.parametrize("budget", [0, 1.5, True])
def test_a_budget_that_makes_no_sense_raises(budget):
    with pytest.raises(ValueError, match=f"max_generations .* got {budget}"):
        RandomSearch(budget)


@pytest.mark.parametrize("scores", [[1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]]])
def test_scores_of_other_members_are_refused(scores):
    state = RandomSearch(1).init(SPACE, 2, key=KEY)
    with pytest.raises(ValueError, match="scores of 2 members expected, got shape"):
        RandomSearch(1).step(SPACE, state, np.array(scores), key=KEY)


def test_a_state_survives_json_exactly():
    states, _ = run(RandomSearch(9, quasi=True), [[1 / 3, np.nan, 1e-300], [0.1, 0.2, 2 / 3]])
    for state in states:
        assert SearchState.from_dict(json.loads(json.dumps(state.to_dict()))) == state


def test_a_document_that_is_no_state_is_refused():
    document = RandomSearch(1).init(SPACE, 2, key=KEY).to_dict()
    with pytest.raises(ValueError, match=r"missing or unknown keys \['bets'\]"):
        SearchState.from_dict({**document, "bets": 1})
    with pytest.raises(ValueError, match=r"missing or unknown keys \['generation'\]"):
        SearchState.from_dict({k: v for k, v in document.items() if k != "generation"})
    with pytest.raises(ValueError, match="2 members, but 1 scores"):
        SearchState.from_dict({**document, "scores": [1.0]})
