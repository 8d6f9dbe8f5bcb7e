"""Seconds per 10 simulated seconds of the 1000-neuron winner-take-all network at 0.2 ms.

    python benchmarks/lif_network.py [--trials 1 20] [--no-nest] [--threads 1] [--weights]

Ours after one call that compiles; NEST (where it is installed) runs the same network in the same
minute on one thread (``--threads``), without the time to build it. ``--weights`` adds a run in
which every pair of neurons has a weight of its own. Memory is the largest of the process, so the
rows with few trials come first.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from latentspike import devices
from latentspike.simulate import lif_network, winner_take_all

PARITY = Path(__file__).parents[1] / "tests" / "parity"
SECONDS = 10.0


def ours(n_trials: int, duration: float, weights: dict | None = None) -> tuple[float, float]:
    """Seconds of the first call and, with another seed, of the second."""
    seconds = []
    for seed in (0, 1):
        began = time.perf_counter()
        lif_network(winner_take_all(), duration, seed=seed, n_trials=n_trials, weights=weights)
        seconds.append(time.perf_counter() - began)
    return seconds[0], seconds[1]


def own_weights() -> dict[tuple[str, str], np.ndarray]:
    network, rng = winner_take_all(), np.random.default_rng(0)
    size = {name: p.size for name, p in network.populations.items()}
    return {
        (s, r): rng.normal(strength, abs(strength), (size[r], size[s])) / size[s]
        for s, row in network.connections.items()
        for r, strength in row.items()
        if isinstance(strength, float)
    }


def nest_seconds(n_threads: int) -> float:
    """Of `Simulate`, in a process of its own, by the program of the parity test."""
    sys.path.insert(0, str(PARITY))
    from test_nest_network import nest_network

    with tempfile.TemporaryDirectory() as folder:
        options = {"seed": 1, "time_step": 0.0002, "threads": n_threads}
        nest_network(winner_take_all(), SECONDS, Path(folder), **options)
        with np.load(Path(folder) / "result.npz", allow_pickle=False) as result:
            return float(result["seconds"])


def row(what: str, seconds: float, simulated: float, first: float | None = None) -> None:
    per_ten = seconds * SECONDS / simulated
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = "" if first is None else f", first call {first - seconds:+.1f} s, peak {peak:.0f} MB"
    print(f"{what:42s} {per_ten:7.2f} s per 10 s{start}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 20])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-nest", action="store_true")
    parser.add_argument("--weights", action="store_true")
    arguments = parser.parse_args()
    devices.prepare()
    for n_trials in arguments.trials:
        first, second = ours(n_trials, SECONDS)
        row(f"latentspike, {n_trials} trials of 10 s", second, SECONDS * n_trials, first)
    first, second = ours(1, 10 * SECONDS)
    row("latentspike, 1 trial of 100 s", second, 10 * SECONDS, first)
    if arguments.weights:
        first, second = ours(1, SECONDS, own_weights())
        row("latentspike, a weight for every pair", second, SECONDS, first)
    if not arguments.no_nest and importlib.util.find_spec("nest") is not None:
        row(f"NEST, {arguments.threads} threads", nest_seconds(arguments.threads), SECONDS)


if __name__ == "__main__":
    main()
