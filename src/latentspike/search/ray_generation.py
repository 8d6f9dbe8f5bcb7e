"""One generation on a Ray cluster: which orders run where, and what becomes of lost blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from latentspike.search.local import OnEpoch
from latentspike.search.member import Order, Outcome, Weights
from latentspike.search.ray_cluster import RayOptions, import_ray


@dataclass(eq=False)
class Block:
    """A place for members on the cluster, whichever process fills it at the time.

    Parameters
    ----------
    number : from 0
    actor : handle of the process
    starting : reference to the answer of `Worker.start`, until it is there
    deadline : `time.monotonic` by which it should be
    is_shared : whether the process sees the store's folder
    trained, generation : members in the process's memory, after this generation
    losses : of processes in a row
    """

    number: int
    actor: Any = None
    starting: Any = None
    deadline: float = 0.0
    is_shared: bool = True
    trained: frozenset[int] = frozenset()
    generation: int = -1
    losses: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether the process has started."""
        return self.actor is not None and self.starting is None

    @property
    def is_late(self) -> bool:
        """Whether it should have started by now."""
        return not self.is_ready and time.monotonic() >= self.deadline

    def holds(self, member: int, generation: int) -> bool:
        """Whether the process has a member's weights after a generation in memory."""
        return self.is_ready and self.generation == generation and member in self.trained

    def __str__(self) -> str:
        return f"block {self.number}"


class Cluster(Protocol):
    """What a generation needs of its executor."""

    blocks: list[Block]
    options: RayOptions

    @property
    def resources(self) -> str:
        """Of a block, for people."""
        ...

    def start_block(self, block: Block) -> None:
        """Ask for a new process."""
        ...

    def stop_block(self, block: Block) -> None:
        """End the process."""
        ...

    def save(self, generation: int, member: int, weights: Weights) -> None:
        """Keep weights that a block could not."""
        ...

    def load(self, generation: int, member: int) -> Weights:
        """Weights for a block that cannot read them."""
        ...


