"""`tune`: many models compete, the best one is kept."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from latentspike.models.fitted import Fitted
from latentspike.search.algorithm import SearchState, StepInfo
from latentspike.search.folder import Row, SearchFolder
from latentspike.search.local import LocalExecutor, OnEpoch
from latentspike.search.member import Best, Order, Outcome
from latentspike.search.pbt import PBT
from latentspike.search.settings import SearchSettings
from latentspike.search.space import Space
from latentspike.search.store import Store
from latentspike.spikes import SpikeData, Split
from latentspike.training.fit import check_fittable, identity, make_task
from latentspike.training.loop import warn_if_collapsed
from latentspike.training.progress import Progress
from latentspike.training.settings import TrainingSettings, check_hyperparams
from latentspike.training.task import Task


class Executor(Protocol):
    """Trains and copies members; owns their weights."""

    def describe(self) -> str:
        """What trains, where and how, for people."""
        ...

    def train(
        self,
        orders: Sequence[Order],
        *,
        generation: int,
        n_epochs: int,
        on_epoch: OnEpoch | None = None,
    ) -> list[Outcome]:
        """Train members for one generation; either all of it happens or nothing."""
        ...

    def best_params(self, generation: int, member: int) -> Any:
        """Best parameters that a place in the population has seen, up to a generation."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


# (task, key, n_members, store) → executor
MakeExecutor = Callable[[Task, jax.Array, int, "Store | None"], Executor]


def local_executor(
    task: Task, key: jax.Array, n_members: int, store: Store | None
) -> LocalExecutor:
    """All members in this process; see `LocalExecutor`."""
    return LocalExecutor(task, key=key, n_members=n_members, store=store)


