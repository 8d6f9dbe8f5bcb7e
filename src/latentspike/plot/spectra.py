"""Power spectra of spike trains against a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from latentspike.evaluate.spectra import Spectrum
from latentspike.plot import style

_DECADES = 3.0  # of power that the colors tell apart


def power_spectra(
    results: Mapping[float, Spectrum],
    *,
    orders: Mapping[float, int] | None = None,
    label: str = "J (mV)",
    max_frequency: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Power spectra, mean over spike trains, as an image over the values of a parameter.

    Parameters
    ----------
    results : mapping of the parameter's value to a `Spectrum`
        All with the same frequencies. Colors are logarithmic over the three highest decades.
    orders : mapping of the same values to the order of the cluster state, optional
        Written above the image; 0 (none) is a dash.
    label : str
        Of the parameter, with unit.
    max_frequency : float, optional
        Hz; up to where to draw, by default all.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if there is no spectrum, or frequencies differ.

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), Fig. 2B.

    Examples
    --------
    >>> from latentspike.evaluate import power_spectrum
    >>> counts = np.random.default_rng(0).poisson(0.02, (10, 200, 3))
    >>> spectrum = power_spectrum(counts, bin_width=0.001, segment=0.1)
    >>> power_spectra({59.0: spectrum, 60.0: spectrum}, orders={59.0: 3, 60.0: 2}).get_xlabel()
    'J (mV)'
    """
    values = sorted(results)
    frequencies, power = _image(results, values, max_frequency)
    ax = style.one_axes(ax, (5.6, 3.4))
    top = float(power.max()) or 1.0
    scale = LogNorm(top / 10**_DECADES, top)
    shown = ax.pcolormesh(
        _edges(np.array(values)),
        _edges(frequencies),
        np.maximum(power, top / 10**_DECADES),  # silence has no logarithm
        norm=scale,
        cmap="viridis",
        rasterized=True,
    )
    bar = ax.figure.colorbar(shown, ax=ax, pad=0.02)
    bar.set_label("power (Hz)")
    ax.set_ylim(0, float(_edges(frequencies)[-1]))
    if len(values) <= 12:
        ax.set_xticks(values, [f"{value:g}" for value in values])
    _write_orders(ax, values, orders)
    style.tidy(ax, x=label, y="frequency (Hz)")
    return ax


def _image(
    results: Mapping[float, Spectrum], values: list[float], max_frequency: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies, and power [frequencies, values]."""
    if not values:
        raise ValueError("no spectrum to draw")
    frequencies = results[values[0]].frequencies
    for value in values:
        if not np.array_equal(results[value].frequencies, frequencies):
            raise ValueError(
                f"the spectrum at {value:g} has other frequencies than that at {values[0]:g}: "
                "compute all with the same bin_width and segment"
            )
    kept = frequencies <= (np.inf if max_frequency is None else max_frequency)
    if kept.sum() < 2:
        raise ValueError(f"fewer than two frequencies lie below {max_frequency} Hz")
    power = np.stack([results[value].mean[kept] for value in values], axis=1)
    return frequencies[kept], power


def _edges(centers: np.ndarray) -> np.ndarray:
    """Borders half-way between neighbors, as far outside of the outer ones."""
    if centers.size == 1:
        return centers[0] + np.array([-0.5, 0.5])
    between = (centers[1:] + centers[:-1]) / 2
    return np.r_[2 * centers[0] - between[0], between, 2 * centers[-1] - between[-1]]


def _write_orders(ax: Axes, values: list[float], orders: Mapping[float, int] | None) -> None:
    if orders is None:
        return
    for value in values:
        text = str(orders.get(value, 0) or "–")
        place: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": "small"}
        ax.text(value, 1.01, text, transform=ax.get_xaxis_transform(), **place)
    ax.set_title("order of the cluster state", fontsize="small", pad=16)
