"""What the model found beneath the rates: factors and inferred inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from latentspike.plot import style
from latentspike.spikes import Posterior


def factors(
    posterior: Posterior,
    *,
    trials: Sequence[int] | None = None,
    conditions: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Factors over time, one row each, one line for each trial.

    Each row is scaled by its factor's range over the drawn trials: a factor's unit is arbitrary.

    Parameters
    ----------
    posterior : Posterior
        Its ``factors`` [trials, bins, n_factors]; with a single trial also ``factors_std``.
    trials : indices, optional
        All by default.
    conditions : array [trials], optional
        Condition label of each trial of the posterior; lines are colored by it.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if the model has no factors, or a trial does not exist.

    Examples
    --------
    >>> post = Posterior(np.ones((2, 5, 3)), 0.01, np.arange(2), np.arange(3),
    ...                  factors=np.random.default_rng(0).normal(size=(2, 5, 4)))
    >>> len(factors(post).get_yticks())
    4
    """
    values = _factors_of(posterior)
    picked = style.pick_trials(trials, values.shape[0])
    labels = np.zeros(values.shape[0], int)
    if conditions is not None:
        labels = style.check_conditions(conditions, values.shape[0])
    colors = style.condition_colors(labels)
    n_factors = values.shape[2]
    ax = style.one_axes(ax, (5.2, 0.9 + 0.42 * min(n_factors, 12)))
    rows, scale = _stacked(values[picked])
    thin = 1.6 if len(picked) <= 3 else 0.7
    for line, trial in zip(rows, picked, strict=True):
        ax.plot(posterior.times, line, color=colors[labels.tolist()[trial]], linewidth=thin)
    if posterior.factors_std is not None and len(picked) == 1:
        _bands(ax, posterior.times, rows[0], posterior.factors_std[picked[0]] / scale)
    ax.set_yticks(-np.arange(n_factors), [str(row + 1) for row in range(n_factors)])
    if conditions is not None:
        style.condition_legend(ax, colors)
    style.over_time(ax, posterior.times, y="factor (a.u.)")
    return ax


def _factors_of(posterior: Posterior) -> np.ndarray:
    if posterior.factors is None:
        raise ValueError("this posterior has no factors: its model does not infer any")
    return posterior.factors


