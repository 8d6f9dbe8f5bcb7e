"""Whatever members score: lineages are valid, values stay in range, the same history repeats."""

import json
from itertools import pairwise

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from latentspike.search.algorithm import SearchState
from latentspike.search.pbt import PBT, Groups
from latentspike.search.random_search import RandomSearch
from latentspike.search.space import Range, Space

EXAMPLES = settings(deadline=None, max_examples=40, derandomize=True)
MANY = settings(deadline=None, max_examples=200, derandomize=True)

bad = st.sampled_from([np.nan, np.inf, -np.inf])
good = st.floats(-1e6, 1e6) | st.integers(-2, 2).map(float)  # whole numbers, for ties
score = st.one_of(good, good, bad)
seeds = st.integers(0, 2**31 - 1)
reach = st.none() | st.floats(0, 20)


def histories(element=score, max_members=7):
    """Scores [generations, members]."""
    return st.tuples(st.integers(1, 4), st.integers(1, max_members)).flatmap(
        lambda shape: st.lists(
            st.lists(element, min_size=shape[1], max_size=shape[1]),
            min_size=shape[0],
            max_size=shape[0],
        ).map(np.array)
    )


@st.composite
def ranges(draw, lowest=1e-12, highest=1e12):
    ends = st.floats(lowest, highest)
    low, high = draw(st.tuples(ends, ends).filter(lambda pair: pair[0] != pair[1]).map(sorted))
    start = draw(st.none() | st.floats(low, high))
    return Range(low, high, draw(st.sampled_from(["log", "linear"])), start, draw(reach))


spaces = st.builds(
    Space,
    st.fixed_dictionaries(
        {"kl_ic": ranges(), "keep_ratio": ranges(1e-3, 1.0)}, optional={"l2_gen": ranges()}
    ),
    st.fixed_dictionaries({"dropout": st.floats(0, 0.9)}, optional={"l2_con": st.floats(0, 1e6)}),
)
pbts = st.builds(
    PBT,
    max_generations=st.integers(1, 6),
    selection=st.sampled_from(["truncation", "tournament"]),
    fraction=st.floats(0.01, 0.5),
    smoothing=st.floats(0.01, 1),
    patience=st.integers(1, 3),
    warmup=st.integers(0, 2),
)
algorithms = pbts | st.builds(RandomSearch, st.integers(1, 5), st.booleans())


def replay(algorithm, space, scores, seed, *, state=None):
    """States, from the first one on, and infos; a search that stopped is asked to go on."""
    key = jax.random.key(seed)
    states, infos = [state or algorithm.init(space, scores.shape[1], key=key)], []
    for row in scores:
        new, info = algorithm.step(space, states[-1], row, key=key)
        states.append(new)
        infos.append(info)
    return states, infos


def through_json(state):
    return SearchState.from_dict(json.loads(json.dumps(state.to_dict())))


@MANY
@given(ranges(), st.floats(0, 1), seeds)
def test_no_value_leaves_its_range(found, u, seed):
    rng, value = np.random.default_rng(seed), found.sample(u)
    for _ in range(5):
        assert found.low <= value <= found.high
        value = found.perturb(value, rng)


@EXAMPLES
@given(spaces)
def test_a_space_survives_json_exactly(space):
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space


@EXAMPLES
@given(algorithms, spaces, histories(), seeds)
def test_hyperparams_stay_in_range_and_fixed_ones_stay(algorithm, space, scores, seed):
    states, _ = replay(algorithm, space, scores, seed)
    for member in (member for state in states for member in state.hyperparams):
        assert set(member) == set(space.names)
        assert all(found.low <= member[n] <= found.high for n, found in space.ranges.items())
        assert {name: member[name] for name in space.fixed} == space.fixed


@EXAMPLES
@given(pbts, spaces, histories(), seeds)
def test_ancestors_have_finite_scores_and_no_failure_survives(pbt, space, scores, seed):
    states, infos = replay(pbt, space, scores, seed)
    n = scores.shape[1]
    for row, state, info in zip(scores, states[1:], infos, strict=True):
        assert info.ancestors.shape == (n,) and len(info.reasons) == n
        assert np.issubdtype(info.ancestors.dtype, np.integer)
        kept = info.ancestors == np.arange(n)
        assert [reason == "" for reason in info.reasons] == kept.tolist()
        if np.isfinite(row).any():
            assert np.isfinite(row[info.ancestors]).all()
            assert None not in state.scores
        else:
            assert kept.all() and state.scores == (None,) * n
            assert state.stopped is not None and "failed" in state.stopped


