"""Members trained as one program: as if each were alone, in any layout, compiled once."""

import dataclasses

import jax
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.models import LFADS, Architecture
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.search import population
from latentspike.search.layout import Layout, choose_layout
from latentspike.search.local import LocalExecutor
from latentspike.search.member import Order, Weights
from latentspike.search.store import Store
from latentspike.training import TrainingSettings
from latentspike.training.epoch import TrainState
from latentspike.training.loop import Run, run_epochs
from latentspike.training.memory import estimate_step_bytes, estimate_trials_bytes
from latentspike.training.progress import Progress
from latentspike.training.task import Task

KEY = jax.random.key(3)
SMALL = Architecture(
    generator_size=6,
    n_factors=3,
    ic_encoder_size=5,
    ic_size=3,
    n_inferred_inputs=2,
    ci_encoder_size=5,
    controller_size=5,
    clip=4.75,
)  # fmt: skip  (no other test has this clip)


def autoencoder_task(**settings):
    rng = np.random.default_rng(5)
    values = rng.normal(size=(30, 3, 2)) @ rng.normal(size=(2, 5)) + rng.normal(size=(30, 3, 5))
    data = SpikeData(values, 0.1, kind="continuous")
    return task_of(LinearAutoencoder(), data, **settings)


def task_of(model, data, **settings):
    chosen = TrainingSettings(**{"max_epochs": 100, "batch_size": 12, "ramp_epochs": 3} | settings)
    return Task(model, data.select_trials(slice(0, 24)), data.select_trials(slice(24, 30)), chosen)


def orders(task, n, outcomes=None, ancestors=None, **changes):
    """Members that differ in their learning rate."""
    found = []
    for i in range(n):
        values = task.known_hyperparams | {"learning_rate": 1e-3 * (i + 1)} | changes
        source = i if ancestors is None else ancestors[i]
        progress = Progress() if outcomes is None else outcomes[source].progress
        best = None if outcomes is None else outcomes[i].best
        found.append(Order(i, source, values, progress, best))
    return found


def leaves(weights):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(weights)]


