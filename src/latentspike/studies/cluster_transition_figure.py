"""Figure of the study of a transition: activities around it, and the ratio that tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from latentspike.plot import save, style

_SHOWN = 0.12  # s on both sides of the transition


@dataclass(frozen=True)
class Shown:
    """An activity in the figure.

    Parameters
    ----------
    rates : [bins], Hz
    spread : [bins], Hz, or None
    times, ratios : [windows], middles of the windows in s and clusters in them
    moment : of its transition, s; None if it has none
    """

    rates: np.ndarray
    spread: np.ndarray | None
    times: np.ndarray
    ratios: np.ndarray
    moment: float | None


def draw(
    shown: Mapping[str, Shown],
    at: float,
    path: Path,
    *,
    bin_width: float,
    ylim: tuple[float, float],
) -> None:
    """Each activity beside the first, the true one, and below them the clusters of all.

    Parameters
    ----------
    shown : by name; the first is true
    at : moment of the true transition, s
    path : of the file
    bin_width : s
    ylim : of the clusters
    """
    colors = dict(zip(shown, (style.TRUE, style.PALETTE[3], *style.PALETTE[:2]), strict=False))
    n, true = len(shown), next(iter(shown))
    figure, axes = plt.subplots(n, 1, figsize=(7.5, 2.0 * n + 0.5), constrained_layout=True)
    for ax, name in zip(axes, list(shown)[1:], strict=False):
        for each in (true, name):
            _activity(ax, each, shown[each], bin_width, colors[each])
        style.tidy(ax, x="time (s)", y="activity (Hz)")
        ax.legend(frameon=False, ncols=2, loc="upper right")
        ax.axvline(at, color=style.MUTED, ls=":", lw=1.0)
        ax.set(xlim=(at - _SHOWN, at + _SHOWN))
    for name, each in shown.items():
        axes[-1].plot(each.times, each.ratios, color=colors[name], label=name)
        if each.moment is not None:
            axes[-1].axvline(each.moment, color=colors[name], ls=":", lw=1.0)
    axes[-1].set(ylim=ylim)
    style.tidy(axes[-1], x="middle of a window (s)", y="clusters")
    save(figure, path)
    plt.close(figure)


def _activity(ax: Any, name: str, shown: Shown, bin_width: float, color: str) -> None:
    rates, spread = shown.rates, shown.spread
    times = bin_width * (np.arange(rates.size) + 0.5)
    ax.plot(times, rates, color=color, lw=1.1, label=name)
    if spread is not None and spread.any():
        low, high = np.maximum(rates - spread, 0), rates + spread
        ax.fill_between(times, low, high, color=color, alpha=0.25, lw=0)
