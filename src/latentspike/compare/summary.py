"""From single fits to a table: mean and spread over seeds, the best model, and by how much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from latentspike.compare.scores import jackknife

COSTS: dict[str, tuple[str, str, float]] = {  # column → field of a run, unit, units per field's
    "fit": ("seconds_fit", "s", 1.0),
    "inference": ("seconds_inference", "s", 1.0),
    "peak memory": ("peak_bytes", "MB", 1e-6),
}
PARAMETERS = "parameters"
COPYING = "held-in bits per spike"
COPYING_NOTE = (
    "held-in bits per spike reward copying the very spikes that are scored: no model is chosen by "
    "them"
)
Run = dict[str, Any]
Row = dict[str, Any]


def summarize(runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Columns, rows, the best of each column, and what can be said of it.

    Parameters
    ----------
    runs : by model, one dict per seed: as of `latentspike.compare.member.run_member` with ``seed``,
        or ``seed`` and ``failed``, the reason

    Returns
    -------
    ``metrics``, ``models``, ``best`` (of each column), ``verdicts``; plain values
    """
    metrics = _columns(runs)
    rows = [_row(model, found, metrics) for model, found in runs.items()]
    scored = [metric for metric in metrics if metric["is_score"]]
    return {
        "metrics": metrics,
        "models": rows,
        "best": {m["name"]: best for m in metrics if (best := _best(m, rows)) is not None},
        "verdicts": [_verdict(metric, runs, rows) for metric in scored],
    }


def _columns(runs: dict[str, list[Run]]) -> list[dict[str, Any]]:
    units: dict[str, str] = {}
    for run in _ended(runs):
        units |= {row["metric"]: row["unit"] for row in run["scores"] if row["metric"] not in units}
    found = [
        _column(name, unit, is_score=True, more_is_better=True) for name, unit in units.items()
    ]
    costs = {name: unit for name, (_, unit, _) in COSTS.items()} | {PARAMETERS: ""}
    return found + [
        _column(name, unit, is_score=False, more_is_better=False) for name, unit in costs.items()
    ]


def _ended(runs: dict[str, list[Run]]) -> list[Run]:
    return [run for found in runs.values() for run in found if "failed" not in run]


def _column(name: str, unit: str, **kind: bool) -> dict[str, Any]:
    return {"name": name, "unit": unit, **kind}


# ---- rows ------------------------------------------------------------------------------------


def _row(model: str, runs: list[Run], metrics: Sequence[dict[str, Any]]) -> Row:
    ended = [run for run in runs if "failed" not in run]
    notes = [note for run in ended for note in run["notes"]]
    return {
        "model": model,
        "n_seeds": len(runs),
        "n_ended": len(ended),
        "has_chance": any(run.get("has_chance", True) for run in runs),
        "summary": {m["name"]: _spread(m["name"], ended) for m in metrics} if ended else {},
        "failed": list(dict.fromkeys(run["failed"] for run in runs if "failed" in run)),
        "notes": list(dict.fromkeys(notes)),
        "runs": runs,
    }


def _spread(name: str, ended: list[Run]) -> dict[str, Any]:
    """Mean and standard deviation over seeds; the standard error of the mean over test trials."""
    values = [value for run in ended if (value := value_of(run, name)) is not None]
    notes = [row["note"] for row in _scores(ended, name) if row["note"]]
    return {
        "mean": float(np.mean(values)) if values else None,
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "n": len(values),
        "standard_error": jackknife(_replicates(ended, name)),
        "note": "; ".join(dict.fromkeys(notes)),
    }


def value_of(run: Run, name: str) -> float | None:
    """A column's figure of one fit."""
    if name in COSTS:
        field, _, scale = COSTS[name]
        return None if run[field] is None else run[field] * scale
    if name == PARAMETERS:
        return run["n_parameters"]
    return next((row["value"] for row in run["scores"] if row["metric"] == name), None)


def _scores(ended: list[Run], name: str) -> list[dict[str, Any]]:
    return [row for run in ended for row in run["scores"] if row["metric"] == name]


def _replicates(ended: list[Run], name: str) -> np.ndarray:
    """Mean over seeds of the value without each group of test trials; empty if one is missing."""
    found = [row["replicates"] for row in _scores(ended, name) if row["value"] is not None]
    if not found or any(None in replicates for replicates in found):
        return np.zeros(0)
    return np.mean(found, axis=0)


# ---- the best --------------------------------------------------------------------------------


