"""The Ray executor on real Ray processes of this machine, against the local executor."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

from latentspike.models import LFADS, Architecture
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.search.local import LocalExecutor
from latentspike.search.member import Order
from latentspike.search.ray_cluster import count_places, environment, import_ray
from latentspike.search.ray_executor import RayExecutor, RayOptions
from latentspike.search.ray_worker import Worker
from latentspike.search.store import Store
from latentspike.spikes import SpikeData
from latentspike.training import TrainingSettings
from latentspike.training.progress import Progress
from latentspike.training.task import Task

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.alone

KEY = jax.random.key(3)
N = 5  # members
N_EPOCHS = 2
# whose weights each member continues from, in generations 1 and 2; across borders of 2 and 3 blocks
ANCESTORS = ([4, 1, 0, 3, 0], [0, 2, 2, 1, 4])


class Watched(Worker):
    """Writes down what it does, in the folder of the store."""

    def start(self, task, setup):
        self._log = setup.store.folder.parent / "log"
        jax.monitoring.register_event_duration_secs_listener(self._note_compilation)
        self._n_compiled = 0
        return super().start(task, setup)

    def _note_compilation(self, event, *_, **__):
        self._n_compiled += event == "/jax/core/compile/backend_compile_duration"

    def train(self, orders, generation, n_epochs, copied, handed):
        before = self._n_compiled
        outcomes = super().train(orders, generation, n_epochs, copied, handed)
        self._write(f"compiled {generation} {self._n_compiled - before}")
        self._write(f"handed {generation} {len(handed)}")
        self._write(f"devices {len(jax.devices())}")
        return outcomes

    def copy(self, member):
        self._write(f"copy {member}")
        return super().copy(member)

    def _write(self, line):
        with open(self._log, "a") as file:
            file.write(line + "\n")


class FullDisk(Worker):
    """Cannot save anything."""

    def start(self, task, setup):
        return super().start(task, setup._replace(store=FullStore(setup.store.folder)))


class FullStore(Store):
    def save(self, generation, member, weights):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "weights.npz")


class Apart(Watched):
    """On a node that does not see the folder of the store."""

    def start(self, task, setup):
        elsewhere = Store(setup.store.folder / "of this node")
        is_shared = super().start(task, setup._replace(store=elsewhere))
        self._log = setup.store.folder.parent / "log"
        return is_shared


class WatchedExecutor(RayExecutor):
    _worker = Watched


class FullDiskExecutor(RayExecutor):
    _worker = FullDisk


class ApartExecutor(RayExecutor):
    _worker = Apart


def make_task(model):
    rng = np.random.default_rng(0)
    data = SpikeData(rng.poisson(0.3, (30, 12, 6)), 0.01)
    train, validation = data.select_trials(slice(0, 24)), data.select_trials(slice(24, 30))
    return Task(model, train, validation, TrainingSettings(max_epochs=100, batch_size=8))


def first_orders(task):
    rates = np.geomspace(1e-3, 1e-2, N)
    known = task.known_hyperparams
    return [Order(i, i, {**known, "learning_rate": float(rates[i])}, Progress()) for i in range(N)]


def next_orders(orders, outcomes, ancestors):
    return [
        Order(i, source, orders[i].hyperparams, outcomes[source].progress, outcomes[i].best)
        for i, source in enumerate(ancestors)
    ]


def search(executor, task, told):
    """Outcomes of each generation, and their orders."""
    history, orders = [], [first_orders(task)]
    for generation, ancestors in enumerate((*ANCESTORS, range(N))):
        outcomes = executor.train(
            orders[-1], generation=generation, n_epochs=N_EPOCHS, on_epoch=told.extend
        )
        history.append(outcomes)
        orders.append(next_orders(orders[-1], outcomes, ancestors))
    return history, orders


class Local(NamedTuple):
    """What the local executor makes of a task."""

    history: list
    orders: list
    weights: list  # of each member, after the last generation
    rows: list
    folder: Path


def local_search(task, folder):
    executor, told = LocalExecutor(task, key=KEY, n_members=N, store=Store(folder)), []
    history, orders = search(executor, task, told)
    weights = [executor.weights(member) for member in range(N)]
    return Local(history, orders, weights, sorted_rows(told), folder)


def assert_same(found, local):
    for mine, right in zip(found, local, strict=True):
        assert [o.member for o in mine] == [o.member for o in right]
        np.testing.assert_allclose([o.score for o in mine], [o.score for o in right], rtol=1e-5)
        for a, b in zip(mine, right, strict=True):
            assert a.failed == b.failed
            assert a.progress.epoch == b.progress.epoch
            assert a.best.epoch == b.best.epoch
            np.testing.assert_allclose(a.best.score, b.best.score, rtol=1e-5)
            assert [list(row) for row in a.rows] == [list(row) for row in b.rows]


def assert_same_trees(found, local):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, local)


def lines(folder, word):
    path = folder / "log"
    written = path.read_text().splitlines() if path.exists() else []
    return [line.removeprefix(word + " ") for line in written if line.startswith(word + " ")]


@pytest.fixture(scope="module")
def task():
    return make_task(LinearAutoencoder())


@pytest.fixture(scope="module")
def local(task, tmp_path_factory):
    return local_search(task, tmp_path_factory.mktemp("local"))


def sorted_rows(told):
    return sorted((member, row["epoch"], row["valid_loss"]) for member, row in told)


# Before any test that needs the cluster: these must not find a connection.


def test_an_address_where_nobody_answers_is_an_error_within_seconds(task, tmp_path):
    assert not ray.is_initialized()
    store, start = Store(tmp_path / "weights"), time.monotonic()
    with pytest.raises(ConnectionError, match=r"no Ray cluster answers at 127\.0\.0\.1:1 .*ray st"):
        RayExecutor(task, key=KEY, n_members=N, store=store, options=RayOptions("127.0.0.1:1"))
    assert time.monotonic() - start < 15
    assert not ray.is_initialized()


@pytest.mark.parametrize("address", ["somewhere", "host:", "host:port", "ray://host:10001"])
def test_what_is_no_address_is_said(task, tmp_path, address):
    with pytest.raises(ValueError, match="address must be auto or the host:port"):
        RayExecutor(task, key=KEY, n_members=N, store=Store(tmp_path), options=RayOptions(address))


@pytest.fixture(scope="module")
def cluster(task, tmp_path_factory):
    """A cluster of this machine that the first executor starts and ends."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not see tests
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        store = Store(tmp_path_factory.mktemp("first") / "weights")
        options = RayOptions(n_blocks=1, cpus_per_block=0.1)
        first = RayExecutor(task, key=KEY, n_members=N, store=store, options=options)
    assert ray.is_initialized()
    yield first
    first.close()
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert not ray.is_initialized()
    assert not list(store.folder.glob(".*"))


