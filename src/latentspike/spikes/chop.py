"""Long recordings as overlapping windows, and window results as long recordings again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentspike.spikes.data import SpikeData
from latentspike.spikes.posterior import Posterior
from latentspike.spikes.validate import as_seconds, as_whole


@dataclass(frozen=True)
class Chopping:
    """How trials were cut into windows; knows the way back.

    Windows are ordered by trial, then by time. Each starts ``n_window_bins - n_overlap_bins``
    bins after the one before; the last one of a trial may reach beyond its end.

    Parameters
    ----------
    n_trials, n_bins : int
        Of the recording that was chopped.
    n_window_bins, n_overlap_bins : int
        Bins per window, and bins shared by neighboring windows.
    t_start : float
        Of the recording that was chopped, in seconds.
    trial_ids : tuple
        Of the recording that was chopped.

    Raises
    ------
    ValueError
        If a trial is shorter than a window, or the overlap is not shorter than the window.

    Examples
    --------
    >>> chopping = Chopping(1, 10, n_window_bins=4, n_overlap_bins=1)
    >>> chopping.starts, chopping.n_windows
    (array([0, 3, 6]), 3)
    >>> chopping.merge(np.full((3, 4, 1), 0.1)).ravel().tolist() == [0.1] * 10
    True
    """

    n_trials: int
    n_bins: int
    n_window_bins: int
    n_overlap_bins: int
    t_start: float = 0.0
    trial_ids: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        as_whole("n_trials", self.n_trials, 1)
        as_whole("n_window_bins", self.n_window_bins, 1)
        as_whole("n_overlap_bins", self.n_overlap_bins, 0, self.n_window_bins - 1)
        as_seconds("t_start", self.t_start)
        if as_whole("n_bins", self.n_bins, 1) < self.n_window_bins:
            raise ValueError(
                f"trials of {self.n_bins} bins are shorter than one window of "
                f"{self.n_window_bins} bins; use shorter windows"
            )
        ids = tuple(self.trial_ids) or tuple(range(self.n_trials))
        if len(ids) != self.n_trials:
            raise ValueError(f"there are {len(ids)} trial_ids for {self.n_trials} trials")
        object.__setattr__(self, "trial_ids", ids)

    @property
    def starts(self) -> np.ndarray:
        """First bin of each window of a trial."""
        stride = self.n_window_bins - self.n_overlap_bins
        n_more = -(-(self.n_bins - self.n_window_bins) // stride)
        return np.arange(n_more + 1) * stride

    @property
    def n_windows(self) -> int:
        """Windows of all trials."""
        return self.n_trials * self.starts.size

    @property
    def window_ids(self) -> np.ndarray:
        """Trial ids of the chopped data: ``"trial:window"``."""
        windows = range(self.starts.size)
        return np.array([f"{trial}:{window}" for trial in self.trial_ids for window in windows])

    @property
    def weights(self) -> np.ndarray:
        """Weight of each bin of a window: 1, falling linearly to either side over the overlap.

        Never 0, so that the weights of a bin never sum to 0.
        """
        rising = (np.arange(self.n_window_bins) + 1) / (self.n_overlap_bins + 1)
        return np.minimum(1.0, np.minimum(rising, rising[::-1]))

    def cut(self, array: np.ndarray, fill: Any) -> np.ndarray:
        """Windows [windows, window bins, …] of an array [trials, bins, …].

        Bins beyond a trial's end hold ``fill``.
        """
        index = self.starts[:, None] + np.arange(self.n_window_bins)
        windows = array[:, np.minimum(index, self.n_bins - 1)]
        windows[:, index >= self.n_bins] = fill
        return windows.reshape(self.n_windows, self.n_window_bins, *array.shape[2:])

    def merge(self, array: Any) -> np.ndarray:
        """Cross-fade windows into whole trials.

        Where windows overlap, their weighted mean; `weights` says how they fade. Where they
        agree, exactly their value. Bins beyond the trial's end are dropped.

        Parameters
        ----------
        array : array [windows, window bins, …]
            All windows in their order. Whole numbers become float64.

        Returns
        -------
        float array [trials, bins, …]

        Raises
        ------
        ValueError
            If the array does not hold all windows.
        """
        windows = np.asarray(array)
        if windows.shape[:2] != (self.n_windows, self.n_window_bins):
            raise ValueError(
                f"merge needs all {self.n_windows} windows of {self.n_window_bins} bins, "
                f"got shape {windows.shape}"
            )
        dtype = windows.dtype if windows.dtype.kind == "f" else np.dtype(np.float64)
        rest = windows.shape[2:]
        windows = windows.reshape(self.n_trials, self.starts.size, self.n_window_bins, *rest)
        # The mean is taken of deviations from the first window that covers a bin: windows that
        # agree then give their value back bit for bit, which a quotient of sums would not.
        first = np.empty((self.n_trials, self.n_bins, *rest), dtype)
        deviation = np.zeros_like(first)
        total = np.zeros(self.n_bins)
        done = 0
        fade = self.weights
        for window, start in enumerate(self.starts):
            stop = min(start + self.n_window_bins, self.n_bins)
            values = windows[:, window, : stop - start].astype(dtype, copy=False)
            weights = fade[: stop - start]
            total[start:stop] += weights
            first[:, done:stop] = values[:, done - start :]
            shared = slice(start, done)
            change = _difference(values[:, : done - start], first[:, shared])
            deviation[:, shared] += _along_bins(weights[: done - start], change) * change
            done = stop
        return first + deviation / _along_bins(total, first)

    def merge_posterior(self, posterior: Posterior) -> Posterior:
        """Posterior of whole trials from the posterior of all windows.

        Spreads are cross-faded like the values they belong to, as if the errors of overlapping
        windows were fully correlated. Initial conditions belong to windows and are dropped.

        Parameters
        ----------
        posterior : Posterior
            Of the chopped data, with its windows in their order.

        Returns
        -------
        Posterior

        Raises
        ------
        ValueError
            If windows are missing or in another order.
        """
        ids = np.asarray(posterior.trial_ids).astype(str)
        if not np.array_equal(ids, self.window_ids):
            raise ValueError(
                f"the posterior's trials are not the {self.n_windows} windows of this chopping in "
                f"their order: expected ids {self.window_ids[0]!r}, …, {self.window_ids[-1]!r}"
            )
        merged = {
            name: None if name.startswith("initial_condition") else self.merge(value)
            for name, value in posterior.arrays().items()
        }
        trial_ids = np.asarray(self.trial_ids)
        return dataclasses.replace(posterior, t_start=self.t_start, trial_ids=trial_ids, **merged)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {**dataclasses.asdict(self), "trial_ids": list(self.trial_ids)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Chopping:
        """Chopping that `to_dict` described; raises ValueError naming a missing or unknown key."""
        known = {field.name for field in dataclasses.fields(cls)}
        if wrong := known.symmetric_difference(values):
            raise ValueError(f"not a chopping: missing or unknown keys {sorted(wrong)}")
        return cls(**{**values, "trial_ids": tuple(values["trial_ids"])})


def chop(data: SpikeData, *, n_window_bins: int, n_overlap_bins: int) -> tuple[SpikeData, Chopping]:
    """Cut trials into overlapping windows of equal length.

    The last window of a trial may reach beyond its end; it is filled up with unobserved bins
    (counts and inputs 0, behavior and truth NaN).

    Parameters
    ----------
    data : SpikeData
        Usually one long trial. Without forward bins; hold them out of the windows instead.
    n_window_bins : int
        Bins per window.
    n_overlap_bins : int
        Bins that neighboring windows share; less than ``n_window_bins``, 0 allowed.

    Returns
    -------
    windows : SpikeData
        One trial per window, ``t_start`` 0, trial ids ``"trial:window"``.
    chopping : Chopping
        Merges results on the windows.

    Raises
    ------
    ValueError
        If trials are shorter than a window, the overlap does not fit, or there are forward bins.

    Examples
    --------
    >>> data = SpikeData(np.arange(10).reshape(1, 10, 1), bin_width=0.01)
    >>> windows, chopping = chop(data, n_window_bins=4, n_overlap_bins=2)
    >>> windows.counts[:, :, 0].tolist()
    [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9]]
    >>> bool((chopping.merge(windows.counts) == data.counts).all())
    True
    """
    if data.n_forward_bins:
        raise ValueError(
            f"the data hold out {data.n_forward_bins} forward bins per trial; chop first, then "
            "hold out forward bins of the windows"
        )
    chopping = Chopping(
        n_trials=data.n_trials,
        n_bins=data.n_bins,
        n_window_bins=n_window_bins,
        n_overlap_bins=n_overlap_bins,
        t_start=data.t_start,
        trial_ids=tuple(data.trial_ids.tolist()),
    )
    cut, n_per_trial = chopping.cut, chopping.starts.size
    conditions = data.conditions
    windows = data.replace(
        counts=cut(data.counts, 0),
        observed=cut(data.observed, False),
        t_start=0.0,
        inputs=None if data.inputs is None else cut(data.inputs, 0.0),
        behavior={name: cut(value, np.nan) for name, value in data.behavior.items()},
        conditions=None if conditions is None else np.repeat(conditions, n_per_trial),
        trial_ids=chopping.window_ids,
        truth={name: cut(value, np.nan) for name, value in data.truth.items()},
    )
    return windows, chopping


def _difference(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    # 0 where both are the same infinity (log rates of silence), where inf - inf would be NaN.
    out = np.zeros_like(reference)
    return np.subtract(values, reference, out=out, where=values != reference)


def _along_bins(weights: np.ndarray, like: np.ndarray) -> np.ndarray:
    return weights.reshape(-1, *[1] * (like.ndim - 2)).astype(like.dtype)
