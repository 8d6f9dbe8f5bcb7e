"""Spikes and firing rates of single trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from latentspike.evaluate.match import check_match
from latentspike.plot import style
from latentspike.spikes import Posterior, SpikeData

# White to the middle of matplotlib's Blues: black ticks stay visible on the darkest cell.
_RATE_COLORS = LinearSegmentedColormap.from_list(
    "rates", mpl.colormaps["Blues"](np.linspace(0, 0.72, 9))
)


def raster(
    data: SpikeData,
    posterior: Posterior | None = None,
    *,
    trial: int = 0,
    rates: Literal["inferred", "true"] = "inferred",
    order: Sequence[int] | None = None,
    max_rate: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Spikes of one trial over an image of the firing rates, neurons × time.

    Parameters
    ----------
    data : SpikeData
        Its spikes are ticks, wider for more spikes in a bin; what was not observed is gray.
    posterior : Posterior, optional
        Source of the inferred rates; without it (and with ``rates="inferred"``) spikes only.
    trial : int
        Index of the trial.
    rates : "inferred" or "true"
        Whose rates to show; ``"true"`` needs ``data.truth["rates"]``.
    order : indices of neurons, optional
        From bottom to top; for example sorted by the time of their peak.
    max_rate : float, optional
        Hz at the dark end of the color scale; give two rasters the same to compare them.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if recording and posterior differ, or the true rates are not known.

    Examples
    --------
    >>> data = SpikeData(np.ones((1, 5, 3), int), bin_width=0.01)
    >>> raster(data).get_xlabel()
    'time (s)'
    """
    trial = style.check_index(trial, data.n_trials, "trial")
    neurons = np.arange(data.n_neurons) if order is None else np.asarray(order)
    ax = style.one_axes(ax, (6.4, 3.6))
    image = _rates_of_trial(data, posterior, trial, rates)
    extent = _extent(data, neurons.size)
    if image is not None:
        values = image[:, neurons].T
        shown = ax.imshow(
            values,
            aspect="auto",
            origin="lower",
            interpolation="nearest",
            cmap=_RATE_COLORS,
            vmin=0,
            vmax=max_rate,
            extent=extent,
        )
        extend = "max" if max_rate is not None and values.max() > max_rate else "neither"
        bar = ax.figure.colorbar(shown, ax=ax, pad=0.02, extend=extend)
        bar.set_label(f"{rates} rate (Hz)")
    _shade_unobserved(ax, data.observed[trial][:, neurons], extent)
    _spike_ticks(ax, data, trial, neurons)
    _mark_prediction(ax, data)
    ax.set_ylim(*extent[2:])
    ax.set_title(f"trial {data.trial_ids[trial]}", fontsize="medium")
    style.over_time(ax, data.times, y="neuron" if order is None else "neuron (sorted)")
    return ax


def _rates_of_trial(
    data: SpikeData, posterior: Posterior | None, trial: int, rates: str
) -> np.ndarray | None:
    if rates == "true":
        if "rates" not in data.truth:
            raise ValueError("the recording has no data.truth['rates']: only simulations know them")
        return data.truth["rates"][trial]
    if rates != "inferred":
        raise ValueError(f"rates must be 'inferred' or 'true', got {rates!r}")
    if posterior is None:
        return None
    check_match(data, posterior)
    return posterior.rates[trial]


def _extent(data: SpikeData, n_rows: int) -> tuple[float, float, float, float]:
    end = data.t_start + data.n_bins * data.bin_width
    return (data.t_start, end, -0.5, n_rows - 0.5)


def _shade_unobserved(ax: Axes, observed: np.ndarray, extent: tuple[float, ...]) -> None:
    if observed.all():
        return
    gray = np.zeros((*observed.T.shape, 4))
    gray[~observed.T] = (0.8, 0.8, 0.8, 1.0)
    ax.imshow(gray, aspect="auto", origin="lower", extent=extent)  # pyright: ignore[reportArgumentType]


