"""A Ray cluster of three nodes on this machine whose processes and nodes are killed on the way."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.search.local import LocalExecutor
from latentspike.search.member import Order
from latentspike.search.ray_executor import RayExecutor, RayOptions
from latentspike.search.ray_worker import Worker
from latentspike.search.store import Store
from latentspike.spikes import SpikeData
from latentspike.training import TrainingSettings
from latentspike.training.progress import Progress
from latentspike.training.task import Task

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.alone

KEY = jax.random.key(5)
N = 4  # members: 0 and 1 in block 0, 2 and 3 in block 1
N_EPOCHS = 2
ANCESTORS = ([2, 1, 2, 0], [0, 3, 1, 3])  # of generations 1 and 2


class Held(Worker):
    """Stops in the middle of a generation, after an epoch, as long as there is a file "hold"."""

    def start(self, task, setup):
        self._folder = setup.store.folder.parent
        return super().start(task, setup)

    def after_epoch(self, rows):
        node = ray.get_runtime_context().get_node_id()
        for member, row in rows:
            self._note(f"{member}-{row['epoch']}", f"{os.getpid()} {node}")
        while (self._folder / "hold").exists():
            time.sleep(0.05)

    def _note(self, name, text):
        (self._folder / "writing").mkdir(exist_ok=True)
        path = self._folder / "writing" / f"{name}-{os.getpid()}"
        path.write_text(text)
        path.replace(self._folder / f"epoch-{name}")  # whole or not at all


class HeldExecutor(RayExecutor):
    _worker = Held


class Dying(Worker):
    """Dies of every generation, as one that needs too much memory does."""

    def after_epoch(self, rows):
        os._exit(1)


class DyingExecutor(RayExecutor):
    _worker = Dying


def make_task():
    rng = np.random.default_rng(0)
    data = SpikeData(rng.poisson(0.3, (30, 12, 6)), 0.01)
    train, validation = data.select_trials(slice(0, 24)), data.select_trials(slice(24, 30))
    settings = TrainingSettings(max_epochs=100, batch_size=8)
    return Task(LinearAutoencoder(), train, validation, settings)


def first_orders(task):
    known = task.known_hyperparams
    rates = np.geomspace(1e-3, 1e-2, N)
    return [Order(i, i, {**known, "learning_rate": float(rates[i])}, Progress()) for i in range(N)]


def next_orders(orders, outcomes, ancestors):
    return [
        Order(i, source, orders[i].hyperparams, outcomes[source].progress, outcomes[i].best)
        for i, source in enumerate(ancestors)
    ]


def assert_same(found, expected):
    assert [o.member for o in found] == [o.member for o in expected]
    assert [o.best.epoch for o in found] == [o.best.epoch for o in expected]
    np.testing.assert_allclose([o.score for o in found], [o.score for o in expected], rtol=1e-5)
    for mine, right in zip(found, expected, strict=True):
        assert [row["epoch"] for row in mine.rows] == [row["epoch"] for row in right.rows]


def assert_same_weights(executor, local):
    for member in range(N):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
            executor.load(2, member),
            local.weights(member),
        )


@pytest.fixture(scope="module")
def task():
    return make_task()


@pytest.fixture(scope="module")
def undisturbed(task):
    """The local executor after three generations, with its orders and outcomes."""
    local = LocalExecutor(task, key=KEY, n_members=N)
    orders, history = [first_orders(task)], []
    for generation, ancestors in enumerate((*ANCESTORS, range(N))):
        history.append(local.train(orders[-1], generation=generation, n_epochs=N_EPOCHS))
        orders.append(next_orders(orders[-1], history[-1], ancestors))
    return local, orders, history


@pytest.fixture(scope="module")
def cluster():
    """A head for the driver alone and two nodes, each with room for one block."""
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not see tests
    small = {"object_store_memory": 100 * 2**20}
    head = {"num_cpus": 0, "include_dashboard": False, **small}
    with warnings.catch_warnings():  # JAX knows of threads; Ray's processes are other programs
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            cluster.add_node(num_cpus=1, **small)
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def make(task, cluster, tmp_path):
    """Makes executors on the cluster, and closes them."""
    made = []

    def make(kind=HeldExecutor, n_members=N, **options):
        store = Store(tmp_path / "weights")
        options = RayOptions(address=cluster.address, **options)
        made.append(kind(task, key=KEY, n_members=n_members, store=store, options=options))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


def who_trains(folder, member, epoch, seconds=120.0):
    """Process and node that have trained a member for an epoch, as soon as one has."""
    path = folder / f"epoch-{member}-{epoch}"
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} was not trained"
        time.sleep(0.02)
    pid, node = path.read_text().split()
    return int(pid), node


def train_with_a_loss(executor, orders, generation, folder, kill):
    """A generation in whose middle, when both blocks have trained an epoch, something is killed."""
    (folder / "hold").touch()

    def strike():
        first = N_EPOCHS * generation
        try:
            kill(*[who_trains(folder, member, first) for member in (0, 2)])
        finally:
            (folder / "hold").unlink()

    with ThreadPoolExecutor() as threads:
        struck = threads.submit(strike)
        outcomes = executor.train(orders, generation=generation, n_epochs=N_EPOCHS)
        struck.result()
    return outcomes


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_killed_processes_change_nothing(undisturbed, make, tmp_path):
    local, orders, history = undisturbed
    executor = make()
    assert executor.describe().startswith("Ray cluster of 3 nodes: 2 blocks")
    assert_same(executor.train(orders[0], generation=0, n_epochs=N_EPOCHS), history[0])
    # between two generations: member 3 copies 0, whose process is gone with its weights
    pid, _ = who_trains(tmp_path, 0, 0)
    os.kill(pid, signal.SIGKILL)
    killed = []

    def kill(_, second):
        os.kill(second[0], signal.SIGKILL)
        killed.append(second[0])

    found = train_with_a_loss(executor, orders[1], 1, tmp_path, kill)
    assert_same(found, history[1])
    assert who_trains(tmp_path, 2, 2)[0] not in killed  # again, from its first epoch on
    found = executor.train(orders[2], generation=2, n_epochs=N_EPOCHS)
    assert_same(found, history[2])
    assert_same_weights(executor, local)
    assert [block.losses for block in executor.blocks] == [0, 0]


def test_a_driver_that_was_killed_is_resumed(undisturbed, make, cluster, tmp_path):
    local, orders, history = undisturbed
    here = os.path.dirname(__file__)
    code = f"""
        import sys
        sys.path.insert(0, {here!r})
        from test_ray_faults import *
        from pathlib import Path
        ray.cloudpickle.register_pickle_by_value(sys.modules["test_ray_faults"])
        folder, task = Path({str(tmp_path)!r}), make_task()
        store = Store(folder / "weights")
        executor = HeldExecutor(task, key=KEY, n_members=N, store=store, options=RayOptions())
        orders = first_orders(task)
        outcomes = executor.train(orders, generation=0, n_epochs=N_EPOCHS)
        (folder / "hold").touch()
        orders = next_orders(orders, outcomes, ANCESTORS[0])
        executor.train(orders, generation=1, n_epochs=N_EPOCHS)
    """
    env = os.environ | {"RAY_ADDRESS": cluster.address}
    driver = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env=env)
    try:
        workers = [who_trains(tmp_path, member, N_EPOCHS)[0] for member in (0, 2)]
    finally:
        driver.kill()
        driver.wait()
    wait_until(lambda: all(map(is_gone, workers)))  # a driver's workers end with it
    (tmp_path / "hold").unlink()
    executor = make()
    for generation in (1, 2):
        found = executor.train(orders[generation], generation=generation, n_epochs=N_EPOCHS)
        assert_same(found, history[generation])
    assert_same_weights(executor, local)


def test_a_block_that_is_lost_again_and_again_ends_the_search(undisturbed, make):
    executor = make(DyingExecutor, n_blocks=1, max_losses=1)
    with pytest.raises(RuntimeError, match=r"block 0 \(members 0, 1, 2, 3\) was lost 2 times in"):
        executor.train(undisturbed[1][0], generation=0, n_epochs=N_EPOCHS)


# The last one: the cluster has one node less afterwards.
def test_a_block_without_a_place_and_then_a_lost_node(undisturbed, make, cluster, tmp_path):
    local, orders, history = undisturbed
    executor = make(n_blocks=3)  # members 0 and 1, 2, 3; but only two places
    wait_until(lambda: ray.available_resources().get("CPU", 0) == 0)
    executor.blocks[2].deadline = time.monotonic()  # or this test would last two minutes
    found = executor.train(orders[0], generation=0, n_epochs=N_EPOCHS)
    assert_same(found, history[0])
    assert [block.is_ready for block in executor.blocks] == [True, True, False]
    # a lost block's new process will find no place either
    executor.options = dataclasses.replace(executor.options, start_seconds=1.0)
    lost = []

    def kill(_, second):
        node = next(n for n in cluster.worker_nodes if n.node_id == second[1])
        cluster.remove_node(node, allow_graceful=False)
        os.kill(second[0], signal.SIGKILL)  # or it might live on for seconds, unlike on a real node
        lost.append(second[1])

    found = train_with_a_loss(executor, orders[1], 1, tmp_path, kill)
    assert_same(found, history[1])
    found = executor.train(orders[2], generation=2, n_epochs=N_EPOCHS)
    assert_same(found, history[2])
    assert_same_weights(executor, local)
    last = {who_trains(tmp_path, member, 3 * N_EPOCHS - 1) for member in range(N)}
    assert len(last) == 1  # one process, on the node that is left, has trained all members
    assert last.pop()[1] not in lost
    assert [block.is_ready for block in executor.blocks] == [True, False, False]
