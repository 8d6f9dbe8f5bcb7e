"""Members of a search trained by this process, on all devices that it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.models.protocol import DataSpec
from latentspike.search.layout import Layout, choose_layout
from latentspike.search.member import Best, Order, Outcome, Weights
from latentspike.search.population import Population
from latentspike.search.store import Store
from latentspike.training.epoch import EpochResult, TrainState
from latentspike.training.figures import figures, not_finite
from latentspike.training.progress import Progress
from latentspike.training.task import Task

# called after every epoch of every block with (member, row of figures) of its active members
OnEpoch = Callable[[list[tuple[int, dict[str, float]]]], None]


@dataclass
class _Member:
    """One member while it trains; nothing of the order changes."""

    order: Order
    slot: int
    progress: Progress
    best: Best | None
    failed: str | None
    score: float = float("nan")

    @property
    def is_active(self) -> bool:
        return self.failed is None and self.progress.stopped is None

    def outcome(self) -> Outcome:
        rows = self.progress.history
        self.progress.history = []
        score = self.score
        if not rows and self.failed is None and self.progress.smoothed is not None:
            score = self.progress.smoothed
        return Outcome(self.order.member, self.progress, rows, score, self.best, self.failed)


def weights_like(task: Task) -> Weights:
    """Shapes of one member's weights, without computing any."""
    spec = DataSpec.of(task.train)
    params = jax.eval_shape(lambda key: task.model.init(spec, key=key), jax.random.key(0))
    optimizer = jax.eval_shape(task.program(1).optimizer.init, params)
    return Weights(TrainState(params, optimizer), params)


