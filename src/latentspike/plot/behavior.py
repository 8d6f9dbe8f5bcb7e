"""Decoded against measured behavior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from latentspike.plot import style


def decoding(
    behavior: np.ndarray,
    prediction: np.ndarray,
    *,
    trials: Sequence[int] | None = None,
    conditions: Any = None,
    labels: tuple[str, str] = ("x (a.u.)", "y (a.u.)"),
    ax: Axes | None = None,
) -> Axes:
    """Trajectories of single trials: measured dashed, estimated solid.

    Parameters
    ----------
    behavior : array [trials, bins, 2]
        Measured; NaN where it was not measured leaves a gap. Its unit belongs into ``labels``.
    prediction : array [trials, bins, 2]
        Estimated, same unit.
    trials : indices, optional
        All by default.
    conditions : array [trials], optional
        One color each; by default the first and only color of all trials.
    labels : names of the two dimensions, with unit
    ax : Axes, optional

    Returns
    -------
    The axes, with equal scales on both.

    Raises
    ------
    ValueError : if the shapes differ or there are not two dimensions.

    Examples
    --------
    >>> path = np.cumsum(np.ones((3, 5, 2)), axis=1)
    >>> ax = decoding(path, 1.1 * path, trials=[0, 2], labels=("x (cm)", "y (cm)"))
    >>> ax.get_xlabel()
    'x (cm)'
    """
    behavior, prediction = np.asarray(behavior), np.asarray(prediction)
    _check_paths(behavior, prediction)
    picked = style.pick_trials(trials, behavior.shape[0])
    names = np.zeros(behavior.shape[0], int)
    if conditions is not None:
        names = style.check_conditions(conditions, behavior.shape[0])
    colors = style.condition_colors(names)
    ax = style.one_axes(ax, (4.8, 3.6))
    for trial in picked:
        color = colors[names.tolist()[trial]]
        ax.plot(*behavior[trial].T, color=color, linestyle="--", linewidth=1, alpha=0.9)
        ax.plot(*prediction[trial].T, color=color, linewidth=1.4)
    ax.plot([], [], color=style.MUTED, linestyle="--", linewidth=1, label="actual")
    ax.plot([], [], color=style.MUTED, linewidth=1.4, label="estimated")
    style.condition_legend(ax, {} if conditions is None else colors)
    ax.set_aspect("equal", adjustable="datalim")
    style.tidy(ax, x=labels[0], y=labels[1])
    return ax


def _check_paths(behavior: np.ndarray, prediction: np.ndarray) -> None:
    if behavior.ndim != 3 or behavior.shape[2] != 2:
        raise ValueError(
            f"behavior must have shape [trials, bins, 2], got {behavior.shape}: choose two of its "
            "dimensions"
        )
    if prediction.shape != behavior.shape:
        raise ValueError(
            f"behavior has shape {behavior.shape} but the prediction {prediction.shape}"
        )
