"""Bits per spike: Poisson likelihood gained over each neuron's mean rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentspike.evaluate.match import check_match
from latentspike.spikes import Posterior, SpikeData

FLOOR = 1e-9
"""Least expected count per bin that is scored: a rate of zero would make any spike infinitely
unlikely. A spike at the floor costs about 30 bits, so that it is still a grave error."""


@dataclass(frozen=True, eq=False)
class BitsPerSpike:
    """Likelihood gain in bits per spike.

    Parameters
    ----------
    value : float
        0 for each neuron's mean rate, above for a better prediction.
    standard_error : float
        Over trials, by the delta method for a ratio of sums; NaN with one trial.
    per_neuron : float [neurons scored]
        The same for each neuron on its own spikes; NaN for a silent one.
    n_spikes : int
        Spikes scored.
    """

    value: float
    standard_error: float
    per_neuron: np.ndarray
    n_spikes: int

    def __float__(self) -> float:
        return self.value


def bits_per_spike(
    log_rates: np.ndarray, counts: np.ndarray, observed: np.ndarray | None = None
) -> BitsPerSpike:
    """Poisson likelihood gain over each neuron's mean rate, in bits per spike.

    ``(L(rates) − L(mean rates)) / (n_spikes · ln 2)``, where the mean is over the scored, observed
    bins and trials.

    Parameters
    ----------
    log_rates : float array [trials, bins, neurons]
        Log expected count per bin (not Hz); values below ``log(FLOOR)`` (1e-9 spikes per bin),
        −inf included, are scored as that floor.
    counts : array [trials, bins, neurons]
        Spikes per bin.
    observed : bool array [trials, bins, neurons], optional
        True where the bin was recorded and is scored; everywhere by default.

    Raises
    ------
    ValueError
        If no spike was observed, shapes differ, or a rate is NaN or infinite.

    References
    ----------
    Pei et al. (2021), Neural Latents Benchmark, eq. (1).

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([[[0], [2], [1], [1]]])
    >>> bits_per_spike(np.zeros((1, 4, 1)), counts).value
    0.0
    """
    log_rates, counts = np.asarray(log_rates, np.float64), np.asarray(counts)
    observed = np.ones(counts.shape, bool) if observed is None else np.asarray(observed)
    if not (log_rates.shape == counts.shape == observed.shape) or counts.ndim != 3:
        raise ValueError(
            "log_rates, counts and observed must share a shape [trials, bins, neurons], got "
            f"{log_rates.shape}, {counts.shape} and {observed.shape}"
        )
    if observed.dtype != bool:
        raise ValueError(f"observed must be a bool mask, got dtype {observed.dtype}")
    bad = observed & ~(log_rates < np.inf)
    if bad.any():
        trial, time_bin, neuron = (int(i) for i in np.argwhere(bad)[0])
        value = log_rates[trial, time_bin, neuron]
        raise ValueError(
            f"log_rates[trial {trial}, bin {time_bin}, neuron {neuron}] = {value} is no log rate"
        )
    return _bits_per_spike(log_rates, counts, observed)


def _bits_per_spike(
    log_rates: np.ndarray, counts: np.ndarray, observed: np.ndarray
) -> BitsPerSpike:
    counts = np.where(observed, counts, 0.0)
    n_spikes = counts.sum()
    if n_spikes == 0:
        raise ValueError("no spike was observed among the scored neurons, bins and trials")
    log_rates = np.maximum(log_rates, np.log(FLOOR))
    n_observed = np.maximum(observed.sum(axis=(0, 1)), 1)
    log_null = np.log(np.maximum(counts.sum(axis=(0, 1)) / n_observed, FLOOR))
    gain = counts * (log_rates - log_null) - (np.exp(log_rates) - np.exp(log_null))
    gain = np.where(observed, gain, 0.0) / np.log(2)
    neuron_spikes = counts.sum(axis=(0, 1))
    per_neuron = np.full(neuron_spikes.shape, np.nan)
    np.divide(gain.sum(axis=(0, 1)), neuron_spikes, out=per_neuron, where=neuron_spikes > 0)
    value = float(gain.sum() / n_spikes)
    error = _ratio_standard_error(gain.sum(axis=(1, 2)), counts.sum(axis=(1, 2)))
    return BitsPerSpike(value, error, per_neuron, int(n_spikes))


def _ratio_standard_error(numerator: np.ndarray, denominator: np.ndarray) -> float:
    """Delta-method standard error of ``sum(numerator) / sum(denominator)`` over trials."""
    n = numerator.size
    if n < 2:
        return float("nan")
    residual = numerator - numerator.sum() / denominator.sum() * denominator
    return float(np.sqrt(n / (n - 1) * np.sum(residual**2)) / denominator.sum())


def co_smoothing_bits(data: SpikeData, posterior: Posterior) -> BitsPerSpike:
    """Bits per spike of the held-out neurons in the bins that models read (``co_bps``).

    Raises
    ------
    ValueError
        If no neuron is held out, or as `bits_per_spike`.

    References
    ----------
    Pei et al. (2021), Neural Latents Benchmark, co-smoothing.
    """
    if not data.heldout.any():
        raise ValueError("no neuron is held out: set `heldout` before fitting")
    return _score(data, posterior, slice(0, data.n_read_bins), data.heldout)


def heldin_bits(data: SpikeData, posterior: Posterior) -> BitsPerSpike:
    """Bits per spike of the neurons and bins that models read.

    A model may have copied these spikes: report it, but never select models by it.

    Raises
    ------
    ValueError
        As `bits_per_spike`.
    """
    return _score(data, posterior, slice(0, data.n_read_bins), ~data.heldout)


def forward_bits(data: SpikeData, posterior: Posterior) -> BitsPerSpike:
    """Bits per spike of all neurons in the forward bins (``fp_bps``).

    Raises
    ------
    ValueError
        If there is no forward bin, or as `bits_per_spike`.

    References
    ----------
    Pei et al. (2021), Neural Latents Benchmark, forward prediction.
    """
    if data.n_forward_bins == 0:
        raise ValueError("no bin is kept for forward prediction: set `n_forward_bins`")
    everyone = np.ones(data.n_neurons, bool)
    return _score(data, posterior, slice(data.n_read_bins, None), everyone)


def _score(data: SpikeData, posterior: Posterior, bins: slice, neurons: np.ndarray) -> BitsPerSpike:
    check_match(data, posterior)
    if data.kind != "counts":
        raise ValueError("bits per spike need spike counts, but this data is continuous")
    rates = np.asarray(posterior.rates[:, bins][:, :, neurons], np.float64)
    if (rates < 0).any():
        raise ValueError(f"inferred rates are as low as {rates.min():.3g} Hz: a rate is never < 0")
    log_rates = np.log(np.maximum(rates * data.bin_width, FLOOR))
    counts, observed = data.counts[:, bins][:, :, neurons], data.observed[:, bins][:, :, neurons]
    return bits_per_spike(log_rates, counts, observed)
