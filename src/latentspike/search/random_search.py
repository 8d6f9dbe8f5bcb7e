"""Random search: members drawn once, trained side by side, never mixed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import numpy as np
from scipy.stats import qmc

from latentspike.search.algorithm import (
    SearchState,
    StepInfo,
    advanced,
    check_count,
    check_scores,
    draw_members,
    generator,
    new_state,
    reason_to_stop,
)
from latentspike.search.space import Space


@dataclass(frozen=True)
class RandomSearch:
    """Hyperparameters drawn at random, uniformly on the scale of each range.

    A range with a ``start`` is not drawn: all members have that value. The draw of a member does
    not depend on how many there are, so a search can be enlarged. A member whose score was not
    finite once stays failed: its score is None from then on.

    Parameters
    ----------
    max_generations : generations to train
    quasi : scrambled Halton points instead of independent ones; they fill the space more evenly

    References
    ----------
    Keshtkaran & Pandarinath (2019), Figs 1b and 4; Halton (1960); Owen (2017), arXiv:1706.02808.

    Examples
    --------
    >>> state = RandomSearch(3).init(Space.table_1(), 10, key=jax.random.key(0))
    >>> len(state.hyperparams), state.hyperparams[0]["keep_ratio"]
    (10, 0.5)
    """

    max_generations: int = 1
    quasi: bool = False

    def __post_init__(self) -> None:
        check_count(self.max_generations, "max_generations")

    def init(self, space: Space, n_members: int, *, key: jax.Array) -> SearchState:
        """Draw the members; any number of them."""
        if not self.quasi or not space.drawn:
            return draw_members(space, n_members, key=key)
        check_count(n_members, "n_members")
        points = qmc.Halton(len(space.drawn), rng=generator(key)).random(n_members)
        return new_state([space.place(point) for point in points])

    def step(
        self, space: Space, state: SearchState, scores: np.ndarray, *, key: jax.Array
    ) -> tuple[SearchState, StepInfo]:
        """Note the scores [members]; every member goes on as it is."""
        found = check_scores(state, scores)
        if state.generation:
            failed = [score is None for score in state.scores]
            found = np.where(failed, np.nan, found)
        new = advanced(state, found)
        new = replace(new, stopped=self.reason_to_stop(new))
        return new, StepInfo(np.arange(state.n_members), ("",) * state.n_members)

    def reason_to_stop(self, state: SearchState) -> str | None:
        """Why the search ends here under these settings, or None."""
        return reason_to_stop(state, self.max_generations)
