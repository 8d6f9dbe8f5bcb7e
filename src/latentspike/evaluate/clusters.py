"""Cluster states: how many groups of neurons take turns in an oscillation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MIN_COHERENCE = 0.6
_MAX_DEVIATION = 0.25
_HARMONICS = 3  # judged; bins blur higher ones
_FINE = 8  # zero padding: the peak of a window is found on a grid this much finer


@dataclass(frozen=True, eq=False)
class ClusterStates:
    """Order of the cluster state in windows of time.

    Parameters
    ----------
    order : int [trials, windows]
        ``m`` of the m-cluster state; 0 where there is none that can be told.
    confidence : float [trials, windows]
        0 to 1: ``coherence · (1 − 2 |ratio − nearest whole number|)``; low for an asynchronous
        state and between two cluster states.
    ratio : float [trials, windows]
        Population frequency over the rate of a neuron; NaN in a silent window.
    coherence : float [trials, windows]
        Share of the power up to the third harmonic that lies at the dominant frequency and its
        harmonics, beyond their share in noise; 0 to 1.
    frequencies : float [trials, windows], Hz
        Dominant frequency of the population.
    rates : float [trials, windows], Hz
        Of a neuron, mean over the population.
    times : float [windows], s
        Middle of each window, from the start of the trial.
    """

    order: np.ndarray
    confidence: np.ndarray
    ratio: np.ndarray
    coherence: np.ndarray
    frequencies: np.ndarray
    rates: np.ndarray
    times: np.ndarray

    @property
    def most_frequent(self) -> int:
        """The order that most windows of all trials have; 0 if most have none."""
        values, number = np.unique(self.order, return_counts=True)
        return int(values[np.argmax(number)])


def cluster_states(
    counts: np.ndarray,
    n_neurons: int,
    *,
    bin_width: float,
    window: float = 0.25,
    step: float | None = None,
    max_order: int = 8,
) -> ClusterStates:
    """Order of the cluster state of a population, in sliding windows.

    In an m-cluster state a neuron spikes in every m-th cycle of the population, so ``m`` is the
    frequency of the population over the rate of a neuron. The frequency is the peak of power
    over frequency (Hann taper, interpolated) between 0.75 and ``max_order + 0.5`` times the
    neurons' rate. An order is given where the ratio is within 0.25 of a whole number and the
    coherence at least 0.6.

    Parameters
    ----------
    counts : array [trials, bins]
        Spikes per bin of the whole population, or of a fair sample of it that is large enough to
        show every cycle.
    n_neurons : int
        How many neurons they are of.
    bin_width : float
        Seconds.
    window : float
        Seconds; should hold five cycles or more of a neuron.
    step : float, optional
        Seconds between windows; a quarter of the window by default.
    max_order : int
        Highest order looked for.

    Raises
    ------
    ValueError
        If counts are negative, not finite or not [trials, bins], or the window does not fit.

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), section 5.1.

    Examples
    --------
    >>> volley = np.arange(1000) % 20 == 0
    >>> counts = 300 * volley[None]  # half of the neurons in every cycle of 20 ms
    >>> cluster_states(counts, 600, bin_width=0.001).most_frequent
    2
    """
    counts = np.asarray(counts, np.float64)
    _check_activity(counts, n_neurons)
    n_window = round(window / bin_width)
    n_step = max(1, round((window / 4 if step is None else step) / bin_width))
    if not 8 <= n_window <= counts.shape[1]:
        raise ValueError(
            f"a window of {window} s has {n_window} bins of {bin_width} s: it needs 8 or more, "
            f"and trials have {counts.shape[1]}"
        )
    views = np.lib.stride_tricks.sliding_window_view(counts, n_window, axis=1)[:, ::n_step]
    rates = views.sum(axis=2) / (n_neurons * n_window * bin_width)
    shape = rates.shape
    found = [
        _oscillation(view, rate, bin_width, max_order)
        for view, rate in zip(views.reshape(-1, n_window), rates.ravel(), strict=True)
    ]
    frequencies, coherence = np.array(found).T.reshape(2, *shape)
    times = (np.arange(shape[1]) * n_step + n_window / 2) * bin_width
    return _cluster_states(frequencies, coherence, rates, times)


def _check_activity(counts: np.ndarray, n_neurons: int) -> None:
    if counts.ndim != 2:
        raise ValueError(f"counts must have shape [trials, bins], got {counts.shape}")
    if n_neurons < 1:
        raise ValueError(f"n_neurons must be 1 or more, got {n_neurons}")
    bad = ~(np.isfinite(counts) & (counts >= 0))
    if bad.any():
        trial, time_bin = np.argwhere(bad)[0].tolist()
        raise ValueError(
            f"counts[trial {trial}, bin {time_bin}] = {counts[trial, time_bin]} is no count"
        )


def _oscillation(
    counts: np.ndarray, rate: float, bin_width: float, max_order: int
) -> tuple[float, float]:
    """Dominant frequency in Hz (NaN without one) and its coherence."""
    n_bins = counts.size
    resolution = 1 / (n_bins * bin_width)
    centered = (counts - counts.mean()) * np.hanning(n_bins)
    power = np.abs(np.fft.rfft(centered, _FINE * n_bins)) ** 2
    grid = np.fft.rfftfreq(_FINE * n_bins, bin_width)
    # Below two cycles in a window a taper cannot tell an oscillation from a drift.
    low, high = max(0.75 * rate, 2 * resolution), (max_order + 0.5) * rate
    inside = np.flatnonzero((grid >= low) & (grid <= high))
    if rate == 0 or inside.size < 3 or not power[inside].any():
        return np.nan, 0.0
    # Sharp volleys have harmonics as strong as the fundamental: among equals, the lowest.
    peak = inside[np.argmax(power[inside] / grid[inside])]
    frequency = grid[peak] + grid[1] * _offset(power, peak)
    return float(frequency), _coherence(power, grid, frequency, 2 * resolution)


def _offset(power: np.ndarray, peak: int) -> float:
    """Where a parabola through the logarithms around a peak has its top, in grid steps."""
    if not 0 < peak < power.size - 1:
        return 0.0
    left, middle, right = np.log(np.maximum(power[peak - 1 : peak + 2], 1e-300))
    bend = left - 2 * middle + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _coherence(power: np.ndarray, grid: np.ndarray, frequency: float, reach: float) -> float:
    """Share of the power within ``reach`` of the harmonics; 0 for noise, 1 for a pure rhythm."""
    low = grid <= (_HARMONICS + 0.5) * frequency
    power, grid = power[low], grid[low]
    distance = np.abs(grid - frequency * np.maximum(np.round(grid / frequency), 1))
    near = distance <= min(reach, frequency / 4)
    share, chance = power[near].sum() / power.sum(), near.mean()
    return float(max(0.0, (share - chance) / (1 - chance)))


def _cluster_states(
    frequencies: np.ndarray, coherence: np.ndarray, rates: np.ndarray, times: np.ndarray
) -> ClusterStates:
    ratio = np.full(rates.shape, np.nan)
    np.divide(frequencies, rates, out=ratio, where=rates > 0)
    nearest = np.maximum(np.round(np.nan_to_num(ratio)), 1)
    deviation = np.nan_to_num(np.abs(ratio - nearest), nan=0.5)
    clear = (deviation <= _MAX_DEVIATION) & (coherence >= _MIN_COHERENCE)
    confidence = coherence * np.maximum(1 - 2 * deviation, 0)
    order = np.where(clear, nearest, 0).astype(int)
    return ClusterStates(order, confidence, ratio, coherence, frequencies, rates, times)
