"""PLDS, SLDS and GLM on the trials that neuLVM is fitted to (neuLVM, Table 1 and Fig. 4).

    python -m latentspike.studies.winner_take_all_rivals --jobs 2

Each rival is fitted to one 10-s trial of nine neurons, with as many latents as there are
populations and, SLDS, three states, as in the paper; SLDS also at the paper's bins of 40 ms. Its
latents are no activity: r is that of the best linear map to the true activity, which neuLVM does
without. The map is fitted to the other trials, and, as in the paper, to the very trial that is
scored. Switches are those of the rates of the recorded neurons, averaged per population, in a free
run of 100 s. neuLVM and smoothing are read from `--neulvm`, the folder of
`latentspike.studies.winner_take_all`, if they are there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from latentspike.compare.jobs import Job, run_jobs
from latentspike.files import load_arrays
from latentspike.plot import save
from latentspike.spikes import SpikeData
from latentspike.studies import winner_take_all_fits as common
from latentspike.studies.common import arguments, keep, kept_before, spread, tabulated
from latentspike.studies.rivals_fits import EXAMPLE, RIVALS
from latentspike.studies.winner_take_all_tables import best_smoothing

PAPER = {
    "neuLVM": ("0.81 ± 0.02", "7.8 ± 4.1 (Euler, 4 ms)"),
    "plds": ("0.68 ± 0.11", "none visible"),
    "slds": ("", ""),
    "slds, 40 ms": ("0.73 ± 0.02", "11.9 ± 8.9 (40 ms)"),
    "glm": ("", "none visible"),
    "network": ("", "10.3 ± 2.7 (Euler, 0.2 ms)"),
}
_OWN_BINS = "no integrator, its own bins of 4 ms"
INTEGRATORS = {  # of free runs, whose switches are counted
    "neuLVM": "mesoscopic, exact membrane, steps and bins of 4 ms",
    "plds": _OWN_BINS,
    "slds": _OWN_BINS,
    "slds, 40 ms": "no integrator, its own bins of 40 ms",
    "glm": _OWN_BINS,
    "network": "exact membrane, steps of 0.2 ms, bins of 4 ms",
}
Results = dict[str, list[dict[str, Any]]]


def jobs_of(data: SpikeData, options: argparse.Namespace) -> dict[str, list[Job]]:
    """A fit of every rival to every trial."""
    settings = {
        "recording": str((options.out / "recording.npz").resolve()),
        "cut": [options.run, options.length, options.network_seed],
        "seconds": options.seconds,
    }
    function = "latentspike.studies.rivals_fits:run_fit"
    return {
        name: [
            Job(
                options.out / name.replace(", ", "-").replace(" ", "") / f"{i}",
                function,
                settings | {"model": name, "trial": i, "is_example": i == options.example},
            )
            for i in range(data.n_trials)
        ]
        for name in options.models
    }


def neulvm_rows(folder: Path, n_trials: int) -> tuple[dict[str, Any], Results]:
    """What `studies.winner_take_all` has kept: its document, and rows of neuLVM and smoothing."""
    document = kept_before(folder)
    rows: Results = {}
    fits = document.get("fits, sampling", [])[:n_trials]
    if fits:
        names = ("r", "r_difference")
        rows["neuLVM"] = [
            {name: fit[name] for name in names} | {"switches": fit["mesoscopic"]["value"]}
            for fit in fits
        ]
    if baselines := document.get("baselines"):
        best = best_smoothing(baselines, "r")
        for name in (best, "true activity, smoothed by 48 ms"):
            figures = baselines[name]
            rows[name] = [
                {"r": r, "r_difference": d}
                for r, d in zip(figures["r"], figures["r_difference"], strict=True)
            ][:n_trials]
    return document, rows


def show(rows: Results, network: dict[str, Any] | None) -> None:
    """Table 1, ours beside the paper's: agreement, then switches."""
    print(
        "\nOne trial of 10 s, nine neurons: mean ± sd over trials. r with the true activity of both"
        "\nexcitatory populations in 4-ms bins; latents after a linear map that was fitted to the"
        "\ntruth of the other trials | to that of the same trial, as in the paper"
    )
    print(f"  {'':52s}{'r':26s}{'r of E1 − E2':26s}{'r, map of the same trial':26s}paper")
    for name, results in rows.items():
        cells = [_cell(results, key) for key in ("r", "r_difference", "paper_r")]
        if any("r" in result for result in results):
            known = ": the best, if one knew the truth" if name.startswith("smoothing") else ""
            print(f"  {name + known:52s}{''.join(cells)}{PAPER.get(name, ('',))[0]}")
    if "neuLVM" not in rows:
        print("  neuLVM, smoothing and the smoothed truth: not in the folder of --neulvm")
    _show_switches(rows, network)


