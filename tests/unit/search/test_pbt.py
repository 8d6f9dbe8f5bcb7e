"""Population-based training: who loses to whom, what moves, and when it ends."""

import copy
import json
import math
from collections import Counter
from dataclasses import replace

import jax
import numpy as np
import pytest

from latentspike.search.algorithm import Algorithm, SearchState
from latentspike.search.pbt import PBT, Groups
from latentspike.search.space import Space

KEY, NAN = jax.random.key(5), np.nan
SPACE = Space.table_1().updated({"dropout": 0.2})
BOTH = pytest.mark.parametrize("selection", ["truncation", "tournament"])


def step(pbt, scores, *, state=None, key=KEY):
    """State and info after a generation with these scores, the first one unless given a state."""
    state = state or pbt.init(SPACE, len(scores), key=KEY)
    return pbt.step(SPACE, state, np.array(scores), key=key)


def run(pbt, histories, key=KEY):
    """States and infos of generations that score as given [generations, members]."""
    states, infos = [pbt.init(SPACE, len(histories[0]), key=key)], []
    for scores in histories:
        state, info = step(pbt, scores, state=states[-1], key=key)
        states.append(state)
        infos.append(info)
    return states, infos


def keys(n):
    return [jax.random.key(seed) for seed in range(n)]


@BOTH
def test_pbt_is_an_algorithm(selection):
    assert isinstance(PBT(selection=selection), Algorithm)


BAD_SETTINGS = {
    "max_generations": [0, 2.5, True],
    "selection": ["tourney", None],
    "fraction": [0.0, 0.51, NAN, -0.1],
    "smoothing": [0.0, 1.1, NAN],
    "patience": [0, 1.5],
    "min_improvement": [-1e-9, NAN, np.inf],
    "warmup": [-1, 0.5],
}


@pytest.mark.parametrize("name, value", [(n, v) for n, vs in BAD_SETTINGS.items() for v in vs])
def test_a_setting_that_makes_no_sense_is_named(name, value):
    with pytest.raises(ValueError, match=f"^{name} .*{value}"):
        PBT(**{name: value})


# --- truncation ---------------------------------------------------------------------------------


def test_truncation_copies_the_best_onto_the_worst():
    scores = [3.0, 8.0, 1.0, 6.0, 7.0, 2.0, 5.0, 4.0]
    state, info = step(PBT(), scores)
    losers, winners = {1, 4}, {2, 5}
    for i, j in enumerate(info.ancestors):
        assert (j in winners) if i in losers else (j == i)
        assert info.reasons[i] == (f"truncation: lost to member {j}" if i in losers else "")
    assert state.scores == tuple(scores[j] for j in info.ancestors)


def test_truncation_draws_winners_uniformly():
    scores = np.arange(12.0)
    ancestors = [step(PBT(), scores, key=key)[1].ancestors for key in keys(100)]
    counts = Counter(int(a) for row in ancestors for a in row[9:])
    assert set(counts) == {0, 1, 2}
    assert min(counts.values()) > 100 - 4 * math.sqrt(300 * 2 / 9)
    assert len({tuple(row[9:]) for row in ancestors}) > 20  # of 27: losers draw independently


SIZES = {  # members, fraction -> members in either group
    (2, 0.25): 1, (2, 0.5): 1, (3, 0.25): 1, (3, 0.5): 1, (4, 0.01): 1, (5, 0.5): 2,
    (10, 0.3): 3, (20, 0.25): 5, (7, 0.5): 3, (100, 0.29): 29, (1, 0.5): 0,
}  # fmt: skip


@pytest.mark.parametrize("n, fraction", SIZES)
def test_groups_have_the_size_of_the_fraction(n, fraction):
    scores, size = np.arange(n)[::-1].astype(float), SIZES[n, fraction]
    groups = Groups.of(scores, fraction)
    assert groups.worst.size == size and groups.best.size == max(size, 1)
    assert sorted(groups.worst) == list(range(size))


