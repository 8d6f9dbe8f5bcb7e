"""Searches over hyperparameters: who won, where the values went, what the scores mean.

Rows are plain mappings, as read from a search folder. Lower scores are better; a score that is
not finite (or empty) is a failed member.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from scipy.stats import spearmanr

from latentspike.plot import style

Row = Mapping[str, Any]
Scale = Literal["auto", "log", "linear"]

_OTHER_COLUMNS = ("generation", "member", "ancestor", "reason", "score")
_OTHER_COLUMNS += ("best_epoch", "r2", "valid_loss")


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
    tree = _tree(lineage)
    ceiling = _ceiling(tree.scores) if top is None else top
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
    _off_the_top(ax, x, tree.scores.ravel(), ceiling)
    _over_generations(ax, tree, y=label)
    _legend_right(ax)
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
    tree = _tree(lineage)
    values = tree.values(name)
    chosen = _scale(name, values, scale)
    ax = style.one_axes(ax, (6.4, 3.2))
    _trajectories(ax, tree, values)
    ax.set_yscale(chosen)
    _over_generations(ax, tree, y=name)
    _legend_right(ax)
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
    tree = _tree(lineage)
    shown = _names(lineage, names)
    values = [tree.values(name) for name in shown]
    chosen = [
        _scale(n, v, (scales or {}).get(n, "auto")) for n, v in zip(shown, values, strict=True)
    ]
    panels = _grid(axes, len(shown))
    for ax, name, value, kind in zip(panels, shown, values, chosen, strict=True):
        _trajectories(ax, tree, value)
        ax.set_yscale(kind)
        _over_generations(ax, tree, y=name)
    handles, labels = panels[0].get_legend_handles_labels()
    if axes is None:
        where: dict[str, Any] = {"loc": "outside lower center", "ncols": 2}
        panels[0].figure.legend(handles, labels, frameon=False, fontsize="small", **where)
    else:
        panels[-1].legend(handles, labels, frameon=False, fontsize="x-small")
    return panels


def loss_against_r2(
    groups: Mapping[str, tuple[Any, Any]],
    true_loss: float | None = None,
    *,
    r2_floor: float = -0.2,
    label: str = "validation loss",
    ax: Axes | None = None,
) -> Axes:
    """R² of the rates against the loss a search would select by: does a low loss mean good rates?

    The legend has each group's Spearman correlation ρ; near −1 the loss is a good guide.

    Parameters
    ----------
    groups : mapping of name to (losses [members], r2 [members])
        Losses in the unit that ``label`` names; R² of the true rates. Members where either is not
        finite are not drawn but counted in the legend.
    true_loss : float, optional
        Loss of the true rates, drawn as a dashed line: the best a model can honestly do.
    r2_floor : float
        Members with a lower R², or a loss far above the others', stand as triangles at the edge.
    label : str
        Of the loss axis.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if a group's lengths differ, or no member has both numbers.

    References
    ----------
    Keshtkaran & Pandarinath (2019), Figs. 1b and 4.

    Examples
    --------
    >>> ax = loss_against_r2({"CD": ([3.0, 2.0, 1.0], [0.1, 0.5, 0.9])}, true_loss=0.8)
    >>> ax.get_legend_handles_labels()[1]
    ['CD: 3 members, ρ = −1.00', 'true rates']
    """
    pairs = {name: _pair(name, *pair) for name, pair in groups.items()}
    known = {name: pair[:, np.isfinite(pair).all(axis=0)] for name, pair in pairs.items()}
    every = np.concatenate([pair[0] for pair in known.values()] or [np.empty(0)])
    if not every.size:
        raise ValueError("no member has both a finite loss and a finite R²: nothing to draw")
    ax = style.one_axes(ax, (6.8, 3.6))
    ceiling = _ceiling(every)
    colors = style.condition_colors(np.arange(len(pairs)))
    for color, (name, pair) in zip(colors.values(), known.items(), strict=True):
        text = f"{name}: {_count(pair.shape[1], 'member')}, {_correlation(*pair)}"
        text += _left_out(pairs[name].shape[1] - pair.shape[1], pair, ceiling, r2_floor)
        _cloud(ax, pair, ceiling, r2_floor, {"color": color, "label": text})
    if true_loss is not None:
        ax.axvline(true_loss, color=style.TRUE, linestyle="--", linewidth=1, label="true rates")
    style.tidy(ax, x=label, y="R² of rates")
    handles, names = ax.get_legend_handles_labels()
    ax.legend(
        handles, names, frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1)
    )
    return ax


def hyperparameter_sensitivity(
    members: Sequence[Row],
    name: str,
    scale: Scale = "auto",
    *,
    label: str = "score (lower is better)",
    ax: Axes | None = None,
) -> Axes:
    """Score against the final value of a hyperparameter, with a running median.

    The title has the Spearman correlation ρ; the star is the best member. Crosses at the top are
    failed members, triangles scores too high for the axis.

    Parameters
    ----------
    members : sequence of rows, one for each member
        ``score`` (in the unit that ``label`` names) and the hyperparameter's final value.
    name : str
        Column of the hyperparameter.
    scale : "auto", "log" or "linear"
        Auto: logarithmic if all are positive and would crowd at the bottom of a linear axis.
    label : str
        Of the score axis.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if a column is missing, no score is finite, or zero is to go on a log scale.

    Examples
    --------
    >>> rows = [{"member": m, "score": 3.0 - m, "dropout": 0.1 * m} for m in range(3)]
    >>> hyperparameter_sensitivity(rows, "dropout").get_title()
    'Spearman ρ = −1.00'
    """
    scores, values = _final(members, name)
    chosen = _scale(name, values, scale)
    ax = style.one_axes(ax, (4.0, 3.0))
    _sensitivity(ax, values, scores)
    ax.set_xscale(chosen)
    style.tidy(ax, x=name, y=label)
    return ax


def all_hyperparameter_sensitivities(
    members: Sequence[Row],
    names: Sequence[str] | None = None,
    *,
    scales: Mapping[str, Scale] | None = None,
    label: str = "score (lower is better)",
    axes: Any = None,
) -> np.ndarray:
    """`hyperparameter_sensitivity` of several hyperparameters, one panel each.

    Parameters
    ----------
    members : sequence of rows, one for each member
    names : sequence of str, optional
        Columns to draw; by default every other column whose values vary.
    scales : mapping of name to "auto", "log" or "linear", optional
        Auto where a name is missing.
    label : str
        Of the score axes.
    axes : array of Axes, optional
        One for each hyperparameter.

    Returns
    -------
    Array of axes, one for each hyperparameter.

    Raises
    ------
    ValueError : if no hyperparameter varies; and as for `hyperparameter_sensitivity`.

    Examples
    --------
    >>> rows = [{"member": m, "score": 3.0 - m, "dropout": 0.1 * m, "kl_ic": 1.0} for m in range(3)]
    >>> [ax.get_xlabel() for ax in all_hyperparameter_sensitivities(rows)]
    ['dropout']
    """
    shown = _names(members, names)
    given = scales or {}
    kinds: list[Scale] = [
        _scale(name, _final(members, name)[1], given.get(name, "auto")) for name in shown
    ]
    panels = _grid(axes, len(shown), sharey=True)
    for place, ax in enumerate(panels):
        hyperparameter_sensitivity(members, shown[place], kinds[place], label=label, ax=ax)
        if axes is None and not ax.get_subplotspec().is_first_col():
            ax.set_ylabel("")
    return panels


class _Tree(NamedTuple):
    """A lineage as arrays [generations, members]; ancestors are places among the members."""

    rows: list[list[Row]]
    generations: np.ndarray
    members: np.ndarray
    scores: np.ndarray
    ancestors: np.ndarray

    def values(self, name: str) -> np.ndarray:
        return np.array([[_number(row, name) for row in rows] for rows in self.rows])

    @property
    def steps(self) -> np.ndarray:
        return np.broadcast_to(self.generations[:, None], self.scores.shape)

    @property
    def kept(self) -> np.ndarray:
        return self.ancestors == np.arange(self.members.size)

    @property
    def founders(self) -> np.ndarray:
        """Whose weights of the first generation a member trains in each generation."""
        found = [np.arange(self.members.size)]
        for ancestors in self.ancestors[:-1]:
            found.append(found[-1][ancestors])
        return np.stack(found)

    @property
    def alive(self) -> np.ndarray:
        """True where the weights went on to a member of the last generation."""
        alive = np.ones(self.ancestors.shape, bool)
        for step in range(len(alive) - 2, -1, -1):
            alive[step] = np.isin(
                np.arange(self.members.size), self.ancestors[step][alive[step + 1]]
            )
        return alive

    @property
    def winner(self) -> np.ndarray:
        """Places, generation by generation, of the weights that reached the lowest score."""
        lowest = int(np.argmin(np.where(np.isfinite(self.scores), self.scores, np.inf)))
        last, place = divmod(lowest, self.members.size)
        path = [place]
        for ancestors in self.ancestors[:last][::-1]:
            path.append(int(ancestors[path[-1]]))
        return np.array(path[::-1])

    def links(self, values: np.ndarray) -> np.ndarray:
        """Lines from where the weights were [generations − 1, members, 2 ends, (x, y)]."""
        before = np.take_along_axis(values[:-1], self.ancestors[:-1], axis=1)
        ends = [(self.steps[:-1], before), (self.steps[1:], values[1:])]
        return np.stack([np.stack(end, axis=-1) for end in ends], axis=2)


def _tree(lineage: Sequence[Row]) -> _Tree:
    if not lineage:
        raise ValueError("the lineage has no rows")
    places: dict[tuple[int, int], Row] = {}
    for row in lineage:
        key = (_whole(row, "generation"), _whole(row, "member"))
        if key in places:
            raise ValueError(f"generation {key[0]} has two rows of member {key[1]}")
        places[key] = row
    generations, members = (sorted(set(numbers)) for numbers in zip(*places, strict=True))
    generations = list(range(generations[0], generations[-1] + 1))
    for generation in generations:
        for member in members:
            if (generation, member) not in places:
                raise ValueError(f"generation {generation} has no row of member {member}")
    rows = [[places[generation, member] for member in members] for generation in generations]
    ancestors = np.array([[_ancestor(row, members) for row in some] for some in rows])
    scores = np.array([[_number(row, "score") for row in some] for some in rows])
    _check_scores(scores)
    return _Tree(rows, np.array(generations), np.array(members), scores, ancestors)


def _ancestor(row: Row, members: list[int]) -> int:
    ancestor = _whole(row, "ancestor")
    if ancestor not in members:
        raise ValueError(f"{_where(row)}: its ancestor {ancestor} is no member of the search")
    return members.index(ancestor)


def _check_scores(scores: np.ndarray) -> None:
    if not np.isfinite(scores).any():
        raise ValueError("no member has a finite score: all failed, there is nothing to draw")


def _where(row: Row) -> str:
    known = [f"{word} {row[word]}" for word in ("generation", "member") if word in row]
    return ", ".join(known) or "a row"


def _number(row: Row, column: str) -> float:
    """A float; an empty field is NaN."""
    if column not in row:
        raise ValueError(f"{_where(row)} has no column {column!r}; it has {', '.join(row)}")
    try:
        return math.nan if row[column] in (None, "") else float(row[column])
    except (TypeError, ValueError):
        raise ValueError(f"{_where(row)}: {column} = {row[column]!r} is no number") from None


def _whole(row: Row, column: str) -> int:
    number = _number(row, column)
    if not number.is_integer():
        raise ValueError(f"{_where(row)}: {column} = {row[column]!r} is no whole number")
    return int(number)


def _final(members: Sequence[Row], name: str) -> tuple[np.ndarray, np.ndarray]:
    scores = np.array([_number(row, "score") for row in members])
    _check_scores(scores)
    values = np.array([_number(row, name) for row in members])
    if not np.isfinite(scores + values).any():
        raise ValueError(f"no member has both a finite score and a finite {name}")
    return scores, values


def _names(rows: Sequence[Row], names: Sequence[str] | None) -> list[str]:
    """The names given, or those of all columns with several values, in the order of the rows."""
    if names is None:
        others = [column for column in dict(*rows[:1]) if column not in _OTHER_COLUMNS]
        names = [column for column in others if _varies(rows, column)]
    if not names:
        raise ValueError("no hyperparameter varies: name the columns to draw")
    return list(names)


def _varies(rows: Sequence[Row], column: str) -> bool:
    try:
        values = np.array([_number(row, column) for row in rows])
    except ValueError:  # text, or a column of some rows only
        return False
    return np.unique(values[np.isfinite(values)]).size > 1


def _scale(name: str, values: np.ndarray, scale: Scale) -> Literal["log", "linear"]:
    known = values[np.isfinite(values)]
    if not known.size:
        raise ValueError(f"{name} has no finite value: nothing to draw")
    if scale == "auto":
        return "log" if _is_wide(known) else "linear"
    if scale not in ("log", "linear"):
        raise ValueError(f"scale must be auto, log or linear, got {scale!r}")
    if scale == "log" and known.min() <= 0:
        raise ValueError(f"{name} = {known.min():g} has no place on a log scale: scale='linear'")
    return scale


def _is_wide(values: np.ndarray) -> bool:
    """Positive, over a factor of ten or more, and crowded at the bottom of a linear axis."""
    low, high = values.min(), values.max()
    return low > 0 and high >= 10 * low and np.median(values) < (low + high) / 6


def _ceiling(values: np.ndarray) -> float:
    """The highest value to show: only the few far above all others lie beyond."""
    known = values[np.isfinite(values)]
    lowest, high = float(known.min()), float(np.quantile(known, 0.95))
    far = lowest + 2 * (high - lowest) if high > lowest else math.inf
    return float(known[known <= far].max())


def _line(ax: Axes, x: np.ndarray, y: np.ndarray, color: Any, label: str) -> None:
    """A line that ends in a dot, so that one generation is seen too."""
    look: dict[str, Any] = {"marker": "o", "markersize": 5, "markevery": [-1], "zorder": 3}
    ax.plot(x, y, color=color, linewidth=2, label=label, **look)


def _segments(ax: Axes, links: np.ndarray, **look: Any) -> None:
    known = links[np.isfinite(links).all(axis=(1, 2))]
    if known.size:
        ax.add_collection(LineCollection(list(known), **look), autolim=False)


def _off_the_top(ax: Axes, x: np.ndarray, scores: np.ndarray, ceiling: float) -> None:
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


def _over_generations(ax: Axes, tree: _Tree, *, y: str) -> None:
    ax.set_xlim(tree.generations[0] - 0.5, tree.generations[-1] + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    style.tidy(ax, x="generation", y=y)


def _trajectories(ax: Axes, tree: _Tree, values: np.ndarray) -> None:
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


def _lineage_colors(tree: _Tree) -> dict[int, Any]:
    """A color for the winner's founder, then for each with members at the end, most first."""
    survivors, sizes = np.unique(tree.founders[-1], return_counts=True)
    order = [int(tree.winner[0]), *survivors[np.argsort(-sizes, kind="stable")].tolist()]
    order = list(dict.fromkeys(order))
    return dict(zip(order, style.condition_colors(np.arange(len(order))).values(), strict=True))


