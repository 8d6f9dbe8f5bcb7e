"""Spikes of neurons that read a chaotic Lorenz system."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentspike.simulate.linear_factors import unit_loadings
from latentspike.simulate.observe import check_positive, observe, random_streams, whole_steps
from latentspike.spikes import SpikeData

# Long-run mean and standard deviation of x, y, z for the classical parameters. Constants, rather
# than statistics of the drawn trials, so that adding conditions does not change earlier ones.
_MEAN = np.array([0.0, 0.0, 23.55])
_SD = np.array([7.92, 9.01, 8.62])


@dataclass(frozen=True)
class Lorenz:
    """Settings of `lorenz`.

    Parameters
    ----------
    n_conditions, n_trials_per_condition, n_neurons : int
    duration, bin_width : float
        Seconds.
    mean_rate : float
        Hz at the attractor's centre.
    modulation : float
        Standard deviation of a neuron's log rate.
    speed : float
        Lorenz time units per second.
    dt : float
        Longest Runge–Kutta step, in Lorenz time units.
    """

    n_conditions: int = 65
    n_trials_per_condition: int = 20
    n_neurons: int = 30
    duration: float = 1.0
    bin_width: float = 0.01
    mean_rate: float = 10.0
    modulation: float = 0.9
    speed: float = 6.0
    dt: float = 0.01

    def __post_init__(self) -> None:
        check_positive(**dataclasses.asdict(self))
        whole_steps("duration in bins", self.duration, self.bin_width)


def lorenz(settings: Lorenz | None = None, *, seed: int, **changes: Any) -> SpikeData:
    """Poisson spikes with log rates linear in the three coordinates of a Lorenz system.

    ``dx = 10 (y − x)``, ``dy = x (28 − z) − y``, ``dz = x y − 8 z / 3``. Conditions are initial
    states on the attractor; trials of a condition share their rates exactly.

    Parameters
    ----------
    settings : Lorenz, optional
    seed : int
        The same seed gives the same loadings and first conditions whatever their number.
    **changes
        Fields of `Lorenz` to set by name.

    Returns
    -------
    SpikeData
        ``truth`` with ``rates`` in Hz and ``factors`` [trials, bins, 3], standardised by the
        attractor's long-run mean and spread.

    References
    ----------
    Lorenz (1963), eqs. (25)–(27); as a test of LFADS in Sussillo et al. (2016), section 4.1.

    Examples
    --------
    >>> data = lorenz(n_conditions=2, n_trials_per_condition=3, seed=0)
    >>> data.counts.shape, data.truth["factors"].shape
    ((6, 100, 30), (6, 100, 3))
    """
    settings = dataclasses.replace(settings or Lorenz(), **changes)
    streams = random_streams(seed, "network", "initial", "spikes")
    conditions = np.repeat(np.arange(settings.n_conditions), settings.n_trials_per_condition)
    start = _MEAN + _SD * streams["initial"].standard_normal((settings.n_conditions, 3))
    factors = (_trajectories(settings, start) - _MEAN) / _SD
    loadings = unit_loadings(3, settings.n_neurons, streams["network"])
    rates = settings.mean_rate * np.exp(settings.modulation * (factors @ loadings))
    truth = {"rates": rates[conditions], "factors": factors[conditions]}
    return observe(truth, conditions, bin_width=settings.bin_width, generator=streams["spikes"])


def _trajectories(settings: Lorenz, state: np.ndarray) -> np.ndarray:
    """States [conditions, bins, 3] after a burn-in that brings them onto the attractor."""
    n_bins = whole_steps("duration in bins", settings.duration, settings.bin_width)
    state = _advance(state, 10.0, settings.dt)
    states = np.empty((len(state), n_bins, 3))
    for time_bin in range(n_bins):
        states[:, time_bin] = state
        state = _advance(state, settings.speed * settings.bin_width, settings.dt)
    return states


def _advance(state: np.ndarray, time: float, dt: float) -> np.ndarray:
    """Classical fourth-order Runge–Kutta over ``time``, in equal steps of at most ``dt``."""
    n_steps = int(np.ceil(time / dt - 1e-9))
    step = time / n_steps
    for _ in range(n_steps):
        k1 = _velocity(state)
        k2 = _velocity(state + step / 2 * k1)
        k3 = _velocity(state + step / 2 * k2)
        k4 = _velocity(state + step * k3)
        state = state + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return state


def _velocity(state: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(state, -1, 0)
    return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=-1)
