"""Cluster states of one population, and its connection strength from few neurons (neuLVM, 5.1).

    python -m latentspike.studies.cluster_states --jobs 2

Parts (`--only`): "spectra", power spectra and order of the cluster state against the strength J;
"strengths", J recovered from six neurons for J = 59…65, `--seeds` data sets each (each a second of
a network run of its own); "neurons", J recovered from 1, 2, 5, 10 and 599 neurons of one trial that
goes from four clusters to three (599 are fitted by a chain: hundreds of neurons leave no choice of
volleys, and a swarm loses track of them). Beside each the numbers of the paper's Tables S3 and S4,
and the fit that takes the smoothed spikes for the activity. Every fit that has ended is a file: the
same command goes on where it was stopped.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import pearsonr

from latentspike.compare.jobs import Job, run_jobs
from latentspike.evaluate import Spectrum, cluster_states, power_spectrum
from latentspike.plot import save
from latentspike.plot.spectra import power_spectra
from latentspike.studies.cluster_fits import BIN, run_network
from latentspike.studies.common import arguments, fit_arguments, keep, kept_before, tabulated

PARTS = ("spectra", "strengths", "neurons")
METHOD = "particles"  # chains do not move between the ways to place volleys
MANY = 100  # neurons that leave no choice of volleys, and of which a swarm loses track
SPECTRA_AT = tuple(np.arange(58.0, 65.01, 0.5).tolist())  # mV
TRANSITION_AT = 60.32  # mV
N_RECORDED = 60  # of 600 neurons, whose spectra are averaged
# Tables S3 and S4: mean and standard deviation of the recovered J, mV
PAPER_STRENGTHS = {
    59.0: (58.18, 0.50), 60.0: (60.46, 0.71), 61.0: (61.20, 0.93), 62.0: (62.05, 0.46),
    63.0: (62.39, 1.11), 64.0: (63.58, 1.59), 65.0: (63.66, 1.85),
}  # fmt: skip
PAPER_R = 0.81
PAPER_NEURONS = {
    1: (60.37, 2.43), 2: (60.14, 1.48), 5: (59.33, 0.91), 10: (59.81, 1.25), 599: (59.10, 1.26),
}  # fmt: skip
_LABELS = {
    "r": "r of J",
    "bias": "bias",
    "mae": "MAE",
    "coverage": "intervals that hold the true J",
}


def spectra(n_trials: int, duration: float, strengths: tuple[float, ...]) -> list[dict[str, Any]]:
    """Spectrum, rate and order of the cluster state of several runs, for each strength."""
    rows = []
    for strength in strengths:
        activity = run_network(strength, duration, seed=0, n_trials=n_trials)
        states = cluster_states(activity.counts(BIN)[..., 0], 600, bin_width=BIN)
        data = activity.record(N_RECORDED, BIN, seed=0)
        orders = [int(np.bincount(order).argmax()) for order in states.order]
        share = float((states.order == np.array(orders)[:, None]).mean())
        has_order = states.frequencies[states.order > 0]
        rows.append(
            {
                "strength": strength,
                "rates": activity.rates[:, 0].tolist(),
                "frequency": float(np.median(has_order)) if has_order.size else None,
                "orders": orders,
                "order": states.most_frequent,
                "share": share,
                "spectrum": power_spectrum(data.counts, bin_width=BIN, segment=1.0),
            }
        )
    return rows


def show_spectra(rows: list[dict[str, Any]], options: Any) -> list[dict[str, Any]]:
    """Table and figure; returns what JSON can hold."""
    print(
        f"\nCluster state against J: {options.trials} runs of {options.duration:g} s from the "
        "asynchronous start at 20 Hz (Euler, steps and bins of 1 ms)\n"
        "  J (mV)  rate (Hz)      population (Hz)  order of each run  windows in that order"
    )
    for row in rows:
        rates = f"{min(row['rates']):.1f}–{max(row['rates']):.1f}"
        orders = " ".join(str(order or "–") for order in row["orders"])
        frequency = "–" if row["frequency"] is None else f"{row['frequency']:.1f}"
        print(
            f"  {row['strength']:<6g}  {rates:13s}  {frequency:15s}  {orders:17s}  "
            f"{row['share']:.0%}"
        )
    print("  paper: orders fall from 3 to 1 with J; no activity around 58 mV (Fig. 2B)")
    shown: dict[float, Spectrum] = {row["strength"]: row["spectrum"] for row in rows}
    orders = {row["strength"]: row["order"] for row in rows}
    figure, axes = plt.subplots(figsize=(7.5, 4.2), constrained_layout=True)
    power_spectra(shown, orders=orders, max_frequency=200.0, ax=axes)
    axes.set_xticks([value for value in shown if value == round(value)])
    save(figure, options.out / "spectra.png")
    plt.close(figure)
    return [{k: v for k, v in row.items() if k != "spectrum"} for row in rows]


def _settings(options: Any, method: str, **own: Any) -> dict[str, Any]:
    own_to_method = {"n_starts": options.starts, "n_warmup": options.warmup}
    if method == METHOD:
        own_to_method = {"n_particles": options.particles, "n_passes": options.passes}
    estimation = {"method": method, "n_draws": options.draws, **own_to_method}
    return {
        "duration": options.fit_duration,
        "estimation": estimation,
        "n_starts_fully_observed": options.fully_observed_starts,
        **own,
    }


def jobs_of(part: str, options: Any) -> dict[tuple[float, int], Job]:
    """Fits of a part by (strength or number of neurons, data set)."""
    jobs = {}
    values = options.strengths if part == "strengths" else options.neurons
    for value in values:
        for seed in range(options.seeds):
            own: dict[str, Any] = {"strength": value, "n_neurons": 6, "is_transition": False}
            if part == "neurons":
                own = {"strength": TRANSITION_AT, "n_neurons": value, "is_transition": True}
            is_chain = options.method == METHOD and own["n_neurons"] > MANY
            method = "sampling" if is_chain else options.method
            folder = options.out / f"{part}-{options.method}" / f"{value:g}-{seed}"
            function = "latentspike.studies.cluster_fits:run_fit"
            jobs[value, seed] = Job(folder, function, _settings(options, method, seed=seed, **own))
    return jobs


def errors(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Bias and mean absolute error of recovered values, mV; Pearson r if the true ones differ."""
    varies = true.size > 1 and np.ptp(true) > 0 and np.ptp(found) > 0
    r = {"r": float(np.asarray(pearsonr(found, true))[0])} if varies else {}
    error = found - true
    return r | {"bias": float(error.mean()), "mae": float(np.abs(error).mean())}


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Errors of both methods over fits of recordings with spikes, and coverage of the intervals."""
    seen = [row for row in rows if row["n_spikes"]]
    true = np.array([row["strength"] for row in seen])
    methods = {"neuLVM": "value", "fully observed": "fully_observed"}
    found = {
        name: errors(np.array([row[key] for row in seen]), true)
        for name, key in methods.items()
        if seen and all(key in row for row in seen)
    }
    if seen and all("low" in row for row in seen):
        inside = [row["low"] <= row["strength"] <= row["high"] for row in seen]
        found["neuLVM"]["coverage"] = float(np.mean(inside))
    return found


def show_fits(part: str, rows: list[dict[str, Any]], options: Any) -> dict[str, Any]:
    """Table and figure of the fits of a part; returns what JSON can hold."""
    paper = PAPER_STRENGTHS if part == "strengths" else PAPER_NEURONS
    key = "strength" if part == "strengths" else "n_neurons"
    what = "J (mV)" if part == "strengths" else "neurons"
    one = f"{'bias':8s}{'MAE':8s}"
    print(
        f"\nRecovered J ({options.method}), {options.seeds} data sets each: mean ± sd, bias and "
        "mean absolute error (MAE) in mV;\nr of the inferred with the true activity. Network and "
        "model: Euler, 1 ms\n"
        f"  {what:8s}{'neuLVM':16s}{one}{'r':8s}{'paper':16s}{'fully observed':16s}{one}median"
    )
    groups = {}
    for value in dict.fromkeys(row[key] for row in rows):
        group = [row for row in rows if row[key] == value and row["n_spikes"]]
        if not group:
            print(f"  {value:<8g}no spikes in any data set")
            continue
        groups[f"{value:g}"] = summary(group)
        r = np.mean([row["r"] for row in group])
        ours = f"{_recovered(group, 'value')}{r:<8.2f}"
        print(f"  {value:<8g}{ours}{_in_paper(paper, value)}{_other_line(group)}")
    overall = summary(rows)
    for name, figures in overall.items():
        text = ", ".join(f"{_LABELS[k]} {v:.2f}" for k, v in figures.items())
        print(f"  all, {name}: {text}")
    if part == "strengths":
        bias = np.mean([mean - value for value, (mean, _) in PAPER_STRENGTHS.items()])
        print(f"  paper: r of J = {PAPER_R}, bias {bias:.2f} (of its means), MAE not given")
    if silent := sum(not row["n_spikes"] for row in rows):
        print(f"  {silent} data sets hold no spike and are left out")
    _draw_fits(part, rows, key, options)
    return {"fits": rows, "by_value": groups, "overall": overall}


def _recovered(group: list[dict[str, Any]], key: str) -> str:
    """Mean ± sd, bias and mean absolute error."""
    values = np.array([row[key] for row in group])
    spread = f"± {values.std(ddof=1):.2f}" if values.size > 1 else "(n = 1)"
    found = errors(values, np.array([row["strength"] for row in group]))
    return f"{f'{values.mean():.2f} {spread}':16s}{found['bias']:<8.2f}{found['mae']:<8.2f}"


def _in_paper(paper: dict[Any, tuple[float, float]], value: float) -> str:
    mean, spread = paper.get(value, (None, None))
    return f"{'–' if mean is None else f'{mean:.2f} ± {spread:.2f}':16s}"


def _other_line(group: list[dict[str, Any]]) -> str:
    if not all("fully_observed" in row for row in group):
        return "–"
    median = np.median([abs(row["fully_observed"] - row["strength"]) for row in group])
    return f"{_recovered(group, 'fully_observed')}{median:.2f}"


def _draw_fits(part: str, rows: list[dict[str, Any]], key: str, options: Any) -> None:
    seen = [row for row in rows if row["n_spikes"]]
    if not seen:
        return
    figure, axes = plt.subplots(figsize=(5.0, 4.0), constrained_layout=True)
    places = list(dict.fromkeys(row[key] for row in seen))
    x = np.array([row[key] if part == "strengths" else places.index(row[key]) for row in seen])
    for name, field, shift in (("neuLVM", "value", -0.08), ("fully observed", "fully_observed", 0)):
        if all(field in row for row in seen):
            axes.plot(x + shift, [row[field] for row in seen], "o", alpha=0.6, label=name)
    axes.plot(x, [row["strength"] for row in seen], "_", color="black", ms=18, label="true")
    if part == "neurons":
        axes.set_xticks(range(len(places)), [str(place) for place in places])
    axes.set(xlabel="true J (mV)" if part == "strengths" else "observed neurons")
    axes.set_ylabel("recovered J (mV)")
    axes.legend(frameon=False)
    save(figure, options.out / f"{part}-{options.method}.png")
    plt.close(figure)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "cluster_states", seeds=10)
    fit_arguments(parser, PARTS, method=METHOD)
    parser.add_argument("--fully-observed-starts", type=int, default=50, help="paper: 200; 0: none")
    parser.add_argument("--strengths", type=float, nargs="+", default=list(PAPER_STRENGTHS))
    parser.add_argument("--neurons", type=int, nargs="+", default=list(PAPER_NEURONS))
    parser.add_argument("--trials", type=int, default=5, help="runs, for the spectra")
    parser.add_argument("--duration", type=float, default=24.0, help="s of a run, for the spectra")
    parser.add_argument("--fit-duration", type=float, default=1.0, help="s that a fit sees")
    options = parser.parse_args(argv)
    document: dict[str, Any] = {}
    found: list[dict[str, Any]] = []
    if "spectra" in options.only:
        found = spectra(options.trials, options.duration, SPECTRA_AT)
    fits = {part: _fits(part, options) for part in PARTS[1:] if part in options.only}
    with tabulated(options.out):
        if found:
            document["spectra"] = show_spectra(found, options)
        for part, rows in fits.items():
            document[f"{part}, {options.method}"] = show_fits(part, rows, options)
    keep(options.out, kept_before(options.out) | document)
    return document


def _fits(part: str, options: Any) -> list[dict[str, Any]]:
    """A row for each fit of a part."""
    jobs = jobs_of(part, options)
    print(f"\n{part}: {len(jobs)} fits, {options.jobs} at a time", flush=True)
    results = run_jobs(list(jobs.values()), n_processes=options.jobs)
    names = ("strength", "n_neurons", "seed")
    return [
        {name: job.settings[name] for name in names} | result
        for job, result in zip(jobs.values(), results, strict=True)
    ]


if __name__ == "__main__":
    main()
