"""Searches over hyperparameters: who won, and where the values went.

Rows are plain mappings, as read from a search folder. Lower scores are better; a score that is
not finite (or empty) is a failed member.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from latentspike.plot import style
from latentspike.plot.crowd import (
    ceiling_of,
    grid_of_axes,
    legend_right,
    mark_off_the_top,
    plain_log_ticks,
)
from latentspike.plot.lineage import (
    Row,
    Scale,
    Tree,
    choose_scale,
    hyperparameter_names,
    read_lineage,
)


def search_scores(
    lineage: Sequence[Row],
    *,
    top: float | None = None,
    label: str = "score (lower is better)",
    ax: Axes | None = None,
) -> Axes:
    """Score of every member over generations, and the way the weights went.

    Gray lines are members that kept their weights, orange ones lead from a member to the one that
    took its weights over. The thick line is the winning lineage: from the weights' first
    generation to the lowest score of the search. Crosses at the top are failed members, triangles
    scores too high for the axis.

    Parameters
    ----------
    lineage : sequence of rows, one for each generation and member
        ``generation``, ``member``, ``score`` (in the unit that ``label`` names) and ``ancestor``:
        the member whose weights it continues from after this generation, itself if kept.
    top : float, optional
        Highest score on the axis, to look at the end of a search; by default only scores far
        above the others are off the axis.
    label : str
        Of the score axis.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if rows are missing, double or name unknown members, or no score is finite.

    Examples
    --------
    >>> row = {"generation": 0, "member": 4, "ancestor": 4, "score": 2.5}
    >>> search_scores([row]).get_legend_handles_labels()[1]
    ['winner: member 4, generation 0', 'best so far']
    """
    tree = read_lineage(lineage)
    ceiling = ceiling_of(tree.scores) if top is None else top
    lowest = float(np.nanmin(np.where(np.isfinite(tree.scores), tree.scores, np.nan)))
    if ceiling < lowest:
        raise ValueError(f"top = {ceiling:g} leaves no score on the axis: the lowest is {lowest:g}")
    ax = style.one_axes(ax, (6.8, 3.4))
    path, reached = tree.winner, tree.generations[: tree.winner.size]
    won = f"winner: member {tree.members[path[-1]]}, generation {reached[-1]}"
    best = np.minimum.accumulate(np.where(np.isfinite(tree.scores), tree.scores, np.inf).min(1))
    _line(ax, reached, tree.scores[np.arange(path.size), path], style.INFERRED, won)
    _line(ax, tree.generations, np.where(np.isfinite(best), best, np.nan), "black", "best so far")
    step: dict[str, Any] = {"drawstyle": "steps-post", "linewidth": 1, "linestyle": "--"}
    ax.lines[-1].set(**step, zorder=4, markersize=3)
    shown = np.where(tree.scores > ceiling, np.nan, tree.scores)
    links, kept = tree.links(shown), tree.kept[:-1]
    _segments(ax, links[kept], color="0.75", linewidth=0.7, label="kept its weights")
    _segments(ax, links[~kept], color=style.PALETTE[4], linewidth=0.8, label="took weights over")
    x = tree.steps.ravel()
    ax.plot(x, shown.ravel(), ".", color="0.6", markersize=3, label="_scores")
    mark_off_the_top(ax, x, tree.scores.ravel(), ceiling)
    _over_generations(ax, tree, y=label)
    legend_right(ax)
    return ax


def hyperparameter_trajectories(
    lineage: Sequence[Row], name: str, scale: Scale = "auto", *, ax: Axes | None = None
) -> Axes:
    """Values of a hyperparameter over generations; a line follows weights, not a member's number.

    The color tells from which member of the first generation the weights descend. Strong lines
    lead to the members of the last generation, faint ones died out, and the thickest leads to the
    lowest score of the search. Gray lines are lineages without a member in the last generation.

    Parameters
    ----------
    lineage : sequence of rows, one for each generation and member
        As for `search_scores`, with the hyperparameter's value during the generation.
    name : str
        Column of the hyperparameter.
    scale : "auto", "log" or "linear"
        Auto: logarithmic if all are positive and would crowd at the bottom of a linear axis.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if the column is missing or holds no number, or zero is to go on a log scale; and
        as for `search_scores`.

    Examples
    --------
    >>> rows = [{"generation": g, "member": m, "ancestor": 1, "score": m, "dropout": 0.1 * m}
    ...         for g in range(3) for m in range(2)]
    >>> hyperparameter_trajectories(rows, "dropout").get_yscale()
    'linear'
    """
    tree = read_lineage(lineage)
    values = tree.values(name)
    chosen = choose_scale(name, values, scale)
    ax = style.one_axes(ax, (6.4, 3.2))
    _trajectories(ax, tree, values)
    ax.set_yscale(chosen)
    if chosen == "log":
        plain_log_ticks(ax.yaxis)
    _over_generations(ax, tree, y=name)
    legend_right(ax)
    return ax


def all_hyperparameter_trajectories(
    lineage: Sequence[Row],
    names: Sequence[str] | None = None,
    *,
    scales: Mapping[str, Scale] | None = None,
    axes: Any = None,
) -> np.ndarray:
    """`hyperparameter_trajectories` of several hyperparameters, one panel each.

    Parameters
    ----------
    lineage : sequence of rows, one for each generation and member
    names : sequence of str, optional
        Columns to draw; by default every other column whose values vary.
    scales : mapping of name to "auto", "log" or "linear", optional
        Auto where a name is missing.
    axes : array of Axes, optional
        One for each hyperparameter.

    Returns
    -------
    Array of axes, one for each hyperparameter.

    Raises
    ------
    ValueError : if no hyperparameter varies; and as for `hyperparameter_trajectories`.

    Examples
    --------
    >>> rows = [{"generation": 0, "member": m, "ancestor": m, "score": m, "dropout": 0.1 * m,
    ...          "l2_gen": 10.0**m, "kl_ic": 1.0} for m in range(2)]
    >>> [ax.get_ylabel() for ax in all_hyperparameter_trajectories(rows)]
    ['dropout', 'l2_gen']
    """
    tree = read_lineage(lineage)
    shown = hyperparameter_names(lineage, names)
    values = [tree.values(name) for name in shown]
    chosen = [
        choose_scale(n, v, (scales or {}).get(n, "auto"))
        for n, v in zip(shown, values, strict=True)
    ]
    panels = grid_of_axes(axes, len(shown))
    for ax, name, value, kind in zip(panels, shown, values, chosen, strict=True):
        _trajectories(ax, tree, value)
        ax.set_yscale(kind)
        if kind == "log":
            plain_log_ticks(ax.yaxis)
        _over_generations(ax, tree, y=name)
    handles, labels = panels[0].get_legend_handles_labels()
    if axes is None:
        where: dict[str, Any] = {"loc": "outside lower center", "ncols": 2}
        panels[0].figure.legend(handles, labels, frameon=False, fontsize="small", **where)
    else:
        panels[-1].legend(handles, labels, frameon=False, fontsize="x-small")
    return panels


def _line(ax: Axes, x: np.ndarray, y: np.ndarray, color: Any, label: str) -> None:
    """A line that ends in a dot, so that one generation is seen too."""
    look: dict[str, Any] = {"marker": "o", "markersize": 5, "markevery": [-1], "zorder": 3}
    ax.plot(x, y, color=color, linewidth=2, label=label, **look)


def _segments(ax: Axes, links: np.ndarray, **look: Any) -> None:
    known = links[np.isfinite(links).all(axis=(1, 2))]
    if known.size:
        ax.add_collection(LineCollection(list(known), **look), autolim=False)


def _over_generations(ax: Axes, tree: Tree, *, y: str) -> None:
    ax.set_xlim(tree.generations[0] - 0.5, tree.generations[-1] + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    style.tidy(ax, x="generation", y=y)


def _trajectories(ax: Axes, tree: Tree, values: np.ndarray) -> None:
    links, founders, alive = tree.links(values), tree.founders, tree.alive
    colors = _lineage_colors(tree)
    for founder, member in enumerate(tree.members):
        for strong in (False, True):
            mine = (founders == founder) & (alive == strong)
            color, alpha = colors.get(founder, "0.6"), 0.9 if strong else 0.3
            look: dict[str, Any] = {"color": color, "alpha": alpha, "zorder": 2 + 0.5 * strong}
            name = f"_from member {member}, {'alive' if strong else 'died out'}"
            _segments(ax, links[mine[1:]], linewidth=1.1 if strong else 0.8, label=name, **look)
            ax.plot(tree.steps[mine], values[mine], ".", markersize=4, label=name, **look)
    path = tree.winner
    along = values[np.arange(path.size), path]
    label = _ends(tree, int(path[0])) + ", winner"
    _line(ax, tree.generations[: path.size], along, colors[int(path[0])], label)
    ax.lines[-1].set_path_effects([withStroke(linewidth=4, foreground="white")])
    for founder, color in list(colors.items())[1:]:
        if len(colors) <= len(style.PALETTE):
            ax.plot([], [], color=color, label=_ends(tree, founder))
    if len(colors) < tree.members.size:
        ax.plot([], [], color="0.6", alpha=0.5, linewidth=0.8, label="died out")


def _lineage_colors(tree: Tree) -> dict[int, Any]:
    """A color for the winner's founder, then for each with members at the end, most first."""
    survivors, sizes = np.unique(tree.founders[-1], return_counts=True)
    order = [int(tree.winner[0]), *survivors[np.argsort(-sizes, kind="stable")].tolist()]
    order = list(dict.fromkeys(order))
    return dict(zip(order, style.condition_colors(np.arange(len(order))).values(), strict=True))


def _ends(tree: Tree, founder: int) -> str:
    at_the_end = int(np.sum(tree.founders[-1] == founder))
    return f"from member {tree.members[founder]}: {at_the_end} of {tree.members.size} at the end"