def _ranked(metric: dict[str, Any], rows: list[Row]) -> list[Row]:
    """Rows that have a value, the best first."""
    name = metric["name"]
    valued = [row for row in rows if row["summary"].get(name, {}).get("mean") is not None]
    sign = -1 if metric["more_is_better"] else 1
    return sorted(valued, key=lambda row: sign * row["summary"][name]["mean"])


def _best(metric: dict[str, Any], rows: list[Row]) -> str | None:
    ranked = _ranked(metric, rows)
    return ranked[0]["model"] if len(ranked) > 1 and metric["name"] != PARAMETERS else None


def _verdict(metric: dict[str, Any], runs: dict[str, list[Run]], rows: list[Row]) -> dict[str, Any]:
    """Whether the best model's lead exceeds the spread over seeds and the error over trials."""
    name, ranked = metric["name"], _ranked(metric, rows)
    if len(ranked) < 2:
        text = f"only {ranked[0]['model']} has a value" if ranked else "no model has a value"
        return {"metric": name, "is_clear": False, "text": f"{name}: {text}."}
    first, second = ranked[:2]
    lead = first["summary"][name]["mean"] - second["summary"][name]["mean"]
    spread = _seed_spread(name, first, second)
    error = _paired_error(name, runs, first["model"], second["model"])
    found = {"lead": lead, "seed_sd": spread, "standard_error": error}
    is_clear = all(bound is not None and lead > bound for bound in (spread, error))
    return {
        "metric": name,
        "best": first["model"],
        "second": second["model"],
        **found,
        "is_clear": is_clear,
        "text": _sentence(metric, first["model"], second["model"], found, is_clear=is_clear),
    }


def _seed_spread(name: str, first: Row, second: Row) -> float | None:
    """Standard deviation of the difference of two single fits; None where one is not known."""
    total = 0.0
    for row in (first, second):
        sd = row["summary"][name]["sd"]
        if sd is None and row["has_chance"]:
            return None
        total += (sd or 0.0) ** 2
    return math.sqrt(total)


def _paired_error(name: str, runs: dict[str, list[Run]], first: str, second: str) -> float | None:
    """Standard error of the lead over test trials, which are the same for both."""
    ended = [[run for run in runs[model] if "failed" not in run] for model in (first, second)]
    a, b = (_replicates(found, name) for found in ended)
    return jackknife(a - b) if a.size == b.size else None


def _sentence(
    metric: dict[str, Any], first: str, second: str, found: dict[str, Any], *, is_clear: bool
) -> str:
    unit = f" {metric['unit']}" if metric["unit"] else ""
    lead = f"{metric['name']}: {first} leads {second} by {found['lead']:.3g}{unit}"
    bounds = {
        "the spread over seeds": found["seed_sd"],
        "the standard error over test trials": found["standard_error"],
    }
    known = {what: value for what, value in bounds.items() if value is not None}
    unknown = [what for what, value in bounds.items() if value is None]
    if is_clear:
        return f"{lead}: more than " + _listed(known) + "."
    parts = []
    if within := {what: v for what, v in known.items() if found["lead"] <= v}:
        parts.append("not more than " + _listed(within))
    if unknown:
        parts.append(f"{' and '.join(unknown)} not known")
    return f"{lead}, which decides nothing: {'; '.join(parts)}."


def _listed(bounds: dict[str, float]) -> str:
    return " and ".join(f"{what} ({value:.2g})" for what, value in bounds.items())


def remarks(summary: dict[str, Any]) -> list[str]:
    """What must be said beside the table: failures, notes, versions that differ."""
    lines = []
    for row in summary["models"]:
        n_failed = row["n_seeds"] - row["n_ended"]
        for reason in row["failed"]:
            lines.append(f"{row['model']}: {n_failed} of {row['n_seeds']} failed: {reason}")
        lines += [f"{row['model']}: {note}" for note in row["notes"]]
    lines += _missing(summary)
    if any(metric["name"] == COPYING for metric in summary["metrics"]):
        lines.append(COPYING_NOTE)
    versions = {
        str(sorted((k, v) for k, v in run["versions"].items() if k in ("latentspike", "jax")))
        for row in summary["models"]
        for run in row["runs"]
        if "failed" not in run
    }
    if len(versions) > 1:
        lines.append("the fits were made with different versions of latentspike or jax")
    return lines


def _missing(summary: dict[str, Any]) -> list[str]:
    """Why a model that was fitted lacks a score."""
    lines: dict[str, None] = {}
    for row in summary["models"]:
        for name, found in row["summary"].items():
            if found["note"] and found["mean"] is None:
                lines[f"{row['model']}, {name}: {found['note']}"] = None
            elif found["note"]:
                lines[f"{row['model']}, {name}: by {found['note']}"] = None
    return list(lines)
