"""What scores mean: validation loss against R², scores against hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import spearmanr

from latentspike.plot import style
from latentspike.plot.crowd import (
    ceiling_of,
    grid_of_axes,
    mark_off_the_top,
    plain_log_ticks,
)
from latentspike.plot.lineage import (
    Row,
    Scale,
    choose_scale,
    final_values,
    hyperparameter_names,
)


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
    ceiling = ceiling_of(every)
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
    scores, values = final_values(members, name)
    chosen = choose_scale(name, values, scale)
    ax = style.one_axes(ax, (4.0, 3.0))
    _sensitivity(ax, values, scores)
    ax.set_xscale(chosen)
    if chosen == "log":
        plain_log_ticks(ax.xaxis)
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
    shown = hyperparameter_names(members, names)
    given = scales or {}
    kinds: list[Scale] = [
        choose_scale(name, final_values(members, name)[1], given.get(name, "auto"))
        for name in shown
    ]
    panels = grid_of_axes(axes, len(shown), sharey=True)
    for place, ax in enumerate(panels):
        hyperparameter_sensitivity(members, shown[place], kinds[place], label=label, ax=ax)
        if axes is None and not ax.get_subplotspec().is_first_col():
            ax.set_ylabel("")
    return panels


def _sensitivity(ax: Axes, values: np.ndarray, scores: np.ndarray) -> None:
    known = np.isfinite(values) & np.isfinite(scores)
    x, y, ceiling = values[known], scores[known], ceiling_of(scores[known])
    inside, best = y <= ceiling, int(np.argmin(y))
    ax.plot(x[inside], y[inside], "o", color=style.MUTED, alpha=0.6, ms=4, mew=0, label="members")
    median = _running_median(x, y)
    if median.shape[1] > 2:
        ax.plot(*median, color=style.INFERRED, linewidth=2, label="running median")
    ax.plot(x[best], y[best], "*", color=style.PALETTE[1], markersize=10, label="best")
    mark_off_the_top(ax, values, scores, ceiling)
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