class Generation:
    """A generation under way.

    Parameters
    ----------
    cluster : with the blocks
    orders : one per member
    number : of the generation, from 0
    n_epochs : that it lasts
    on_epoch : is told the figures of a block's epochs, once the block has finished
    """

    def __init__(
        self,
        cluster: Cluster,
        orders: Sequence[Order],
        number: int,
        n_epochs: int,
        on_epoch: OnEpoch | None,
    ) -> None:
        self._ray = import_ray()
        self._cluster = cluster
        self._blocks = cluster.blocks
        self._orders = orders
        self._number = number
        self._n_epochs = n_epochs
        self._on_epoch = on_epoch
        self._waiting: dict[Block, list[Order]] = {}  # for the block to start
        self._running: dict[Any, tuple[Block, list[Order]]] = {}  # by reference to the answer
        self._copies: dict[int, Any] = {}  # references to the weights of ancestors
        self._outcomes: dict[int, Outcome] = {}

    def run(self) -> list[Outcome]:
        """Train all members; outcomes in the sequence of the orders."""
        self._plan()
        self._submit()
        while len(self._outcomes) < len(self._orders):
            self._wait(self._patience())
            self._give_away()
            self._submit()
        return [self._outcomes[order.member] for order in self._orders]

    def _plan(self) -> None:
        """Give every block the same members generation after generation: it has their weights."""
        self._wait(0)
        shares = np.array_split(np.arange(len(self._orders)), len(self._blocks))
        for block, share in zip(self._blocks, shares, strict=True):
            self._waiting[block] = [self._orders[i] for i in share]
        self._give_away()
        # before any block trains on: an actor answers its calls in their sequence
        for block, orders in self._waiting.items():
            for order in orders:
                self._ask_for_copy(order.ancestor, block, order.ancestor == order.member)

    def _ask_for_copy(self, ancestor: int, block: Block, is_own: bool) -> None:
        before = self._number - 1
        if is_own or ancestor in self._copies or block.holds(ancestor, before):
            return
        if not block.is_shared:  # is handed what it lacks, from the store
            return
        for source in self._blocks:
            if source.holds(ancestor, before):
                self._copies[ancestor] = source.actor.copy.remote(ancestor)

    def _give_away(self) -> None:
        """Spread the orders of blocks that do not find a place over the others."""
        late = [block for block in self._waiting if block.is_late]
        orders = [order for block in late for order in self._waiting.pop(block)]
        if not orders:
            return
        able = [b for b in self._blocks if b.is_ready]
        able = able or [b for b in self._blocks if not b.is_late]
        if not able:
            raise RuntimeError(self._no_place())
        for i, order in enumerate(orders):
            self._waiting.setdefault(able[i * len(able) // len(orders)], []).append(order)

    def _no_place(self) -> str:
        free = self._ray.available_resources()
        return (
            f"no block of {self._cluster.resources} started within "
            f"{self._cluster.options.start_seconds:g} s; the Ray cluster has "
            f"{free.get('CPU', 0):g} CPU and {free.get('GPU', 0):g} GPU free: ask for less per "
            "block, or wait for nodes, then resume"
        )

    def _submit(self) -> None:
        """Give blocks that have started what waits for them."""
        for block in [block for block in self._waiting if block.is_ready]:
            orders = self._waiting.pop(block)
            if orders:
                copied, handed = self._weights_for(block, orders)
                call = block.actor.train.remote
                answer = call(orders, self._number, self._n_epochs, copied, handed)
                self._running[answer] = (block, orders)

    def _weights_for(
        self, block: Block, orders: list[Order]
    ) -> tuple[dict[int, Any], dict[int, Weights]]:
        """References to copied weights; the weights themselves where the store is not seen."""
        before = self._number - 1
        if block.is_shared:
            copied = {o.ancestor for o in orders if o.ancestor != o.member}
            copied = {m for m in copied & set(self._copies) if not block.holds(m, before)}
            return {member: self._copies[member] for member in copied}, {}
        if before < 0:
            return {}, {}
        needed = {m for o in orders for m in (o.member, o.ancestor) if not block.holds(m, before)}
        return {}, {member: self._cluster.load(before, member) for member in needed}

    def _patience(self) -> float | None:
        """Seconds until a block that has orders counts as late."""
        deadlines = [block.deadline for block in self._waiting if not block.is_ready]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _wait(self, seconds: float | None) -> None:
        """Take in whatever has started or finished; wait for one of them at most so long."""
        starting = {b.starting: b for b in self._blocks if b.starting is not None}
        answers = [*self._running, *starting]
        if not answers:
            return
        n = len(answers) if seconds == 0 else 1
        done, _ = self._ray.wait(answers, num_returns=n, timeout=seconds)
        for answer in done:
            if answer in self._running:
                self._take(answer, *self._running[answer])
            elif starting.get(answer) is not None and starting[answer].starting == answer:
                self._started(starting[answer])

    def _started(self, block: Block) -> None:
        try:
            block.is_shared = self._get(block.starting, block)
            block.starting = None
        except self._ray.exceptions.RayError as error:
            self._lost(block, error)

    def _take(self, answer: Any, block: Block, orders: list[Order]) -> None:
        try:
            outcomes, weights = self._get(answer, block)
        except self._ray.exceptions.RayError as error:
            return self._lost(block, error)
        del self._running[answer]
        for member, given in weights.items():
            self._cluster.save(self._number, member, given)
        block.losses = 0
        block.trained = frozenset(order.member for order in orders)
        block.generation = self._number
        self._outcomes |= {outcome.member: outcome for outcome in outcomes}
        if self._on_epoch is not None:
            _tell(outcomes, self._on_epoch)

    def _get(self, answer: Any, block: Block) -> Any:
        """An answer. What the task raised is raised as it was; a lost process is Ray's error."""
        try:
            return self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as error:
            problem = getattr(error, "cause", None)
            # what could not travel arrives as one of Ray's, which would look like a lost process
            if not isinstance(problem, Exception) or isinstance(
                problem, self._ray.exceptions.RayError
            ):
                problem = RuntimeError(str(error))
            problem.add_note(f"raised in {block} on the Ray cluster")
            raise problem from error

    def _lost(self, block: Block, error: Exception) -> None:
        """Ask for a new process, which waits for the orders of the old one."""
        block.losses += 1
        orders = self._waiting.pop(block, [])
        for answer in [key for key, (place, _) in self._running.items() if place is block]:
            orders += self._running.pop(answer)[1]
        if block.losses > self._cluster.options.max_losses:
            members = ", ".join(str(order.member) for order in orders)
            raise RuntimeError(
                f"{block} (members {members}) was lost {block.losses} times in a row, most "
                f"recently by {type(error).__name__}: {error}. See Ray's logs for the reason (too "
                "little memory, as a rule), then resume"
            ) from error
        self._cluster.stop_block(block)
        self._cluster.start_block(block)
        self._waiting[block] = orders


def _tell(outcomes: Sequence[Outcome], on_epoch: Callable[..., None]) -> None:
    """Figures of a block, epoch by epoch, as `LocalExecutor` tells them."""
    for epoch in range(max(len(outcome.rows) for outcome in outcomes)):
        on_epoch([(o.member, o.rows[epoch]) for o in outcomes if epoch < len(o.rows)])
