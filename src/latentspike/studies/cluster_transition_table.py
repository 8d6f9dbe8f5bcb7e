"""Table of the study of a transition: how well volleys, its moment and J are found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from latentspike.studies.cluster_states import TRANSITION_AT, errors
from latentspike.studies.common import print_table, spread

OURS, OTHER = "neuLVM", "fully observed"
_OF_EACH = {"r": "r", "share_seen": "share of the volleys", "n_extra": "peaks that are no volley"}
_OF_MISSED = {
    "n_missed_by_other": ("volleys missed", OTHER),
    "n_of_these_inferred": ("found of these", OURS),
    "n_by_chance": ("found of these by chance", OURS),
}


def show(fits: Sequence[dict[str, Any]], title: str) -> None:
    """Scores of all draws of neurons, one method of fitting.

    Parameters
    ----------
    fits : of a method, as ``results.json`` has them
    title : of the table
    """
    rows: dict[str, list[float]] = {}
    for state in list(fits[0]["scores"])[1:]:
        scores = [fit["scores"][state] for fit in fits]
        for name in (OURS, OTHER):
            for key, label in _OF_EACH.items():
                rows[f"{label}, {state}, {name}"] = [score[name][key] for score in scores]
        for key, (label, name) in _OF_MISSED.items():
            rows[f"{label}, {state}, {name}"] = [score[key] for score in scores]
    print_table(f"{title}; network and model: Euler, steps and bins of 1 ms", rows)
    print(f"\nMoment of the transition, true: {fits[0]['true_moment']:.3f} s")
    for name in (OURS, OTHER):
        moments = [fit["scores"]["moment"][name] for fit in fits]
        print(f"  {name}: " + ", ".join("none" if x is None else f"{x:.3f} s" for x in moments))
    print(f"\nRecovered J, true: {TRANSITION_AT:g} mV")
    for name, key in ((OURS, "value"), (OTHER, "fully_observed")):
        values = np.array([fit[key] for fit in fits if key in fit])
        if values.size:
            found = errors(values, np.full(values.size, TRANSITION_AT))
            print(
                f"  {name}: {spread(values.tolist())} mV, bias {found['bias']:.2f}, mean absolute "
                f"error {found['mae']:.2f}"
            )
