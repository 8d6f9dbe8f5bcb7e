"""Peri-stimulus time histograms: do the inferred rates match what trials have in common?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from latentspike.evaluate.kernel import smooth
from latentspike.evaluate.match import check_match
from latentspike.plot import style
from latentspike.spikes import Posterior, SpikeData


def psths(
    data: SpikeData,
    posterior: Posterior,
    *,
    neurons: Sequence[int] | None = None,
    smoothing: float = 0.04,
    axes: Any = None,
) -> np.ndarray:
    """Peri-stimulus time histograms of smoothed spikes against mean inferred rates.

    Smoothed spikes are drawn thin with their standard error over trials, inferred rates thick;
    one color for each condition.

    Parameters
    ----------
    data : SpikeData
        Conditions from ``data.conditions``; without them all trials are one condition.
    posterior : Posterior
    neurons : indices, optional
        One panel each; by default the three with most spikes.
    smoothing : float
        Standard deviation of the Gaussian kernel, in seconds.
    axes : as many Axes as neurons, optional

    Returns
    -------
    Array of axes, one for each neuron.

    Raises
    ------
    ValueError : if recording and posterior differ, or the smoothing is not positive.

    Examples
    --------
    >>> data = SpikeData(np.ones((4, 5, 2), int), bin_width=0.01, conditions=[0, 0, 1, 1])
    >>> flat = Posterior(np.full((4, 5, 2), 100.0), 0.01, data.trial_ids, data.neuron_ids)
    >>> psths(data, flat, smoothing=0.01).shape
    (2,)
    """
    check_match(data, posterior)
    picked = style.pick_neurons(data, neurons)
    panels = style.many_axes(axes, len(picked), (2.6 * len(picked), 2.7), rows=False)
    labels = np.zeros(data.n_trials, int) if data.conditions is None else data.conditions
    for ax, neuron in zip(panels, picked, strict=True):
        smooth = _smoothed_rates(data, neuron, smoothing)
        for label, color in style.condition_colors(labels).items():
            chosen = labels == label
            _psth_lines(ax, data.times, smooth[chosen], posterior.rates[chosen, :, neuron], color)
        ax.set_ylim(0, None)
        ax.set_title(f"neuron {data.neuron_ids[neuron]}", fontsize="medium")
        style.over_time(ax, data.times, y="rate (Hz)")
    _psth_legend(panels[-1], data.conditions, labels)
    return panels


def _smoothed_rates(data: SpikeData, neuron: int, smoothing: float) -> np.ndarray:
    """Gaussian-smoothed rates in Hz [trials, bins]; NaN where nothing near was observed."""
    one = slice(neuron, neuron + 1)
    counts, observed = data.counts[:, :, one], data.observed[:, :, one]
    values, weight = smooth(counts, observed, width_bins=smoothing / data.bin_width)
    scale = data.bin_width if data.kind == "counts" else 1.0
    return np.where(weight > 0, values / scale, np.nan)[:, :, 0]


def _psth_lines(
    ax: Axes, times: np.ndarray, smooth: np.ndarray, inferred: np.ndarray, color: Any
) -> None:
    trials = np.sum(np.isfinite(smooth), axis=0)
    safe = np.maximum(trials, 1)
    mean = np.where(trials, np.nansum(smooth, axis=0) / safe, np.nan)
    variance = np.nansum((smooth - mean) ** 2, axis=0) / np.maximum(trials - 1, 1)
    error = np.sqrt(variance / safe)
    ax.fill_between(times, mean - error, mean + error, color=color, alpha=0.2, linewidth=0)
    ax.plot(times, mean, color=color, linewidth=0.8)
    ax.plot(times, inferred.mean(axis=0), color=color, linewidth=2)


def _psth_legend(ax: Axes, conditions: np.ndarray | None, labels: np.ndarray) -> None:
    ax.plot([], [], color=style.MUTED, linewidth=0.8, label="spikes ± s.e.")
    ax.plot([], [], color=style.MUTED, linewidth=2, label="inferred")
    shown = {} if conditions is None else style.condition_colors(labels)
    style.condition_legend(ax, shown)
