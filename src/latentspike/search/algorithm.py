"""What a search algorithm is: pure functions that own no weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from latentspike.search.space import Space
from latentspike.training.fit import seed_from


@dataclass(frozen=True)
class SearchState:
    """What a search remembers between generations; JSON-able.

    Parameters
    ----------
    generation : generations finished
    hyperparams : of each member in the next generation, searched and fixed
    scores : smoothed score of each member, lower is better; None before the first generation and
        where it is not finite. A member that took over another's weights has that one's score
    best, best_generation : lowest smoothed score so far and the generation that reached it,
        counted from 1
    stopped : why the search ended, or None
    reference, reference_generation : score and generation that patience counts from
    """

    generation: int
    hyperparams: tuple[dict[str, float], ...]
    scores: tuple[float | None, ...]
    best: float | None = None
    best_generation: int = 0
    stopped: str | None = None
    reference: float | None = None
    reference_generation: int = 0

    @property
    def n_members(self) -> int:
        """Number of members."""
        return len(self.hyperparams)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which keeps them exactly."""
        return {
            **{item.name: getattr(self, item.name) for item in dataclasses.fields(self)},
            "hyperparams": [dict(member) for member in self.hyperparams],
            "scores": list(self.scores),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchState:
        """Inverse of `to_dict`; raises ValueError naming a missing or unknown key."""
        known = {item.name for item in dataclasses.fields(cls)}
        if wrong := known.symmetric_difference(values):
            raise ValueError(f"not the state of a search: missing or unknown keys {sorted(wrong)}")
        members, scores = values["hyperparams"], values["scores"]
        if len(members) != len(scores):
            raise ValueError(f"{len(members)} members, but {len(scores)} scores")
        return cls(**{**values, "hyperparams": tuple(map(dict, members)), "scores": tuple(scores)})


class StepInfo(NamedTuple):
    """What a step did to each member."""

    ancestors: np.ndarray  # int [members]; whose weights each member continues from
    reasons: tuple[str, ...]  # why, in words; "" where a member keeps its own


@runtime_checkable
class Algorithm(Protocol):
    """A way to search. Its methods depend on nothing but their arguments."""

    @property
    def max_generations(self) -> int:
        """Generations to train at most."""
        ...

    def init(self, space: Space, n_members: int, *, key: jax.Array) -> SearchState:
        """Hyperparameters of the first generation."""
        ...

    def step(
        self, space: Space, state: SearchState, scores: np.ndarray, *, key: jax.Array
    ) -> tuple[SearchState, StepInfo]:
        """From the scores of a generation to the members of the next one.

        Parameters
        ----------
        space : what is searched
        state : of the generation that has been trained
        scores : float [members], lower is better; not finite means failed
        key : PRNG key of the search; the generation is folded in
        """
        ...

    def reason_to_stop(self, state: SearchState) -> str | None:
        """Why the search ends here under these settings, or None."""
        ...


def generator(key: jax.Array, *folds: int) -> np.random.Generator:
    """NumPy generator of a key and, say, a generation and a member."""
    for number in folds:
        key = jax.random.fold_in(key, number)
    return np.random.default_rng(seed_from(key))


def draw_members(space: Space, n_members: int, *, key: jax.Array) -> SearchState:
    """Members drawn independently; that of a member does not depend on their number.

    Raises
    ------
    ValueError : unless there is at least one member.
    """
    check_count(n_members, "n_members")
    n = len(space.drawn)
    return new_state([space.place(generator(key, i).random(n)) for i in range(n_members)])


def new_state(members: list[dict[str, float]]) -> SearchState:
    """State before the first generation."""
    return SearchState(0, tuple(members), (None,) * len(members))


def check_count(value: Any, name: str, least: int = 1) -> None:
    """Raise unless the value is a whole number that is large enough."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number, at least {least}, got {value!r}")


def check_scores(state: SearchState, scores: np.ndarray) -> np.ndarray:
    """Scores [members] in double precision, NaN where not finite."""
    found = np.asarray(scores, np.float64)
    if found.shape != (state.n_members,):
        raise ValueError(f"scores of {state.n_members} members expected, got shape {found.shape}")
    return np.where(np.isfinite(found), found, np.nan)


def as_scores(values: np.ndarray) -> tuple[float | None, ...]:
    """Scores [members] as a state holds them: None for NaN."""
    return tuple(None if np.isnan(value) else float(value) for value in values)


def advanced(state: SearchState, scores: np.ndarray) -> SearchState:
    """State one generation on: the scores [members, NaN where not finite] and the best of them."""
    now = state.generation + 1
    state = dataclasses.replace(state, generation=now, scores=as_scores(scores), stopped=None)
    lowest = lowest_score(state)
    if lowest is None or (state.best is not None and lowest >= state.best):
        return state
    return dataclasses.replace(state, best=lowest, best_generation=now)


def lowest_score(state: SearchState) -> float | None:
    """Lowest score of the members, or None if none has one."""
    return min((score for score in state.scores if score is not None), default=None)


def reason_to_stop(state: SearchState, max_generations: int) -> str | None:
    """Why any search ends here, or None."""
    now, n = state.generation, state.n_members
    if lowest_score(state) is None:
        return f"all {n} members failed: no finite score in generation {now}"
    if now >= max_generations:
        return f"reached {max_generations} generations"
    return None
