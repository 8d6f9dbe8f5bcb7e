"""Members × steps per second of a whole population, and of one process after another.

    python benchmarks/population.py [--members 1 4 16 64] [--layouts] [--full-search]

One process per member is what a search costs without the population: `fit` in a fresh process each
(imports, data, compiled program from the disk cache, training on all cores). Printed for each
population: throughput of the local executor, its share of the matrix-product peak, and how much
longer the processes take.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import jax
import numpy as np

from flops import training_step_flops
from latentspike import SpikeData
from latentspike.models.lfads import LFADS, Architecture
from latentspike.search.defaults import seconds_per_generation
from latentspike.search.layout import Layout
from latentspike.search.local import LocalExecutor
from latentspike.search.member import Order
from latentspike.training import RunOptions, TrainingSettings, fit
from latentspike.training.progress import Progress
from latentspike.training.task import Task

BATCH, BINS, NEURONS, STEPS = 128, 100, 50, 5
SIZES = {"encoder": 64, "controller": 64, "generator": 100, "factors": 20, "inferred_inputs": 4}
FLOPS = training_step_flops(batch=BATCH, bins=BINS, neurons=NEURONS, **SIZES)
EPOCHS = 4


def data() -> SpikeData:
    rng = np.random.default_rng(0)
    return SpikeData(rng.poisson(0.2, (BATCH * STEPS + 8, BINS, NEURONS)), 0.01)


def task(n_train: int = BATCH * STEPS) -> Task:
    recording = data()
    train = recording.select_trials(slice(0, BATCH * STEPS))
    if n_train != BATCH * STEPS:
        train = recording.select_trials(np.arange(n_train) % recording.n_trials)
    validation = recording.select_trials(slice(BATCH * STEPS, BATCH * STEPS + 8))
    settings = TrainingSettings(max_epochs=10**6, batch_size=BATCH, patience=10**6)
    return Task(LFADS(Architecture()), train, validation, settings)


def population_seconds(n_members: int, layout: Layout | None, n_epochs: int) -> tuple[float, str]:
    """Seconds of ``n_epochs`` epochs of all members, after one that compiles."""
    executor = LocalExecutor(task(), key=jax.random.key(0), n_members=n_members, layout=layout)
    values = executor._task.known_hyperparams
    orders = [Order(i, i, values, Progress()) for i in range(n_members)]
    outcomes = executor.train(orders, generation=0, n_epochs=1)
    orders = [Order(o.member, o.member, values, o.progress, o.best) for o in outcomes]
    start = time.perf_counter()
    executor.train(orders, generation=1, n_epochs=n_epochs)
    return time.perf_counter() - start, executor.describe()


def alone() -> None:
    """One member in a process of its own, as a scheduler would start it; prints s per epoch."""
    settings = TrainingSettings(
        max_epochs=EPOCHS + 1, batch_size=BATCH, patience=10**6, validation_fraction=8 / 648
    )
    seen: list[float] = []
    options = RunOptions(show=False, monitor=lambda *_: seen.append(time.perf_counter()) or {})
    fit(LFADS(Architecture()), data(), settings=settings, options=options, key=jax.random.key(0))
    print((seen[-1] - seen[0]) / EPOCHS)


def one_process() -> tuple[float, float]:
    """Seconds to start a process (imports, data, compiled program from disk), and per epoch."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--alone"]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    epoch = float(found.stdout)
    return time.perf_counter() - start - (EPOCHS + 1) * epoch, epoch


def peak() -> float:
    size = 4096 if jax.default_backend() == "gpu" else 2048
    a = jax.numpy.asarray(np.random.default_rng(0).standard_normal((size, size)), np.float32)
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        product(a).block_until_ready()
        times.append(time.perf_counter() - start)
    return 2.0 * size**3 / float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--layouts", action="store_true", help="compare map and vmap")
    parser.add_argument("--full-search", action="store_true", help="time of Fig. 4's search")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        alone()
        return
    device = jax.local_devices()[0]
    print(f"{len(jax.local_devices())} × {device.device_kind}, {peak() / 1e9:.0f} GFLOP/s peak")
    one_process()  # fills the cache of compiled programs, as the population's own is
    start, epoch = np.median([one_process() for _ in range(3)], axis=0)
    print(f"one member in its own process: {start:.1f} s to start, {epoch:.2f} s per epoch")
    process = (start, epoch)
    for n in options.members:
        seconds, how = population_seconds(n, None, options.epochs)
        report(n, seconds, options.epochs, how, process)
    if options.layouts:
        n_devices = len(jax.local_devices())
        for n in (4, 16):
            for layout in (Layout("vmap", "members", 1, n), Layout("map", "members", n_devices, 8)):
                seconds, how = population_seconds(n, layout, options.epochs)
                report(n, seconds, options.epochs, how, process)
    if options.full_search:
        seconds = seconds_per_generation(task(3200), 200, 150)
        print(f"200 members, 3200 trials, 150 epochs: about {seconds / 60:.0f} min")


def report(n: int, seconds: float, n_epochs: int, how: str, process: tuple[float, float]) -> None:
    rate = n * n_epochs * STEPS / seconds
    start, epoch = process
    steady = n * n_epochs * epoch / seconds
    whole = n * (start + 100 * epoch) / (start + 100 * seconds / n_epochs)
    print(
        f"{n:4d} members: {rate:7.2f} member-steps/s, {rate * FLOPS / peak():5.1%} of the peak; "
        f"one process after another takes {steady:4.2f} × as long for the steps alone, "
        f"{whole:4.2f} × with starts for 100 epochs; {how}",
        flush=True,
    )


if __name__ == "__main__":
    main()
