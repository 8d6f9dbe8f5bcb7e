"""Colors, axes and labels that all figures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from latentspike.spikes import SpikeData

# Okabe & Ito (2008), told apart in every common form of color blindness; yellow is left out
# because thin yellow lines vanish on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INFERRED = PALETTE[0]
TRUE = "black"
MUTED = "0.55"


def one_axes(ax: Axes | None, size: tuple[float, float], projection: str | None = None) -> Axes:
    """The given axes, or those of a new figure of ``size`` inches."""
    if ax is not None:
        return ax
    figure = plt.figure(figsize=size, layout="constrained")
    return figure.add_subplot(projection=projection)


def many_axes(
    axes: Any, n_panels: int, size: tuple[float, float], *, rows: bool = True
) -> np.ndarray:
    """The given axes as a flat array, or ``n_panels`` new ones that share their time axis.

    Raises
    ------
    ValueError : if the number of given axes is not ``n_panels``.
    """
    if axes is None:
        shape = (n_panels, 1) if rows else (1, n_panels)
        _, axes = plt.subplots(*shape, figsize=size, sharex=True, layout="constrained")
    flat = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if flat.size != n_panels:
        raise ValueError(f"{n_panels} panels to draw need {n_panels} axes, got {flat.size}")
    return flat


def tidy(ax: Axes, *, x: str, y: str) -> None:
    """Label both axes and take away the frame's top and right side."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.spines[["top", "right"]].set_visible(False)


def over_time(ax: Axes, times: np.ndarray, *, y: str) -> None:
    """Label axes over the bins of a trial; a thin line marks the alignment event at 0 s."""
    half = (times[-1] - times[0]) / max(2 * (times.size - 1), 1)
    ax.set_xlim(times[0] - half, times[-1] + half)
    if times[0] < 0 < times[-1]:
        ax.axvline(0, color=MUTED, linewidth=0.8, zorder=0)
    tidy(ax, x="time (s)", y=y)


def check_index(index: int, length: int, what: str) -> int:
    """The index as a plain int; ValueError when there is no such trial or neuron."""
    if not -length <= index < length:
        raise ValueError(f"there is no {what} {index}: the {length} {what}s count from 0")
    return int(index) % length


def pick_neurons(data: SpikeData, neurons: Sequence[int] | None, n_default: int = 3) -> list[int]:
    """Indices of the neurons to draw; the ones with most spikes unless chosen."""
    chosen = _busiest(data, n_default) if neurons is None else neurons
    picked = [check_index(neuron, data.n_neurons, "neuron") for neuron in chosen]
    if not picked:
        raise ValueError("no neuron was chosen: name at least one")
    return picked


def _busiest(data: SpikeData, n_neurons: int) -> list[int]:
    spikes = np.sum(data.counts, axis=(0, 1), where=data.observed, dtype=np.float64)
    return np.sort(np.argsort(-spikes, kind="stable")[:n_neurons]).tolist()


def pick_trials(trials: Sequence[int] | None, n_trials: int) -> list[int]:
    """Indices of the trials to draw; all of them unless chosen."""
    picked = range(n_trials) if trials is None else trials
    chosen = [check_index(trial, n_trials, "trial") for trial in picked]
    if not chosen:
        raise ValueError("no trial was chosen: name at least one")
    return chosen


def check_conditions(conditions: Any, n_trials: int) -> np.ndarray:
    """One condition label per trial as an array; raises ValueError otherwise."""
    labels = np.asarray(conditions)
    if labels.shape != (n_trials,):
        raise ValueError(
            f"conditions must name one label per trial ({n_trials}), got {labels.shape}"
        )
    return labels


def condition_colors(conditions: np.ndarray) -> Mapping[Any, Any]:
    """A color for each condition, in sorted order.

    Up to six conditions get the palette; more lie along a color map of even brightness steps.

    Examples
    --------
    >>> condition_colors(np.array(["right", "left", "left"]))
    {'left': '#0072B2', 'right': '#D55E00'}
    """
    labels = np.unique(conditions).tolist()
    if len(labels) <= len(PALETTE):
        return dict(zip(labels, PALETTE, strict=False))
    shades = mpl.colormaps["viridis"](np.linspace(0, 0.92, len(labels)))
    return dict(zip(labels, shades, strict=True))


def condition_legend(
    ax: Any, colors: Mapping[Any, Any], *, where: Literal["right", "inside"] = "right"
) -> None:
    """Legend of what is labelled so far and of the conditions, unless they are too many to read."""
    handles, names = ax.get_legend_handles_labels()
    if len(colors) <= len(PALETTE):
        handles += [Line2D([], [], color=color, linewidth=2) for color in colors.values()]
        names += [str(label) for label in colors]
    if handles:
        corner = {"bbox_to_anchor": (1, 1)} if where == "right" else {}
        ax.legend(handles, names, loc="upper left", frameon=False, fontsize="small", **corner)
