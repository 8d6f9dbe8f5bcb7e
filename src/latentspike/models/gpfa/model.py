"""`GPFA`: the model as the rest of the library sees it."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from latentspike.models.gpfa.em import first_factors, fit_factors
from latentspike.models.gpfa.posterior import Factors, kernel
from latentspike.models.gpfa.readout import count_moments, expected_count
from latentspike.models.gpfa.trials import inferred, pieces
from latentspike.models.protocol import DataSpec
from latentspike.spikes import Posterior, SpikeData

Params = dict[str, np.ndarray]

_LEAST_SHARE = 0.01  # of a neuron's mean rate, below which no rate falls


@dataclass(frozen=True)
class GPFA:
    """Gaussian-process factor analysis: smooth latents behind square roots of counts.

    Each latent is a Gaussian process over the bins of a trial with a timescale of its own; the
    square root of a neuron's count is linear in the latents, with Gaussian noise. Fitted by
    expectation-maximisation, ours: as elephant's, but with entries missing anywhere, whole trials
    instead of pieces of 20 bins, and all trials at once. What is not read (missing entries,
    held-out neurons, forward bins) has no likelihood, and its rates follow from the latents.

    Rates are expected Poisson counts whose roots have the mean that the latents give, averaged
    over the posterior; one factor for each neuron makes its mean over the training trials right.
    (The square of the root itself would be too low by far where a bin holds less than a spike.) No
    rate falls below 1 % of the neuron's mean.

    In trials of more than 1200 latents × bins, latents are fitted to pieces of a trial and
    inferred in windows that overlap by four timescales. Of trials with more than 100 different
    patterns of missing entries, those with the 100 most frequent ones are fitted.

    Parameters
    ----------
    n_latents : int
        Fewer than neurons. Too many do less harm than too few: of 30 neurons that
        `simulate.linear_factors` made, held-out ones had 0.061, 0.068, 0.065 and 0.066 bits per
        spike with 2, 4, 8 and 16 latents (200 trials of 60 bins, a quarter of them tested).
    max_iterations : int
        Of expectation-maximisation, every second one a leap.
    tolerance : float
        Stop when two iterations raise the log-likelihood by less, in nats per bin and trial.

    Raises
    ------
    ValueError
        Naming the setting that is out of range.

    References
    ----------
    Yu, Cunningham, Santhanam, Ryu, Shenoy & Sahani (2009), Gaussian-process factor analysis for
    low-dimensional single-trial analysis of neural population activity, J. Neurophysiol. 102.

    Examples
    --------
    >>> import jax
    >>> from latentspike.simulate import linear_factors
    >>> data = linear_factors(n_conditions=2, n_trials_per_condition=5, seed=0)
    >>> model, key = GPFA(n_latents=2, max_iterations=3), jax.random.key(0)
    >>> params = model.estimate(model.init(DataSpec.of(data), key=key), data, key=key)
    >>> found = model.infer(params, data)
    >>> found.factors.shape, bool(found.rates.min() > 0)
    ((10, 100, 2), True)
    """

    n_latents: int = 8
    max_iterations: int = 200
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("n_latents", "max_iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not (np.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance must not be negative, got {self.tolerance}")

    def init(self, spec: DataSpec, *, key: jax.Array | None = None) -> Params:
        """Parameters before any fit: latents that drive nothing. ``key`` is not used.

        Returns
        -------
        ``loadings`` [neurons, latents]; ``offsets`` and ``noise`` [neurons], mean and variance of
        the root counts; ``timescales`` [latents], in bins; ``gain`` [neurons]; ``least``
        [neurons], expected count below which none falls; ``log_likelihood``, nats.

        Raises
        ------
        ValueError
            If there are not more neurons than latents.
        """
        n = spec.n_neurons
        if self.n_latents >= n:
            raise ValueError(f"n_latents must be less than the {n} neurons, got {self.n_latents}")
        mean = np.asarray(spec.mean_counts, np.float64)
        return {
            "loadings": np.zeros((n, self.n_latents)),
            "offsets": np.sqrt(mean),
            "noise": np.ones(n),
            "timescales": np.full(self.n_latents, 5.0),
            "gain": np.ones(n),
            "least": np.maximum(_LEAST_SHARE * mean, 1e-9),
            "log_likelihood": np.array(np.nan),
        }

    def estimate(self, params: Params, data: SpikeData, *, key: jax.Array | None = None) -> Params:
        """Maximum likelihood from a factor analysis of single bins; ``key`` is not used.

        A neuron without a spike takes no part, and gets the rate of half a spike in all its bins.

        Raises
        ------
        ValueError
            If the recording is continuous, does not fit the parameters, has a neuron that was
            never observed, or too few neurons whose counts vary.
        """
        _check(params, data)
        y, observed = pieces(data, self.n_latents)
        varies = self._varying(data, y, observed)
        first = first_factors(y[..., varies], observed[..., varies], self.n_latents, data.bin_width)
        found, history = fit_factors(
            first,
            y[..., varies],
            observed[..., varies],
            max_iterations=self.max_iterations,
            tolerance=self.tolerance,
        )
        spec = DataSpec.of(data)
        half_a_spike = 0.5 / data.observed.sum(axis=(0, 1))
        fitted = self.init(spec) | {
            "timescales": found.timescales,
            "least": np.maximum(_LEAST_SHARE * spec.mean_counts, half_a_spike),
            "log_likelihood": np.array(history[-1]),
        }
        for name in ("loadings", "offsets", "noise"):
            fitted[name][varies] = getattr(found, name)
        return fitted | {"gain": _gain(fitted, data)}

    def infer(
        self,
        params: Params,
        data: SpikeData,
        *,
        n_samples: int = 0,
        key: jax.Array | None = None,
    ) -> Posterior:
        """Rates in Hz and latents of each trial, with their posterior standard deviations.

        Factors are the latents in the orthonormal coordinates of Yu et al. (2009), eqs. 7 and 8:
        those that move the neurons most come first. The posterior is exact, so ``n_samples`` and
        ``key``, part of the protocol, change nothing.

        Raises
        ------
        ValueError
            If the recording is continuous or does not fit the parameters.
        """
        _check(params, data)
        factors = _factors(params)
        shape = (data.n_trials, data.n_bins, factors.loadings.shape[1])
        expected, expected_std = np.empty(data.counts.shape), np.empty(data.counts.shape)
        latents, latents_std = np.empty(shape), np.empty(shape)
        turn = _orthonormal(factors.loadings)
        for trials, bins, mean, covariance in inferred(factors, data, data.readable):
            here = np.ix_(trials, bins)
            first, second = _counts(params, mean, covariance)
            expected[here], expected_std[here] = first, second
            latents[here] = mean @ turn.T
            latents_std[here] = np.sqrt(_variances(turn, covariance))
        return Posterior(
            expected / data.bin_width,
            data.bin_width,
            data.trial_ids,
            data.neuron_ids,
            t_start=data.t_start,
            rates_std=expected_std / data.bin_width,
            factors=latents,
            factors_std=latents_std,
        )

    def simulate(
        self, params: Params, *, n_trials: int, n_bins: int, bin_width: float, key: jax.Array
    ) -> SpikeData:
        """Latents drawn from their Gaussian processes, and Poisson spikes at their rates.

        Parameters
        ----------
        params : fitted
        n_trials, n_bins : size
        bin_width : seconds; that of the fit
        key : PRNG key

        Returns
        -------
        SpikeData
            With ``truth``: ``rates`` in Hz, and ``factors`` as `infer` gives them.
        """
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
        factors = _factors(params)
        roots = [np.linalg.cholesky(kernel(scale, n_bins)) for scale in factors.timescales]
        drawn = rng.standard_normal((len(roots), n_trials, n_bins))
        x = np.stack([noise @ root.T for root, noise in zip(roots, drawn, strict=True)], axis=2)
        expected = _scaled(params, expected_count(x @ factors.loadings.T + factors.offsets))
        return SpikeData(
            rng.poisson(expected),
            bin_width=bin_width,
            truth={
                "rates": expected / bin_width,
                "factors": x @ _orthonormal(factors.loadings).T,
            },
        )

    def _varying(self, data: SpikeData, y: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Which neurons can be fitted, bool [neurons]."""
        n_seen = observed.sum(axis=(0, 1))
        if not n_seen.all():
            neuron = data.neuron_ids[np.argmin(n_seen)]
            raise ValueError(f"neuron {neuron} was never observed in these trials; leave it out")
        varies = np.var(y, axis=(0, 1), where=observed) > 0
        if varies.sum() <= self.n_latents:
            raise ValueError(
                f"n_latents must be less than the {int(varies.sum())} neurons whose counts vary, "
                f"got {self.n_latents}"
            )
        return varies


