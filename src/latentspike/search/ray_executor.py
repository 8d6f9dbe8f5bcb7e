"""Members of a search in blocks on a Ray cluster; every block is a local executor of its own.

The driver gives each block its orders and takes what comes back; it never trains. A block that is
lost with its process or node gets a new process, or its members go to the blocks that are left;
either reads the weights of the generation before from the store.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from math import ceil
from typing import Any
from uuid import uuid4

import jax

from latentspike.search.executor import MakeExecutor
from latentspike.search.local import OnEpoch, weights_like
from latentspike.search.member import Order, Outcome, Weights
from latentspike.search.ray_cluster import (
    RayOptions,
    connect,
    count_places,
    environment,
    import_ray,
    live_nodes,
)
from latentspike.search.ray_generation import Block, Generation
from latentspike.search.ray_worker import Setup, Worker
from latentspike.search.store import Store
from latentspike.training.task import Task

__all__ = ["RayExecutor", "RayOptions", "on_ray"]


class RayExecutor:
    """Trains members of a search in blocks on a Ray cluster.

    Scores and weights are those of `LocalExecutor` to float tolerance, whatever the number of
    blocks, their places and the workers lost. Each block writes its weights into the store's
    folder, which all nodes should see; from a node that does not, they travel through the driver
    after every generation, which is slower. Else only weights that another block copies travel.

    Parameters
    ----------
    task : that every member learns; put into the object store once
    key : PRNG key of the search
    n_members : of the search
    store : where weights are kept after each generation; what survives a lost node
    options : cluster, blocks and their resources

    Raises
    ------
    ImportError : if Ray is not installed.
    ConnectionError : if there is no cluster at the address.
    ValueError : if there is no store, or no node of the cluster has room for a block.
    """

    _worker: type[Worker] = Worker

    def __init__(
        self,
        task: Task,
        *,
        key: jax.Array,
        n_members: int,
        store: Store | None,
        options: RayOptions,
    ) -> None:
        if store is None:
            raise ValueError(
                "a search on a Ray cluster needs a folder: lost members restart from it"
            )
        self.options = options
        self.blocks: list[Block] = []
        self._task = task
        self._key = key
        self._store = Store(store.folder.resolve())  # a worker has another working directory
        self._token = self._store.folder / f".ray-{uuid4().hex}"
        self._owns_cluster = connect(options.address)
        try:
            self._start(n_members)
        except BaseException:
            self.close()
            raise

    def _start(self, n_members: int) -> None:
        nodes = live_nodes()
        cpus, gpus = self.options.cpus_per_block, self.options.gpus_per_block
        self._gpus = float(any(n.get("GPU", 0) for n in nodes)) if gpus is None else gpus
        n_blocks = self.options.n_blocks or count_places(nodes, cpus, self._gpus)
        if n_blocks == 0:
            raise ValueError(
                f"no node of the Ray cluster has room for a block of {self.resources}: lower "
                "cpus_per_block or gpus_per_block"
            )
        self._n_nodes = len(nodes)
        self.blocks = [Block(number) for number in range(min(n_blocks, n_members))]
        self._size = ceil(n_members / len(self.blocks))
        self._leave_token()
        self._setup = Setup.of(self._key, self._size, self._store, self._token.name)
        self._shared_task = import_ray().put(self._task)
        for block in self.blocks:
            self.start_block(block)

    def _leave_token(self) -> None:
        """A file by which a worker knows that it sees this folder and no other of its name."""
        folder = self._token.parent
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(".ray-*"):  # of a driver that was killed
            old.unlink(missing_ok=True)
        self._token.touch()

    @property
    def resources(self) -> str:
        """What a block asks of the cluster, for people."""
        cpus = f"{self.options.cpus_per_block:g} CPU"
        return f"{cpus} and {self._gpus:g} GPU" if self._gpus else cpus

    def describe(self) -> str:
        """What trains, where and how, for people."""
        n = len(self.blocks)
        nodes = f"{self._n_nodes} node{'s' * (self._n_nodes != 1)}"
        blocks = f"{n} block{'s' * (n != 1)} of up to {self._size} members"
        return f"Ray cluster of {nodes}: {blocks}, each on {self.resources}"

    def train(
        self,
        orders: Sequence[Order],
        *,
        generation: int,
        n_epochs: int,
        on_epoch: OnEpoch | None = None,
    ) -> list[Outcome]:
        """Train members for one generation; either all of it happens or nothing.

        Parameters
        ----------
        orders : one per member
        generation : its number, from 0
        n_epochs : epochs of a generation
        on_epoch : is told the figures of a block's epochs, once the block has finished

        Returns
        -------
        One outcome per order, in their sequence.

        Raises
        ------
        RuntimeError : if a block was lost too often, or none finds a place.
        Exception : of the task, as in a local run, with a note that names the block; such an
            error would come again, so nothing is tried again.
        """
        try:
            for block in self.blocks:
                if block.actor is None:  # an error or Ctrl-C ended the generation before
                    self.start_block(block)
            return Generation(self, orders, generation, n_epochs, on_epoch).run()
        except BaseException:
            self._stop_blocks()
            raise

    def best_params(self, generation: int, member: int) -> Any:
        """Best parameters that a place in the population has seen, up to a generation."""
        return self.load(generation, member).best

    def load(self, generation: int, member: int) -> Weights:
        """A member's weights after a generation, from the store."""
        return jax.device_get(self._store.load(generation, member, self._like))

    @cached_property
    def _like(self) -> Weights:
        return weights_like(self._task)

    def save(self, generation: int, member: int, weights: Weights) -> None:
        """Store a member's weights for a worker that does not see the folder."""
        self._store.save(generation, member, weights)

    def close(self) -> None:
        """End the workers, and the cluster if it was started here."""
        ray = import_ray()
        self._stop_blocks()
        self._token.unlink(missing_ok=True)
        if self._owns_cluster and ray.is_initialized():
            ray.shutdown()
        self._owns_cluster = False

    def start_block(self, block: Block) -> None:
        """Ask for a new process for a block; it starts as soon as the cluster has room."""
        cpus = self.options.cpus_per_block
        actor = import_ray().remote(self._worker)
        block.actor = actor.options(
            num_cpus=cpus,
            num_gpus=self._gpus,
            max_restarts=0,  # the driver sees to it: a new process needs its orders again
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": environment(cpus, self._gpus)},
        ).remote()
        block.starting = block.actor.start.remote(self._shared_task, self._setup)
        block.deadline = time.monotonic() + self.options.start_seconds
        block.trained, block.generation = frozenset(), -1

    def stop_block(self, block: Block) -> None:
        """End a block's process at once."""
        ray = import_ray()
        if block.actor is not None and ray.is_initialized():
            ray.kill(block.actor)
        block.actor = block.starting = None

    def _stop_blocks(self) -> None:
        for block in self.blocks:
            self.stop_block(block)
            block.losses = 0


def on_ray(options: RayOptions) -> MakeExecutor:
    """What `SearchOptions` takes to train on a Ray cluster.

    Raises
    ------
    ImportError : at once, if Ray is not installed.
    """
    import_ray()

    def make(task: Task, key: jax.Array, n_members: int, store: Store | None) -> RayExecutor:
        return RayExecutor(task, key=key, n_members=n_members, store=store, options=options)

    return make