class LocalExecutor:
    """Trains members of a search on this process's devices, as one compiled program.

    Weights live in host memory between generations, and in the store if there is one.

    Parameters
    ----------
    task : that every member learns
    key : PRNG key of the search; a member's draws depend on it, its number and the epoch only
    n_members : that this process will train at a time, for the choice of a layout
    store : where weights are kept after each generation, or None
    layout : of members on devices; chosen by platform and memory if absent
    """

    def __init__(
        self,
        task: Task,
        *,
        key: jax.Array,
        n_members: int,
        store: Store | None = None,
        layout: Layout | None = None,
    ) -> None:
        self._task = task
        self._key = key
        self._store = store
        self._init = jax.jit(lambda key: task.model.init(DataSpec.of(task.train), key=key))
        self._like = weights_like(task)
        self.layout = layout or choose_layout(task, self._like, n_members)
        n_sharing = self.layout.n_devices if self.layout.share == "trials" else 1
        self._program = task.program(n_sharing)
        self._population = Population(self._program, self.layout, task.trials())
        self._weights: dict[int, Weights] = {}
        self._generation = -1

    def describe(self) -> str:
        """What trains, where and how, for people."""
        device = jax.local_devices()[0]
        name = "CPU" if device.platform == "cpu" else device.device_kind
        return f"{name}: {self.layout}"

    def train(
        self,
        orders: Sequence[Order],
        *,
        generation: int,
        n_epochs: int,
        incoming: Mapping[int, Weights] | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> list[Outcome]:
        """Train members for one generation; either all of it happens or nothing.

        Parameters
        ----------
        orders : one per member
        generation : its number, from 0
        n_epochs : epochs of a generation
        incoming : weights of ancestors that another process trained
        on_epoch : is told the figures after every epoch of a block

        Returns
        -------
        One outcome per order, in their sequence.
        """
        before = {o.member: self._before(o, generation, incoming or {}) for o in orders}
        after: dict[int, Weights] = {}
        outcomes: list[Outcome] = []
        size = self.layout.n_slots
        for start in range(0, len(orders), size):
            block = orders[start : start + size]
            outcomes += self._train_block(block, before, after, n_epochs, on_epoch)
        if self._store is not None:
            for member, weights in after.items():
                self._store.save(generation, member, weights)
        self._weights, self._generation = after, generation
        return outcomes

    def weights(self, member: int) -> Weights:
        """A member's weights after the last generation trained here, on the host."""
        return self._weights[member]

    def best_params(self, generation: int, member: int) -> Any:
        """Best parameters that a place in the population has seen, up to a generation."""
        return self._after(generation, member).best

    def close(self) -> None:
        """Let go of the weights."""
        self._weights = {}

    def _before(self, order: Order, generation: int, incoming: Mapping[int, Weights]) -> Weights:
        """Weights that a member starts a generation with."""
        if generation == 0:
            return self._initial(order.member)
        best = self._after(generation - 1, order.member).best
        if order.ancestor == order.member:
            return Weights(self._after(generation - 1, order.member).state, best)
        source = incoming.get(order.ancestor) or self._after(generation - 1, order.ancestor)
        return Weights(source.state, best)

    def _after(self, generation: int, member: int) -> Weights:
        """A member's weights after a generation, from memory or from the store."""
        if self._generation == generation and member in self._weights:
            return self._weights[member]
        if self._store is None:
            raise KeyError(f"member {member} of generation {generation} is not in memory")
        return jax.device_get(self._store.load(generation, member, self._like))

    def _initial(self, member: int) -> Weights:
        params = self._init(jax.random.fold_in(jax.random.fold_in(self._key, member), 0))
        state = TrainState(params, self._program.optimizer.init(params))
        return jax.device_get(Weights(state, params))

    def _train_block(
        self,
        orders: Sequence[Order],
        before: dict[int, Weights],
        after: dict[int, Weights],
        n_epochs: int,
        on_epoch: OnEpoch | None,
    ) -> list[Outcome]:
        slots = self.layout.slots(len(orders))
        members = [
            _Member(order, int(slot), order.progress.copy(), order.best, order.failed)
            for order, slot in zip(orders, slots, strict=True)
        ]
        if not any(m.is_active for m in members):
            after |= {o.member: before[o.member] for o in orders}
            return [m.outcome() for m in members]
        owners = [members[0]] * self.layout.n_slots  # an empty slot holds a copy that never trains
        for m in members:
            owners[m.slot] = m
        stacked = jax.tree.map(
            lambda *leaves: np.stack(leaves), *[before[m.order.member] for m in owners]
        )
        weights = self._population.place(stacked)
        keys = self._keys([m.order.member for m in owners])
        for _ in range(n_epochs):
            if not any(m.is_active for m in members):
                break
            weights = self._one_epoch(members, weights, keys, on_epoch)
        host = jax.device_get(weights)
        for m in members:
            # copies: a view would keep the whole block alive
            after[m.order.member] = jax.tree.map(lambda a, s=m.slot: np.array(a[s]), host)
        return [m.outcome() for m in members]

    def _keys(self, numbers: Sequence[int]) -> jax.Array:
        """Key of each member's epochs."""
        fold = jax.random.fold_in
        return jax.vmap(lambda number: fold(fold(self._key, number), 1))(jnp.asarray(numbers))

    def _one_epoch(
        self,
        members: Sequence[_Member],
        weights: Weights,
        keys: jax.Array,
        on_epoch: OnEpoch | None,
    ) -> Weights:
        active = np.zeros(self.layout.n_slots, bool)
        epochs = np.zeros(self.layout.n_slots, np.int32)
        values = [self._hyperparams(m) for m in members]
        spread = {name: np.zeros(self.layout.n_slots, jnp.zeros(()).dtype) for name in values[0]}
        for m, given in zip(members, values, strict=True):
            active[m.slot] = m.is_active
            epochs[m.slot] = m.progress.epoch
            for name, value in given.items():
                spread[name][m.slot] = value
        weights, result = self._population.epoch(weights, spread, epochs, keys, active)
        result = jax.device_get(result)
        is_best = np.zeros(self.layout.n_slots, bool)
        told = []
        for m, given in zip(members, values, strict=True):
            if m.is_active:
                mine = jax.tree.map(lambda a, s=m.slot: a[s], result)
                is_best[m.slot] = self._record(m, mine, given)
                if m.failed is None:
                    told.append((m.order.member, m.progress.history[-1]))
        if on_epoch is not None:
            on_epoch(told)
        return self._population.keep_best(weights, is_best)

    def _hyperparams(self, m: _Member) -> dict[str, float]:
        """Values in force in the member's next epoch."""
        ramp = min(1.0, (m.progress.epoch + 1) / (self._task.settings.ramp_epochs + 1))
        values = {**m.order.hyperparams, "ramp": ramp}
        values["learning_rate"] *= m.progress.rate_factor
        return values

    def _record(self, m: _Member, result: EpochResult, values: dict[str, float]) -> bool:
        """Take in a member's epoch; True if this place has seen none better."""
        m.failed = not_finite(result, m.progress.epoch)
        if m.failed is not None:
            m.score = float("nan")
            return False
        row, m.score = figures(self._task, result)
        row |= {"learning_rate": values["learning_rate"], "ramp": values["ramp"]}
        epoch = m.progress.epoch
        rate = m.order.hyperparams["learning_rate"]
        m.progress.record(row, m.score, self._task.settings, rate)
        score = m.progress.smoothed
        assert score is not None
        if m.best is None or score < m.best.score:
            m.best = Best(score, epoch, dict(m.order.hyperparams))
            return True
        return False