def _factors(params: Params) -> Factors:
    return Factors(*(np.asarray(params[name], np.float64) for name in Factors._fields))


def _counts(
    params: Params, mean: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Expected counts and their spread from latents [trials, bins, latents] and covariances."""
    loadings = np.asarray(params["loadings"])
    root = mean @ loadings.T + np.asarray(params["offsets"])
    first, spread = count_moments(root, _variances(loadings, covariance))
    return _scaled(params, first), spread * np.asarray(params["gain"])


def _scaled(params: Params, expected: np.ndarray) -> np.ndarray:
    return np.maximum(expected * np.asarray(params["gain"]), np.asarray(params["least"]))


def _variances(rows: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Of the latents [bins, latents, latents] seen through some rows; never below 0."""
    return np.maximum(np.einsum("nk,tkl,nl->tn", rows, covariance, rows, optimize=True), 0.0)


def _orthonormal(loadings: np.ndarray) -> np.ndarray:
    """Singular values times right singular vectors: latents to orthonormal coordinates."""
    _, scale, right = np.linalg.svd(loadings, full_matrices=False)
    signs = np.where(right.sum(axis=1) < 0, -1.0, 1.0)
    return (signs * scale)[:, None] * right


def _gain(params: Params, data: SpikeData) -> np.ndarray:
    """What makes the expected counts of each neuron right in the mean over these trials."""
    total = np.zeros(data.n_neurons)
    everything = np.ones(data.counts.shape[1:], bool)
    for trials, bins, mean, covariance in inferred(_factors(params), data, everything):
        expected = _counts(params, mean, covariance)[0]
        total += np.sum(expected, axis=(0, 1), where=data.observed[np.ix_(trials, bins)])
    spikes = np.sum(data.counts, axis=(0, 1), where=data.observed, dtype=np.float64)
    return np.where(spikes > 0, spikes / total, 1.0)


def _check(params: Params, data: SpikeData) -> None:
    if data.kind != "counts":
        raise ValueError("GPFA needs spike counts, but the recording is continuous")
    if len(params["offsets"]) != data.n_neurons:
        raise ValueError(
            f"parameters are for {len(params['offsets'])} neurons, the data has {data.n_neurons}"
        )