@pytest.mark.parametrize("n_failed, n_worst, n_best", [(1, 2, 3), (3, 0, 2), (7, 0, 1), (10, 0, 1)])
def test_failed_members_count_among_the_worst(n_failed, n_worst, n_best):
    scores = np.arange(12.0)
    scores[:n_failed] = NAN
    groups = Groups.of(scores, 0.25)
    assert (groups.worst.size, groups.best.size) == (n_worst, n_best)
    assert groups.best[0] == n_failed


def test_members_with_equal_scores_keep_their_weights():
    _, info = step(PBT(fraction=0.5), [2.0] * 6)
    np.testing.assert_array_equal(info.ancestors, range(6))
    _, info = step(PBT(fraction=0.5), [2.0, 2.0, 2.0, 3.0])
    np.testing.assert_array_equal(info.ancestors[:3], range(3))
    assert info.ancestors[3] in (0, 1)


# --- tournament ---------------------------------------------------------------------------------


def test_in_a_tournament_only_a_strictly_better_opponent_wins():
    pbt, scores = PBT(selection="tournament"), np.array([2.0, 1.0, 4.0, 3.0, 1.0])
    for key in keys(30):
        _, info = step(pbt, scores, key=key)
        for i, j in enumerate(info.ancestors):
            assert scores[j] < scores[i] if j != i else info.reasons[i] == ""
            assert info.reasons[i] in ("", f"tournament: lost to member {j}")
        assert info.ancestors[1] == 1 and info.ancestors[4] == 4


def test_in_a_tournament_every_other_member_is_met_equally_often():
    n = 300
    pbt, scores = PBT(selection="tournament"), [4.0, 1.0, 2.0, 3.0]
    met = Counter(int(step(pbt, scores, key=key)[1].ancestors[0]) for key in keys(n))
    assert set(met) == {1, 2, 3}  # the worst always loses, and never meets itself
    assert max(abs(count - n / 3) for count in met.values()) < 4 * math.sqrt(n * 2 / 9)


def test_a_tournament_of_equals_changes_nothing():
    _, info = step(PBT(selection="tournament"), [0.0] * 5)
    np.testing.assert_array_equal(info.ancestors, range(5))


# --- members that failed ------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("bad", [NAN, np.inf, -np.inf])
def test_a_failed_member_is_replaced_by_a_winner(selection, bad):
    pbt = PBT(selection=selection)
    scores = [3.0, bad, 1.0, 4.0, 2.0, 5.0, 6.0, 7.0, 8.0]  # the best two of eight: 2 and 4
    drawn = {int(step(pbt, scores, key=key)[1].ancestors[1]) for key in keys(20)}
    assert drawn == {2, 4}
    state, info = step(pbt, scores)
    assert info.reasons[1] == f"not finite: replaced by member {info.ancestors[1]}"
    assert state.scores[1] == scores[info.ancestors[1]]


@BOTH
def test_a_failed_member_is_replaced_in_the_warmup_too(selection):
    states, infos = run(PBT(selection=selection, warmup=2), [[3.0, NAN, 1.0, 2.0]] * 3)
    for info in infos[:2]:
        np.testing.assert_array_equal(info.ancestors, [0, 2, 2, 3])
        assert info.reasons[0] == info.reasons[3] == ""
    assert all(None not in state.scores for state in states[1:])


def test_after_the_warmup_members_exploit():
    _, infos = run(PBT(warmup=2), [[1.0, 2.0, 3.0, 4.0]] * 3)
    lineage = [info.ancestors.tolist() for info in infos]
    assert lineage == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 0]]


@BOTH
@pytest.mark.parametrize("n", [1, 4])
def test_a_search_in_which_all_failed_stops(selection, n):
    states, infos = run(PBT(selection=selection), [np.arange(n) + 1.0, [np.inf] * n])
    assert states[1].stopped is None
    assert states[2].stopped == f"all {n} members failed: no finite score in generation 2"
    assert states[2].scores == (None,) * n and states[2].best == 1.0
    assert states[2].hyperparams == states[1].hyperparams
    np.testing.assert_array_equal(infos[1].ancestors, range(n))


