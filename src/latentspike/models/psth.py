"""Peri-stimulus time histogram: the mean over training trials, the same for every trial."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from scipy.ndimage import correlate1d

from latentspike.evaluate.kernel import gaussian_kernel
from latentspike.models.protocol import DataSpec
from latentspike.spikes import Posterior, SpikeData

Params = dict[str, np.ndarray]


@dataclass(frozen=True)
class PSTH:
    """Rates that depend on the time in the trial, and on its condition, alone.

    What a model of single trials must beat: it reads no spike of the trials that it explains, so
    held-out neurons and forward bins are no harder than others. With conditions it does read their
    labels, which other models do not know. A label without a training trial gets the histogram of
    all trials.

    Few trials make a poor mean, and a rate of zero would forbid spikes. So the neuron's mean rate
    counts as ``prior_trials`` further trials, and for a condition the histogram of all trials does.
    A neuron without a spike has half a spike in all its observed bins.

    Parameters
    ----------
    width : float
        Standard deviation of a Gaussian over time in seconds; 0 for none.
    by_condition : bool
        One histogram for each condition, if the recording has conditions.
    prior_trials : float
        Weight of the prior mean, in trials.

    Raises
    ------
    ValueError
        Naming the setting that is out of range.

    Examples
    --------
    >>> import jax
    >>> from latentspike.simulate import chaotic_rnn
    >>> data = chaotic_rnn(n_conditions=2, n_trials_per_condition=3, seed=0)
    >>> model, key = PSTH(width=0.02), jax.random.key(0)
    >>> params = model.estimate(model.init(DataSpec.of(data), key=key), data, key=key)
    >>> rates = model.infer(params, data).rates
    >>> rates.shape, bool((rates[0] == rates[1]).all()), bool((rates[0] == rates[3]).all())
    ((6, 100, 50), True, False)
    """

    width: float = 0.0
    by_condition: bool = True
    prior_trials: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.width) and self.width >= 0):
            raise ValueError(f"width must be 0 or a positive number of seconds, got {self.width}")
        if not (np.isfinite(self.prior_trials) and self.prior_trials > 0):
            raise ValueError(f"prior_trials must be positive, got {self.prior_trials}")

    def init(self, spec: DataSpec, *, key: jax.Array | None = None) -> Params:
        """Parameters before any fit: the mean of each neuron in every bin. ``key`` is not used.

        Returns
        -------
        ``counts`` [bins, neurons], expected per bin in any trial; ``condition_counts``
        [conditions, bins, neurons]; ``conditions`` uint32 [conditions, length], their names as
        code points. Without conditions the latter two are empty.
        """
        shape = (spec.n_bins, spec.n_neurons)
        return {
            "counts": np.broadcast_to(np.asarray(spec.mean_counts, np.float64), shape).copy(),
            "condition_counts": np.zeros((0, *shape)),
            "conditions": np.zeros((0, 0), np.uint32),
        }

    def estimate(self, params: Params, data: SpikeData, *, key: jax.Array | None = None) -> Params:
        """Histograms of all observed entries, held-out neurons and forward bins included.

        Raises
        ------
        ValueError
            If the recording is continuous or does not fit the parameters.
        """
        _check(params, data)
        everything = self._histogram(data, _prior_means(data))
        fitted = {**params, "counts": everything}
        if data.conditions is None or not self.by_condition:
            return fitted
        labels = data.conditions.astype(str)
        names = np.unique(labels)
        each = [self._histogram(data.select_trials(labels == name), everything) for name in names]
        return {**fitted, "condition_counts": np.stack(each), "conditions": _as_codes(names)}

    def infer(
        self,
        params: Params,
        data: SpikeData,
        *,
        n_samples: int = 0,
        key: jax.Array | None = None,
    ) -> Posterior:
        """The histogram of each trial's condition, in Hz; there is no spread.

        ``n_samples`` and ``key`` are part of the protocol and change nothing here.

        Raises
        ------
        ValueError
            If the recording is continuous or does not fit the parameters.
        """
        _check(params, data)
        counts, known = np.asarray(params["counts"]), _as_names(params["conditions"])
        expected = np.broadcast_to(counts, data.counts.shape).copy()
        if data.conditions is not None:
            labels = data.conditions.astype(str)
            for name, own in zip(known, np.asarray(params["condition_counts"]), strict=True):
                expected[labels == name] = own
        return Posterior(
            expected / data.bin_width,
            data.bin_width,
            data.trial_ids,
            data.neuron_ids,
            t_start=data.t_start,
        )

    def simulate(
        self, params: Params, *, n_trials: int, n_bins: int, bin_width: float, key: jax.Array
    ) -> SpikeData:
        """Poisson spikes from the histograms; trials take the conditions in turn.

        Parameters
        ----------
        params : fitted
        n_trials, n_bins : size; no more bins than were fitted, the first ones are taken
        bin_width : seconds; that of the fit
        key : PRNG key

        Returns
        -------
        SpikeData
            With ``truth["rates"]`` in Hz and, where there are any, conditions.

        Raises
        ------
        ValueError
            If more bins are asked for than were fitted.
        """
        names = _as_names(params["conditions"])
        counts = np.asarray(params["condition_counts"] if len(names) else params["counts"][None])
        if n_bins > counts.shape[1]:
            raise ValueError(
                f"a PSTH of {counts.shape[1]} bins cannot make trials of {n_bins}; ask for fewer"
            )
        turn = np.arange(n_trials) % len(counts)
        expected = counts[turn, :n_bins]
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
        return SpikeData(
            rng.poisson(expected),
            bin_width=bin_width,
            conditions=names[turn] if len(names) else None,
            truth={"rates": expected / bin_width},
        )

    def _histogram(self, data: SpikeData, prior: np.ndarray) -> np.ndarray:
        """Expected counts per bin [bins, neurons], with a prior [bins, neurons] or [neurons]."""
        total = np.sum(data.counts, axis=0, where=data.observed, dtype=np.float64)
        n_seen = data.observed.sum(axis=0).astype(np.float64)
        if self.width > 0:
            kernel = gaussian_kernel(self.width / data.bin_width, data.n_bins)
            total, n_seen = (
                correlate1d(x, kernel, axis=0, mode="constant") for x in (total, n_seen)
            )
        return (total + self.prior_trials * prior) / (n_seen + self.prior_trials)


def _prior_means(data: SpikeData) -> np.ndarray:
    """Mean count per bin [neurons]; half a spike in all bins for a neuron that has none."""
    n_seen = np.maximum(data.observed.sum(axis=(0, 1)), 1)
    return np.maximum(DataSpec.of(data).mean_counts, 0.5 / n_seen)


def _as_codes(names: np.ndarray) -> np.ndarray:
    """Texts as rows of code points: files of parameters hold numbers only."""
    return np.ascontiguousarray(names).view(np.uint32).reshape(len(names), -1)


def _as_names(codes: np.ndarray) -> np.ndarray:
    codes = np.ascontiguousarray(codes, np.uint32)
    return codes.view(f"<U{codes.shape[1]}")[:, 0] if codes.size else np.zeros(0, "<U1")


def _check(params: Params, data: SpikeData) -> None:
    if data.kind != "counts":
        raise ValueError("a PSTH needs spike counts, but the recording is continuous")
    if params["counts"].shape != data.counts.shape[1:]:
        n_bins, n_neurons = params["counts"].shape
        raise ValueError(
            f"parameters are for {n_bins} bins and {n_neurons} neurons, the data has "
            f"{data.n_bins} and {data.n_neurons}"
        )