@EXAMPLES
@given(pbts, spaces, histories(), seeds)
def test_nobody_takes_over_from_a_worse_member(pbt, space, scores, seed):
    """Compared by the scores that count, and the best member is never lost."""
    states, infos = replay(pbt, space, scores, seed)
    for row, old, new, info in zip(scores, states[:-1], states[1:], infos, strict=True):
        s = pbt.smoothing
        smoothed = [
            x if was is None else s * x + (1 - s) * was
            for x, was in zip(row, old.scores, strict=True)
        ]
        for i, j in enumerate(info.ancestors):
            if np.isfinite(row[i]):
                assert j == i or smoothed[j] < smoothed[i]
                assert new.scores[i] == smoothed[j]
        if np.isfinite(row).any():
            finite = [x for x in smoothed if np.isfinite(x)]
            assert min(finite) == min(new.scores)


@EXAMPLES
@given(algorithms, spaces, histories(), seeds)
def test_the_best_score_never_rises(algorithm, space, scores, seed):
    states, _ = replay(algorithm, space, scores, seed)
    for old, new in pairwise(states):
        assert new.generation == old.generation + 1
        if old.best is not None:
            assert new.best <= old.best
        changed = new.best != old.best
        assert new.best_generation == (new.generation if changed else old.best_generation)
        lowest = min((x for x in new.scores if x is not None), default=np.inf)
        assert new.best is None or new.best <= lowest


@EXAMPLES
@given(algorithms, spaces, histories(), seeds, st.data())
def test_a_saved_search_goes_on_as_if_never_interrupted(algorithm, space, scores, seed, data):
    states, infos = replay(algorithm, space, scores, seed)
    cut = data.draw(st.integers(0, len(scores)))
    saved = through_json(states[cut])
    assert saved == states[cut]
    again, rest = replay(algorithm, space, scores[cut:], seed, state=saved)
    assert again == states[cut:]
    for a, b in zip(rest, infos[cut:], strict=True):
        assert a.ancestors.tolist() == b.ancestors.tolist() and a.reasons == b.reasons


@EXAMPLES
@given(st.lists(good, min_size=1, max_size=12, unique=True), st.floats(0.01, 0.5), seeds)
def test_truncation_copies_exactly_its_fraction(scores, fraction, seed):
    n, space = len(scores), Space({}, {"dropout": 0.1})
    k = min(max(round(fraction * n), 1), n // 2)
    _, (info,) = replay(PBT(fraction=fraction), space, np.array([scores]), seed)
    rank = np.argsort(np.argsort(scores))
    lost = np.flatnonzero(info.ancestors != np.arange(n))
    assert sorted(rank[lost]) == list(range(n - k, n))
    assert all(rank[info.ancestors[i]] < k for i in lost)


@EXAMPLES
@given(
    st.lists(good | st.just(np.nan), min_size=1, max_size=12, unique=True), st.floats(0.01, 0.5),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_winners_follow_the_scores_and_not_the_places(scores, fraction, random):
    order = list(range(len(scores)))
    random.shuffle(order)
    scores = np.array(scores)
    groups, moved = Groups.of(scores, fraction), Groups.of(scores[order], fraction)
    for group, other in zip(groups, moved, strict=True):
        assert group.tolist() == [order[i] for i in other]
    assert not set(groups.best) & set(groups.worst)
    assert np.isfinite(scores[groups.best]).all() and np.isfinite(scores[groups.worst]).all()


@EXAMPLES
@given(
    st.lists(good, min_size=1, max_size=7, unique=True), st.floats(0.01, 0.5),
    st.permutations(range(7)), seeds,
)  # fmt: skip
def test_losers_of_a_truncation_move_with_their_scores(scores, fraction, order, seed):
    def losers(row):
        _, (info,) = replay(PBT(fraction=fraction), Space(), np.array([row]), seed)
        return {score for i, score in enumerate(row) if info.ancestors[i] != i}

    assert losers(scores) == losers([scores[i] for i in order if i < len(scores)])


@EXAMPLES
@given(st.booleans(), spaces, st.integers(1, 9), st.integers(1, 9), seeds)
def test_a_member_s_draw_does_not_depend_on_the_others(quasi, space, few, more, seed):
    search, key = RandomSearch(1, quasi), jax.random.key(seed)
    members = search.init(space, few, key=key).hyperparams
    assert search.init(space, few + more, key=key).hyperparams[:few] == members


@EXAMPLES
@given(st.booleans(), spaces, histories(), seeds)
def test_a_random_search_mixes_nobody_and_revives_nobody(quasi, space, scores, seed):
    states, infos = replay(RandomSearch(9, quasi), space, scores, seed)
    for t, (state, info) in enumerate(zip(states[1:], infos, strict=True)):
        assert info.ancestors.tolist() == list(range(scores.shape[1]))
        assert state.hyperparams == states[0].hyperparams
        alive = np.isfinite(scores[: t + 1]).all(axis=0)
        assert [x is not None for x in state.scores] == alive.tolist()
        assert (state.stopped is not None) == (not alive.any())
