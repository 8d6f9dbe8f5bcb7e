"""Searches and fits with a share of a recording's trials, alike in steps of the optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from latentspike.models import LFADS, Architecture, Fitted
from latentspike.search import (
    PBT,
    RandomSearch,
    SearchOptions,
    SearchResult,
    SearchSettings,
    Space,
    tune,
)
from latentspike.search.defaults import choose_batch_size, seconds_per_generation
from latentspike.search.executor import MakeExecutor, local_executor
from latentspike.spikes import SpikeData, Split, split_trials
from latentspike.training import RunOptions, TrainingSettings, fit
from latentspike.training.fit import make_task

SMALL = LFADS(
    Architecture(
        generator_size=64, n_factors=20, ic_encoder_size=48, ic_size=32, n_inferred_inputs=4,
        ci_encoder_size=48, controller_size=48,
    )
)  # fmt: skip
# the penalties that were published with LFADS (2018), no coordinated dropout
FIXED = {
    "kl_ic": 1.0, "kl_co": 1.0, "l2_gen": 2000.0, "l2_con": 0.0, "dropout": 0.05,
    "keep_ratio": 1.0, "learning_rate": 0.01,
}  # fmt: skip


@dataclass(frozen=True)
class Effort:
    """How long models train.

    Parameters
    ----------
    steps : of the optimizer, for each model: epochs of small recordings have fewer
    generations, members : of a search
    """

    steps: int
    generations: int
    members: int

    def epochs(self, n_train: int) -> int:
        """Epochs of a generation, with so many training trials.

        Examples
        --------
        >>> Effort(steps=600, generations=12, members=4).epochs(320), Effort(480, 12, 4).epochs(32)
        (10, 10)
        """
        n_steps = -(-n_train // choose_batch_size(n_train))
        return max(2, round(self.steps / self.generations / n_steps))

    def all_epochs(self, n_train: int) -> int:
        """Epochs of a model."""
        return self.epochs(n_train) * self.generations


@dataclass(frozen=True)
class Draw:
    """Trials that models learn from, and where their searches and fits are kept.

    Parameters
    ----------
    data, split : the trials, and which of them train and validate
    seed : of the models
    effort : of each of them
    folder : searches and fits in it are resumed
    model : whose hyperparameters are searched
    executor : who trains the members of a search
    """

    data: SpikeData
    split: Split
    seed: int
    effort: Effort
    folder: Path
    model: LFADS = SMALL
    executor: MakeExecutor = local_executor

    @property
    def n_train(self) -> int:
        """Training trials."""
        return self.split.train.size

    @property
    def decay(self) -> dict[str, Any]:
        """Settings with which the learning rate of models falls that are trained alone."""
        n_epochs = self.effort.all_epochs(self.n_train)
        return {"decay_factor": 0.9, "decay_patience": max(2, n_epochs // 25)}

    def settings(self, **changes: Any) -> TrainingSettings:
        """Of training."""
        n_epochs = self.effort.all_epochs(self.n_train)
        chosen: dict[str, Any] = {
            "max_epochs": n_epochs,
            "batch_size": choose_batch_size(self.n_train),
            "ramp_epochs": max(1, n_epochs // 8),
            "patience": n_epochs,
        }
        return TrainingSettings(**(chosen | changes))

    def pbt(self) -> SearchResult:
        """Population-based training in the ranges of Table 1."""
        n = self.effort.generations
        return self._search("pbt", PBT(n, patience=n), Space.table_1(), self.settings())

    def random(self, space: Space) -> SearchResult:
        """As many models as PBT has, with hyperparameters that are drawn once."""
        settings = self.settings(**self.decay)
        return self._search("random", RandomSearch(self.effort.generations), space, settings)

    def fixed(self) -> Fitted:
        """One model with the fixed setting."""
        return fit(
            self.model,
            self.data,
            split=self.split,
            hyperparams=FIXED,
            settings=self.settings(**self.decay),
            options=RunOptions(folder=Path(f"{self.folder}-fixed"), resume=True, show=False),
            key=jax.random.key(self.seed),
        )

    def pbt_seconds(self) -> float:
        """Estimate for `pbt` on this machine, from two measured epochs."""
        key = jax.random.key(self.seed)
        task, _ = make_task(self.model, self.data, self.split, self.settings(), key=key)
        n_epochs = self.effort.all_epochs(self.n_train)
        return seconds_per_generation(task, self.effort.members, n_epochs)

    def _search(
        self, name: str, algorithm: Any, space: Space, settings: TrainingSettings
    ) -> SearchResult:
        per_generation = self.effort.epochs(self.n_train)
        return tune(
            self.model,
            self.data,
            split=self.split,
            space=space,
            search=SearchSettings(algorithm, self.effort.members, per_generation),
            settings=settings,
            options=SearchOptions(
                Path(f"{self.folder}-{name}"), resume=True, show=False, executor=self.executor
            ),
            key=jax.random.key(self.seed),
        )


def draw_trials(data: SpikeData, share: float, seed: int) -> tuple[SpikeData, Split]:
    """A share of the trials and its division 80/20 into training and validation."""
    n = round(share * data.n_trials)
    chosen = np.sort(np.random.default_rng([seed, n]).choice(data.n_trials, n, replace=False))
    part = data.select_trials(chosen) if share < 1 else data
    return part, split_trials(part, validation_fraction=0.2, seed=seed)
