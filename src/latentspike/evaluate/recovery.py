"""How well inferred rates match known ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentspike.evaluate.match import check_match
from latentspike.spikes import Posterior, SpikeData


@dataclass(frozen=True, eq=False)
class RateR2:
    """R² of inferred against true rates.

    Parameters
    ----------
    per_neuron : float [neurons]
        Pooled over trials and bins; NaN for a neuron whose true rate never changes.
    mean : float
        Mean over the neurons that are not NaN: the figure of the paper.
    pooled : float
        One R² over everything, each neuron around its own mean: neurons count by their variance.
    """

    per_neuron: np.ndarray
    mean: float
    pooled: float

    def __float__(self) -> float:
        return self.mean


def rate_r2(data: SpikeData, posterior: Posterior) -> RateR2:
    """R² of inferred against true rates, pooled over trials and bins, averaged over neurons.

    Parameters
    ----------
    data : SpikeData
        With ``truth["rates"]`` [trials, bins, neurons] in Hz (or expected values).
    posterior : Posterior
        Of the same trials and neurons.

    Raises
    ------
    ValueError
        If the true rates are not known, nothing varies, or the posterior is of other data.

    References
    ----------
    Keshtkaran & Pandarinath (2019), section 2.2, Fig. 1(b).

    Examples
    --------
    >>> import numpy as np
    >>> rates = np.random.default_rng(0).gamma(2.0, 5.0, (4, 20, 3))
    >>> data = SpikeData(np.ones((4, 20, 3), int), bin_width=0.01, truth={"rates": rates})
    >>> posterior = Posterior(rates, 0.01, data.trial_ids, data.neuron_ids)
    >>> rate_r2(data, posterior).mean
    1.0
    """
    check_match(data, posterior)
    if "rates" not in data.truth:
        raise ValueError("the data has no truth['rates']: only simulated data can be graded so")
    true = np.asarray(data.truth["rates"], np.float64)
    if true.shape != posterior.rates.shape:
        raise ValueError(f"truth['rates'] has shape {true.shape}, the data {data.counts.shape}")
    return _rate_r2(true, np.asarray(posterior.rates, np.float64))


def _rate_r2(true: np.ndarray, inferred: np.ndarray) -> RateR2:
    axes = (0, 1)
    error = np.sum((true - inferred) ** 2, axis=axes)
    spread = np.sum((true - true.mean(axis=axes)) ** 2, axis=axes)
    per_neuron = r2_from_sums(error, spread)
    if np.isnan(per_neuron).all():
        raise ValueError("no neuron's true rate varies: R² is not defined")
    return RateR2(per_neuron, float(np.nanmean(per_neuron)), float(1 - error.sum() / spread.sum()))


def r2_from_sums(error: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """``1 − error / spread``; NaN where the spread is zero."""
    ratio = np.full(np.shape(error), np.nan)
    return 1 - np.divide(error, spread, out=ratio, where=spread > 0)