@pytest.fixture
def make(cluster, tmp_path):
    """Makes executors on the cluster, and closes them."""
    made = []

    def make(task, kind=RayExecutor, n_blocks=2, folder=tmp_path / "weights", **options):
        executor = kind(
            task,
            key=KEY,
            n_members=N,
            store=Store(folder),
            options=RayOptions(n_blocks=n_blocks, **{"cpus_per_block": 0.2, **options}),
        )
        made.append(executor)
        return executor

    yield make
    for executor in made:
        executor.close()
    assert ray.is_initialized()  # only the one that started it ends it


def assert_same_as_local(executor, task, local):
    told = []
    found, _ = search(executor, task, told)
    assert_same(found, local.history)
    ours = sorted_rows(told)
    assert [row[:2] for row in ours] == [row[:2] for row in local.rows]
    np.testing.assert_allclose([r[2] for r in ours], [r[2] for r in local.rows], rtol=1e-5)
    for member in range(N):
        assert_same_trees(executor.load(2, member), local.weights[member])
        assert_same_trees(executor.best_params(2, member), local.weights[member].best)


def test_one_block_gives_the_scores_and_weights_of_a_local_search(task, local, cluster):
    where = "Ray cluster of 1 node: 1 block of up to 5 members, each on 0.1 CPU"
    assert cluster.describe() == where
    assert_same_as_local(cluster, task, local)


def test_lfads_in_two_blocks_copies_as_little_as_it_can_and_compiles_once(make, tmp_path):
    sizes = {"ic_encoder_size": 4, "ic_size": 4}
    task = make_task(LFADS(Architecture(6, 3, n_inferred_inputs=0, **sizes)))
    executor = make(task, WatchedExecutor)  # compiles while the local one does
    assert_same_as_local(executor, task, local_search(task, tmp_path / "local"))
    # blocks 0-2 and 3-4; generation 1 copies 4 to 0 and 0 to 4, 2 copies 1 to 3; 0 to 2 stays
    assert sorted(lines(tmp_path, "copy")) == ["0", "1", "4"]
    compiled = [line.split() for line in lines(tmp_path, "compiled")]
    n_first = [int(n) for generation, n in compiled if generation == "0"]
    assert len(n_first) == 2
    assert min(n_first) > 0
    assert [n for generation, n in compiled if generation != "0"] == ["0"] * 4
    assert {line.split()[1] for line in lines(tmp_path, "handed")} == {"0"}
    assert set(lines(tmp_path, "devices")) == {"1"}


def test_a_new_driver_goes_on_from_the_store(task, local, make, tmp_path, monkeypatch):
    shutil.copytree(local.folder / "0000", tmp_path / "weights" / "0000")
    (tmp_path / "weights" / ".ray-old").touch()  # of a driver that was killed
    monkeypatch.chdir(tmp_path)  # workers have another working directory
    executor = make(task, n_blocks=3, folder=Path("weights"))
    for generation in (1, 2):
        found = executor.train(local.orders[generation], generation=generation, n_epochs=N_EPOCHS)
        assert_same([found], [local.history[generation]])
        Store(tmp_path / "weights").forget_all_but(generation)  # as a search does
    assert all(block.is_shared for block in executor.blocks)
    for member in range(N):
        assert_same_trees(executor.load(2, member), local.weights[member])
    executor.close()
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["0002"]


