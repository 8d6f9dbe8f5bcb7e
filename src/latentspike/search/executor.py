"""What trains the members of a search: the interface, and the executor of this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax

from latentspike.search.local import LocalExecutor, OnEpoch
from latentspike.search.member import Order, Outcome
from latentspike.search.store import Store
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
