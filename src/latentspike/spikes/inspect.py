"""A first look at a recording: its size, its rates, and what often goes wrong."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentspike.spikes.data import SpikeData
from latentspike.spikes.synchrony import (
    MIN_SPIKES,
    shared_between_bins,
    shared_between_neurons,
)

MIN_CORRELATION = 0.3
MIN_SHARED = 0.3
MIN_Z = 10.0
ALMOST_ALL = 0.9


@dataclass(frozen=True, eq=False)
class Description:
    """What `describe` found.

    Parameters
    ----------
    n_trials, n_bins, n_neurons : int
    bin_width : float
        Seconds.
    kind : "counts" or "continuous"
    mean_rate : float
        Hz over observed entries (for continuous data: the mean value).
    rates : float array [neurons]
        Hz (or mean values); NaN for a neuron that was never observed.
    neuron_ids : array [neurons]
    silent_neurons : tuple of neuron ids
        Without a spike, or never observed.
    missing_fraction : float
        Entries that were not observed.
    duplicated_neurons : tuple of (neuron id, neuron id, shared fraction of spikes)
    largest_count : float
    multiple_fraction : float
        Observed entries with two spikes or more.
    is_sliding_window : bool
        Counts look like sums over a window that slides by less than its length.
    warnings : tuple of str
        What a person should look at before fitting a model.
    """

    n_trials: int
    n_bins: int
    n_neurons: int
    bin_width: float
    kind: str
    mean_rate: float
    rates: np.ndarray
    neuron_ids: np.ndarray
    silent_neurons: tuple[Any, ...]
    missing_fraction: float
    duplicated_neurons: tuple[tuple[Any, Any, float], ...]
    largest_count: float
    multiple_fraction: float
    is_sliding_window: bool
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it; NaN rates become None."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        rates = [None if np.isnan(rate) else rate for rate in self.rates.tolist()]
        return {
            **values,
            "rates": rates,
            "neuron_ids": [_plain(name) for name in self.neuron_ids],
            "silent_neurons": list(self.silent_neurons),
            "duplicated_neurons": [list(pair) for pair in self.duplicated_neurons],
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        unit = "Hz" if self.kind == "counts" else "mean value"
        seen = self.rates[np.isfinite(self.rates)]
        quartiles = np.percentile(seen, [0, 25, 50, 75, 100]) if seen.size else np.zeros(5)
        rows = {
            "trials": f"{self.n_trials}",
            "bins per trial": f"{self.n_bins} of {1e3 * self.bin_width:g} ms",
            "neurons": f"{self.n_neurons}",
            "mean rate": f"{self.mean_rate:.4g} {unit}",
            "rates (quartiles)": " | ".join(f"{rate:.3g}" for rate in quartiles) + f" {unit}",
            "silent neurons": _listed(self.silent_neurons),
            "duplicated neurons": _listed([f"{a} = {b}" for a, b, _ in self.duplicated_neurons]),
            "missing entries": f"{100 * self.missing_fraction:.3g} %",
            "largest count": f"{self.largest_count:g}",
            "entries with ≥ 2 spikes": f"{100 * self.multiple_fraction:.3g} %",
        }
        lines = [f"{name:<24}{value}" for name, value in rows.items()]
        return "\n".join(lines + [f"warning: {warning}" for warning in self.warnings])


def describe(data: SpikeData) -> Description:
    """Summarize a recording and look for common faults.

    Two neurons are called duplicated when all of these hold (at least 20 observed spikes each;
    `latentspike.spikes.synchrony` gives the reasons):

    * their counts correlate above 0.3 at zero lag;
    * the fraction of spikes they share is above 0.3. It is the covariance at zero lag beyond
      what common rates can explain, over the mean count. Common rates explain at most
      ``sqrt((var x - mean x)(var y - mean y))`` in Poisson neurons, however strongly and fast
      the rates vary, and the covariance at lags of 1 to 3 bins;
    * that excess is more than 10 standard errors.

    A copy whose spikes moved by less than a bin is found; one of strongly bursting neurons with
    many moved spikes may be missed.

    Counts are said to look like sliding-window sums when, in at least 90 % of neurons with 20
    spikes, neighboring bins correlate above 0.3 and share more than 0.3 of their spikes in the
    same sense (windows that slide by one bin share ``(w - 1) / w``).

    Parameters
    ----------
    data : SpikeData
        Of continuous data, only size, mean values and missing entries are described.

    Returns
    -------
    Description

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(0.2, (20, 50, 3))
    >>> counts[:, :, 2] = counts[:, :, 0]
    >>> describe(SpikeData(counts, bin_width=0.01)).warnings
    ('1 pair of neurons shares most spikes, such as 0 and 2: one unit sorted twice?',)
    """
    is_counts = data.kind == "counts"
    n_observed = data.observed.sum(axis=(0, 1))
    totals = np.sum(data.counts, axis=(0, 1), where=data.observed, dtype=np.float64)
    rates = np.full(data.n_neurons, np.nan)
    np.divide(totals, n_observed, out=rates, where=n_observed > 0)
    enough = np.asarray(totals >= MIN_SPIKES)
    silent = data.neuron_ids[totals == 0] if is_counts else data.neuron_ids[n_observed == 0]
    found: dict[str, Any] = {
        "silent_neurons": tuple(_plain(name) for name in silent),
        "missing_fraction": 1.0 - float(n_observed.sum()) / data.observed.size,
        "duplicated_neurons": _duplicated(data, enough) if is_counts else (),
        "is_sliding_window": is_counts and _is_sliding(data, enough),
    }
    return Description(
        n_trials=data.n_trials,
        n_bins=data.n_bins,
        n_neurons=data.n_neurons,
        bin_width=data.bin_width,
        kind=data.kind,
        mean_rate=data.mean_rate * (1.0 if is_counts else data.bin_width),
        rates=rates / data.bin_width if is_counts else rates,
        neuron_ids=data.neuron_ids,
        largest_count=float(np.max(data.counts, where=data.observed, initial=_lowest(data))),
        multiple_fraction=_multiple_fraction(data) if is_counts else 0.0,
        warnings=tuple(_warnings(data, **found)),
        **found,
    )


def _duplicated(data: SpikeData, enough: np.ndarray) -> tuple[tuple[Any, Any, float], ...]:
    tested = np.flatnonzero(enough)
    if tested.size < 2:
        return ()
    correlation, shared, z = shared_between_neurons(_only(data, tested))
    flagged = (correlation > MIN_CORRELATION) & (shared > MIN_SHARED) & (z > MIN_Z)
    names = data.neuron_ids[tested]
    return tuple(
        (_plain(names[i]), _plain(names[j]), float(shared[i, j]))
        for i, j in np.argwhere(np.triu(flagged, k=1))
    )


def _is_sliding(data: SpikeData, enough: np.ndarray) -> bool:
    if not enough.any():
        return False
    correlation, shared = shared_between_bins(_only(data, np.flatnonzero(enough)))
    return bool(np.mean((correlation > MIN_CORRELATION) & (shared > MIN_SHARED)) >= ALMOST_ALL)


def _only(data: SpikeData, neurons: np.ndarray) -> SpikeData:
    # Held-out marks do not matter here, and would forbid a choice of held-out neurons alone.
    return data.replace(heldout=None).select_neurons(neurons)


def _multiple_fraction(data: SpikeData) -> float:
    return float(np.mean(data.counts >= 2, where=data.observed)) if data.observed.any() else 0.0


def _lowest(data: SpikeData) -> Any:
    if not data.observed.any() or data.kind == "counts":
        return 0
    return data.counts.min()


def _warnings(
    data: SpikeData,
    *,
    silent_neurons: tuple[Any, ...],
    missing_fraction: float,
    duplicated_neurons: tuple[tuple[Any, Any, float], ...],
    is_sliding_window: bool,
) -> list[str]:
    warnings = []
    if missing_fraction == 1.0:
        warnings.append("no entry was observed")
    if silent_neurons:
        silent = f"{len(silent_neurons)} of {data.n_neurons} neurons"
        why = "have no spike" if data.kind == "counts" else "were never observed"
        warnings.append(f"{silent} {why} ({_listed(silent_neurons)}); leave them out")
    if n_pairs := len(duplicated_neurons):
        first, second, _ = duplicated_neurons[0]
        pairs = "1 pair of neurons shares" if n_pairs == 1 else f"{n_pairs} pairs of neurons share"
        warnings.append(
            f"{pairs} most spikes, such as {first} and {second}: one unit sorted twice?"
        )
    if is_sliding_window:
        warnings.append(
            "counts look like sliding-window sums: neighboring bins share spikes, which leaks "
            "held-out data; bin again without overlap"
        )
    return warnings


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _listed(names: Any, most: int = 5) -> str:
    shown = ", ".join(str(name) for name in names[:most]) or "none"
    return f"{shown}, … ({len(names)} in all)" if len(names) > most else shown
