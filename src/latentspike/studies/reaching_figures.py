"""Figures of the study of reaches: R² and improvement against trials, paths of the hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from latentspike.plot import decoding, save
from latentspike.plot.style import MUTED, PALETTE, TRUE, tidy
from latentspike.spikes import SpikeData

_COLORS = {"PBT": TRUE, "fixed setting": PALETTE[1]}
_MOST_PATHS = 24


def mean_se(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error over draws, the first axis; the error of one draw is 0.

    Examples
    --------
    >>> mean_se([[1.0, 2.0], [3.0, 2.0]])
    (array([2., 2.]), array([1., 0.]))
    """
    array = np.asarray(values, float)
    if len(array) < 2:
        return array.mean(0), np.zeros(array.shape[1:])
    return array.mean(0), array.std(0, ddof=1) / np.sqrt(len(array))


def draw_r2(document: Mapping[str, Any], smoothing: str, path: Path) -> None:
    """R² of x and y velocity against training trials, and the improvement by PBT (Fig. 5a, b)."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
    shares = list(document["velocity_r2"])
    trials = [document["n_trials"][share] for share in shares]
    for dim, (ax, name) in enumerate(zip(axes[:2], "xy", strict=True)):
        for method, color in _COLORS.items():
            rows = [mean_se(document["velocity_r2"][share][method]) for share in shares]
            mean, error = (np.array([row[i][dim] for row in rows]) for i in (0, 1))
            ax.plot(trials, mean, "o-", color=color, label=f"LFADS, {method}", markersize=4)
            ax.fill_between(trials, mean - error, mean + error, color=color, alpha=0.2)
        level = document["baselines"][smoothing][dim]
        ax.axhline(level, color=PALETTE[0], label=smoothing)
        if "true rates" in document["baselines"]:
            level = document["baselines"]["true rates"][dim]
            ax.axhline(level, color=MUTED, linestyle=":", label="true rates")
        ax.set_xscale("log")
        ax.set_xticks(trials, [str(n) for n in trials])
        ax.minorticks_off()
        tidy(ax, x="trials (training and validation)", y=f"R² of {name} velocity")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=4, frameon=False)
    _draw_improvement(document["improvement"], trials, axes[2])
    save(figure, path)
    plt.close(figure)


def _draw_improvement(improvement: Mapping[str, list[float]], trials: list[int], ax: Any) -> None:
    found = [mean_se(values) for values in improvement.values()]
    places = np.arange(len(found))
    ax.bar(places, [float(m) for m, _ in found], yerr=[float(e) for _, e in found], color=MUTED)
    ax.set_xticks(places, [str(n) for n in trials])
    ax.axhline(0, color=TRUE, linewidth=0.8)
    tidy(ax, x="trials (training and validation)", y="improvement by PBT (%)")


def draw_paths(
    test: SpikeData, decoded: Mapping[str, np.ndarray], titles: Mapping[str, str], path: Path
) -> None:
    """Paths of the hand from integrated velocity, actual and decoded (Fig. 5c).

    Parameters
    ----------
    test : trials
    decoded : velocity by method [trials, bins, 2]; NaN where nothing could be predicted
    titles : by method
    path : of the figure
    """
    picked = one_of_each(test)
    figure, axes = plt.subplots(
        1, len(decoded), figsize=(5.2 * len(decoded), 4.4), layout="constrained", squeeze=False
    )
    for ax, (method, velocity) in zip(axes[0], decoded.items(), strict=True):
        actual = np.where(np.isfinite(velocity), test.behavior["hand_velocity"], np.nan)
        paths = (100 * integrated(each[picked], test.bin_width) for each in (actual, velocity))
        decoding(*paths, labels=("x (cm)", "y (cm)"), ax=ax)
        ax.set_title(titles[method], fontsize="medium")
    save(figure, path)
    plt.close(figure)


def one_of_each(data: SpikeData) -> np.ndarray:
    """The first trial of each condition, or the first trials without conditions."""
    if data.conditions is None:
        return np.arange(min(_MOST_PATHS, data.n_trials))
    return np.sort(np.unique(data.conditions, return_index=True)[1])[:_MOST_PATHS]


def integrated(velocity: np.ndarray, bin_width: float) -> np.ndarray:
    """Position since the first bin with a velocity; bins without one do not move.

    Examples
    --------
    >>> integrated(np.array([[[np.nan], [1.0], [2.0]]]), 0.1)[0, :, 0]
    array([0. , 0.1, 0.3])
    """
    return np.cumsum(np.nan_to_num(velocity), axis=1) * bin_width