def _show_switches(rows: Results, network: dict[str, Any] | None) -> None:
    width = max(map(len, INTEGRATORS.values())) + 2
    print(
        "\nSwitches per 100 s of a free run"
        f"\n  {'':14s}{'ours':32s}{'integrator and bin width':{width}s}paper"
    )
    cells = {
        name: f"{_cell(results, 'switches'):32s}"
        for name, results in rows.items()
        if name in INTEGRATORS
    }
    if network:
        text = f"{network['value']:.1f} ± {network['counting_error']:.1f} (counting error)"
        cells["network"] = f"{text:32s}"
    for name, cell in cells.items():
        print(f"  {name:14s}{cell}{INTEGRATORS[name]:{width}s}{PAPER[name][1]}")
    failed = {
        name: sum("no_simulation" in result for result in results) for name, results in rows.items()
    }
    for name, n in failed.items():
        if n:
            print(f"  {name}: {n} of {len(rows[name])} fits could not be simulated (unstable)")


def _cell(results: list[dict[str, Any]], key: str) -> str:
    values = [result[key] for result in results if key in result]
    return f"{spread(values) if values else '–':26s}"


def draw(data: SpikeData, options: argparse.Namespace) -> None:
    """True and inferred activity of a trial, and free runs, as in Fig. 4."""
    true = data.truth["population_rate"][options.example]
    figure, axes = plt.subplots(
        len(options.models) + 1, 2, figsize=(10.0, 2.0 * len(options.models) + 2),
        constrained_layout=True, squeeze=False,
    )  # fmt: skip
    _lines(axes[0, 0], true, common.BIN, "true activity, Hz")
    axes[0, 1].set_axis_off()
    for row, name in enumerate(options.models, 1):
        folder = options.out / name.replace(", ", "-").replace(" ", "") / f"{options.example}"
        path = folder / EXAMPLE
        arrays, header = load_arrays(path) if path.exists() else ({}, {})
        for ax, kind in zip(axes[row], ("inferred", "free"), strict=True):
            if kind not in arrays:
                ax.set_axis_off()
                continue
            is_free = kind == "free"
            width = header["bin_width"] if is_free else common.BIN
            what = "free run, rates of recorded neurons, Hz" if is_free else "inferred, per bin"
            _lines(ax, arrays[kind], width, f"{name}: {what}")
    save(figure, options.out / "rivals.png")
    plt.close(figure)


def _lines(ax: Any, activity: np.ndarray, width: float, title: str) -> None:
    time = (np.arange(len(activity)) + 0.5) * width
    for population, color in zip(range(2), ("C0", "C1"), strict=True):
        ax.plot(time, activity[:, population], color=color, lw=0.7, label=f"E{population + 1}")
    ax.set_title(title, loc="left", fontsize="medium")
    ax.set_xlabel("time (s)")
    ax.legend(frameon=False, fontsize="small", loc="upper right")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "winner_take_all_rivals", seeds=20)
    parser.add_argument("--models", nargs="+", choices=RIVALS, default=list(RIVALS))
    parser.add_argument("--neulvm", type=Path, default=Path("runs/winner_take_all"))
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time, one core each")
    parser.add_argument("--run", type=float, default=500.0, help="s of the network")
    parser.add_argument("--length", type=float, default=10.0, help="s of a trial")
    parser.add_argument("--network-seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=100.0, help="of a free run")
    parser.add_argument("--example", type=int, default=0, help="trial of the figure")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    data, switching = common.segments(
        options.out / "recording.npz",
        n=options.seeds,
        length=options.length,
        run=options.run,
        seed=options.network_seed,
    )
    print(data, flush=True)
    jobs = jobs_of(data, options)
    flat = [job for group in jobs.values() for job in group]
    ended = iter(run_jobs(flat, n_processes=options.jobs))
    found: Results = {name: [next(ended) for _ in group] for name, group in jobs.items()}
    _, rows = neulvm_rows(options.neulvm, data.n_trials)
    with tabulated(options.out):
        show(rows | found, switching)
    draw(data, options)
    keep(options.out, kept_before(options.out) | {"network": switching, "fits": found})
    return found


if __name__ == "__main__":
    main()