def _spike_ticks(ax: Axes, data: SpikeData, trial: int, neurons: np.ndarray) -> None:
    if data.kind != "counts":
        return
    counts = np.where(data.observed[trial], data.counts[trial], 0)[:, neurons]
    bins, rows = np.nonzero(counts)
    widths = 0.7 * np.minimum(counts[bins, rows], 4).astype(float)
    ax.vlines(data.times[bins], rows - 0.38, rows + 0.38, color="black", linewidths=widths)


def _mark_prediction(ax: Axes, data: SpikeData) -> None:
    """Dashed line where a model stops reading and starts predicting."""
    if data.n_forward_bins:
        start = data.t_start + data.n_read_bins * data.bin_width
        ax.axvline(start, color=style.PALETTE[1], linewidth=1.2, linestyle="--")


def rates(
    data: SpikeData,
    posterior: Posterior,
    *,
    trial: int = 0,
    neurons: Sequence[int] | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Inferred rates of some neurons in one trial over the true ones, spikes underneath.

    True rates are black, inferred ones blue with their posterior standard deviation.

    Parameters
    ----------
    data : SpikeData
        True rates are drawn where ``data.truth["rates"]`` [trials, bins, neurons] in Hz is known.
    posterior : Posterior
    trial : int
        Index of the trial.
    neurons : indices, optional
        One panel each; by default the three with most spikes.
    axes : as many Axes as neurons, optional

    Returns
    -------
    Array of axes, one for each neuron.

    Raises
    ------
    ValueError : if recording and posterior differ, or a trial or neuron does not exist.

    References
    ----------
    Keshtkaran & Pandarinath (2019), Fig. 1c.

    Examples
    --------
    >>> data = SpikeData(np.ones((1, 5, 3), int), bin_width=0.01)
    >>> flat = Posterior(np.full((1, 5, 3), 100.0), 0.01, data.trial_ids, data.neuron_ids)
    >>> rates(data, flat, neurons=[0, 2]).shape
    (2,)
    """
    check_match(data, posterior)
    trial = style.check_index(trial, data.n_trials, "trial")
    picked = style.pick_neurons(data, neurons)
    panels = style.many_axes(axes, len(picked), (6.4, 0.6 + 1.15 * len(picked)))
    for ax, neuron in zip(panels, picked, strict=True):
        _rate_panel(ax, data, posterior, trial, neuron)
    for ax in panels[:-1]:
        ax.set_xlabel("")
    panels[0].legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize="small"
    )
    return panels


def _rate_panel(ax: Axes, data: SpikeData, posterior: Posterior, trial: int, neuron: int) -> None:
    inferred = posterior.rates[trial, :, neuron]
    if "rates" in data.truth:
        true = data.truth["rates"][trial, :, neuron]
        ax.plot(data.times, true, color=style.TRUE, linewidth=1.4, label="true")
    ax.plot(data.times, inferred, color=style.INFERRED, linewidth=1.6, label="inferred")
    if posterior.rates_std is not None:
        spread = posterior.rates_std[trial, :, neuron]
        low = np.maximum(inferred - spread, 0)
        ax.fill_between(
            data.times, low, inferred + spread, color=style.INFERRED, alpha=0.2, linewidth=0
        )
    top = ax.get_ylim()[1]
    _spikes_below(ax, data, trial, neuron, top)
    ax.set_ylim(-0.22 * top, top)
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= top])
    _mark_prediction(ax, data)
    style.over_time(ax, data.times, y="rate (Hz)")
    held = ", held out" if data.heldout[neuron] else ""
    ax.set_title(f"neuron {data.neuron_ids[neuron]}{held}", loc="left", fontsize="small")


def _spikes_below(ax: Axes, data: SpikeData, trial: int, neuron: int, top: float) -> None:
    if data.kind != "counts":
        return
    counts = np.where(data.observed[trial, :, neuron], data.counts[trial, :, neuron], 0)
    times = data.times[counts > 0]
    widths = 0.9 * np.minimum(counts[counts > 0], 4).astype(float)
    ax.vlines(times, -0.17 * top, -0.06 * top, color="black", linewidths=widths, label="spikes")
