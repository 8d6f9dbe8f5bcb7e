"""Many members in one panel: what lies off the axis, legends, grids."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from latentspike.plot import style


def ceiling_of(values: np.ndarray) -> float:
    """The highest value to show: only the few far above all others lie beyond."""
    known = values[np.isfinite(values)]
    lowest, high = float(known.min()), float(np.quantile(known, 0.95))
    far = lowest + 2 * (high - lowest) if high > lowest else math.inf
    return float(known[known <= far].max())


def mark_off_the_top(ax: Axes, x: np.ndarray, scores: np.ndarray, ceiling: float) -> None:
    """Marks at the top for failed members and for scores above the axis, in room made for them."""
    finite = scores[np.isfinite(scores)]
    failed, above = ~np.isfinite(scores), np.isfinite(scores) & (scores > ceiling)
    for chosen, marker, color, height, name in (
        (failed, "x", style.PALETTE[1], 0.97, "failed"),
        (above, "^", style.MUTED, 0.9, "above the axis"),
    ):
        if chosen.any():
            where: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "color": color}
            heights = np.full(int(chosen.sum()), height)
            ax.plot(x[chosen], heights, marker, ms=4, label=f"{name} ({chosen.sum()})", **where)
    height = min(float(finite.max()), ceiling) - float(finite.min())
    if height > 0:
        room = 0.2 if failed.any() or above.any() else 0.05
        ax.set_ylim(finite.min() - 0.05 * height, finite.min() + (1 + room) * height)


def grid_of_axes(axes: Any, n_panels: int, *, sharey: bool = False) -> np.ndarray:
    """The given axes, or new ones in rows of four."""
    if axes is not None:
        return style.many_axes(axes, n_panels, (0, 0))
    columns = min(n_panels, 4)
    rows = -(-n_panels // columns)
    size = (max(2.6 * columns, 4.0), 0.5 + 2.3 * rows)
    figure, grid = plt.subplots(
        rows, columns, figsize=size, sharey=sharey, squeeze=False, layout="constrained"
    )
    for unused in grid.ravel()[n_panels:]:
        figure.delaxes(unused)
    return grid.ravel()[:n_panels]


def legend_right(ax: Axes) -> None:
    """Legend beside the panel."""
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small")


def plain_log_ticks(axis: Axis) -> None:
    """Few ticks on a logarithmic axis, in plain numbers that do not run into each other."""
    low, high = sorted(axis.get_view_interval())
    locator = LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,), numticks=6)
    axis.set_major_locator(MaxNLocator(nbins=4) if high < 10 * low else locator)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
