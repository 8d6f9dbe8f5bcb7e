"""Rat motor cortex as a spiking network: held-out neurons under neuLVM, beside other models.

    LATENTSPIKE_TEST_DATA=… python -m latentspike.studies.rat_motor_cortex_populations

The recording, the held-out neurons, the training and test trials and the scored 20-ms bins are
those of `latentspike.studies.rat_motor_cortex`. neuLVM reads 10-ms bins, which may hold one spike
of a neuron at most (7 % of the spikes are second ones and left out; all are scored), and its rates
are averaged over pairs of bins. It is fitted to `--trials` training trials, once for each number of
populations, with and without a clock (cosines of the time in the trial) as measured input: without
it, nothing tells the network when the trial began.

Clusters of neurons with alike courses over all training trials (`--normalize none`: with alike
rates) are the populations; held-out neurons' training spikes say where they belong, and the fit
reads nothing else of them. How large populations are is not known: `--size` neurons each. Three
ways lead from the activity of populations to a held-out neuron:

"own": the rate of its population, scaled; "weights": Poisson ridge regression on the log activity
of all populations, in the fitted trials; "+ PSTH": the same on top of its PSTH over all training
trials. All are scaled to the neuron's mean rate over all training trials. "smoothing" puts the
smoothed spikes of each population (same neurons, same trials) in the place of the model's activity.
`--choice` other training trials choose its width, and the number of populations; test trials are
seen by no choice.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

from latentspike.compare.jobs import Job, run_jobs
from latentspike.evaluate import (
    BitsPerSpike,
    co_smoothing_bits,
    multi_lag_glm,
    psth_rates,
    smoothed_plus_psth,
)
from latentspike.evaluate.kernel import smooth
from latentspike.evaluate.poisson_regression import fit_poisson
from latentspike.models import GaussianSmoothing
from latentspike.plot import save, style
from latentspike.spikes import Posterior, SpikeData, Split
from latentspike.studies import rat_populations_fits as fits
from latentspike.studies.common import arguments, keep, recordings_folder
from latentspike.studies.recordings import rat_motor_cortex
from latentspike.training import RunOptions, fit

WIDTHS = (0.02, 0.04, 0.06, 0.1, 0.2)  # s
WAYS = ("own", "weights", "+ PSTH")
FLOOR = 0.5  # Hz, added to all activities: where no spike is near, smoothing says 0
LFADS = "LFADS without coordinated dropout"
Activity = dict[str, np.ndarray]  # of each part, [trials, bins, K] in Hz
Row = dict[str, dict[str, dict[str, float]]]  # by way and part


class Scores:
    """From the activity of populations to bits per spike of held-out neurons.

    Parameters
    ----------
    data, split : recording in the scored bins
    parts : trials fitted, chosen by, and tested
    """

    def __init__(self, data: SpikeData, split: Split, parts: dict[str, np.ndarray]) -> None:
        self.train = data.select_trials(split.train)
        self.parts = {name: data.select_trials(trials) for name, trials in parts.items()}
        self.mean = self.train.counts.mean((0, 1))
        self.psth = psth_rates(self.train, self.train.select_trials(slice(0, 1))).rates[0]

    def row(self, activity: Activity, groups: fits.Groups) -> Row:
        """Every way, on the trials to choose by and on those to test."""
        rows: Row = {way: {} for way in WAYS}
        for part in fits.PARTS[1:]:
            for way, rates in self._rates(activity, part, groups).items():
                rows[way][part] = plain(self._score(part, rates))
        return rows

    def _rates(self, activity: Activity, part: str, groups: fits.Groups) -> dict[str, np.ndarray]:
        """Rates of the held-out neurons, Hz [trials, bins, held out]."""
        fitted = self.parts["fitted"]
        heldout = fitted.heldout
        counts = fitted.counts[..., heldout]
        place = {neuron: k for k, ids in enumerate(groups.values()) for neuron in ids}
        own = [place[neuron] for neuron in fitted.neuron_ids[heldout].tolist()]
        mean = counts.mean((0, 1)) + 0.5 / counts[..., 0].size
        correction = self.mean[heldout] / mean  # rates drift, and few trials show them badly
        raised = {name: activity[name] + FLOOR for name in ("fitted", part)}
        logs = {name: np.log(rates) for name, rates in raised.items()}
        rows = [x.reshape(-1, x.shape[-1]) for x in (logs["fitted"], counts)]
        psth = self.psth[:, heldout] * fitted.bin_width
        exposure = np.broadcast_to(psth, counts.shape).reshape(rows[1].shape)
        weights = fit_poisson(rows[0], rows[1])
        beside = fit_poisson(rows[0], rows[1], exposure=exposure)
        expected = {
            "own": raised[part][..., own] / raised["fitted"][..., own].mean((0, 1)) * mean,
            "weights": weights.predict(logs[part]),
            "+ PSTH": beside.predict(logs[part]) * psth,
        }
        return {way: each * correction / fitted.bin_width for way, each in expected.items()}

    def _score(self, part: str, rates: np.ndarray) -> BitsPerSpike:
        data = self.parts[part]
        everyone = np.ones(data.counts.shape)
        everyone[..., data.heldout] = rates
        posterior = Posterior(
            everyone, data.bin_width, data.trial_ids, data.neuron_ids, t_start=data.t_start
        )
        return co_smoothing_bits(data, posterior)

    def smoothing(self, groups: fits.Groups) -> Row:
        """Smoothed spikes of each population; each way has the width that is best for it."""
        found = {width: self.row(self._smoothed(groups, width), groups) for width in WIDTHS}
        rows: Row = {}
        for way in WAYS:
            best = max(WIDTHS, key=lambda width: found[width][way]["choice"]["value"])
            rows[way] = found[best][way]
        return rows

    def _smoothed(self, groups: fits.Groups, width: float) -> Activity:
        found = {}
        for name, data in self.parts.items():
            read = [np.isin(data.neuron_ids, ids) & ~data.heldout for ids in groups.values()]
            pooled = np.stack([data.counts[..., each].mean(-1) for each in read], axis=-1)
            seen = np.ones(pooled.shape, bool)
            found[name] = smooth(pooled, seen, width_bins=width / data.bin_width)[0]
        return {name: rate / self.train.bin_width for name, rate in found.items()}

    def baselines(self) -> dict[str, dict[str, float]]:
        """Models that read single neurons, or none, fitted to all training trials."""
        test, key = self.parts["test"], jax.random.key(0)
        smoothing = fit(
            GaussianSmoothing(0.06), self.train, options=RunOptions(show=False), key=key
        )
        found = {
            "PSTH": psth_rates(self.train, test),
            "smoothing + Poisson ridge": smoothing.infer(test, key=key),
            "smoothing + Poisson ridge + log-PSTH": smoothed_plus_psth(self.train, test),
            "±120 ms multi-lag GLM + log-PSTH": multi_lag_glm(self.train, test, max_lag=0.12),
        }
        return {name: plain(co_smoothing_bits(test, rates)) for name, rates in found.items()}


def plain(bits: BitsPerSpike) -> dict[str, float]:
    """Value and standard error over trials, for JSON."""
    return {"value": bits.value, "standard_error": bits.standard_error}


def jobs_of(groups: dict[int, fits.Groups], options: Any) -> list[Job]:
    """Fits without and with a clock for each number of populations, then LFADS."""
    common = {
        "draw": options.draw,
        "size": options.size,
        "trials": [options.trials, options.choice, options.test],
        "estimation": {
            "n_starts": options.starts,
            "n_warmup": options.warmup,
            "n_draws": options.draws,
            "n_leapfrog": options.leapfrog,
        },
        "inference": {"n_warmup": 15},
        "samples": options.samples,
    }
    module = fits.__name__
    jobs = [
        Job(
            options.out / f"fits-{n}{'-clock' * has_clock}",
            f"{module}:run_fit",
            {"groups": found, "has_clock": has_clock} | common,
        )
        for n, found in groups.items()
        for has_clock in (False, True)
    ]
    if options.lfads:
        settings = {
            "draw": options.draw,
            "n_test": options.test,
            "variant": LFADS,
            "epochs": options.epochs,
        }
        jobs.append(Job(options.out / "lfads", f"{module}:run_lfads", settings))
    return jobs


def show(document: dict[str, Any]) -> None:
    """The table."""
    text = lambda bits: f"{bits['value']:.3f} ± {bits['standard_error']:.3f}"  # noqa: E731
    print(
        f"\nHeld-out neurons, bits per spike on {document['n_test']} test trials (± standard error "
        "over trials)\n"
        f"  {'activity of populations':38s}" + "".join(f"{way:18s}" for way in WAYS)
    )
    for name, row in document["populations"].items():
        print(f"  {name:38s}" + "".join(f"{text(row[way]['test']):18s}" for way in WAYS))
    print("  single neurons")
    for name, bits in document["baselines"].items():
        print(f"  {name:38s}{text(bits)}")
    for way, name in document["chosen"].items():
        print(f"  chosen by training trials that were not fitted, {way}: {name}")


def draw(document: dict[str, Any], numbers: list[int], path: Path) -> None:
    """Bits against the number of populations, a panel for each way."""
    figure, axes = plt.subplots(1, 3, figsize=(10.0, 3.6), sharey=True, layout="constrained")
    for ax, way in zip(axes, WAYS, strict=True):
        for color, kind in zip(
            style.PALETTE, ("smoothing", "neuLVM", "neuLVM, clock"), strict=False
        ):
            bits = [document["populations"][f"{kind}, K = {n}"][way]["test"] for n in numbers]
            ax.errorbar(
                numbers,
                [each["value"] for each in bits],
                [each["standard_error"] for each in bits],
                fmt="o-",
                color=color,
                label=kind,
            )
        for dash, (name, bits) in zip(
            ("-", "--", "-.", ":", (0, (1, 4))), document["baselines"].items(), strict=False
        ):
            ax.axhline(bits["value"], color=style.MUTED, linestyle=dash, zorder=0, label=name)
        ax.set_xticks(numbers)
        ax.set_title(way, loc="left", fontsize="medium")
        style.tidy(ax, x="number of populations", y="bits per spike" if ax is axes[0] else "")
    axes[2].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
    save(figure, path)
    plt.close(figure)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "rat_motor_cortex_populations", seeds=1)
    parser.add_argument("--populations", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--normalize", choices=("rate", "none"), default="rate", help="clusters")
    parser.add_argument("--size", type=int, default=200, help="neurons of each population")
    parser.add_argument("--trials", type=int, default=30, help="to fit")
    parser.add_argument("--choice", type=int, default=40, help="training trials to choose by")
    parser.add_argument("--test", type=int, default=254, help="test trials, the first so many")
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=60, help="samples")
    parser.add_argument("--draws", type=int, default=60, help="samples")
    parser.add_argument("--leapfrog", type=int, default=20, help="gradients per sample")
    parser.add_argument("--samples", type=int, default=20, help="of the activity of a trial")
    parser.add_argument("--jobs", type=int, default=1, help="fits at a time, one core each")
    parser.add_argument("--no-lfads", dest="lfads", action="store_false")
    parser.add_argument("--epochs", type=int, default=200, help="of LFADS")
    parser.add_argument("--draw", type=int, default=1, help="which neurons are held out")
    options = parser.parse_args(argv)
    data, split = rat_motor_cortex(recordings_folder(), draw=options.draw)
    scores = Scores(data, split, fits.parts_of(split, options.trials, options.choice, options.test))
    cluster = partial(fits.clusters, scores.train, normalize=options.normalize, seed=0)
    groups = {n: cluster(n) for n in options.populations}
    for found in groups.values():
        print("   ", *found.values(), flush=True)
    rows = {f"smoothing, K = {n}": scores.smoothing(found) for n, found in groups.items()}
    baselines = scores.baselines()
    jobs = jobs_of(groups, options)
    results = run_jobs(jobs, n_processes=options.jobs)
    for job, result in zip(jobs, results, strict=True):
        if job.folder.name == "lfads":
            baselines[LFADS] = result
            continue
        activity = {
            part: np.load(fits.activity_file(job.folder, part), allow_pickle=False)
            for part in fits.PARTS
        }
        found, has_clock = job.settings["groups"], job.settings["has_clock"]
        name = f"neuLVM{', clock' * has_clock}, K = {len(found)}"
        rows[name] = scores.row(activity, found)
    fitted = [name for name in rows if name.startswith("neuLVM")]
    chosen = {way: max(fitted, key=lambda n: rows[n][way]["choice"]["value"]) for way in WAYS}
    document = {
        "n_test": scores.parts["test"].n_trials,
        "populations": rows,
        "baselines": baselines,
        "chosen": chosen,
        "groups": {str(n): found for n, found in groups.items()},
        "fits": {job.folder.name: result for job, result in zip(jobs, results, strict=True)},
    }
    show(document)
    draw(document, options.populations, options.out / "rat_motor_cortex_populations.png")
    keep(options.out, document)
    return document


if __name__ == "__main__":
    main()
