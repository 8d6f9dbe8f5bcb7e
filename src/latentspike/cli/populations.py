"""``latentspike populations``: which recorded neurons belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from tyro import conf

from latentspike.cli.options import Common
from latentspike.cli.outcome import Report, UsageError, note

if TYPE_CHECKING:
    from latentspike.evaluate import PopulationLabels

STABLE = 0.8  # adjusted Rand index between halves of the recording


@dataclass(frozen=True, kw_only=True)
class Populations(Common):
    """Find populations among the recorded neurons: whose spike trains are alike?

    Van Rossum distances and k-means, for 2 to --max populations. Stability is the agreement of the
    populations found in two halves of the recording (1: always the same; 0: chance), silhouette
    how much nearer a neuron is to its own population than to the next (-1 to 1). Without
    --populations the most stable number is taken (of equally stable ones the largest), if its
    stability is at least 0.8 and no population is a single neuron. The table [model.neurons] that
    is printed last belongs into the --config of `latentspike fit`, under the names that the
    populations have in [model.network]. Needs elephant
    (pip install 'latentspike[populations]').

    Example: latentspike populations recording.h5 --populations 3 --out populations.png
    """

    file: Annotated[str, conf.Positional, conf.arg(metavar="FILE")]
    """Recording ending in .h5, .npz or .nwb."""
    populations: Annotated[int | None, conf.arg(metavar="INT")] = None
    """Number of populations; by default the most stable, see above."""
    max: int = 6
    """Largest number that is tried."""
    out: Annotated[str | None, conf.arg(metavar="FIGURE")] = None
    """Picture of distances and stability to write, ending in .png, .svg or .pdf."""
    time_constant: float = 0.4
    """Seconds, of the filter: long against intervals, short against changes of activity."""
    normalize: Literal["none", "rate"] = "none"
    """rate: compare when neurons fire, not how much; for neurons of very different rates."""
    repeats: int = 20
    """Random halves of the recording that are compared."""
    seed: int = 0
    """Of halves and k-means."""
    bin_width: float | None = None
    """Seconds. Needed where the file does not state it."""
    align_to: str | None = None
    """NWB: trials column with the time (seconds) of the event that trials are aligned to."""
    window: tuple[float, float] | None = None
    """NWB: start and end of a trial in seconds relative to that event."""


OPTIONS = Populations


def run(options: Populations) -> Report:
    """Find and tell; see `Populations`."""
    from latentspike.cli.toml import to_toml
    from latentspike.evaluate import stability_against_number
    from latentspike.io import ReadOptions, read

    if options.out is not None and Path(options.out).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UsageError(f"--out {options.out} must end in .png, .svg or .pdf")
    names = ("bin_width", "align_to", "window")
    data = read(options.file, ReadOptions(**{name: getattr(options, name) for name in names}))
    try:
        results = stability_against_number(
            data,
            _numbers(options, data.n_neurons),
            time_constant=options.time_constant,
            normalize=options.normalize,
            n_repeats=options.repeats,
            seed=options.seed,
        )
    except ValueError as error:
        raise ValueError(f"{options.file}: {error}") from error
    found = _chosen(results, options.populations)
    toml = to_toml({"model": {"neurons": found.neurons}})
    document = {
        "file": options.file,
        "n_populations": found.n_populations,
        "neurons": found.neurons,
        "silhouettes": dict(
            zip(map(str, found.neuron_ids.tolist()), found.silhouettes.tolist(), strict=True)
        ),
        "numbers": [_summary(result) for result in results],
        "figure": options.out,
    }
    if options.out is not None:
        _draw(found, results, options.out)
    return Report(document, "\n".join([*_table(found), "", *_stability(results, found), toml]))


def _numbers(options: Populations, n_neurons: int) -> list[int]:
    """How many populations to try."""
    wanted = options.populations
    numbers = set(range(2, min(options.max, n_neurons - 1) + 1))
    numbers |= set() if wanted is None else {wanted}
    if not numbers:
        raise ValueError(
            f"--max {options.max} and {n_neurons} neurons leave no number of populations to try"
        )
    return sorted(numbers)


def _chosen(results: Sequence[PopulationLabels], wanted: int | None) -> PopulationLabels:
    """The number that was asked for, or the most stable one that splits off no neuron.

    Of equally stable ones the largest: halving a true population is stable only by chance, joining
    two may well be.
    """
    if wanted is not None:
        return next(result for result in results if result.n_populations == wanted)
    stable = [result for result in results if result.stability >= STABLE]
    if groups := [result for result in stable if np.bincount(result.labels).min() > 1]:
        return max(groups, key=lambda result: (round(result.stability, 6), result.n_populations))
    if stable:
        note(
            "warning: every stable number splits off single neurons, as very different rates do; "
            "try --normalize rate, or leave these neurons out. The smallest number is shown"
        )
        return stable[0]
    note(
        "warning: no number of populations is stable: the halves of the recording disagree; the "
        "most stable is shown"
    )
    return max(results, key=lambda result: result.stability)


def _summary(result: PopulationLabels) -> dict[str, Any]:
    return {
        "n_populations": result.n_populations,
        "stability": result.stability,
        "stability_sd": result.stability_spread,
        "silhouette": result.silhouette,
    }


def _table(found: PopulationLabels) -> list[str]:
    """A line per neuron: those of a population together, the most typical first."""
    ids = [str(neuron) for neuron in found.neuron_ids.tolist()]
    width = max(len("neuron"), *map(len, ids))
    lines = [f"{'neuron':<{width}}  population  silhouette"]
    for i in np.lexsort((-found.silhouettes, found.labels)):
        line = f"{ids[i]:<{width}}  {found.labels[i] + 1:>10}  {found.silhouettes[i]:>10.2f}"
        lines.append(line + ("  (nearer to another)" if found.silhouettes[i] < 0 else ""))
    return lines


def _stability(results: Sequence[PopulationLabels], found: PopulationLabels) -> list[str]:
    lines = ["populations  stability      silhouette"]
    for result in results:
        spread = f"{result.stability:.2f} ± {result.stability_spread:.2f}"
        line = f"{result.n_populations:<11}  {spread:<13}  {result.silhouette:.2f}"
        lines.append(line + ("  (chosen)" if result is found else ""))
    return lines


def _draw(found: PopulationLabels, results: Sequence[PopulationLabels], path: str) -> None:
    from matplotlib.figure import Figure

    from latentspike import plot

    left, right = Figure(figsize=(10, 4), layout="constrained").subplots(1, 2)
    plot.distances(found, ax=left)
    plot.population_stability(results, ax=right)
    plot.save(left, path)