def assert_same(a, b):
    for x, y in zip(leaves(a), leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def trained(task, layout=None, n=5, n_generations=2, ancestors=None, store=None):
    executor = LocalExecutor(task, key=KEY, n_members=n, layout=layout, store=store)
    outcomes = None
    for generation in range(n_generations):
        taken = ancestors if generation else None
        given = orders(task, n, outcomes, taken)
        outcomes = executor.train(given, generation=generation, n_epochs=3)
    return executor, outcomes


LAYOUTS = [
    Layout("map", "members", 2, 8),
    Layout("map", "members", 2, 1),
    Layout("map", "members", 1, 2),
    Layout("map", "trials", 2, 5),
    Layout("vmap", "members", 1, 5),
    Layout("vmap", "members", 2, 2),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_every_layout_finds_the_same(layout):
    if layout.n_devices > len(jax.local_devices()):
        pytest.skip("needs two devices")
    task = autoencoder_task()
    ancestors = [0, 0, 2, 1, 4]
    expected, before = trained(task, Layout("map", "members", 1, 5), ancestors=ancestors)
    found, after = trained(task, layout, ancestors=ancestors)
    for i in range(5):
        for x, y in zip(leaves(expected.weights(i)), leaves(found.weights(i)), strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-4, atol=1e-6)
        assert after[i].score == pytest.approx(before[i].score, rel=1e-5)
        assert after[i].progress.epoch == 6


def test_blocks_of_any_size_give_the_same_bits():
    task = autoencoder_task()
    one, _ = trained(task, Layout("map", "members", 1, 1))
    many, _ = trained(task, Layout("map", "members", 1, 7))
    for i in range(5):
        assert_same(one.weights(i), many.weights(i))


def test_a_member_is_what_a_run_with_its_key_and_values_would_be():
    task = autoencoder_task(max_epochs=6)
    executor, outcomes = trained(task, Layout("map", "members", 1, 3), n=2)
    for i in range(2):
        own = jax.random.fold_in(KEY, i)
        program = task.program(1)
        run = Run(
            task=task,
            program=program,
            trials=program.place(task.trials()),
            hyperparams=orders(task, 2)[i].hyperparams,
            key=jax.random.fold_in(own, 1),
            folder=None,
            identity={"data": ""},
        )
        params = executor._init(jax.random.fold_in(own, 0))
        alone = run_epochs(run, params, resume=False, show=False, monitor=None)
        for x, y in zip(leaves(alone.params), leaves(executor.weights(i).best), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
        assert outcomes[i].rows[-1]["valid_loss"] == pytest.approx(
            alone.history[-1]["valid_loss"], rel=1e-5
        )
        assert outcomes[i].best is not None
        assert outcomes[i].best.epoch == alone.about["best_epoch"]


def test_nothing_compiles_twice():
    counts = np.random.default_rng(4).poisson(1.0, (30, 8, 6))
    # without a controller it compiles sooner
    model = LFADS(dataclasses.replace(SMALL, n_inferred_inputs=0))
    task = task_of(model, SpikeData(counts, 0.02))
    executor, outcomes = trained(task, n=3, n_generations=1)
    given = orders(task, 3, outcomes, [2, 1, 0], kl_ic=3.0, dropout=0.4, keep_ratio=1.0)
    outcomes = executor.train(given, generation=1, n_epochs=2)
    again = LocalExecutor(task, key=jax.random.key(9), n_members=3)
    again.train(orders(task, 3), generation=0, n_epochs=1)
    programs = [
        p for (program, _), p in population._programs.items() if program.model == task.model
    ]
    assert len(programs) == 1
    assert programs[0]._cache_size() == 1


@pytest.mark.slow
def test_lfads_side_by_side_is_lfads_one_after_another():
    """What a GPU compiles, on this CPU."""
    counts = np.random.default_rng(4).poisson(1.0, (30, 8, 6))
    task = task_of(LFADS(SMALL), SpikeData(counts, 0.02))
    _, expected = trained(task, Layout("map", "members", 1, 3), n=3, n_generations=1)
    _, found = trained(task, Layout("vmap", "members", 1, 3), n=3, n_generations=1)
    for one, other in zip(expected, found, strict=True):
        for before, after in zip(one.rows, other.rows, strict=True):
            assert after["train_loss"] == pytest.approx(before["train_loss"], rel=1e-5)
            assert after["valid_loss"] == pytest.approx(before["valid_loss"], rel=1e-5)


def test_a_copy_takes_state_but_not_the_best_of_its_place():
    task = autoencoder_task()
    executor, outcomes = trained(task, n=2, n_generations=1)
    before = [executor.weights(i) for i in range(2)]
    stay = orders(task, 2, outcomes, [1, 1])
    stay = [Order(o.member, o.ancestor, o.hyperparams, o.progress, o.best) for o in stay]
    executor.train(stay, generation=1, n_epochs=0)
    assert_same(executor.weights(0).state, before[1].state)
    assert_same(executor.weights(0).best, before[0].best)


def test_members_draw_differently_though_they_share_weights():
    task = autoencoder_task()
    executor, outcomes = trained(task, n=2, n_generations=1)
    given = orders(task, 2, outcomes, [0, 0])
    given = [Order(o.member, 0, given[0].hyperparams, o.progress, o.best) for o in given]
    executor.train(given, generation=1, n_epochs=1)
    a, b = (leaves(executor.weights(i).state.params)[0] for i in range(2))
    assert np.abs(a - b).max() > 0


@pytest.mark.parametrize("kept", [True, False])
def test_a_new_executor_continues_from_the_store(tmp_path, kept):
    task, store = autoencoder_task(), Store(tmp_path)
    ancestors = [1, 1, 2, 0, 4]
    whole, _ = trained(task, n_generations=3, ancestors=ancestors)
    first, outcomes = trained(task, n_generations=2, ancestors=ancestors, store=store)
    executor = first if kept else LocalExecutor(task, key=KEY, n_members=5, store=store)
    executor.train(orders(task, 5, outcomes, ancestors), generation=2, n_epochs=3)
    for i in range(5):
        assert_same(whole.weights(i), executor.weights(i))


def test_weights_that_another_process_sent_come_first(tmp_path):
    task, store = autoencoder_task(), Store(tmp_path)
    executor, outcomes = trained(task, n=2, n_generations=1, store=store)
    sent = jax.tree.map(np.zeros_like, executor.weights(1))
    executor.train(
        orders(task, 2, outcomes, [1, 1])[:1], generation=1, n_epochs=0, incoming={1: sent}
    )
    assert_same(executor.weights(0).state, sent.state)


def test_without_a_store_forgotten_weights_are_an_error():
    task = autoencoder_task()
    _, outcomes = trained(task, n=1, n_generations=1)
    fresh = LocalExecutor(task, key=KEY, n_members=1)
    with pytest.raises(KeyError, match="member 0 of generation 0 is not in memory"):
        fresh.train(orders(task, 1, outcomes), generation=1, n_epochs=1)


def test_a_member_that_fails_harms_no_other():
    task = autoencoder_task()
    _, well = trained(task, n=3, n_generations=1)
    executor = LocalExecutor(task, key=KEY, n_members=3)
    given = orders(task, 3)
    given[1].hyperparams["learning_rate"] = 1e30
    outcomes = executor.train(given, generation=0, n_epochs=3)
    assert outcomes[1].failed is not None and "not finite in epoch" in outcomes[1].failed
    assert np.isnan(outcomes[1].score)
    for i in (0, 2):
        assert outcomes[i].score == well[i].score
    after = [
        Order(o.member, o.member, g.hyperparams, o.progress, o.best, o.failed)
        for o, g in zip(outcomes, given, strict=True)
    ]
    later = executor.train(after, generation=1, n_epochs=1)
    assert later[1].failed == outcomes[1].failed and later[1].rows == []
    assert np.isfinite(later[0].score)


def test_a_member_without_progress_stops_and_keeps_its_score():
    task = autoencoder_task(patience=2, min_improvement=0.5)
    _, outcomes = trained(task, n=2, n_generations=3)
    for outcome in outcomes:
        assert outcome.progress.stopped == "no improvement in 2 epochs"
        assert outcome.score == outcome.progress.smoothed
        assert outcome.progress.epoch < 9


def test_the_callback_hears_every_member_of_every_epoch():
    task = autoencoder_task()
    executor = LocalExecutor(task, key=KEY, n_members=3, layout=Layout("map", "members", 1, 2))
    told = []
    executor.train(orders(task, 3), generation=0, n_epochs=2, on_epoch=told.append)
    heard = [(member, row["epoch"]) for part in told for member, row in part]
    assert heard == [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1)]


def like_of(task):
    params = jax.eval_shape(LocalExecutor(task, key=KEY, n_members=2)._init, KEY)
    return Weights(TrainState(params, ()), params)


def test_the_layout_follows_members_and_memory(monkeypatch):
    from latentspike.search import layout

    task = autoencoder_task()
    like = like_of(task)
    n_devices = len(jax.local_devices())
    many = choose_layout(task, like, 64)
    assert (many.kind, many.share, many.n_devices) == ("map", "members", n_devices)
    assert many.per_device == 8
    if n_devices > 1:
        big = autoencoder_task(batch_size=24)
        assert choose_layout(big, like, 1).share == "trials"
        assert choose_layout(big, like, n_devices).share == "members"
        assert choose_layout(task, like, 1).n_devices == 1  # batches too small to be shared
    # room for three members and a half on each device, by the estimate itself
    step = 2 * estimate_step_bytes(task.model, task.train, task.settings)
    kept = 2 * sum(4 * 25 for _ in jax.tree.leaves(like))
    data = estimate_trials_bytes(task.train, task.settings)
    room = n_devices * (data + step + 3.5 * kept)
    monkeypatch.setattr(layout, "_memory", lambda device: room / 0.7)
    assert choose_layout(task, like, 64).per_device == 3
    monkeypatch.setattr(layout, "_memory", lambda device: 10.0)
    with pytest.raises(MemoryError, match=r"lower training\.batch_size"):
        choose_layout(task, like, 64)


class FakeGPU:
    platform = "gpu"
    device_kind = "NVIDIA"

    def memory_stats(self):
        return {"bytes_limit": 100_000}


def test_a_gpu_trains_members_side_by_side_in_even_blocks(monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: [FakeGPU()])
    task = autoencoder_task()
    params = jax.eval_shape(lambda: {"weights": np.zeros((5, 5), np.float32)})
    like = Weights(TrainState(params, ()), params)
    few, many = choose_layout(task, like, 3), choose_layout(task, like, 100)
    assert (few.kind, few.per_device) == ("vmap", 3)
    assert many.kind == "vmap" and many.per_device < 100
    n_blocks = -(-100 // many.per_device)
    assert n_blocks * many.per_device - 100 < n_blocks


def test_slots_are_dealt_out_to_the_devices():
    layout = Layout("map", "members", 2, 3)
    assert layout.slots(5).tolist() == [0, 3, 1, 4, 2]
    assert sorted(layout.slots(6)) == list(range(6))
