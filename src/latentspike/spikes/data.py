"""`SpikeData`: one validated recording session."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from latentspike.spikes.validate import (
    as_counts,
    as_index,
    as_mask,
    as_seconds,
    as_series,
    as_vector,
    as_whole,
    check_bin_width,
)

Kind = Literal["counts", "continuous"]


@dataclass(frozen=True, eq=False, repr=False)
class SpikeData:
    """Binned activity of simultaneously recorded neurons over trials.

    Validated once, here; everything downstream trusts it. Arrays are read-only; a writeable
    array is copied (a memory-mapped one is not), so later changes to it do not reach in.

    Parameters
    ----------
    counts : array [trials, bins, neurons]
        Spikes per bin (non-negative whole numbers), or any finite number when ``kind`` is
        ``"continuous"`` (for example a fluorescence trace).
    bin_width : float
        Seconds.
    observed : bool array [trials, bins, neurons], optional
        False where nothing was recorded. The value there is kept but no model reads or grades it.
    t_start : float
        Time of the left edge of bin 0 relative to the alignment event, in seconds.
    heldout : bool array [neurons], optional
        Neurons that models predict but never read (co-smoothing).
    n_forward_bins : int
        Last bins of each trial that models predict but never read (forward prediction).
    inputs : array [trials, bins, n_inputs], optional
        Measured external inputs.
    behavior : mapping of name to array [trials, bins, dims]
        Measured behavior on the same bins; NaN where it was not measured.
    conditions : array [trials], optional
        Condition label of each trial.
    trial_ids, neuron_ids : array, optional
        Names; 0, 1, 2, … by default. Neuron ids must be unique.
    truth : mapping of name to array [trials, bins, …]
        Known truth of simulated data: ``rates`` in Hz, ``inputs``, ``factors``.
    kind : "counts" or "continuous"

    Raises
    ------
    ValueError
        Naming the trial, bin, neuron and value that is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> SpikeData(np.ones((2, 5, 3), int), bin_width=0.01)
    SpikeData(2 trials × 5 bins × 3 neurons, bin 10 ms, 100 Hz mean rate)
    """

    counts: np.ndarray
    bin_width: float
    observed: np.ndarray = None  # pyright: ignore[reportAssignmentType]
    t_start: float = 0.0
    heldout: np.ndarray = None  # pyright: ignore[reportAssignmentType]
    n_forward_bins: int = 0
    inputs: np.ndarray | None = None
    behavior: Mapping[str, np.ndarray] = field(default_factory=dict)
    conditions: np.ndarray | None = None
    trial_ids: np.ndarray = None  # pyright: ignore[reportAssignmentType]
    neuron_ids: np.ndarray = None  # pyright: ignore[reportAssignmentType]
    truth: Mapping[str, np.ndarray] = field(default_factory=dict)
    kind: Kind = "counts"

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        counts = as_counts(self.counts, kind=self.kind)
        n_trials, n_bins, n_neurons = counts.shape
        put("counts", counts)
        put("bin_width", check_bin_width(self.bin_width))
        put("t_start", as_seconds("t_start", self.t_start))
        put("observed", as_mask("observed", self.observed, counts.shape, default=True))
        put("heldout", as_mask("heldout", self.heldout, (n_neurons,), default=False))
        if self.heldout.all():
            raise ValueError("every neuron is held out: a model would have nothing to read")
        put("n_forward_bins", as_whole("n_forward_bins", self.n_forward_bins, 0, n_bins - 1))
        put("trial_ids", as_vector("trial_ids", self.trial_ids, n_trials))
        put("neuron_ids", as_vector("neuron_ids", self.neuron_ids, n_neurons, unique=True))
        if self.conditions is not None:
            put("conditions", as_vector("conditions", self.conditions, n_trials))
        if self.inputs is not None:
            put("inputs", as_series("inputs", self.inputs, (n_trials, n_bins), finite=True))
        for group in ("behavior", "truth"):
            series = {
                name: as_series(f"{group}[{name!r}]", value, (n_trials, n_bins))
                for name, value in dict(getattr(self, group)).items()
            }
            put(group, series)
        if "rates" in self.truth and self.truth["rates"].shape[2] != n_neurons:
            raise ValueError(
                f"truth['rates'] must cover all {n_neurons} neurons, "
                f"got shape {self.truth['rates'].shape}"
            )

    def __repr__(self) -> str:
        rate = f"{self.mean_rate:.3g} Hz mean rate" if self.kind == "counts" else "continuous"
        parts = [
            f"{self.n_trials} trials × {self.n_bins} bins × {self.n_neurons} neurons",
            f"bin {1e3 * self.bin_width:g} ms",
            rate,
        ]
        if self.heldout.any():
            parts.append(f"{int(self.heldout.sum())} held-out neurons")
        if self.n_forward_bins:
            parts.append(f"{self.n_forward_bins} forward bins")
        return f"SpikeData({', '.join(parts)})"

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.counts.shape[0]

    @property
    def n_bins(self) -> int:
        """Bins per trial, forward-prediction bins included."""
        return self.counts.shape[1]

    @property
    def n_neurons(self) -> int:
        """Neurons, held-out ones included."""
        return self.counts.shape[2]

    @property
    def n_inputs(self) -> int:
        """Dimensions of the external input; 0 without one."""
        return 0 if self.inputs is None else self.inputs.shape[2]

    @property
    def n_read_bins(self) -> int:
        """Leading bins that a model may read."""
        return self.n_bins - self.n_forward_bins

    @property
    def times(self) -> np.ndarray:
        """Centre of each bin relative to the alignment event, in seconds."""
        return self.t_start + (np.arange(self.n_bins) + 0.5) * self.bin_width

    @property
    def mean_rate(self) -> float:
        """Mean over observed entries, in Hz (0 when nothing was observed)."""
        n_observed = int(self.observed.sum())
        total = float(np.sum(self.counts, where=self.observed, dtype=np.float64))
        return total / (n_observed * self.bin_width) if n_observed else 0.0

    @property
    def readable(self) -> np.ndarray:
        """Bool [bins, neurons]: what a model may read (held-in neurons, no forward bins)."""
        bins = np.arange(self.n_bins) < self.n_read_bins
        return bins[:, None] & ~self.heldout[None, :]

    def replace(self, **changes: Any) -> SpikeData:
        """Copy with some fields changed; validated again."""
        return dataclasses.replace(self, **changes)

    def select_trials(self, trials: Any) -> SpikeData:
        """Copy with the trials of an index array, slice or bool mask, in that order."""
        index = as_index("trials", trials, self.n_trials)
        return self.replace(
            counts=self.counts[index],
            observed=self.observed[index],
            inputs=None if self.inputs is None else self.inputs[index],
            behavior={name: value[index] for name, value in self.behavior.items()},
            conditions=None if self.conditions is None else self.conditions[index],
            trial_ids=self.trial_ids[index],
            truth={name: value[index] for name, value in self.truth.items()},
        )

    def select_neurons(self, neurons: Any) -> SpikeData:
        """Copy with the neurons of an index array, slice or bool mask, in that order."""
        index = as_index("neurons", neurons, self.n_neurons)
        truth = dict(self.truth)
        if "rates" in truth:
            truth["rates"] = truth["rates"][:, :, index]
        return self.replace(
            counts=self.counts[:, :, index],
            observed=self.observed[:, :, index],
            heldout=self.heldout[index],
            neuron_ids=self.neuron_ids[index],
            truth=truth,
        )

    def select_bins(self, start: int, stop: int) -> SpikeData:
        """Copy with bins ``start`` to ``stop`` (exclusive); forward bins are cut from the end."""
        if not 0 <= start < stop <= self.n_bins:
            raise ValueError(f"bins [{start}, {stop}) do not lie in a trial of {self.n_bins} bins")
        if start >= self.n_read_bins:
            raise ValueError(
                f"bins [{start}, {stop}) are all forward bins: a model would have nothing to read"
            )
        cut = slice(start, stop)
        return self.replace(
            counts=self.counts[:, cut],
            observed=self.observed[:, cut],
            t_start=self.t_start + start * self.bin_width,
            n_forward_bins=max(0, self.n_forward_bins - (self.n_bins - stop)),
            inputs=None if self.inputs is None else self.inputs[:, cut],
            behavior={name: value[:, cut] for name, value in self.behavior.items()},
            truth={name: value[:, cut] for name, value in self.truth.items()},
        )