def _ends(tree: _Tree, founder: int) -> str:
    at_the_end = int(np.sum(tree.founders[-1] == founder))
    return f"from member {tree.members[founder]}: {at_the_end} of {tree.members.size} at the end"


def _sensitivity(ax: Axes, values: np.ndarray, scores: np.ndarray) -> None:
    known = np.isfinite(values) & np.isfinite(scores)
    x, y, ceiling = values[known], scores[known], _ceiling(scores[known])
    inside, best = y <= ceiling, int(np.argmin(y))
    ax.plot(x[inside], y[inside], "o", color=style.MUTED, alpha=0.6, ms=4, mew=0, label="members")
    median = _running_median(x, y)
    if median.shape[1] > 2:
        ax.plot(*median, color=style.INFERRED, linewidth=2, label="running median")
    ax.plot(x[best], y[best], "*", color=style.PALETTE[1], markersize=10, label="best")
    _off_the_top(ax, values, scores, ceiling)
    ax.set_title(f"Spearman {_correlation(x, y)}", fontsize="medium")


def _running_median(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Median of the members nearest in rank, at each value [(x, y), values]."""
    order = np.argsort(x, kind="stable")
    half = max(2, x.size // 10)
    places = np.unique(x)
    starts = np.searchsorted(x[order], places) - half
    stops = np.searchsorted(x[order], places, side="right") + half
    near = [y[order][max(start, 0) : stop] for start, stop in zip(starts, stops, strict=True)]
    return np.array([places, [np.median(some) for some in near]])


def _pair(name: str, losses: Any, r2: Any) -> np.ndarray:
    both = [np.asarray(numbers, dtype=float) for numbers in (losses, r2)]
    if both[0].ndim != 1 or both[0].shape != both[1].shape:
        shapes = " and ".join(str(numbers.shape) for numbers in both)
        raise ValueError(f"{name}: one loss and one R² for each member, got shapes {shapes}")
    return np.stack(both)


def _cloud(ax: Axes, pair: np.ndarray, ceiling: float, floor: float, look: dict[str, Any]) -> None:
    below, beyond = pair[1] < floor, pair[0] > ceiling
    x, y = np.minimum(pair[0], ceiling), np.maximum(pair[1], floor)
    for chosen, marker in ((~(below | beyond), "o"), (below, "v"), (beyond & ~below, ">")):
        label = look["label"] if marker == "o" else f"_{look['label']} {marker}"
        shape: dict[str, Any] = look | {"label": label, "alpha": 0.65, "ms": 4.5, "mew": 0}
        ax.plot(x[chosen], y[chosen], marker, **shape)


def _left_out(n_failed: int, pair: np.ndarray, ceiling: float, floor: float) -> str:
    below, beyond = pair[1] < floor, pair[0] > ceiling
    counts = {
        f"below {floor:g} (▼)".replace("-", "−"): below.sum(),
        "with a higher loss (▶)": (beyond & ~below).sum(),
        "failed": n_failed,
    }
    return "".join(f"; {number} {what}" for what, number in counts.items() if number)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + "s" * (number != 1)


def _correlation(x: np.ndarray, y: np.ndarray) -> str:
    """Spearman's ρ in words; a dash where it has no value."""
    if x.size < 3 or np.unique(x).size < 2 or np.unique(y).size < 2:
        return "ρ = –"
    found: Any = spearmanr(x, y)
    return f"ρ = {round(found.statistic, 2) + 0.0:.2f}".replace("-", "−")  # + 0: no −0.00


def _grid(axes: Any, n_panels: int, *, sharey: bool = False) -> np.ndarray:
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


def _legend_right(ax: Axes) -> None:
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small")
