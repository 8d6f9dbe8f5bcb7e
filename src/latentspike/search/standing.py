"""A search between two generations: what it has found so far, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from latentspike.search.algorithm import Algorithm, SearchState, StepInfo
from latentspike.search.folder import Row, SearchFolder
from latentspike.search.member import Best, Order, Outcome
from latentspike.training.progress import Progress
from latentspike.training.settings import TRAINING_HYPERPARAMS, TrainingSettings


@dataclass(frozen=True, eq=False)
class Standing:
    """A search between two generations.

    Parameters
    ----------
    state : of the algorithm
    ancestors : whose weights each member continues from
    progress : of each member's lineage, without history
    best : best epoch that each place has seen
    failed : why a member failed and trains no more, or None
    lineage : one row per member and generation
    scores : of each generation, one row per member and epoch
    """

    state: SearchState
    ancestors: list[int]
    progress: list[Progress]
    best: list[Best | None]
    failed: list[str | None]
    lineage: list[Row]
    scores: list[list[Row]]

    @classmethod
    def start(cls, state: SearchState) -> Standing:
        """Before the first generation."""
        n = state.n_members
        fresh = [Progress() for _ in range(n)]
        return cls(state, list(range(n)), fresh, [None] * n, [None] * n, [], [])

    def orders(self, hyperparams: Sequence[Mapping[str, float]]) -> list[Order]:
        """What each member is to do, with its complete hyperparameters."""
        return [
            Order(
                i, self.ancestors[i], dict(values), self.progress[i], self.best[i], self.failed[i]
            )
            for i, values in enumerate(hyperparams)
        ]

    def after(self, outcomes: Sequence[Outcome], state: SearchState, info: StepInfo) -> Standing:
        """One generation on.

        Parameters
        ----------
        outcomes : of every member
        state, info : what the algorithm made of them
        """
        number = self.state.generation
        scores = [{"generation": number, "member": o.member, **r} for o in outcomes for r in o.rows]
        return Standing(
            state=state,
            ancestors=[int(a) for a in info.ancestors],
            progress=[outcomes[a].progress for a in info.ancestors],
            best=[o.best for o in outcomes],
            failed=[outcomes[a].failed for a in info.ancestors],
            lineage=self.lineage + _lineage_rows(self.state, outcomes, info),
            scores=[*self.scores, scores],
        )

    def to_manifest(self) -> dict[str, Any]:
        """What is not in the tables; JSON-able."""
        return {
            "state": self.state.to_dict(),
            "ancestors": self.ancestors,
            "progress": [p.to_dict() for p in self.progress],
            "best": [None if b is None else b.to_dict() for b in self.best],
            "failed": self.failed,
        }

    @classmethod
    def load(
        cls, folder: SearchFolder, algorithm: Algorithm, settings: TrainingSettings
    ) -> Standing:
        """A search that was interrupted, or that has ended: whether it goes on is decided again.

        Parameters
        ----------
        folder : that holds it
        algorithm, settings : whose limits may have changed since
        """
        found = folder.manifest()
        state = SearchState.from_dict(found["state"])
        progress = [Progress.from_dict(p) for p in found["progress"]]
        for p, values in zip(progress, state.hyperparams, strict=True):
            p.stopped = p.reason_to_stop(settings, (TRAINING_HYPERPARAMS | values)["learning_rate"])
        loaded = cls(
            state=state,
            ancestors=found["ancestors"],
            progress=progress,
            best=[None if b is None else Best(**b) for b in found["best"]],
            failed=found["failed"],
            lineage=folder.lineage(),
            scores=[folder.scores(g) for g in range(state.generation)],
        )
        return loaded.judged(algorithm)

    def judged(self, algorithm: Algorithm) -> Standing:
        """The same, stopped or not as the algorithm and its members say now."""
        stopped = algorithm.reason_to_stop(self.state)
        resting = (f or p.stopped for f, p in zip(self.failed, self.progress, strict=True))
        if stopped is None and all(resting):
            stopped = "every member has stopped"
        return replace(self, state=replace(self.state, stopped=stopped))

    def history(self, member: int, generation: int) -> list[dict[str, float]]:
        """Rows of a member and its ancestors, one per epoch, up to a generation."""
        ancestor = {(row["generation"], row["member"]): row["ancestor"] for row in self.lineage}
        history: list[dict[str, float]] = []
        for number in range(generation, -1, -1):
            mine = [row for row in self.scores[number] if row["member"] == member]
            plain = [{k: v for k, v in row.items() if k not in _WHERE} for row in mine]
            history = plain + history
            member = ancestor.get((number - 1, member), member)
        return history


_WHERE = ("generation", "member")


def _lineage_rows(state: SearchState, outcomes: Sequence[Outcome], info: StepInfo) -> list[Row]:
    return [
        {
            "generation": state.generation,
            "member": o.member,
            "ancestor": int(info.ancestors[i]),
            "reason": o.failed or info.reasons[i],
            "score": o.score,
            **state.hyperparams[i],
        }
        for i, o in enumerate(outcomes)
    ]