@BOTH
def test_a_population_of_one_trains_on_alone(selection):
    pbt = PBT(selection=selection, max_generations=3)
    states, infos = run(pbt, [[3.0], [2.0], [1.0]])
    assert all(info.ancestors.tolist() == [0] and info.reasons == ("",) for info in infos)
    assert states[-1].hyperparams == states[0].hyperparams
    assert states[-1].stopped == "reached 3 generations"


@BOTH
def test_of_two_members_the_worse_one_loses(selection):
    _, info = step(PBT(selection=selection), [2.0, 1.0])
    np.testing.assert_array_equal(info.ancestors, [1, 1])


# --- smoothing ----------------------------------------------------------------------------------


def test_scores_are_smoothed_and_a_loser_inherits_the_winner_s():
    states, infos = run(PBT(), [[10.0, 20.0, 30.0], [20.0, 10.0, 0.0]])
    assert infos[0].ancestors.tolist() == [0, 1, 0]
    assert states[1].scores == (10.0, 20.0, 10.0)
    second = np.array([0.7 * 20 + 0.3 * 10, 0.7 * 10 + 0.3 * 20, 0.7 * 0 + 0.3 * 10])
    assert infos[1].ancestors.tolist() == [2, 1, 2]
    np.testing.assert_allclose(states[2].scores, second[[2, 1, 2]])


def test_selection_follows_the_smoothed_scores():
    """A lucky newest score alone does not win: 0.2 * 0 + 0.8 * 10 is worse than 5."""
    _, infos = run(PBT(smoothing=0.2), [[10.0, 5.0, 10.0], [0.0, 5.0, 50.0]])
    assert infos[1].ancestors[2] == 1


def test_a_missing_previous_score_leaves_the_new_one_as_it_is():
    pbt = PBT(warmup=9)
    state = pbt.init(SPACE, 3, key=KEY)
    state = replace(state, generation=1, scores=(4.0, None, 2.0))
    new, _ = step(pbt, [1.0, 7.0, 3.0], state=state)
    np.testing.assert_allclose(new.scores, [0.7 * 1 + 0.3 * 4, 7.0, 0.7 * 3 + 0.3 * 2])


# --- explore ------------------------------------------------------------------------------------


@BOTH
def test_only_members_that_exploited_explore(selection):
    pbt = PBT(selection=selection)
    before = pbt.init(SPACE, 8, key=KEY)
    after, info = step(pbt, [3.0, 8.0, 1.0, 6.0, NAN, 2.0, 5.0, 4.0], state=before)
    assert 1 < sum(j != i for i, j in enumerate(info.ancestors)) < 8
    for i, j in enumerate(info.ancestors):
        new, parent = after.hyperparams[i], before.hyperparams[j]
        moved = {name for name in parent if new[name] != parent[name]}
        assert moved == (set() if i == j else set(SPACE.ranges))
        assert new["dropout"] == 0.2


def test_exploring_starts_at_the_winner_and_goes_no_further_than_the_perturbation():
    before = PBT().init(SPACE, 4, key=KEY)
    for key in keys(20):
        after, info = step(PBT(), [1.0, 2.0, 3.0, 4.0], state=before, key=key)
        assert info.ancestors[3] == 0
        for name, found in SPACE.ranges.items():
            new, parent = after.hyperparams[3][name], before.hyperparams[0][name]
            f = math.log if found.scale == "log" else float
            assert abs(f(new) - f(parent)) <= found.reach * (1 + 1e-12)


# --- when it ends -------------------------------------------------------------------------------


def endings(pbt, scores):
    """Why a population of one whose generations score as given stops, if so."""
    return [state.stopped for state in run(pbt, [[score] for score in scores])[0][1:]]


def test_patience_counts_generations_without_improvement():
    pbt = PBT(patience=2, smoothing=1.0)
    assert endings(pbt, [9.0, 8.0, 8.0, 7.0, 8.0, 7.0]) == [
        None, None, None, None, None, "no improvement in 2 generations",
    ]  # fmt: skip