def test_a_node_that_does_not_see_the_folder_gets_weights_from_the_driver(
    task, local, make, tmp_path
):
    executor = make(task, ApartExecutor)
    found = [executor.train(local.orders[0], generation=0, n_epochs=N_EPOCHS)]
    executor.stop_block(executor.blocks[0])  # as after an error: its next process knows nothing
    for generation in (1, 2):
        found.append(
            executor.train(local.orders[generation], generation=generation, n_epochs=N_EPOCHS)
        )
    assert_same(found, local.history)
    for member in range(N):
        assert_same_trees(executor.load(2, member), local.weights[member])
    assert not (tmp_path / "weights" / "of this node").exists()
    assert not lines(tmp_path, "copy")
    handed = sorted(line.split() for line in lines(tmp_path, "handed"))
    # members 0, 1, 2 and the ancestor 4; the ancestor 0; nothing; the ancestor 1
    assert handed == [["0", "0"], ["0", "0"], ["1", "1"], ["1", "4"], ["2", "0"], ["2", "1"]]


def test_an_error_of_the_task_arrives_as_it_was_and_names_the_block(task, make):
    executor = make(task, FullDiskExecutor, n_blocks=1)
    with pytest.raises(OSError, match="No space left on device") as caught:
        executor.train(first_orders(task), generation=0, n_epochs=1)
    assert type(caught.value) is OSError
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == "weights.npz"
    assert caught.value.__notes__ == ["raised in block 0 on the Ray cluster"]


def test_ctrl_c_ends_the_workers_and_leaves_an_executor_that_works(task, local, make):
    executor = make(task, n_blocks=1)

    def interrupt(rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executor.train(first_orders(task), generation=0, n_epochs=N_EPOCHS, on_epoch=interrupt)
    assert executor.blocks[0].actor is None
    found = executor.train(first_orders(task), generation=0, n_epochs=N_EPOCHS)
    assert_same([found], local.history[:1])


def test_another_cluster_than_the_connected_one_is_refused(task, make):
    with pytest.raises(ConnectionError, match=r"not to elsewhere:1: call ray\.shutdown"):
        make(task, address="elsewhere:1")


def test_a_block_that_no_node_could_hold_is_said(task, make, tmp_path):
    with pytest.raises(ValueError, match=r"no node .* has room for a block of 4096 CPU: lower"):
        make(task, n_blocks=None, cpus_per_block=4096)
    assert not list(tmp_path.glob("weights/*"))


def test_the_search_ends_when_no_block_finds_a_place_in_time(task, make):
    executor = make(task, cpus_per_block=4096, start_seconds=0.2)
    with pytest.raises(RuntimeError, match=r"no block of 4096 CPU started within 0\.2 s"):
        executor.train(first_orders(task), generation=0, n_epochs=1)


def test_blocks_fill_the_places_of_nodes_that_differ():
    nodes = [{"CPU": 7.0}, {"CPU": 1.0}, {"CPU": 4.0, "GPU": 1.0}, {"memory": 1.0}]
    assert count_places(nodes, cpus=2, gpus=0) == 5
    assert count_places(nodes, cpus=2, gpus=1) == 1
    assert count_places(nodes, cpus=2, gpus=0.5) == 2


def test_a_block_keeps_to_its_share_of_the_machine(monkeypatch):
    monkeypatch.delenv("LATENTSPIKE_CACHE", raising=False)
    count = "--xla_force_host_platform_device_count"
    monkeypatch.setenv("XLA_FLAGS", f"--xla_other=1 {count}=8")
    on_cpus = {"XLA_FLAGS": f"--xla_other=1 {count}=3", "JAX_PLATFORMS": "cpu"}
    assert environment(3, 0) == on_cpus
    monkeypatch.setenv("LATENTSPIKE_CACHE", "off")
    assert environment(0.5, 1) == {
        "XLA_FLAGS": f"--xla_other=1 {count}=1",
        "LATENTSPIKE_CACHE": "off",
    }
    assert environment(1, 0.5)["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.375"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_blocks", 0),
        ("n_blocks", 1.5),
        ("cpus_per_block", 0),
        ("cpus_per_block", 1.5),
        ("gpus_per_block", -1),
        ("gpus_per_block", 2.5),
        ("max_losses", -1),
        ("start_seconds", 0),
    ],
)
def test_options_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .* got {value}"):
        RayOptions(**{name: value})


def test_without_a_store_nothing_starts(task):
    with pytest.raises(ValueError, match="needs a folder"):
        RayExecutor(task, key=KEY, n_members=N, store=None, options=RayOptions())


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'latentspike\[ray\]'"):
        import_ray()
