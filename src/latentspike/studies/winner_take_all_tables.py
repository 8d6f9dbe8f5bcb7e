"""Tables of `studies.winner_take_all`: agreement with the true activity, and switches."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentspike.studies.common import spread

PAPER = {"r": "0.81 ± 0.02", "model": "7.8 ± 4.1", "network": "10.3 ± 2.7"}
REFERENCE = 13.5, 3.7  # switches per 100 s of the network over 100-s blocks, from longer runs
PAPER_WIDTH = 0.4  # s
WIDTHS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3)  # s
Rows = dict[str, list[float]]


def best_smoothing(found: dict[str, Rows], figure: str) -> str:
    """The width that is best on average, if one knew the truth."""
    names = [f"smoothing, {width:g} s" for width in (*WIDTHS, PAPER_WIDTH)]
    return max(names, key=lambda name: np.mean(found[name][figure]))


def show_agreement(
    found: dict[str, Rows],
    results: list[dict[str, Any]],
    method: str,
    known: list[dict[str, Any]] | None = None,
) -> None:
    """Table of r, ours beside the paper's and the baselines; fits of several trials show means.

    ``known``: agreement of each trial where the parameters are known.
    """
    print(
        "\nPearson r with the true activity (both excitatory populations, 4-ms bins), r of E1 − E2"
        f"\n  {'':52s}{'r':26s}r of E1 − E2"
    )
    rows: dict[str, Rows] = {}
    for name, fits in {
        f"neuLVM, {method}": results,
        "neuLVM at the true parameters": known,
    }.items():
        if fits:
            rows[name] = {figure: [row[figure] for row in fits] for figure in ("r", "r_difference")}
    n_above = {}
    if found:
        best = best_smoothing(found, "r")
        n_above = {name: _above(row["r"], found[best]["r"]) for name, row in rows.items()}
        rows[f"{best}: the best, if one knew the truth"] = found[best]
        rows[f"smoothing, {PAPER_WIDTH:g} s"] = found[f"smoothing, {PAPER_WIDTH:g} s"]
        oracle = "true activity, smoothed by 48 ms"
        rows[oracle] = found[oracle]
    for name, found_r in rows.items():
        print(f"  {name:52s}{spread(found_r['r']):26s}{spread(found_r['r_difference'])}")
    print(f"  {'paper, neuLVM':52s}{PAPER['r']}")
    for name, said in n_above.items():
        if said:
            print(f"  {name}: above the best smoothing in {said}")


def _above(values: list[float], others: list[float]) -> str:
    """In how many trials; nothing where fits explain several of them."""
    if len(values) != len(others):
        return ""
    n = sum(a > b for a, b in zip(values, others, strict=True))
    return f"{n} of {len(values)} trials"


def show_switches(document: dict[str, Any], results: list[dict[str, Any]]) -> None:
    """Table of switches, each with integrator and step."""
    mesoscopic = "mesoscopic, exact membrane, 4 ms"
    network = "network, exact membrane, 0.2 ms"
    own = document["network"]
    error = own["counting_error"]
    print("\nSwitches per 100 s, counted in bins of 4 ms; integrator and step in each line")
    if error is not None:
        print(f"  true {network}: {own['value']:.1f} ± {error:.1f} (counting error)")
    for name, values in document.get("before", {}).items():
        print(f"  before learning, {name}, {mesoscopic}: {spread(values)}")
    if informed := document.get("informed"):
        values = [row["mesoscopic"]["value"] for row in informed]
        how = f"parameters from the true activity of all neurons, {mesoscopic}"
        print(f"  {how}: {spread(values)}; {_within(values)}")
        print(f"  switches of each trial itself: {_within([row['seen'] for row in informed])}")
    fitted = {"fitted": (mesoscopic, "mesoscopic"), "fitted parameters": (network, "network")}
    for name, (how, key) in fitted.items():
        values = [row[key]["value"] for row in results if key in row]
        if values:
            print(f"  {name}, {how}: {spread(values)}; {_within(values)}")
    draws = [np.mean(row["mesoscopic_of_draws"]) for row in results if row["mesoscopic_of_draws"]]
    if draws:
        within = [np.std(r["mesoscopic_of_draws"]) for r in results if r["mesoscopic_of_draws"]]
        print(
            f"  mean over draws of the posterior, {mesoscopic}: {spread(draws)}; sd over the draws "
            f"of a fit (their counting noise included) {np.mean(within):.1f}"
        )
    print(
        f"  paper: fitted model {PAPER['model']} (Euler, 4 ms), network {PAPER['network']} (Euler, "
        "0.2 ms)"
    )


def _within(values: list[float]) -> str:
    mean, sd = REFERENCE
    near = [sum(abs(value - mean) <= n * sd for value in values) for n in (1, 2)]
    return f"{near[0]} of {len(values)} within {mean} ± {sd}, {near[1]} within twice that"
