"""What runs in the processes of a Ray cluster: a local executor for one block of members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike import devices
from latentspike.search.local import LocalExecutor
from latentspike.search.member import Order, Outcome, Weights
from latentspike.search.ray_cluster import import_ray
from latentspike.search.store import Store
from latentspike.training.task import Task

# settings of JAX that change numbers: a worker takes the driver's
_SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
)


class Setup(NamedTuple):
    """What a worker must know besides the task."""

    key_data: np.ndarray
    key_kind: str
    n_members: int
    store: Store
    token: str  # name of a file in the store's folder: a node that sees it shares the folder
    settings: dict[str, Any]

    @classmethod
    def of(cls, key: jax.Array, n_members: int, store: Store, token: str) -> Setup:
        """From the driver's key and JAX settings, in a form that can travel."""
        data, kind = np.asarray(jax.random.key_data(key)), str(jax.random.key_impl(key))
        settings = {name: getattr(jax.config, name) for name in _SETTINGS}
        return cls(data, kind, n_members, store, token, settings)


class Worker:
    """One block of members; made and called by `RayExecutor` only."""

    def start(self, task: Task, setup: Setup) -> bool:
        """Put the task on this process's devices; True if the store's folder is seen here."""
        for name, value in setup.settings.items():
            jax.config.update(name, value)
        devices.prepare()
        is_shared = (setup.store.folder / setup.token).exists()
        self._store = setup.store if is_shared else MemoryStore(setup.store.folder)
        self._executor = LocalExecutor(
            task,
            key=jax.random.wrap_key_data(jnp.asarray(setup.key_data), impl=setup.key_kind),
            n_members=setup.n_members,
            store=self._store,
        )
        return is_shared

    def train(
        self,
        orders: list[Order],
        generation: int,
        n_epochs: int,
        copied: dict[int, Any],
        handed: dict[int, Weights],
    ) -> tuple[list[Outcome], dict[int, Weights]]:
        """Outcomes of a generation, and the weights if they cannot be stored from here.

        Parameters
        ----------
        orders : of this block
        generation, n_epochs : as of `LocalExecutor.train`
        copied : references to the weights of ancestors that other blocks hold
        handed : weights of the generation before, for a node that does not see the store
        """
        if isinstance(self._store, MemoryStore):
            self._store.take(generation - 1, handed)
        outcomes = self._executor.train(
            orders,
            generation=generation,
            n_epochs=n_epochs,
            incoming=_fetch(copied),
            on_epoch=self.after_epoch,
        )
        if not isinstance(self._store, MemoryStore):
            return outcomes, {}
        return outcomes, {o.member: self._executor.weights(o.member) for o in outcomes}

    def copy(self, member: int) -> Weights:
        """Parameters and optimizer of a member trained here, for one that takes them over."""
        return Weights(self._executor.weights(member).state, best=None)

    def after_epoch(self, rows: list[tuple[int, dict[str, float]]]) -> None:
        """Called in the worker with the figures of every epoch; does nothing."""


@dataclass(frozen=True)
class MemoryStore(Store):
    """Stands in for a store whose folder this node does not see."""

    held: dict[tuple[int, int], Weights] = field(default_factory=dict)

    def save(self, generation: int, member: int, weights: Weights) -> None:
        """Keep a member's weights after a generation."""
        self.held[generation, member] = weights

    def load(self, generation: int, member: int, like: Weights) -> Weights:
        """What was kept."""
        return self.held[generation, member]

    def take(self, generation: int, weights: Mapping[int, Weights]) -> None:
        """Keep the weights of a generation, and forget those before it."""
        for old in [which for which in self.held if which[0] < generation]:
            del self.held[old]
        for member, given in weights.items():
            self.save(generation, member, given)


def _fetch(copied: Mapping[int, Any]) -> dict[int, Weights]:
    """Weights behind references, but not those lost with their process: the store has them."""
    ray = import_ray()
    found = {}
    for member, reference in copied.items():
        try:
            found[member] = ray.get(reference)
        except ray.exceptions.RayError:
            continue
    return found
