"""Gaussian smoothing of spikes: the baseline beside every score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np

from latentspike.evaluate.kernel import smooth
from latentspike.evaluate.poisson_regression import PoissonRegression, fit_poisson
from latentspike.models.protocol import DataSpec
from latentspike.spikes import Posterior, SpikeData

Params = dict[str, np.ndarray]


@dataclass(frozen=True)
class GaussianSmoothing:
    """Rates of a neuron from its own smoothed spikes.

    The kernel is renormalised at the edges of a trial and over missing bins. Held-out neurons are
    predicted by a Poisson regression on the smoothed rates of the others, fitted by `estimate`.

    Parameters
    ----------
    width : float
        Standard deviation of the Gaussian in seconds; see `tuned_smoothing`.
    forward : "mean" or "last"
        Held-in neurons in forward bins get their mean rate over the training data, or their
        smoothed rate in the last bin read. (Held-out ones follow by the regression.)
    penalty : float
        Ridge penalty of the regression, see `fit_poisson`.
    heldout_width : float, optional
        Of the rates that the regression reads, by default ``width``. It averages over neurons
        and so gets by with less smoothing than a neuron's own rate.

    References
    ----------
    Keshtkaran & Pandarinath (2019), section 4.3: spikes smoothed with a Gaussian of 60 ms.

    Examples
    --------
    >>> import jax
    >>> from latentspike.models.protocol import DataSpec
    >>> from latentspike.simulate import chaotic_rnn
    >>> data = chaotic_rnn(n_conditions=2, n_trials_per_condition=3, seed=0)
    >>> model, key = GaussianSmoothing(width=0.05), jax.random.key(0)
    >>> params = model.estimate(model.init(DataSpec.of(data), key=key), data, key=key)
    >>> model.infer(params, data).rates.shape
    (6, 100, 50)
    """

    width: float = 0.06
    forward: Literal["mean", "last"] = "mean"
    penalty: float = 10.0
    heldout_width: float | None = None

    def __post_init__(self) -> None:
        for name, width in (("width", self.width), ("heldout_width", self._read_width)):
            if not (np.isfinite(width) and width > 0):
                raise ValueError(f"{name} must be a positive number of seconds, got {width}")
        if self.forward not in ("mean", "last"):
            raise ValueError(f"forward must be 'mean' or 'last', got {self.forward!r}")
        if not self.penalty > 0:
            raise ValueError(f"penalty must be positive, got {self.penalty}")

    @property
    def label(self) -> str:
        """The widths in words.

        Examples
        --------
        >>> GaussianSmoothing(0.06).label, GaussianSmoothing(0.06, heldout_width=0.02).label
        ('σ = 60 ms', 'σ = 60 ms (20 ms for held-out neurons)')
        """
        own = f"σ = {1e3 * self.width:g} ms"
        if self._read_width == self.width:
            return own
        return f"{own} ({1e3 * self._read_width:g} ms for held-out neurons)"

    @property
    def _read_width(self) -> float:
        return self.width if self.heldout_width is None else self.heldout_width

    def init(self, spec: DataSpec, *, key: jax.Array | None = None) -> Params:
        """Parameters before any fit: mean counts per bin, and a regression that returns them.

        ``key`` is not used: nothing here is random.
        """
        n_heldout = spec.n_neurons - spec.n_read_neurons
        return {
            "mean_counts": np.asarray(spec.mean_counts, np.float64),
            "weights": np.zeros((spec.n_read_neurons, n_heldout)),
            "intercept": np.full(n_heldout, np.nan),
            "feature_mean": np.zeros(spec.n_read_neurons),
            "feature_spread": np.ones(spec.n_read_neurons),
        }

    def estimate(self, params: Params, data: SpikeData, *, key: jax.Array | None = None) -> Params:
        """Mean counts and, with held-out neurons, their regression on the smoothed others.

        Raises
        ------
        ValueError
            If a held-out neuron was never observed, or the parameters are of other data.
        """
        _check(params, data)
        fitted = {**params, "mean_counts": DataSpec.of(data).mean_counts}
        if not data.heldout.any():
            return fitted
        smoothed = _smoothed(fitted, data, self._read_width)
        bins, n_heldout = slice(0, data.n_read_bins), int(data.heldout.sum())
        regression = fit_poisson(
            smoothed.reshape(-1, smoothed.shape[2]),
            data.counts[:, bins, data.heldout].reshape(-1, n_heldout),
            data.observed[:, bins, data.heldout].reshape(-1, n_heldout),
            penalty=self.penalty,
        )
        return {
            **fitted,
            "weights": regression.weights,
            "intercept": regression.intercept,
            "feature_mean": regression.mean,
            "feature_spread": regression.spread,
        }

    def infer(
        self,
        params: Params,
        data: SpikeData,
        *,
        n_samples: int = 0,
        key: jax.Array | None = None,
    ) -> Posterior:
        """Smoothed rates in Hz (for continuous data in its own unit); there is no spread.

        ``n_samples`` and ``key`` are part of the protocol and change nothing here.
        """
        _check(params, data)
        expected = np.empty(data.counts.shape)
        expected[:, :, ~data.heldout] = self._heldin(params, data, self.width)
        if data.heldout.any():
            features = expected[:, :, ~data.heldout]
            if self._read_width != self.width:
                features = self._heldin(params, data, self._read_width)
            expected[:, :, data.heldout] = self._heldout(params, data, features)
        scale = data.bin_width if data.kind == "counts" else 1.0
        return Posterior(
            expected / scale, data.bin_width, data.trial_ids, data.neuron_ids, t_start=data.t_start
        )

    def _heldin(self, params: Params, data: SpikeData, width: float) -> np.ndarray:
        """Expected counts of held-in neurons in all bins."""
        smoothed = _smoothed(params, data, width)
        after = params["mean_counts"][~data.heldout]
        if self.forward == "last":
            after = smoothed[:, -1:]
        shape = (data.n_trials, data.n_forward_bins, smoothed.shape[2])
        return np.concatenate([smoothed, np.broadcast_to(after, shape)], axis=1)

    def _heldout(self, params: Params, data: SpikeData, features: np.ndarray) -> np.ndarray:
        if np.isnan(params["intercept"]).any():  # `init` only: no regression has been fitted
            return np.broadcast_to(
                params["mean_counts"][data.heldout], (*features.shape[:2], len(params["intercept"]))
            )
        regression = PoissonRegression(
            params["weights"], params["intercept"], params["feature_mean"], params["feature_spread"]
        )
        return regression.predict(features)


def _smoothed(params: Params, data: SpikeData, width: float) -> np.ndarray:
    """Held-in counts per bin, smoothed; the mean where the kernel covers nothing observed."""
    bins = slice(0, data.n_read_bins)
    smoothed, weight = smooth(
        data.counts[:, bins, ~data.heldout],
        data.observed[:, bins, ~data.heldout],
        width_bins=width / data.bin_width,
    )
    return np.where(weight > 0, smoothed, params["mean_counts"][~data.heldout])


def _check(params: Params, data: SpikeData) -> None:
    expected = int((~data.heldout).sum()), int(data.heldout.sum())
    if params["weights"].shape != expected or params["mean_counts"].shape != (data.n_neurons,):
        n_in, n_out = params["weights"].shape
        raise ValueError(
            f"parameters are for {n_in} held-in and {n_out} held-out neurons, the data has "
            f"{expected[0]} and {expected[1]}"
        )
    if data.kind != "counts" and data.heldout.any():
        raise ValueError("held-out neurons are predicted by Poisson regression: it needs counts")


WIDTHS = (0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.25, 0.4)  # seconds


def tuned_smoothing(data: SpikeData) -> GaussianSmoothing:
    """The baseline with both widths chosen on these trials.

    Raises
    ------
    ValueError
        If the data is continuous.

    Examples
    --------
    >>> from latentspike.simulate import linear_factors
    >>> data = linear_factors(n_conditions=4, n_trials_per_condition=2, seed=0)
    >>> tuned_smoothing(data).width in WIDTHS
    True
    """
    heldout = choose_heldout_width(data) if data.heldout.any() else None
    return GaussianSmoothing(width=choose_width(data), heldout_width=heldout)


def choose_width(data: SpikeData, widths: Sequence[float] = WIDTHS) -> float:
    """The kernel width that makes a neuron's spikes most likely, each without its own bin.

    So the narrowest kernel does not win by copying. The smoothed rate is mixed with 1 % of the
    neuron's mean, so that one lonely spike does not decide.

    Parameters
    ----------
    data : SpikeData
        Counts; held-in neurons and read bins are used.
    widths : sequence of float
        Candidates in seconds.

    Returns
    -------
    float
        The best of ``widths``, in seconds.

    Raises
    ------
    ValueError
        If the data is continuous, or there is no candidate.
    """
    _check_candidates(data, widths)
    return float(max(widths, key=lambda width: leave_one_out_log_likelihood(data, width)))


def choose_heldout_width(data: SpikeData, widths: Sequence[float] = WIDTHS) -> float:
    """The width for the regression: that which makes spikes of held-out neurons most likely.

    Those of every fourth trial, predicted by a baseline that was fitted to the other trials (300
    trials at most are used). With fewer than four trials the width of `choose_width`, whose
    parameters, result and errors these are.
    """
    _check_candidates(data, widths)
    if data.n_trials < 4:
        return choose_width(data, widths)
    some = data.select_trials(
        np.linspace(0, data.n_trials - 1, min(data.n_trials, 300)).astype(int)
    )
    scored = np.arange(some.n_trials) % 4 == 3
    known, unknown = some.select_trials(~scored), some.select_trials(scored)
    return float(max(widths, key=lambda width: _heldout_log_likelihood(width, known, unknown)))


def _check_candidates(data: SpikeData, widths: Sequence[float]) -> None:
    if not len(widths) or data.kind != "counts":
        raise ValueError("to choose a width takes at least one candidate, and spike counts")


def _heldout_log_likelihood(width: float, known: SpikeData, unknown: SpikeData) -> float:
    """Poisson log-likelihood of held-out neurons' counts in trials that the fit did not see."""
    model = GaussianSmoothing(width=width)
    posterior = model.infer(model.estimate(model.init(DataSpec.of(known)), known), unknown)
    part = (slice(None), slice(0, unknown.n_read_bins), unknown.heldout)
    expected = posterior.rates[part] * unknown.bin_width
    gain = unknown.counts[part] * np.log(np.maximum(expected, 1e-9)) - expected
    return float(np.sum(gain, where=unknown.observed[part]))


def leave_one_out_log_likelihood(data: SpikeData, width: float) -> float:
    """Poisson log-likelihood, in nats per bin, of counts under smoothing without the own bin.

    The constant ``log(counts!)`` is left out.
    """
    bins = slice(0, data.n_read_bins)
    counts, observed = data.counts[:, bins, ~data.heldout], data.observed[:, bins, ~data.heldout]
    smoothed, weight = smooth(
        counts, observed, width_bins=width / data.bin_width, leave_one_out=True
    )
    total = np.sum(counts, axis=(0, 1), where=observed, dtype=np.float64)
    mean = total / np.maximum(observed.sum(axis=(0, 1)), 1)
    expected = np.where(weight > 0, 0.99 * smoothed + 0.01 * mean, mean)
    gain = counts * np.log(np.maximum(expected, 1e-12)) - expected
    return float(np.mean(gain, where=observed))
