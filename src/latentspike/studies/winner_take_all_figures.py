"""Pictures of the switching network: the benchmark, its controls, its answers to pulses.

Figs. 3, 5, S6 and S7 of Wang, Schmutz, Brea & Gerstner (2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from latentspike.evaluate import PulseOutcomes
from latentspike.plot import raster, save
from latentspike.plot.style import MUTED, PALETTE, tidy
from latentspike.simulate import winner_take_all
from latentspike.simulate.perturb import PulseTrials
from latentspike.spikes import SpikeData
from latentspike.studies import winner_take_all_fits as fits

_PLACES = ((0.2, 0.62), (0.8, 0.62), (0.5, 0.15))  # of the populations in the drawing
_WIDTH = 0.04  # s, Gaussian, of activity that is drawn
_N_LINES = 10  # single trials behind a mean


def benchmark(data: SpikeData, path: Path) -> None:
    """Network, recorded spikes and true activity of the first trial (Fig. 3)."""
    figure = plt.figure(figsize=(9.0, 5.2), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 2.6))
    _draw_network(figure.add_subplot(grid[:, 0]))
    ax = raster(data, trial=0, ax=figure.add_subplot(grid[0, 1]))
    ax.set_title(f"{data.n_neurons} of {_n_neurons()} neurons", loc="left", fontsize="medium")
    ax = figure.add_subplot(grid[1, 1])
    _draw_activity(ax, data.truth["population_counts"][0])
    ax.set_title("true activity of the excitatory populations", loc="left", fontsize="medium")
    save(figure, path)
    plt.close(figure)


def controls(data: SpikeData, before: np.ndarray, widths: tuple[float, ...], path: Path) -> None:
    """Smoothed spikes of the first trial (Fig. S6), and a model before learning (Fig. S7).

    Parameters
    ----------
    data : trials
    before : [bins, K], spikes per bin of a free run of the model before learning
    widths : s, of the smoothing
    path : of the picture
    """
    figure, axes = plt.subplots(
        len(widths) + 2, 1, figsize=(7.5, 2.1 * (len(widths) + 2)), layout="constrained"
    )
    true, spikes = data.truth["population_counts"][0], fits.recorded_sums(data, 0)
    _draw_activity(axes[0], true)
    axes[0].set_title("true", loc="left", fontsize="medium")
    sizes = winner_take_all().sizes
    for ax, width in zip(axes[1:], widths, strict=False):
        smooth = fits.smoothed(spikes, width) * sizes / fits.N_RECORDED
        r = fits.agreement(smooth, true)["r"]
        _draw_activity(ax, smooth, smoothing=0.0)
        title = f"recorded spikes smoothed by {1e3 * width:g} ms, r = {r:.2f}"
        ax.set_title(title, loc="left", fontsize="medium")
    _draw_activity(axes[-1], before)
    axes[-1].set_title("free run before learning", loc="left", fontsize="medium")
    save(figure, path)
    plt.close(figure)


def pulses(
    found: Mapping[tuple[str, str], tuple[PulseTrials, PulseOutcomes]], amplitude: float, path: Path
) -> None:
    """Activity around a pulse, of trials that switch and of those that do not (Fig. 5).

    Parameters
    ----------
    found : trials and what happened in them, by who was stimulated (rows) and what ran (columns)
    amplitude : of the pulse, mV
    path : of the picture
    """
    targets, names = (list(dict.fromkeys(keys)) for keys in zip(*found, strict=True))
    shape = (2 * len(targets), len(names))
    figure, axes = plt.subplots(
        *shape, figsize=(3.4 * shape[1], 1.9 * shape[0]), squeeze=False, sharex=True, sharey=True,
        layout="constrained",
    )  # fmt: skip
    for (target, name), (trials, outcomes) in found.items():
        switched = outcomes.outcome == "switch"
        column = names.index(name)
        for row, (what, which) in enumerate((("no switch", ~switched), ("switch", switched))):
            ax = axes[2 * targets.index(target) + row, column]
            _draw_pulsed(ax, trials, which)
            title = f"{name}, pulse to the {target}: {what} {which.sum()} of {which.size}"
            ax.set_title(title, loc="left", fontsize="x-small")
    axes[0, 0].legend(frameon=False, fontsize="x-small")
    for ax in axes[-1]:
        ax.set_xlabel("time after the pulse (s)")
    figure.suptitle(f"{amplitude:g} mV for {1e3 * fits.BIN:g} ms", fontsize="medium")
    save(figure, path)
    plt.close(figure)


def _draw_pulsed(ax: Axes, trials: PulseTrials, which: np.ndarray) -> None:
    """Populations that were active and silent before the pulse: mean, and single trials behind."""
    bins = np.arange(trials.activity.shape[1])
    times = (bins + 0.5) * trials.bin_width - trials.pulse_time
    ax.axvline(0.0, color=MUTED, linewidth=0.5)
    places = np.array([trials.names.index(name) for name in trials.pair])
    before = trials.was_active
    for label, pick, color in (("active", before, PALETTE[0]), ("silent", 1 - before, PALETTE[1])):
        chosen = trials.activity[np.arange(before.size), :, places[pick]] / trials.bin_width
        chosen = fits.smoothed(chosen[which].T, _WIDTH / 4).T
        ax.plot(times, chosen[:_N_LINES].T, color=color, alpha=0.2, linewidth=0.5)
        if which.any():
            ax.plot(times, chosen.mean(0), color=color, linewidth=1.5, label=f"{label} before")
    tidy(ax, x="", y="Hz")
    ax.set(xlim=(-0.15, times[-1]), ylim=(0, 60))


def _draw_activity(ax: Axes, counts: np.ndarray, smoothing: float = _WIDTH) -> None:
    """Of the excitatory populations, in Hz, of spikes per bin [bins, K]."""
    network = winner_take_all()
    rate = counts / (network.sizes * fits.BIN)
    rate = fits.smoothed(rate, smoothing) if smoothing else rate
    times = (np.arange(len(rate)) + 0.5) * fits.BIN
    for k, name in enumerate(network.names[:2]):
        ax.plot(times, rate[:, k], color=PALETTE[k], linewidth=1.0, label=name)
    ax.legend(frameon=False, loc="upper right", ncols=2, fontsize="small")
    tidy(ax, x="time (s)", y="activity (Hz)")
    ax.set_xlim(0, times[-1])


def _draw_network(ax: Axes) -> None:
    """Populations as circles, with an arrow for each connection and its strength in mV."""
    network = winner_take_all()
    ax.set(xlim=(-0.05, 1.05), ylim=(-0.1, 1.0), aspect="equal")
    ax.axis("off")
    places = dict(zip(network.names, _PLACES, strict=True))
    for color, (name, population) in zip(PALETTE, network.populations.items(), strict=False):
        label = f"{name}\n{population.size:g}"
        circle = {"boxstyle": "circle,pad=0.4", "facecolor": "white", "edgecolor": color}
        ax.text(*places[name], label, ha="center", va="center", bbox=circle, zorder=3)
    for source, targets in network.connections.items():
        for target, strength in targets.items():
            _draw_connection(ax, places[source], places[target], float(strength))  # pyright: ignore
    ax.set_title("network, strengths in mV", loc="left", fontsize="medium")


def _draw_connection(
    ax: Axes, source: tuple[float, float], target: tuple[float, float], strength: float
) -> None:
    if not strength:
        return
    color = PALETTE[2] if strength < 0 else "black"
    (x, y), (dx, dy) = source, (target[0] - source[0], target[1] - source[1])
    length = float(np.hypot(dx, dy))
    if not length:
        label = f"↻ {strength:g}"
        ax.text(
            x, y + (0.2 if y > 0.5 else -0.2), label, ha="center", color=color, fontsize="small"
        )
        return
    side = -0.04 * dy / length, 0.04 * dx / length  # the two directions stay apart
    start, end = ((p[0] + side[0], p[1] + side[1]) for p in (source, target))
    arrow = {"arrowstyle": "-[" if strength < 0 else "->", "color": color, "shrinkA": 24,
             "shrinkB": 24, "mutation_scale": 4 if strength < 0 else 12}  # fmt: skip
    ax.annotate("", end, start, arrowprops=arrow)
    look: Any = {"fontsize": "x-small", "color": color, "ha": "center", "va": "center"}
    ax.text(x + 0.35 * dx + 3 * side[0], y + 0.35 * dy + 3 * side[1], f"{strength:g}", **look)


def _n_neurons() -> int:
    return int(sum(winner_take_all().sizes))
