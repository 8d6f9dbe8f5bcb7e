"""Population-based training: members that lose continue from members that win."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import jax
import numpy as np

from latentspike.search.algorithm import (
    SearchState,
    StepInfo,
    advanced,
    as_scores,
    check_count,
    check_scores,
    draw_members,
    generator,
    lowest_score,
    reason_to_stop,
)
from latentspike.search.space import Space


@dataclass(frozen=True)
class PBT:
    """Population-based training: exploit, then explore, after every generation.

    *Exploit*: a losing member takes weights, optimizer state, hyperparameters and smoothed score
    of a winner. *Explore*: all searched hyperparameters of that member, and of no other, are
    perturbed. A member whose score is not finite always loses, to a member drawn from the best
    ``fraction`` of the finite ones, in the warmup too. If all scores are not finite, nothing is
    copied and the search stops. A population of one never exploits.

    Every step exploits, the last one too: a search that is continued beyond its budget is then
    the same as one with a larger budget. Read the result off the scores given to the step.

    Parameters
    ----------
    max_generations : generations to train
    selection : "truncation": the worst ``fraction`` of the members (failed ones count as worst,
        equal scores are ranked by the member's number) meet a member drawn from the best
        ``fraction``; "tournament": every member meets one other. Only a strictly worse score
        loses, so members with equal scores keep their weights
    fraction : in (0, 0.5], share of the members in either group of the truncation; rounded, but
        at least one member each where there are two or more
    smoothing : in (0, 1], weight of the newest score; the rest is the previous smoothed score. A
        member without a previous score takes the new one as it is
    patience : generations without improvement before the search stops, counted after the warmup
    min_improvement : improvement of the lowest smoothed score, relative to its size, that counts
    warmup : generations after which only failed members are replaced

    Raises
    ------
    ValueError
        Naming the setting that is out of range.

    References
    ----------
    Jaderberg et al. (2017), Algorithm 1 and section 4; Keshtkaran & Pandarinath (2019), 4.3.

    Examples
    --------
    >>> pbt, space, key = PBT(), Space.table_1(), jax.random.key(0)
    >>> state = pbt.init(space, 4, key=key)
    >>> state, info = pbt.step(space, state, np.array([1.0, 2.0, np.nan, 3.0]), key=key)
    >>> info.ancestors, info.reasons[2]
    (array([0, 1, 0, 3]), 'not finite: replaced by member 0')
    """

    max_generations: int = 20
    selection: Literal["truncation", "tournament"] = "truncation"
    fraction: float = 0.25
    smoothing: float = 0.7
    patience: int = 5
    min_improvement: float = 5e-4
    warmup: int = 0

    def __post_init__(self) -> None:
        check_count(self.max_generations, "max_generations")
        check_count(self.patience, "patience")
        check_count(self.warmup, "warmup", least=0)
        if self.selection not in ("truncation", "tournament"):
            raise ValueError(f"selection must be truncation or tournament, got {self.selection!r}")
        if not 0 < self.fraction <= 0.5:
            raise ValueError(f"fraction must be in (0, 0.5], got {self.fraction}")
        if not 0 < self.smoothing <= 1:
            raise ValueError(f"smoothing must be in (0, 1], got {self.smoothing}")
        if not 0 <= self.min_improvement < np.inf:
            raise ValueError(
                f"min_improvement must be finite and not negative, got {self.min_improvement}"
            )

    def init(self, space: Space, n_members: int, *, key: jax.Array) -> SearchState:
        """Draw the members of the first generation independently."""
        return draw_members(space, n_members, key=key)

    def step(
        self, space: Space, state: SearchState, scores: np.ndarray, *, key: jax.Array
    ) -> tuple[SearchState, StepInfo]:
        """Exploit and explore after a generation with these scores [members]."""
        smoothed = self._smooth(state, check_scores(state, scores))
        new = self._judge(advanced(state, smoothed))
        rngs = [generator(key, state.generation, i) for i in range(state.n_members)]
        ancestors, reasons = self._exploit(smoothed, state.generation < self.warmup, rngs)
        members = tuple(
            dict(member) if j == i else space.explore(state.hyperparams[j], rng)
            for i, (member, j, rng) in enumerate(
                zip(state.hyperparams, ancestors, rngs, strict=True)
            )
        )
        new = replace(new, hyperparams=members, scores=as_scores(smoothed[ancestors]))
        return new, StepInfo(ancestors, tuple(reasons))

    def _smooth(self, state: SearchState, scores: np.ndarray) -> np.ndarray:
        previous = np.array([np.nan if old is None else old for old in state.scores])
        mixed = self.smoothing * scores + (1 - self.smoothing) * previous
        return np.where(np.isnan(previous), scores, mixed)

    def _judge(self, state: SearchState) -> SearchState:
        """Patience: move the reference where the score improved, and say whether to stop."""
        lowest = lowest_score(state)
        if lowest is not None and (
            # scores of the warmup, in which penalties may still rise, are no measure for later
            state.generation <= self.warmup
            or state.reference is None
            or state.reference - lowest > self.min_improvement * abs(state.reference)
        ):
            state = replace(state, reference=lowest, reference_generation=state.generation)
        return replace(state, stopped=self.reason_to_stop(state))

    def reason_to_stop(self, state: SearchState) -> str | None:
        """Why the search ends here under these settings, or None."""
        stopped = reason_to_stop(state, self.max_generations)
        if stopped is None and state.generation - state.reference_generation >= self.patience:
            return f"no improvement in {self.patience} generations"
        return stopped

    def _exploit(
        self, scores: np.ndarray, warmup: bool, rngs: list[np.random.Generator]
    ) -> tuple[np.ndarray, list[str]]:
        ancestors, reasons = np.arange(scores.size), [""] * scores.size
        groups = Groups.of(scores, self.fraction)
        if not groups.best.size:
            return ancestors, reasons
        for i, rng in enumerate(rngs):
            if np.isnan(scores[i]):
                ancestors[i] = rng.choice(groups.best)
                reasons[i] = f"not finite: replaced by member {ancestors[i]}"
            elif not warmup:
                j = self._opponent(i, groups, scores.size, rng)
                if scores[j] < scores[i]:  # never true if either is NaN
                    ancestors[i], reasons[i] = j, f"{self.selection}: lost to member {j}"
        return ancestors, reasons

    def _opponent(self, i: int, groups: Groups, n: int, rng: np.random.Generator) -> int:
        """Whom a member with a finite score meets; itself where it meets nobody."""
        if self.selection == "tournament":
            return (i + 1 + int(rng.integers(n - 1))) % n if n > 1 else i
        return int(rng.choice(groups.best)) if i in groups.worst else i


class Groups(NamedTuple):
    """Members at either end of the ranking; never the same one twice."""

    best: np.ndarray  # int; the best fraction of the finite ones, empty if there is none
    worst: np.ndarray  # int; of the finite ones, those in the worst fraction of all

    @classmethod
    def of(cls, scores: np.ndarray, fraction: float) -> Groups:
        """Groups of scores [members], NaN where failed; equal scores in the members' order."""
        finite = np.flatnonzero(~np.isnan(scores))
        ranked = finite[np.argsort(scores[finite], kind="stable")]
        n_best = min(ranked.size, _share(ranked.size, fraction) or 1)
        n_worst = _share(scores.size, fraction) - (scores.size - ranked.size)
        n_worst = min(max(n_worst, 0), ranked.size - n_best)
        return cls(ranked[:n_best], ranked[ranked.size - n_worst :])


def _share(n: int, fraction: float) -> int:
    """Size of a fraction of n members, so that two of them do not overlap."""
    return min(max(round(fraction * n), 1), n // 2)
