"""A network that switches, fitted from nine of its 1000 neurons (neuLVM, 5.2).

    python -m latentspike.studies.winner_take_all --jobs 2

`--seeds` trials of 10 s, cut from one long run. Each is fitted by itself, with 12 parameters
unknown, or `--together` of them at a time. r is Pearson's correlation of the inferred activity
(posterior mean of the spikes per 4-ms bin) with the true one, over both excitatory populations, one
after the other. Beside it: smoothed spikes, with the width of the paper and with the one that is
best on the truth, and the true activity smoothed by 48 ms. Switches per 100 s are those of free
runs of the fitted model, and of the network with the fitted parameters. Parts (`--only`):
"baselines", "before" (models before learning), "known" (activity inferred with the true
parameters), "informed" (parameters that suit the true activity of all neurons best), "fits"; the
two before the last are what a trial can tell at most. Every fit that has ended is a file: the same
command goes on where it was stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

from latentspike.compare.jobs import Job, run_jobs
from latentspike.evaluate import find_switches
from latentspike.models import Fitted
from latentspike.models.neulvm import NeuLVM
from latentspike.plot import save
from latentspike.plot.switching import switches as draw_switches
from latentspike.simulate import neurons_by_population, winner_take_all
from latentspike.spikes import SpikeData
from latentspike.studies import winner_take_all_figures as figures
from latentspike.studies import winner_take_all_fits as fits
from latentspike.studies.common import (
    arguments,
    fit_arguments,
    keep,
    kept_before,
    tabulated,
)
from latentspike.studies.winner_take_all_tables import (
    PAPER_WIDTH,
    REFERENCE,
    WIDTHS,
    Rows,
    best_smoothing,
    show_agreement,
    show_switches,
)

PARTS = ("baselines", "before", "known", "informed", "fits")
N_BEFORE = 5


def baselines(data: SpikeData) -> dict[str, Rows]:
    """Agreement (r) of smoothed spikes and of the smoothed truth, a value for each trial."""
    found: dict[str, Rows] = {}
    for trial in range(data.n_trials):
        true = data.truth["population_counts"][trial]
        spikes = fits.recorded_sums(data, trial)
        rows = {f"smoothing, {w:g} s": fits.smoothed(spikes, w) for w in (*WIDTHS, PAPER_WIDTH)}
        rows["true activity, smoothed by 48 ms"] = fits.smoothed(true, fits.ORACLE_WIDTH)
        for name, activity in rows.items():
            for figure, value in fits.agreement(activity, true).items():
                found.setdefault(name, {}).setdefault(figure, []).append(value)
    return found


def _unlearned(ids: np.ndarray, free: np.ndarray) -> tuple[NeuLVM, dict[str, Any]]:
    """A model that has seen nothing."""
    model = NeuLVM(winner_take_all(free=True), neurons=neurons_by_population(ids))
    recorded = np.full(3, fits.N_RECORDED)
    return model, {"rate": np.full(3, 5.0), "n_recorded": recorded, "free": free}


def _run_before(ids: np.ndarray, n_bins: int) -> np.ndarray:
    """Spikes per bin [bins, K] of the model in the middle of its boxes, running freely."""
    model, params = _unlearned(ids, winner_take_all(free=True).start)
    run = model.simulate(
        params, n_trials=1, n_bins=n_bins, bin_width=fits.BIN, key=jax.random.key(0)
    )
    return run.truth["population_counts"][0]


def before_learning(n: int, seconds: float, ids: np.ndarray) -> dict[str, list[float]]:
    """Switches per 100 s of models that have seen nothing: the boxes' middle, and draws of them."""
    network = winner_take_all(free=True)
    low, high = network.bounds
    drawn = np.random.default_rng(0).uniform(low, high, (n, low.size))
    run = lambda free, i: fits.free_switches(  # noqa: E731
        *_unlearned(ids, free), seconds, jax.random.key(i)
    )["value"]
    return {
        "middle of the boxes": [run(network.start, 0)],
        "random starts": [run(free, i + 1) for i, free in enumerate(drawn)],
    }


def jobs_of(data: SpikeData, options: Any) -> list[Job]:
    """One fit for each trial, or for as many trials together as `--together` says."""
    estimation = {
        "method": options.method,
        "n_starts": options.starts,
        "n_warmup": options.warmup,
        "n_draws": options.draws,
        "n_particles": options.particles,
        "smoothing": options.smoothing,
    }
    settings = {
        "recording": str((options.out / "recording.npz").resolve()),
        "estimation": estimation,
        "seconds": options.seconds,
        "network_seconds": options.network_seconds,
        "cut": [options.run, options.length, options.network_seed],
        "n_draws": options.draws_simulated,
    }
    n = options.together
    if n > 1:
        settings["n_trials"] = n
    function = "latentspike.studies.winner_take_all_fits:run_fit"
    return [
        Job(_fits(options) / f"{i}", function, {"trial": i} | settings)
        for i in range(0, data.n_trials - n + 1, n)
    ]