@dataclass(frozen=True)
class SearchOptions:
    """Where a search lives, who trains and what is shown; nothing here changes its result.

    Parameters
    ----------
    folder : for lineage, scores, checkpoints and the best model; None keeps nothing
    resume : continue the search in the folder, if there is one
    show : a live table on a terminal, plain lines elsewhere, on standard error
    executor : makes what trains: `local_executor`, or one for a cluster
    """

    folder: str | os.PathLike[str] | None = None
    resume: bool = False
    show: bool = True
    executor: MakeExecutor = local_executor


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search found.

    Parameters
    ----------
    best : model of the best epoch of the best member, an ordinary `Fitted`
    lineage : one row per member and generation: ``ancestor`` (whose weights it continues from
        after the generation; itself as a rule), ``reason``, ``score`` (selection loss of its last
        epoch), hyperparameters
    members : one row per place in the population: its best score, epoch and hyperparameters
    stopped : why the search ended
    params_of : best parameters of a place in the population, by its number
    """

    best: Fitted
    lineage: list[Row]
    members: list[Row]
    stopped: str
    params_of: Callable[[int], Any]


def tune(
    model: Any,
    data: SpikeData,
    *,
    split: Split | None = None,
    space: Space | None = None,
    search: SearchSettings | None = None,
    settings: TrainingSettings | None = None,
    options: SearchOptions | None = None,
    key: jax.Array,
) -> SearchResult:
    """Search the hyperparameters of a model: a population trains as one program, the best is kept.

    Parameters
    ----------
    model : learned by gradient, such as `LFADS`
    data : recording
    split : training and validation trials; drawn from the key if absent
    space : what is searched and what is held fixed; the paper's Table 1 by default
    search : algorithm, members, generations
    settings : of training. Under `PBT` members never stop early on their own: the algorithm's
        patience counts, not theirs
    options : folder, resume, executor
    key : PRNG key; the same key gives the same search on the same machine

    Returns
    -------
    SearchResult

    Raises
    ------
    SearchFailedError
        If every member failed; says why the last of them did.
    ValueError
        If the recording cannot be fitted, or a name or value is wrong.

    References
    ----------
    Keshtkaran & Pandarinath (2019), sections 2.2 and 4.3; Jaderberg et al. (2017).
    """
    search, options = search or SearchSettings(), options or SearchOptions()
    space = Space.for_model(model) if space is None else space
    algorithm = search.algorithm
    settings = dataclasses.replace(
        settings or TrainingSettings(),
        max_epochs=_max_generations(algorithm) * search.epochs_per_generation,
    )
    if isinstance(algorithm, PBT):
        settings = dataclasses.replace(settings, patience=settings.max_epochs + 1)
    check_fittable(model, data)
    task, split = make_task(model, data, split, settings, key=key)
    key_search = jax.random.split(key, 4)[2]
    space.check(task.known_hyperparams)
    folder = None if options.folder is None else SearchFolder(Path(options.folder))
    same = identity(task, data, split, key) | {
        "space": space.to_dict(),
        "algorithm": _comparable(algorithm),
        "n_members": search.n_members,
        "epochs_per_generation": search.epochs_per_generation,
    }
    run = _Search(task, space, search, key_search, folder, same)
    progress = run.begin(resume=options.resume)
    store = None if folder is None else folder.store
    executor = options.executor(task, key_search, search.n_members, store)
    try:
        run.loop(progress, executor, show=options.show)
        return run.result(progress, executor)
    finally:
        executor.close()


class SearchFailedError(ArithmeticError):
    """Every member of a search failed."""


@dataclass
class _Standing:
    """A search between two generations."""

    state: SearchState
    ancestors: list[int]
    progress: list[Progress]
    best: list[Best | None]
    failed: list[str | None]
    lineage: list[Row]
    scores: list[list[Row]]  # of each generation


@dataclass(frozen=True, eq=False)
class _Search:
    task: Task
    space: Space
    settings: SearchSettings
    key: jax.Array
    folder: SearchFolder | None
    identity: dict[str, Any]

    def begin(self, *, resume: bool) -> _Standing:
        n = self.settings.n_members
        if self.folder is not None and self.folder.exists():
            if not resume:
                raise FileExistsError(
                    f"{self.folder.path} already holds a search; resume it, or name another folder"
                )
            return self._load(self.folder)
        state = self.settings.algorithm.init(self.space, n, key=self.key)
        fresh = [Progress() for _ in range(n)]
        return _Standing(state, list(range(n)), fresh, [None] * n, [None] * n, [], [])

    def loop(self, now: _Standing, executor: Executor, *, show: bool) -> None:
        """Generations until the algorithm, or every member, stops."""
        from latentspike.search.show import SearchReporter

        s = self.settings
        reporter = SearchReporter(
            None if self.folder is None else self.folder.path,
            n_members=s.n_members,
            epochs_per_generation=s.epochs_per_generation,
            max_generations=_max_generations(s.algorithm),
            names=list(self.space.ranges),
            show=show,
        )
        try:
            reporter.note(f"{s.n_members} members on {executor.describe()}")
            while now.state.stopped is None:
                self._generation(now, executor, reporter)
            reporter.note(now.state.stopped)
        finally:
            reporter.close()

    def _generation(self, now: _Standing, executor: Executor, reporter: Any) -> None:
        """One generation; `now` changes only when all of it has happened."""
        number, hyperparams = now.state.generation, now.state.hyperparams
        reporter.begin(number, hyperparams, now.state.scores)
        outcomes = executor.train(
            self._orders(now),
            generation=number,
            n_epochs=self.settings.epochs_per_generation,
            on_epoch=reporter.epoch,
        )
        scores = np.array([o.score for o in outcomes])
        state, info = self.settings.algorithm.step(self.space, now.state, scores, key=self.key)
        rows = _lineage_rows(now.state, outcomes, info)
        if state.stopped is None and all(o.failed or o.progress.stopped for o in outcomes):
            state = dataclasses.replace(state, stopped="every member has stopped")
        after = _Standing(
            state=state,
            ancestors=[int(a) for a in info.ancestors],
            progress=[outcomes[a].progress for a in info.ancestors],
            best=[o.best for o in outcomes],
            failed=[outcomes[a].failed for a in info.ancestors],
            lineage=now.lineage + rows,
            scores=[*now.scores, _score_rows(number, outcomes)],
        )
        if self.folder is not None:
            self._commit(self.folder, number, after)
        now.__dict__.update(after.__dict__)
        reporter.end(rows)

    def _orders(self, now: _Standing) -> list[Order]:
        known = self.task.known_hyperparams
        return [
            Order(
                member=i,
                ancestor=now.ancestors[i],
                hyperparams=check_hyperparams(now.state.hyperparams[i], known),
                progress=now.progress[i],
                best=now.best[i],
                failed=now.failed[i],
            )
            for i in range(self.settings.n_members)
        ]

    def _commit(self, folder: SearchFolder, number: int, after: _Standing) -> None:
        manifest = {
            "identity": self.identity,
            "state": after.state.to_dict(),
            "ancestors": after.ancestors,
            "progress": [p.to_dict() for p in after.progress],
            "best": [None if b is None else b.to_dict() for b in after.best],
            "failed": after.failed,
        }
        folder.commit(number, manifest, after.scores[number], after.lineage)

    def _load(self, folder: SearchFolder) -> _Standing:
        found = folder.manifest()
        for name, value in self.identity.items():
            if found["identity"].get(name) != value:
                raise ValueError(
                    f"{folder.path} holds another search: {name} was "
                    f"{found['identity'].get(name)!r}, now {value!r}; resume with the same data, "
                    "configuration and seed, or use another folder"
                )
        state = SearchState.from_dict(found["state"])
        limit = _max_generations(self.settings.algorithm)
        if state.stopped is not None and state.stopped.startswith("reached"):
            # the budget may have changed since
            ended = None if state.generation < limit else state.stopped
            state = dataclasses.replace(state, stopped=ended)
        return _Standing(
            state=state,
            ancestors=found["ancestors"],
            progress=[self._unstopped(Progress.from_dict(p)) for p in found["progress"]],
            best=[None if b is None else Best(**b) for b in found["best"]],
            failed=found["failed"],
            lineage=folder.lineage(),
            scores=[folder.scores(g) for g in range(state.generation)],
        )

    def _unstopped(self, progress: Progress) -> Progress:
        """Limits may have changed since: decide again; without the learning rate's."""
        if progress.stopped is not None and progress.stopped.startswith("reached"):
            progress.stopped = None
        return progress

    def result(self, now: _Standing, executor: Executor) -> SearchResult:
        """The best member as a fitted model, kept in the folder."""
        last = now.state.generation - 1
        ranked = [i for i, b in enumerate(now.best) if b is not None and np.isfinite(b.score)]
        if not ranked or now.state.stopped is None:
            why = next((f for f in now.failed if f), "no score is finite")
            raise SearchFailedError(f"{now.state.stopped}; the last reason: {why}")
        winner = min(ranked, key=lambda i: (now.best[i].score, i))  # pyright: ignore
        best = now.best[winner]
        assert best is not None
        about = {
            "hyperparams": best.hyperparams,
            "best_epoch": best.epoch,
            "best_selection_loss": best.score,
            "n_epochs": now.state.generation * self.settings.epochs_per_generation,
            "stopped": now.state.stopped,
            "data": self.identity["data"],
            "search": {
                "algorithm": self.identity["algorithm"],
                "n_members": self.settings.n_members,
                "member": winner,
                "generations": now.state.generation,
            },
        }
        history = _history(now, winner, best.epoch // self.settings.epochs_per_generation)
        params = executor.best_params(last, winner)
        fitted = Fitted(self.task.model, params, history, about)
        warn_if_collapsed(fitted)
        if self.folder is not None:
            fitted.save(self.folder.path)
        members = [
            {"member": i, "score": b.score, "best_epoch": b.epoch, **b.hyperparams}
            for i, b in enumerate(now.best)
            if b is not None
        ]
        # the executor is closed when the search returns: fetch what may be asked for
        kept = {row["member"]: executor.best_params(last, row["member"]) for row in members}
        return SearchResult(fitted, now.lineage, members, now.state.stopped, kept.__getitem__)


def _max_generations(algorithm: Any) -> int:
    return algorithm.max_generations


def _comparable(algorithm: Any) -> dict[str, Any]:
    """What must be equal for a search to be resumed; its length may change."""
    values = dataclasses.asdict(algorithm)
    free = ("max_generations", "patience")
    return {"name": type(algorithm).__name__} | {k: v for k, v in values.items() if k not in free}


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


def _score_rows(generation: int, outcomes: Sequence[Outcome]) -> list[Row]:
    return [
        {"generation": generation, "member": o.member, **row} for o in outcomes for row in o.rows
    ]


def _history(now: _Standing, member: int, generation: int) -> list[dict[str, float]]:
    """Rows of a member and its ancestors, up to a generation."""
    ancestor = {(row["generation"], row["member"]): row["ancestor"] for row in now.lineage}
    history: list[dict[str, float]] = []
    for number in range(generation, -1, -1):
        mine = [row for row in now.scores[number] if row["member"] == member]
        drop = ("generation", "member")
        history = [{k: v for k, v in row.items() if k not in drop} for row in mine] + history
        member = ancestor.get((number - 1, member), member)
    return history
