"""Low-dimensional linear factors behind spikes, and the noisy linear samples of the 2019 paper."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from latentspike.simulate.observe import check_positive, observe, random_streams, whole_steps
from latentspike.spikes import SpikeData


@dataclass(frozen=True)
class LinearFactors:
    """Settings of `linear_factors`.

    Parameters
    ----------
    n_conditions, n_trials_per_condition, n_neurons, n_factors : int
    duration, bin_width : float
        Seconds.
    mean_rate : float
        Hz at factors of zero, for the ``"exp"`` link; the half-way rate for ``"softplus"``.
    modulation : float
        Standard deviation of a neuron's log rate (``"exp"``) or of its drive (``"softplus"``) when
        the factors have unit variance.
    max_frequency : float
        Hz; factor pairs rotate at frequencies between a fifth of this and this.
    decay_time : float
        Seconds; time constant with which factors forget their past.
    shared_noise : float
        Between 0 (trials of a condition have the same factors) and 1 (stationary process noise:
        factors keep unit variance, and trials forget their condition).
    link : "exp" or "softplus"
    """

    n_conditions: int = 20
    n_trials_per_condition: int = 10
    n_neurons: int = 40
    n_factors: int = 4
    duration: float = 1.0
    bin_width: float = 0.01
    mean_rate: float = 10.0
    modulation: float = 0.7
    max_frequency: float = 3.0
    decay_time: float = 0.5
    shared_noise: float = 0.3
    link: Literal["exp", "softplus"] = "exp"

    def __post_init__(self) -> None:
        settings = dataclasses.asdict(self)
        if settings.pop("link") not in ("exp", "softplus"):
            raise ValueError(f"link must be 'exp' or 'softplus', got {self.link!r}")
        if not 0 <= settings.pop("shared_noise") <= 1:
            raise ValueError(f"shared_noise must lie in [0, 1], got {self.shared_noise}")
        check_positive(**settings)
        whole_steps("duration in bins", self.duration, self.bin_width)


def linear_factors(
    settings: LinearFactors | None = None, *, seed: int, **changes: Any
) -> SpikeData:
    """Poisson spikes of neurons that read rotating, decaying linear factors.

    ``f[t+1] = A f[t] + shared_noise · sqrt(1 − ρ²) ε`` with ``A`` block-diagonal: rotations (one
    frequency per pair of factors) times ``ρ = exp(−bin_width / decay_time)``. Initial factors are
    standard normal, one draw per condition.

    Parameters
    ----------
    settings : LinearFactors, optional
    seed : int
        The same seed gives the same loadings and first conditions whatever their number.
    **changes
        Fields of `LinearFactors` to set by name.

    Returns
    -------
    SpikeData
        ``truth`` with ``rates`` in Hz and ``factors`` [trials, bins, n_factors].

    Examples
    --------
    >>> data = linear_factors(n_conditions=2, n_trials_per_condition=3, n_factors=3, seed=0)
    >>> data.truth["factors"].shape, data.truth["rates"].shape
    ((6, 100, 3), (6, 100, 40))
    """
    settings = dataclasses.replace(settings or LinearFactors(), **changes)
    streams = random_streams(seed, "network", "initial", "noise", "spikes")
    conditions = np.repeat(np.arange(settings.n_conditions), settings.n_trials_per_condition)
    start = streams["initial"].standard_normal((settings.n_conditions, settings.n_factors))
    factors = _trajectories(settings, start[conditions], streams["noise"])
    loadings = unit_loadings(settings.n_factors, settings.n_neurons, streams["network"])
    drive = settings.modulation * (factors @ loadings)
    truth = {"rates": settings.mean_rate * _link(drive, settings.link), "factors": factors}
    return observe(truth, conditions, bin_width=settings.bin_width, generator=streams["spikes"])


def unit_loadings(n_factors: int, n_neurons: int, generator: np.random.Generator) -> np.ndarray:
    """Loadings [factors, neurons] of length 1 per neuron, drawn neuron by neuron."""
    loadings = generator.standard_normal((n_neurons, n_factors))
    return (loadings / np.linalg.norm(loadings, axis=1, keepdims=True)).T


def transition_matrix(settings: LinearFactors) -> np.ndarray:
    """The block-diagonal ``A`` [n_factors, n_factors]; an odd last factor only decays."""
    matrix = np.eye(settings.n_factors)
    n_pairs = settings.n_factors // 2
    frequencies = np.linspace(settings.max_frequency, settings.max_frequency / 5, max(n_pairs, 1))
    for pair in range(n_pairs):
        angle = 2 * np.pi * frequencies[pair] * settings.bin_width
        block = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix[2 * pair : 2 * pair + 2, 2 * pair : 2 * pair + 2] = block
    return np.exp(-settings.bin_width / settings.decay_time) * matrix


def _trajectories(
    settings: LinearFactors, state: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    n_bins = whole_steps("duration in bins", settings.duration, settings.bin_width)
    matrix = transition_matrix(settings)
    decay = np.exp(-settings.bin_width / settings.decay_time)
    noise_sd = settings.shared_noise * np.sqrt(1 - decay**2)
    factors = np.empty((len(state), n_bins, settings.n_factors))
    for time_bin in range(n_bins):
        factors[:, time_bin] = state
        state = state @ matrix.T + noise_sd * generator.standard_normal(state.shape)
    return factors


def _link(drive: np.ndarray, link: str) -> np.ndarray:
    """Rate relative to the rate at zero drive."""
    return np.exp(drive) if link == "exp" else np.logaddexp(0, drive) / np.log(2)


def noisy_linear_samples(
    *, n_factors: int = 5, n_observed: int = 40, n_samples: int = 1200, seed: int
) -> SpikeData:
    """Noisy projections of Gaussian factors: the linear example for coordinated dropout.

    ``y_true = W f`` with ``W`` and ``f`` standard normal, and ``y = y_true + N(0, 1)``.

    Parameters
    ----------
    n_factors, n_observed, n_samples : int
        ``D``, ``M`` and the number of samples in the paper. Its 1000 training and 200 validation
        samples are the first 1000 and the last 200 of the default.
    seed : int
        The same seed gives the same ``W`` and the same first samples whatever their number.

    Returns
    -------
    SpikeData
        Continuous, one bin (1 s) per sample: ``counts`` [samples, 1, n_observed] holds ``y``,
        ``truth`` holds ``rates`` (``y_true``) and ``factors``.

    References
    ----------
    Keshtkaran & Pandarinath (2019), section 3.2, Fig. 3.

    Examples
    --------
    >>> data = noisy_linear_samples(seed=0)
    >>> train, validation = data.select_trials(slice(1000)), data.select_trials(slice(1000, None))
    >>> train.counts.shape, validation.counts.shape
    ((1000, 1, 40), (200, 1, 40))
    """
    check_positive(n_factors=n_factors, n_observed=n_observed, n_samples=n_samples)
    streams = random_streams(seed, "readout", "factors", "noise")
    readout = streams["readout"].standard_normal((n_observed, n_factors))
    factors = streams["factors"].standard_normal((n_samples, 1, n_factors))
    true = factors @ readout.T
    observed = true + streams["noise"].standard_normal(true.shape)
    truth = {"rates": true, "factors": factors}
    return SpikeData(observed, bin_width=1.0, truth=truth, kind="continuous")