def test_an_improvement_must_be_large_enough_but_may_take_its_time():
    pbt = PBT(patience=3, smoothing=1.0, min_improvement=0.01)
    slow = [-100.0, -100.4, -100.8, -101.2, -101.6]  # more than 1 % of 100 in three generations
    assert endings(pbt, slow) == [None] * 5
    slower = [-100.0, -100.3, -100.6, -100.9]
    assert endings(pbt, slower)[-1] == "no improvement in 3 generations"
    state = run(pbt, [[score] for score in slower])[0][-1]
    assert (state.best, state.best_generation) == (-100.9, 4)  # the best is the best all the same


def test_patience_starts_after_the_warmup_and_at_its_level():
    pbt = PBT(patience=2, smoothing=1.0, warmup=3)
    rising = [1.0, 2.0, 3.0]  # while penalties rise, so may the scores
    assert endings(pbt, [*rising, 2.9, 2.8, 2.7]) == [None] * 6
    assert endings(pbt, [*rising, 3.0, 3.0])[-1] == "no improvement in 2 generations"
    state = run(pbt, [[score] for score in rising])[0][-1]
    assert (state.best, state.best_generation) == (1.0, 1)


def test_pbt_ends_at_its_budget():
    assert endings(PBT(max_generations=2), [2.0, 1.0]) == [None, "reached 2 generations"]


@BOTH
def test_pbt_with_a_larger_budget_goes_on_as_if_it_had_it_from_the_start(selection):
    scores = np.random.default_rng(0).normal(size=(6, 5)) - np.arange(6)[:, None]
    long, infos = run(PBT(selection=selection), scores)
    short, _ = run(PBT(selection=selection, max_generations=3), scores[:3])
    state, info = step(PBT(selection=selection), scores[3], state=short[-1])
    assert state == long[4]
    np.testing.assert_array_equal(info.ancestors, infos[3].ancestors)


# --- pure functions -----------------------------------------------------------------------------


@BOTH
def test_a_step_depends_on_its_arguments_only(selection):
    pbt, scores = PBT(selection=selection), np.array([4.0, NAN, 2.0, 1.0, 3.0])
    state = pbt.init(SPACE, 5, key=KEY)
    kept, given = copy.deepcopy(state), scores.copy()
    first, info = pbt.step(SPACE, state, scores, key=KEY)
    again, same = PBT(selection=selection).step(SPACE, state, scores, key=KEY)
    assert first == again and info.reasons == same.reasons
    np.testing.assert_array_equal(info.ancestors, same.ancestors)
    assert state == kept
    np.testing.assert_array_equal(scores, given)
    other, _ = pbt.step(SPACE, state, scores, key=jax.random.key(6))
    assert other != first


def test_one_key_serves_every_generation():
    """The same scores and key in another generation are other draws."""
    pbt, scores = PBT(), np.arange(4.0)
    state = pbt.init(SPACE, 4, key=KEY)
    later = replace(state, generation=1)
    first, second = (pbt.step(SPACE, s, scores, key=KEY)[0] for s in (state, later))
    assert first.hyperparams[3] != second.hyperparams[3]


def test_a_pbt_state_survives_json_exactly():
    states, _ = run(PBT(), [[1 / 3, NAN, 2 / 7, 5.0], [0.1, 0.2, 0.3, NAN]])
    for state in states:
        assert SearchState.from_dict(json.loads(json.dumps(state.to_dict()))) == state


def test_a_search_improves_on_a_landscape_with_a_known_minimum():
    """Members that do not learn, only choose, so that the loss is one of hyperparameters alone."""
    space = Space.table_1()

    def loss(member):
        return abs(math.log(member["kl_ic"] / 0.5)) + abs(math.log(member["l2_gen"] / 50))

    pbt, key = PBT(max_generations=15, patience=15, smoothing=1.0), jax.random.key(0)
    state = pbt.init(space, 12, key=key)
    start = [loss(member) for member in state.hyperparams]
    while state.stopped is None:
        scores = np.array([loss(member) for member in state.hyperparams])
        state, _ = pbt.step(space, state, scores, key=key)
    assert np.median(scores) < 0.5 * np.median(start) and state.best < 0.5 * min(start)