def _stacked(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values [trials, bins, factors] with factor i around height -i, and each factor's scale."""
    low, high = values.min(axis=(0, 1)), values.max(axis=(0, 1))
    scale = np.where(high > low, high - low, 1.0) / 0.85
    return (values - (low + high) / 2) / scale - np.arange(values.shape[2]), scale


def _bands(ax: Axes, times: np.ndarray, rows: np.ndarray, spread: np.ndarray) -> None:
    for row, half in zip(rows.T, spread.T, strict=True):
        ax.fill_between(times, row - half, row + half, color=style.INFERRED, alpha=0.2, linewidth=0)


def factors_3d(
    posterior: Posterior,
    conditions: Any = None,
    *,
    trials: Sequence[int] | None = None,
    ax: Any = None,
) -> Any:
    """First three principal components of the factors; thin lines are trials, thick ones means.

    Components are those of all trials and bins together; their share of the variance is in the
    labels. A dot marks the start of each mean trajectory.

    Parameters
    ----------
    posterior : Posterior
        Its ``factors`` [trials, bins, n_factors ≥ 3].
    conditions : array [trials], optional
        Condition label of each trial of the posterior; one color each.
    trials : indices, optional
        Trials drawn as thin lines; all by default. Means are over all trials of a condition.
    ax : Axes3D, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if there are fewer than three factors, or the axes are not 3-d.

    Examples
    --------
    >>> post = Posterior(np.ones((2, 5, 3)), 0.01, np.arange(2), np.arange(3),
    ...                  factors=np.random.default_rng(0).normal(size=(2, 5, 4)))
    >>> factors_3d(post, ["left", "right"]).name
    '3d'
    """
    values = _factors_of(posterior)
    labels = np.zeros(values.shape[0], int)
    if conditions is not None:
        labels = style.check_conditions(conditions, values.shape[0])
    picked = style.pick_trials(trials, values.shape[0])
    components, share = _principal_components(values)
    ax = style.one_axes(ax, (4.8, 4.0), projection="3d")
    if ax.name != "3d":
        raise ValueError("factors_3d draws into 3-d axes: figure.add_subplot(projection='3d')")
    colors = style.condition_colors(labels)
    for trial in picked:
        color = colors[labels.tolist()[trial]]
        ax.plot(*components[trial].T, color=color, alpha=0.25, linewidth=0.6)
    for label, color in colors.items():
        mean = components[labels == label].mean(axis=0)
        ax.plot(*mean.T, color=color, linewidth=2.4)
        ax.scatter(*mean[0], color=[color], s=28, depthshade=False)
    if conditions is not None:
        style.condition_legend(ax, colors, where="inside")
    _label_components(ax, share)
    return ax


def _principal_components(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if values.shape[2] < 3:
        raise ValueError(f"factors_3d needs three factors or more, got {values.shape[2]}")
    flat = values.reshape(-1, values.shape[2]).astype(np.float64)
    centered = flat - flat.mean(axis=0)
    _, singular, directions = np.linalg.svd(centered, full_matrices=False)
    # An eigenvector's sign is arbitrary: fix it, so that the same factors give the same picture.
    signs = np.sign(directions[np.arange(3), np.abs(directions[:3]).argmax(axis=1)])
    scores = centered @ (directions[:3] * signs[:, None]).T
    total = float(np.sum(singular**2))
    share = singular[:3] ** 2 / total if total > 0 else np.zeros(3)
    return scores.reshape(*values.shape[:2], 3), share


def _label_components(ax: Any, share: np.ndarray) -> None:
    names = [f"PC {i + 1} ({100 * part:.0f} %)" for i, part in enumerate(share)]
    ax.set_xlabel(names[0], labelpad=-10)
    ax.set_ylabel(names[1], labelpad=-10)
    ax.set_zlabel(names[2], labelpad=-10)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_ticklabels([])  # the unit is arbitrary
        axis.set_pane_color((1, 1, 1, 0))
        axis._axinfo["grid"].update(color=(0.9, 0.9, 0.9, 1), linewidth=0.6)
    ax.set_box_aspect(None, zoom=1.08)


def inferred_inputs(
    posterior: Posterior, *, trial: int | None = None, ax: Axes | None = None
) -> Axes:
    """Inferred inputs over time with their spread; one trial, or the mean over trials.

    Parameters
    ----------
    posterior : Posterior
        Its ``inferred_inputs`` [trials, bins, dims].
    trial : int, optional
        Index of one trial, whose spread is the posterior standard deviation where known. Without
        it the mean over trials is drawn, with the standard deviation over trials.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if the model has no inferred inputs, or there is no such trial.

    Examples
    --------
    >>> post = Posterior(np.ones((2, 5, 3)), 0.01, np.arange(2), np.arange(3),
    ...                  inferred_inputs=np.ones((2, 5, 1)))
    >>> inferred_inputs(post, trial=1).get_ylabel()
    'inferred input (a.u.)'
    """
    values = posterior.inferred_inputs
    if values is None or values.shape[2] == 0:
        raise ValueError("this posterior has no inferred inputs: its model has no controller")
    ax = style.one_axes(ax, (5.2, 2.6))
    if trial is None:
        middle, spread = values.mean(axis=0), values.std(axis=0)
        title, meaning = f"mean of {values.shape[0]} trials", "s.d. over trials"
    else:
        trial = style.check_index(trial, values.shape[0], "trial")
        middle, meaning = values[trial], "posterior s.d."
        title = f"trial {posterior.trial_ids[trial]}"
        stds = posterior.inferred_inputs_std
        spread = None if stds is None else stds[trial]
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    _input_lines(ax, posterior.times, middle, spread)
    ax.set_title(title if spread is None else f"{title} ± {meaning}", fontsize="medium")
    style.over_time(ax, posterior.times, y="inferred input (a.u.)")
    return ax


def _input_lines(
    ax: Axes, times: np.ndarray, middle: np.ndarray, spread: np.ndarray | None
) -> None:
    colors = style.condition_colors(np.arange(middle.shape[1]))
    for dim, color in colors.items():
        ax.plot(times, middle[:, dim], color=color, linewidth=1.8, label=f"input {dim + 1}")
        if spread is not None:
            low, high = middle[:, dim] - spread[:, dim], middle[:, dim] + spread[:, dim]
            ax.fill_between(times, low, high, color=color, alpha=0.2, linewidth=0)
    if 1 < middle.shape[1] <= len(style.PALETTE):
        ax.legend(frameon=False, fontsize="small")
