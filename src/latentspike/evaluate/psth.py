"""Do condition averages of the inferred rates match those of the spikes?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latentspike.evaluate.kernel import smooth
from latentspike.evaluate.match import check_match
from latentspike.evaluate.recovery import r2_from_sums
from latentspike.spikes import Posterior, SpikeData


@dataclass(frozen=True, eq=False)
class PsthR2:
    """R² between two sets of peri-stimulus time histograms.

    Parameters
    ----------
    per_neuron : float [neurons]
        Pooled over conditions and bins; NaN for a neuron whose PSTH is flat.
    mean : float
        Mean over the neurons that are not NaN.
    conditions : array [conditions]
    spikes, rates : float [conditions, bins, neurons]
        Both PSTHs in Hz: of the smoothed spikes, and of the inferred rates.
    width : float
        Standard deviation in seconds of the Gaussian that smoothed the spikes.
    """

    per_neuron: np.ndarray
    mean: float
    conditions: np.ndarray
    spikes: np.ndarray
    rates: np.ndarray
    width: float

    def __float__(self) -> float:
        return self.mean


def psth_r2(data: SpikeData, posterior: Posterior, *, width: float | None = None) -> PsthR2:
    """R² between PSTHs of smoothed spikes and condition averages of inferred rates.

    Even the true rates stay below 1: noise is left in the spikes' PSTH when conditions have few
    trials, and a kernel that is wide against the features of the PSTH flattens them, which favors
    rates that are too smooth: 70 ms, the Neural Latents Benchmark's, are too wide for fast ones.

    Parameters
    ----------
    data : SpikeData
        With ``conditions``. Entries that were not observed count in neither PSTH.
    posterior : Posterior
    width : float, optional
        Standard deviation in seconds of the Gaussian that smooths the spikes (never the rates);
        by default that of `choose_psth_width`.

    Raises
    ------
    ValueError
        Without conditions, or if no PSTH varies.

    References
    ----------
    Pei et al. (2021), Neural Latents Benchmark: match to PSTH (with 70 ms).
    """
    check_match(data, posterior)
    if data.conditions is None:
        raise ValueError("the data has no conditions: a PSTH averages the trials of a condition")
    width = choose_psth_width(data) if width is None else width
    smoothed, weight = smooth(data.counts, data.observed, width_bins=width / data.bin_width)
    conditions = np.unique(data.conditions)
    scored = data.observed & (weight > 0)
    spikes = _averages(smoothed / data.bin_width, scored, data.conditions, conditions)
    rates = _averages(posterior.rates, scored, data.conditions, conditions)
    per_neuron = _per_neuron(spikes, rates)
    if np.isnan(per_neuron).all():
        raise ValueError("no neuron's PSTH varies: R² is not defined")
    return PsthR2(per_neuron, float(np.nanmean(per_neuron)), conditions, spikes, rates, width)


PSTH_WIDTHS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15)  # seconds


def choose_psth_width(data: SpikeData, widths: Sequence[float] = PSTH_WIDTHS) -> float:
    """The kernel with which half of the trials of a condition best predict the other half.

    Squared error of smoothed against raw condition averages, both ways, each neuron's relative to
    the variance of its raw averages. Where no condition has two trials: 70 ms.

    Parameters
    ----------
    data : SpikeData
        Without ``conditions`` all trials count as one.
    widths : sequence of float
        Candidates, standard deviations in seconds.

    Returns
    -------
    float
        The best of ``widths``.

    Examples
    --------
    >>> rates = np.where(np.arange(200) // 50 % 2, 40.0, 5.0)[None, :, None]  # steps of 0.5 s
    >>> counts = np.random.default_rng(0).poisson(rates * 0.01, (20, 200, 4))
    >>> 0.02 <= choose_psth_width(SpikeData(counts, 0.01)) <= 0.1
    True
    """
    labels = np.zeros(data.n_trials, int) if data.conditions is None else data.conditions
    halves = np.zeros(data.n_trials, int)
    for condition in np.unique(labels):
        halves[labels == condition] = np.arange((labels == condition).sum()) % 2
    both = np.array([c for c in np.unique(labels) if (halves[labels == c] == 1).any()])
    if not both.size:
        return _USUAL_WIDTH
    raw = [_averages(data.counts, data.observed & of[:, None, None], labels, both)
           for of in (halves == 0, halves == 1)]  # fmt: skip
    spread = np.nanvar(np.concatenate(raw), axis=(0, 1))
    weight = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)

    def error(width: float) -> float:
        smoothed = [
            smooth(np.nan_to_num(half), np.isfinite(half), width_bins=width / data.bin_width)[0]
            for half in raw
        ]
        pairs = ((smoothed[0], raw[1]), (smoothed[1], raw[0]))
        return float(sum(np.nansum(weight * (found - other) ** 2) for found, other in pairs))

    return float(min(widths, key=error))


_USUAL_WIDTH = 0.07  # seconds; Pei et al. (2021)


def _averages(
    values: np.ndarray, observed: np.ndarray, labels: np.ndarray, conditions: np.ndarray
) -> np.ndarray:
    """Means over the observed trials of each condition; NaN where there is none."""
    averages = np.full((len(conditions), *values.shape[1:]), np.nan)
    for index, condition in enumerate(conditions):
        of = labels == condition
        total = np.sum(values[of], axis=0, where=observed[of], dtype=np.float64)
        n_trials = observed[of].sum(axis=0)
        np.divide(total, n_trials, out=averages[index], where=n_trials > 0)
    return averages


def _per_neuron(spikes: np.ndarray, rates: np.ndarray) -> np.ndarray:
    known = np.isfinite(spikes)
    n_known = np.maximum(known.sum(axis=(0, 1)), 1)
    mean = np.sum(spikes, axis=(0, 1), where=known) / n_known
    error = np.sum((spikes - rates) ** 2, axis=(0, 1), where=known)
    spread = np.sum((spikes - mean) ** 2, axis=(0, 1), where=known)
    return r2_from_sums(error, spread)
