"""Which neurons belong together: clustering of 25 neurons drawn from 1000 (neuLVM, 5.2).

    python -m latentspike.studies.found_populations

`--seeds` draws of neurons from all three populations of the winner-take-all network, van Rossum
distances (time constant 400 ms) and k-means with three clusters. The paper is right in 20 of 20
draws; it does not say how long its recording is, so that several lengths are tried here, and, for
each draw, how many populations the recording itself suggests (the most stable number).
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from latentspike.evaluate import PopulationLabels, stability_against_number
from latentspike.plot import save
from latentspike.plot.populations import distances, population_stability
from latentspike.simulate import LIFActivity, lif_network, neurons_by_population, winner_take_all
from latentspike.spikes import SpikeData
from latentspike.studies.common import arguments, keep, tabulated

BIN = 0.004  # s
TIME_STEP = 0.0002  # s
N_RECORDED = 25
NUMBERS = (2, 3, 4, 5)  # of populations
TRUE_NUMBER = 3


def draw_neurons(activity: LIFActivity, n: int, *, seed: int) -> SpikeData:
    """Recording of neurons drawn from all populations together."""
    sizes = list(activity.sizes.values())
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(sizes, n)
    return activity.record(dict(zip(activity.names, drawn.tolist(), strict=True)), BIN, seed=seed)


def run_once(data: SpikeData, *, seed: int) -> tuple[dict[str, Any], list[PopulationLabels]]:
    """Figures of one draw, and what was found for each number of populations."""
    found = stability_against_number(data, NUMBERS, seed=seed)
    three = found[NUMBERS.index(TRUE_NUMBER)]
    names = {
        neuron: name
        for name, ids in neurons_by_population(data.neuron_ids).items()
        for neuron in ids
    }
    agreement = three.agreement([names[neuron] for neuron in data.neuron_ids.tolist()])
    best = max(found, key=lambda each: (round(each.stability, 6), each.n_populations))
    figures = {
        "agreement": agreement,
        "is_right": bool(agreement > 1 - 1e-9),
        "smallest": int(np.bincount(three.labels).min()),
        "stability": three.stability,
        "silhouette": three.silhouette,
        "suggested": best.n_populations,
    }
    return figures, found


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "found_populations", seeds=20)
    parser.add_argument("--neurons", type=int, default=N_RECORDED)
    parser.add_argument("--durations", type=float, nargs="+", default=[5.0, 10.0, 30.0])
    parser.add_argument("--network-seed", type=int, default=0)
    options = parser.parse_args(argv)
    longest = max(options.durations)
    whole = lif_network(winner_take_all(), longest, seed=options.network_seed, time_step=TIME_STEP)
    rows: dict[str, list[dict[str, Any]]] = {}
    with tabulated(options.out):
        print(
            f"{options.neurons} of 1000 neurons, {options.seeds} draws (network: exact membrane, "
            "0.2 ms)\n"
            "  seconds  right      worst agreement  smallest cluster  stability  suggested number"
        )
        for duration in options.durations:
            draws = [
                draw_neurons(whole, options.neurons, seed=seed) for seed in range(options.seeds)
            ]
            results = [
                run_once(_first(data, duration), seed=seed) for seed, data in enumerate(draws)
            ]
            rows[f"{duration:g}"] = figures = [row for row, _ in results]
            _draw(results[0][1], options.out / f"first_draw_{duration:g}s.png")
            _say(duration, figures)
        print("  paper: right in 20 of 20, no cluster smaller than 3")
    document = {"by_duration": rows, "neurons": options.neurons}
    keep(options.out, document)
    return document


def _first(data: SpikeData, duration: float) -> SpikeData:
    n_bins = round(duration / data.bin_width)
    return SpikeData(data.counts[:, :n_bins], data.bin_width, neuron_ids=data.neuron_ids)


def _say(duration: float, figures: list[dict[str, Any]]) -> None:
    n_right = sum(row["is_right"] for row in figures)
    worst = min(row["agreement"] for row in figures)
    smallest = min(row["smallest"] for row in figures)
    stability = np.mean([row["stability"] for row in figures])
    numbers = [row["suggested"] for row in figures]
    suggested = ", ".join(f"{n}: {numbers.count(n)}" for n in sorted(set(numbers)))
    print(
        f"  {duration:<7g}  {f'{n_right} of {len(figures)}':9s}  {worst:<15.2f}  {smallest:<16d}  "
        f"{stability:<9.2f}  {suggested}",
        flush=True,
    )


def _draw(found: list[PopulationLabels], path: Any) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.0), constrained_layout=True)
    distances(found[NUMBERS.index(TRUE_NUMBER)], ax=axes[0])
    population_stability(found, ax=axes[1])
    save(figure, path)
    plt.close(figure)


if __name__ == "__main__":
    main()
