"""A table of results as a picture: a row for each method, a dot for each seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from latentspike.plot import save
from latentspike.plot.style import MUTED, PALETTE, tidy


def draw_table(tables: Mapping[str, Mapping[str, Sequence[float]]], unit: str, path: Path) -> None:
    """Values of every row as dots, their mean as a bar, one panel for each table.

    Parameters
    ----------
    tables : values by title and row; panels share their rows
    unit : of the values
    path : of the picture
    """
    names = list(dict.fromkeys(name for rows in tables.values() for name in rows))
    size = (3.5 + 3.5 * len(tables), 1.0 + 0.3 * len(names))
    figure, axes = plt.subplots(
        1, len(tables), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (title, rows) in zip(axes[0], tables.items(), strict=True):
        for name, values in rows.items():
            place = names.index(name)
            ax.plot(np.mean(values), place, "|", color=PALETTE[1], markersize=16, markeredgewidth=2)
            ax.plot(values, np.full(len(values), place), "o", color=PALETTE[0], markersize=4)
        ax.set_yticks(range(len(names)), names)
        ax.grid(axis="y", color=MUTED, linewidth=0.3)
        ax.set_title(title, loc="left", fontsize="medium")
        tidy(ax, x=unit, y="")
    axes[0, 0].invert_yaxis()
    save(figure, path)
    plt.close(figure)
