"""Models side by side on one metric: every seed, their mean, and the error over trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from latentspike.plot import style


def comparison(
    results: Mapping[str, Any], *, metric: str | None = None, ax: Axes | None = None
) -> Axes:
    """Scores of models: a dot for each seed, a line for their mean with its standard error.

    Models stand in the order of the table. One that failed, or has no value, keeps its place and
    says so; the best is in color.

    Parameters
    ----------
    results : mapping
        As from `latentspike.compare.compare`: ``metrics``, ``models`` and ``best``.
    metric : str, optional
        One of ``results["metrics"]``; by default the first.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if there is no such metric, or no model.

    Examples
    --------
    >>> run = {"scores": [{"metric": "PSTH R²", "value": 0.5}]}
    >>> row = {"model": "psth", "runs": [run], "summary": {"PSTH R²": {"mean": 0.5}}}
    >>> comparison({"metrics": [{"name": "PSTH R²", "unit": ""}], "models": [row]}).get_xlabel()
    'PSTH R²'
    """
    column = _column(results["metrics"], metric)
    rows: Sequence[Mapping[str, Any]] = results["models"]
    if not rows:
        raise ValueError("no models to draw")
    ax = style.one_axes(ax, (5.0, 1.0 + 0.35 * len(rows)))
    name, best = column["name"], results.get("best", {}).get(column["name"])
    for place, row in enumerate(rows):
        _draw_row(ax, place, row, name, is_best=row["model"] == best)
    ax.set_yticks(range(len(rows)), [row["model"] for row in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.margins(x=0.1)
    in_name = not column["unit"] or column["unit"].split("/")[0] in name
    style.tidy(ax, x=name if in_name else f"{name} ({column['unit']})", y="")
    return ax


def _column(metrics: Sequence[Mapping[str, Any]], name: str | None) -> Mapping[str, Any]:
    if not metrics:
        raise ValueError("no metrics to draw: every model failed")
    for column in metrics:
        if name is None or column["name"] == name:
            return column
    known = ", ".join(column["name"] for column in metrics)
    raise ValueError(f"there is no metric {name!r}; known: {known}")


def _draw_row(ax: Axes, place: int, row: Mapping[str, Any], name: str, *, is_best: bool) -> None:
    found = row["summary"].get(name, {})
    mean = found.get("mean")
    if mean is None:
        text = "no value" if row["summary"] else "failed"
        ax.text(
            0.02, place, text, color=style.MUTED, va="center", transform=ax.get_yaxis_transform()
        )
        return
    color = style.INFERRED if is_best else style.MUTED
    values = [value for run in row["runs"] if (value := _value(run, name)) is not None]
    places = place + np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else [place]
    ax.plot(values or [mean], places[: len(values)] if values else [place], "o", color=color,
            markersize=4, alpha=0.6, markeredgewidth=0)  # fmt: skip
    ax.errorbar(
        mean, place, xerr=found.get("standard_error"), fmt="|", color=color, markersize=16,
        markeredgewidth=2, capsize=3, linewidth=1.2,
    )  # fmt: skip


def _value(run: Mapping[str, Any], name: str) -> float | None:
    """Of one seed; None for a fit that failed."""
    return next((s["value"] for s in run.get("scores", ()) if s["metric"] == name), None)
