"""`tune`: many models compete, the best one is kept."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from latentspike.models.fitted import Fitted
from latentspike.search.executor import Executor, MakeExecutor, local_executor
from latentspike.search.folder import Row, SearchFolder
from latentspike.search.local import OnEpoch
from latentspike.search.pbt import PBT
from latentspike.search.settings import SearchSettings
from latentspike.search.show import SearchReporter
from latentspike.search.space import Space
from latentspike.search.standing import Standing
from latentspike.spikes import SpikeData, Split
from latentspike.training.fit import check_fittable, identity, make_task
from latentspike.training.loop import warn_if_collapsed
from latentspike.training.settings import TrainingSettings, check_hyperparams
from latentspike.training.task import Task


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
        max_epochs=algorithm.max_generations * search.epochs_per_generation,
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
    begun = run.begin(resume=options.resume)
    store = None if folder is None else folder.store
    executor = options.executor(task, key_search, search.n_members, store)
    try:
        return run.result(run.loop(begun, executor, show=options.show), executor)
    finally:
        executor.close()


class SearchFailedError(ArithmeticError):
    """Every member of a search failed."""


@dataclass(frozen=True, eq=False)
class _Search:
    """A search with everything resolved."""

    task: Task
    space: Space
    settings: SearchSettings
    key: jax.Array
    folder: SearchFolder | None
    identity: dict[str, Any]

    def begin(self, *, resume: bool) -> Standing:
        if self.folder is None or not self.folder.exists():
            n = self.settings.n_members
            return Standing.start(self.settings.algorithm.init(self.space, n, key=self.key))
        if not resume:
            raise FileExistsError(
                f"{self.folder.path} already holds a search; resume it, or name another folder"
            )
        found = self.folder.manifest()["identity"]
        for name, value in self.identity.items():
            if found.get(name) != value:
                raise ValueError(
                    f"{self.folder.path} holds another search: {name} was {found.get(name)!r}, now "
                    f"{value!r}; resume with the same data, configuration and seed, or use another "
                    "folder"
                )
        return Standing.load(self.folder, self.settings.algorithm, self.task.settings)

    def loop(self, now: Standing, executor: Executor, *, show: bool) -> Standing:
        """Generations until the algorithm, or every member, stops."""
        s = self.settings
        reporter = SearchReporter(
            None if self.folder is None else self.folder.path,
            n_members=s.n_members,
            epochs_per_generation=s.epochs_per_generation,
            max_generations=s.algorithm.max_generations,
            names=list(self.space.ranges),
            show=show,
        )
        try:
            reporter.note(f"{s.n_members} members on {executor.describe()}")
            while now.state.stopped is None:
                reporter.begin(now.state.generation, now.state.hyperparams, now.state.scores)
                now = self._generation(now, executor, reporter.epoch)
                reporter.end(now.lineage[-s.n_members :])
            reporter.note(now.state.stopped)
        finally:
            reporter.close()
        return now

    def _generation(self, now: Standing, executor: Executor, on_epoch: OnEpoch) -> Standing:
        number, known = now.state.generation, self.task.known_hyperparams
        outcomes = executor.train(
            now.orders([check_hyperparams(values, known) for values in now.state.hyperparams]),
            generation=number,
            n_epochs=self.settings.epochs_per_generation,
            on_epoch=on_epoch,
        )
        scores = np.array([o.score for o in outcomes])
        state, info = self.settings.algorithm.step(self.space, now.state, scores, key=self.key)
        after = now.after(outcomes, state, info).judged(self.settings.algorithm)
        if self.folder is not None:
            manifest = {"identity": self.identity, **after.to_manifest()}
            self.folder.commit(number, manifest, after.scores[number], after.lineage)
        return after

    def result(self, now: Standing, executor: Executor) -> SearchResult:
        """The best member as a fitted model, kept in the folder."""
        known = [(b.score, i) for i, b in enumerate(now.best) if b is not None]
        if not known:
            why = next((f for f in now.failed if f), "no score is finite")
            raise SearchFailedError(f"{now.state.stopped}; the first: {why}")
        winner = min(known)[1]
        last = now.state.generation - 1
        # the executor is closed when the search returns: fetch what may be asked for
        params = {i: executor.best_params(last, i) for _, i in known}
        fitted = self._fitted(now, winner, params[winner])
        if self.folder is not None:
            fitted.save(self.folder.path)
        members = [
            {"member": i, "score": b.score, "best_epoch": b.epoch, **b.hyperparams}
            for i, b in enumerate(now.best)
            if b is not None
        ]
        stopped = str(now.state.stopped)
        return SearchResult(fitted, now.lineage, members, stopped, params.__getitem__)

    def _fitted(self, now: Standing, winner: int, params: Any) -> Fitted:
        best = now.best[winner]
        assert best is not None
        per_generation = self.settings.epochs_per_generation
        about = {
            "hyperparams": best.hyperparams,
            "best_epoch": best.epoch,
            "best_selection_loss": best.score,
            "n_epochs": now.state.generation * per_generation,
            "stopped": now.state.stopped,
            "data": self.identity["data"],
            "search": {
                "algorithm": self.identity["algorithm"],
                "n_members": self.settings.n_members,
                "member": winner,
                "generations": now.state.generation,
            },
        }
        history = now.history(winner, best.epoch // per_generation)
        fitted = Fitted(self.task.model, params, history, about)
        warn_if_collapsed(fitted)
        return fitted


def _comparable(algorithm: Any) -> dict[str, Any]:
    """What must be equal for a search to be resumed; its length may change."""
    values = dataclasses.asdict(algorithm)
    free = ("max_generations", "patience")
    return {"name": type(algorithm).__name__} | {k: v for k, v in values.items() if k not in free}
