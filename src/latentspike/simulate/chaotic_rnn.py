"""Input-driven chaotic network: the synthetic recording of the LFADS hyperparameter paper."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentspike.simulate.observe import check_positive, observe, random_streams, whole_steps
from latentspike.spikes import SpikeData


@dataclass(frozen=True)
class ChaoticRNN:
    """Settings of `chaotic_rnn`; the defaults are those of the paper.

    Parameters
    ----------
    n_conditions, n_trials_per_condition, n_neurons, n_inputs : int
    gamma : float
        Gain of the recurrent weights; chaotic above about 1.
    time_constant, duration, bin_width : float
        Seconds.
    max_rate : float
        Hz; ``tanh`` between −1 and 1 becomes a rate between 0 and this.
    dt : float
        Euler step in seconds. Inputs are drawn once per bin and held over its steps.

    Raises
    ------
    ValueError
        Naming the setting that is not positive, or a bin that is no whole number of steps.
    """

    n_conditions: int = 400
    n_trials_per_condition: int = 10
    n_neurons: int = 50
    gamma: float = 2.5
    time_constant: float = 0.025
    n_inputs: int = 2
    duration: float = 1.0
    bin_width: float = 0.01
    max_rate: float = 30.0
    dt: float = 0.01

    def __post_init__(self) -> None:
        settings = dataclasses.asdict(self)
        if settings.pop("n_inputs") < 0:
            raise ValueError(f"n_inputs must be 0 or more, got {self.n_inputs}")
        check_positive(**settings)
        if self.dt > self.time_constant:
            raise ValueError(
                f"dt = {self.dt} s is longer than time_constant = {self.time_constant} s: "
                "the Euler steps would overshoot"
            )
        whole_steps("duration in bins", self.duration, self.bin_width)
        whole_steps("bin_width in steps of dt", self.bin_width, self.dt)

    @property
    def n_bins(self) -> int:
        """Bins per trial."""
        return whole_steps("duration in bins", self.duration, self.bin_width)


def chaotic_rnn(settings: ChaoticRNN | None = None, *, seed: int, **changes: Any) -> SpikeData:
    """Poisson spikes of a chaotic rate network driven by white-noise inputs.

    ``τ dy/dt = −y + γ W tanh(y) + B q`` with ``W ~ N(0, 1/N)``, ``B ~ N(0, 1)`` and, independently
    for every trial and bin, ``q ~ N(0, 1)``. Trials of a condition share their initial state
    (standard normal) and nothing else. A bin's rate is ``max_rate (1 + tanh y) / 2`` with ``y`` at
    the bin's end, so that a bin's inputs already act on its rates.

    Networks of 50 units differ much: the best Gaussian smoothing of 80 × 10 trials reaches an R²
    between 0 (seeds 0, 2, 5, 7: fast) and 0.24 (seeds 1 and 3: slow) of the true rates. Compare
    models on the same seed only.

    Parameters
    ----------
    settings : ChaoticRNN, optional
    seed : int
        Network, initial states, inputs and spikes have separate streams: the same seed gives the
        same network, and the same first conditions, whatever the number of conditions.
    **changes
        Fields of `ChaoticRNN` to set by name.

    Returns
    -------
    SpikeData
        Trials ordered by condition, ``truth`` with ``rates`` [trials, bins, neurons] in Hz and
        ``inputs`` [trials, bins, n_inputs], both float32.

    References
    ----------
    Keshtkaran & Pandarinath (2019), section 2.2, eq. (1); after Sussillo et al. (2016),
    sections 4.2–4.3.

    Examples
    --------
    >>> data = chaotic_rnn(n_conditions=3, n_trials_per_condition=2, seed=0)
    >>> data.counts.shape, data.truth["inputs"].shape
    ((6, 100, 50), (6, 100, 2))
    """
    settings = dataclasses.replace(settings or ChaoticRNN(), **changes)
    streams = random_streams(seed, "network", "initial", "inputs", "spikes")
    n_trials = settings.n_conditions * settings.n_trials_per_condition
    conditions = np.repeat(np.arange(settings.n_conditions), settings.n_trials_per_condition)
    start = streams["initial"].standard_normal((settings.n_conditions, settings.n_neurons))
    shape = (n_trials, settings.n_bins, settings.n_inputs)
    inputs = streams["inputs"].standard_normal(shape, dtype=np.float32)
    recurrent, driving = _network(settings, streams["network"])
    rates = _rates(settings, recurrent, driving, start[conditions].astype(np.float32), inputs)
    truth = {"rates": rates, "inputs": inputs} if settings.n_inputs else {"rates": rates}
    return observe(truth, conditions, bin_width=settings.bin_width, generator=streams["spikes"])


def _network(settings: ChaoticRNN, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Gain-scaled recurrent weights [to, from] and input weights [neurons, n_inputs]."""
    n = settings.n_neurons
    recurrent = settings.gamma * generator.standard_normal((n, n)) / np.sqrt(n)
    driving = generator.standard_normal((n, settings.n_inputs))
    return recurrent.astype(np.float32), driving.astype(np.float32)


def _rates(
    settings: ChaoticRNN,
    recurrent: np.ndarray,
    driving: np.ndarray,
    state: np.ndarray,
    inputs: np.ndarray,
) -> np.ndarray:
    n_steps = whole_steps("bin_width in steps of dt", settings.bin_width, settings.dt)
    step = np.float32(settings.dt / settings.time_constant)
    rates = np.empty((len(state), settings.n_bins, settings.n_neurons), np.float32)
    for time_bin in range(settings.n_bins):
        drive = inputs[:, time_bin] @ driving.T
        for _ in range(n_steps):
            state = state + step * (drive - state + np.tanh(state) @ recurrent.T)
        rates[:, time_bin] = np.float32(settings.max_rate / 2) * (1 + np.tanh(state))
    return rates
