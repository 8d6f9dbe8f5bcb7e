"""Cost of the mesoscopic model: likelihood and gradients, and free simulation.

    python benchmarks/mesoscopic.py [--quick] [--fit]

Value and gradient at T = 2500 bins, K = 3, nine observed neurons, float64, beside the published
program: one value by the plain NumPy loop of ``tests/parity`` (its equations and their order),
from which its gradient in the parameters follows by finite differences (one value per parameter
and one more) and the one in the activity as reverse mode would give it at best (five values).
Ratios are of the same minute. Then the cost against T, K, ages and hidden neurons, what the
compiled program needs in memory, and free simulation per bin. Before them a step of a fit by
each method, and with ``--fit`` whole fits with their defaults.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from latentspike import devices
from latentspike.dynamics import PUBLISHED, Free, Mesoscopic, Network, Population, Stepping
from latentspike.dynamics.free_run import free_run
from latentspike.models.neulvm import Estimation, NeuLVM
from latentspike.models.neulvm.joint import by_activity, by_parameters
from latentspike.models.neulvm.problem import Problem
from latentspike.models.protocol import DataSpec
from latentspike.simulate import lif_network, neurons_by_population, winner_take_all
from latentspike.training import RunOptions, fit

PARITY = Path(__file__).parents[1] / "tests" / "parity"
WIDTH, BINS, PER_POPULATION = 0.004, 2500, 3
KEY = jax.random.key(0)


def reference() -> Any:
    spec = importlib.util.spec_from_file_location(
        "neulvm_reference", PARITY / "neulvm_reference.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def ring(k: int, size: int = 400) -> Network:
    """``k`` populations, each of which excites itself and inhibits the next; all times free."""
    names = [f"p{i}" for i in range(k)]
    one = Population(size, Free(0.01, 0.04), Free(5.0, 25.0), Free(1.5, 7.0), refractory=0.004)
    connections = {
        name: {name: Free(2.0, 18.0), names[(i + 1) % k]: -5.0} for i, name in enumerate(names)
    }
    return Network(dict.fromkeys(names, one), connections)


def problem(network: Network, system: Mesoscopic, n_bins: int) -> tuple[Problem, np.ndarray]:
    """Random spikes and activity at 20 Hz; [trials, bins, …] of one trial."""
    rng, k = np.random.default_rng(0), len(network.names)
    population = np.repeat(np.arange(k), PER_POPULATION)
    spikes = (rng.random((1, n_bins, population.size)) < 20 * WIDTH).astype(float)
    bins = np.arange(n_bins)[None, :, None]
    latest = np.maximum.accumulate(np.where(spikes > 0, bins, -1), 1)
    latest = np.concatenate([np.full_like(latest[:, :1], -1), latest[:, :-1]], 1)
    ages = np.where(latest >= 0, bins - 1 - latest, -1)
    low, high = network.bounds
    member = (population[:, None] == np.arange(k)).astype(float)
    found = Problem(
        network.table,
        low,
        high,
        spikes=spikes @ member,
        seen=np.ones(spikes.shape) @ member,
        fired=spikes,
        stayed=1 - spikes,
        ages=ages,
        population=population,
        inputs=np.zeros((1, n_bins, 0)),
    )
    return found, rng.poisson(np.array(system.sizes) * 20 * WIDTH, (1, n_bins, k)) + 0.5


def best_of(call: Callable[[], Any], n: int = 5) -> float:
    """Seconds of the fastest call after one that compiles."""
    jax.block_until_ready(call())
    seconds = []
    for _ in range(n):
        began = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def megabytes(function: Any, *arguments: Any) -> float:
    """Of temporary memory and results, from the compiler."""
    found = function.lower(*arguments).compile().memory_analysis()
    return (found.temp_size_in_bytes + found.output_size_in_bytes) / 1e6


def gradients(network: Network, stepping: Stepping, n_bins: int) -> dict[str, float]:
    """Seconds and megabytes of value and gradient, in parameters and in activity."""
    system = Mesoscopic.of(network, WIDTH, stepping)
    given, counts = problem(network, system, n_bins)
    given = jax.tree.map(jnp.asarray, given)
    scaled = jnp.full(len(network.free_names), 0.5)
    free = jnp.asarray(network.start)
    root = jnp.asarray(2 * np.sqrt(counts))
    in_parameters = (system, given, scaled, jnp.asarray(counts))
    in_activity = (system, given, free, root)
    return {
        "ages": system.n_ages,
        "parameters": best_of(lambda: by_parameters(*in_parameters)),
        "activity": best_of(lambda: by_activity(*in_activity)),
        "MB parameters": megabytes(by_parameters, *in_parameters),
        "MB activity": megabytes(by_activity, *in_activity),
    }


def numpy_value(n_ages: int, n_bins: int) -> float:
    """Seconds of one value by the plain loop."""
    module, network = reference(), winner_take_all()
    values, k = network.values(), 3
    system = module.System(
        sizes=network.sizes,
        membrane_time=values.membrane_time,
        resting=values.resting,
        threshold=values.threshold,
        strength=values.strength,
        synapse_time=values.synapse_time,
        delay=np.zeros(k),
        refractory=np.ones(k, int),
        bin_width=WIDTH,
        n_ages=n_ages,
    )
    given, counts = problem(network, Mesoscopic.of(network, WIDTH), n_bins)
    spikes = np.asarray(given.fired)[0]
    observed = module.Observed(given.population, spikes, spikes[:0])
    began = time.perf_counter()
    module.score(system, counts[0] / network.sizes, np.full(k, 20.0), observed)
    return time.perf_counter() - began


def line(what: str, found: dict[str, float], plain: float | None = None, n_free: int = 12) -> None:
    text = f"{what:34s} {found['ages']:4.0f} ages"
    for name, n_values in (("parameters", n_free + 1), ("activity", 5)):
        text += f" | {name} {1e3 * found[name]:7.1f} ms {found['MB ' + name]:6.1f} MB"
        if plain is not None:
            text += f" ({plain * n_values / found[name]:6.0f} ×)"
    print(text, flush=True)


def against_the_published_program(n_bins: int) -> None:
    network = winner_take_all(free=True)
    n_free = len(network.free_names)
    print(f"T = {n_bins}, K = 3, {n_free} free parameters; × faster than the plain NumPy loop")
    for name, stepping in (("published stepping", PUBLISHED), ("exact, old class", Stepping())):
        for n_ages in (25, 50, 250):
            plain = numpy_value(n_ages, n_bins)
            setting = replace(stepping, max_age=n_ages * WIDTH)
            line(name, gradients(network, setting, n_bins), plain, n_free)


def scaling(n_bins: int) -> None:
    print("cost against size (exact membrane, old class)")
    base = Stepping(max_age=0.1)
    for factor in (1, 2, 4):
        line(f"T = {n_bins * factor}", gradients(ring(3), base, n_bins * factor))
    for k in (1, 2, 3, 6):
        line(f"K = {k}", gradients(ring(k), base, n_bins))
    for size in (40, 400, 400_000):
        line(
            f"{3 * (size - PER_POPULATION)} hidden neurons", gradients(ring(3, size), base, n_bins)
        )


def simulation(n_bins: int) -> None:
    print("free simulation, µs per bin and trial")
    network = winner_take_all()
    for name, stepping in (("published stepping", PUBLISHED), ("exact, old class", Stepping())):
        system = Mesoscopic.of(network, WIDTH, stepping)
        values = jax.tree.map(jnp.asarray, network.values())
        rates = jnp.full(3, 10.0)
        one = lambda key, s=system: free_run(s, values, rates, n_bins, None, key=key)  # noqa: E731, B023
        for n_trials in (1, 8):
            keys = jax.random.split(jax.random.key(0), n_trials)
            run = jax.jit(jax.vmap(one))
            seconds = best_of(lambda: run(keys), 3)  # noqa: B023
            each = 1e6 * seconds / n_bins / n_trials
            print(f"{name:34s} {system.n_ages:4d} ages | {n_trials} trials {each:6.2f}", flush=True)


def iterations(n_bins: int, is_whole: bool) -> None:
    """Seconds of a step of each method, after one that compiled it, and of a whole fit."""
    network = winner_take_all(free=True)
    activity = lif_network(winner_take_all(), n_bins * WIDTH, seed=0)
    data = activity.record(PER_POPULATION, WIDTH, seed=0)
    neurons = neurons_by_population(data.neuron_ids)
    per_step = {
        "hard": "iteration of Baum–Viterbi (E and M)",
        "sampling": "ten samples of a chain",
        "particles": "pass of a swarm of 1000",
    }
    print("estimation, 12 free parameters, nine neurons")
    for method, what in per_step.items():
        model = NeuLVM(network, neurons=neurons, estimation=Estimation(method=method))
        params, prepared = model.init(DataSpec.of(data), key=KEY), model.prepare(data)
        began = time.perf_counter()
        state = model.begin(params, prepared, key=KEY)
        if method == "sampling":  # its first step is a start
            state, _ = model.advance(state, prepared)
        print(f"{'start, ' + method:34s} {time.perf_counter() - began:7.1f} s")
        state, _ = model.advance(state, prepared)
        began = time.perf_counter()
        model.advance(state, prepared)
        print(f"{what:34s} {time.perf_counter() - began:7.1f} s", flush=True)
        if is_whole:
            began = time.perf_counter()
            fitted = fit(model, data, options=RunOptions(show=False), key=KEY)
            seconds = time.perf_counter() - began
            print(f"{'a whole fit, ' + method:34s} {seconds:7.1f} s, {len(fitted.history)} steps")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the bins")
    parser.add_argument("--fit", action="store_true", help="and whole fits: minutes")
    parts = ("estimation", "published", "scaling", "simulation")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    options = parser.parse_args()
    n_bins = BINS // 10 if options.quick else BINS
    devices.prepare()
    if "estimation" in options.only:
        iterations(n_bins, options.fit)
    with jax.enable_x64(True):
        if "published" in options.only:
            against_the_published_program(n_bins)
        if "scaling" in options.only:
            scaling(n_bins)
        if "simulation" in options.only:
            simulation(2 * n_bins)


if __name__ == "__main__":
    main()
