"""Do condition averages of the inferred rates match those of the spikes?"""

from __future__ import annotations

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
    """

    per_neuron: np.ndarray
    mean: float
    conditions: np.ndarray
    spikes: np.ndarray
    rates: np.ndarray

    def __float__(self) -> float:
        return self.mean


def psth_r2(data: SpikeData, posterior: Posterior, *, width: float = 0.07) -> PsthR2:
    """R² between PSTHs of smoothed spikes and condition averages of inferred rates.

    Even the true rates stay below 1: noise is left in the spikes' PSTH when conditions have few
    trials, and a kernel that is wide against the features of the PSTH flattens them, which favors
    rates that are too smooth. Choose ``width`` accordingly.

    Parameters
    ----------
    data : SpikeData
        With ``conditions``. Entries that were not observed count in neither PSTH.
    posterior : Posterior
    width : float
        Standard deviation in seconds of the Gaussian that smooths the spikes (never the rates).

    Raises
    ------
    ValueError
        Without conditions, or if no PSTH varies.

    References
    ----------
    Pei et al. (2021), Neural Latents Benchmark: match to PSTH (70 ms).
    """
    check_match(data, posterior)
    if data.conditions is None:
        raise ValueError("the data has no conditions: a PSTH averages the trials of a condition")
    smoothed, weight = smooth(data.counts, data.observed, width_bins=width / data.bin_width)
    conditions = np.unique(data.conditions)
    scored = data.observed & (weight > 0)
    spikes = _averages(smoothed / data.bin_width, scored, data.conditions, conditions)
    rates = _averages(posterior.rates, scored, data.conditions, conditions)
    per_neuron = _per_neuron(spikes, rates)
    if np.isnan(per_neuron).all():
        raise ValueError("no neuron's PSTH varies: R² is not defined")
    return PsthR2(per_neuron, float(np.nanmean(per_neuron)), conditions, spikes, rates)


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