def bound_jobs(what: str, data: SpikeData, options: Any) -> list[Job]:
    """What knows more of each trial than a fit: "known" or "informed"."""
    settings = {"recording": str((options.out / "recording.npz").resolve())}
    settings |= {"cut": [options.run, options.length, options.network_seed]}
    own = {"known": {"n_particles": options.particles}, "informed": {"seconds": options.seconds}}
    function = f"latentspike.studies.winner_take_all_fits:run_{what}"
    return [
        Job(options.out / what / f"{i}", function, {"trial": i} | settings | own[what])
        for i in range(data.n_trials)
    ]


def _fits(options: Any) -> Path:
    """Folder of the fits."""
    together = f"-{options.together}-trials" if options.together > 1 else ""
    return options.out / f"fits-{options.method}{together}"


def draw(data: SpikeData, options: Any, results: list[dict[str, Any]]) -> None:
    """True and inferred activity of the first trial, a free run of its fit, and all switches."""
    fitted = Fitted.load(_fits(options) / "0" / "run")
    names = list(fitted.model.network.names)
    hz = fitted.model.network.sizes * fits.BIN
    key = jax.random.key(0)
    free = fitted.simulate(key=key, n_trials=1, n_bins=data.n_bins, bin_width=fits.BIN)
    shown = {
        "true": data.truth["population_counts"][:1] / hz,
        "inferred": fitted.params["training_counts"][:1] / hz,
        "free run of the fitted model": free.truth["population_rate"],
    }
    figure, axes = plt.subplots(4, 1, figsize=(7.5, 10.0), constrained_layout=True)
    for ax, (name, activity) in zip(axes, shown.items(), strict=False):
        found = find_switches(activity, bin_width=fits.BIN, names=names)
        draw_switches(activity, found, names=names, ax=ax)
        ax.set_title(name, loc="left", fontsize="medium")
    mean, sd = REFERENCE
    axes[3].axhspan(mean - sd, mean + sd, color="0.85", label="network, 100-s blocks")
    for name, marker in (("mesoscopic", "o"), ("network", "x")):
        places = [i for i, row in enumerate(results) if name in row]
        axes[3].plot(places, [results[i][name]["value"] for i in places], marker, label=name)
    ticks = range(len(results))
    axes[3].set(xlabel="fit", ylabel="switches per 100 s", xticks=ticks)
    axes[3].legend(frameon=False)
    save(figure, options.out / f"{_fits(options).name}.png")
    plt.close(figure)


def _recording(options: Any) -> tuple[SpikeData, dict[str, Any]]:
    """Trials and the switches of the whole run, made anew: the same seed gives the same."""
    options.out.mkdir(parents=True, exist_ok=True)
    return fits.segments(
        options.out / "recording.npz",
        n=options.seeds,
        length=options.length,
        run=options.run,
        seed=options.network_seed,
    )


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "winner_take_all", seeds=20)
    fit_arguments(parser, PARTS)
    parser.add_argument("--smoothing", type=float, default=0.0, help="s, of the first guess")
    parser.add_argument("--run", type=float, default=500.0, help="s of the network")
    parser.add_argument("--length", type=float, default=10.0, help="s of a trial")
    parser.add_argument("--seconds", type=float, default=1000.0, help="of free runs of a fit")
    parser.add_argument("--network-seconds", type=float, default=300.0, help="the same; 0: none")
    parser.add_argument("--together", type=int, default=1, help="trials that a fit explains")
    parser.add_argument("--draws-simulated", type=int, default=10, help="of each fit's posterior")
    parser.add_argument("--network-seed", type=int, default=0)
    options = parser.parse_args(argv)
    data, switching = _recording(options)
    print(data, flush=True)
    figures.benchmark(data, options.out / "benchmark.png")
    document: dict[str, Any] = {"network": switching}
    found = baselines(data)  # in every table: r means nothing without them
    results: list[dict[str, Any]] = []
    if "baselines" in options.only:
        document["baselines"] = found
    if "before" in options.only:
        document["before"] = before_learning(N_BEFORE, options.seconds / 5, data.neuron_ids)
        best = float(best_smoothing(found, "r").split()[1])
        widths = (best,) if best == PAPER_WIDTH else (best, PAPER_WIDTH)
        figures.controls(
            data, _run_before(data.neuron_ids, data.n_bins), widths, options.out / "controls.png"
        )
    for what in ("known", "informed"):
        if what in options.only:
            document[what] = run_jobs(bound_jobs(what, data, options), n_processes=options.jobs)
    if "fits" in options.only:
        results = run_jobs(jobs_of(data, options), n_processes=options.jobs)
        together = f", {options.together} trials each" if options.together > 1 else ""
        document[f"fits, {options.method}{together}"] = results
        draw(data, options, results)
    with tabulated(options.out):
        show_agreement(found, results, options.method, document.get("known"))
        show_switches(document, results)
    keep(options.out, kept_before(options.out) | document)
    return document


if __name__ == "__main__":
    main()
