"""Motor cortex during a delayed reaching task, with known rates and the hand that they move."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentspike.simulate.linear_factors import unit_loadings
from latentspike.simulate.observe import (
    check_positive,
    poisson_counts,
    random_streams,
    whole_steps,
)
from latentspike.spikes import SpikeData

SHAPES = ("straight", "left", "right")
N_FACTORS = 10
# metres: length of a reach, and how far a curved one bulges to its side
_DISTANCE, _BULGE = 0.12, 0.04
_HAND_SPEED = 0.5  # m/s: that of a typical reach, whose factors have a size of about 1
_LEAD = 0.1  # s by which activity precedes the hand
_SWITCH = 0.025  # s: preparation ends, and movement begins, over about four times this
_PULSE = 0.055  # s: width of the pulse that all reaches share
_SPREAD_OF_RATES = 0.7  # standard deviation of a neuron's log baseline
_SATURATION = 120.0  # Hz
# standard deviations over trials, all scaled by `variability`
_SD = {"direction": 0.15, "distance": 0.1, "bulge": 0.015, "duration": 0.15, "lead": 0.012}


@dataclass(frozen=True)
class Reaching:
    """Settings of `reaching`.

    Parameters
    ----------
    n_conditions : int
        Directions × shapes: straight, curved to the left, curved to the right; 24 are 8 directions.
    n_trials_per_condition, n_neurons : int
    before, after : float
        Seconds of a trial before and after movement onset.
    bin_width : float
        Seconds.
    reach_duration : float
        Seconds from onset to the end of a typical reach.
    mean_rate : float
        About the mean over neurons, in Hz.
    modulation : float
        Length of a neuron's loadings on the factors, which are of size 1: about three times the
        standard deviation of its log rate.
    variability : float
        How much trials of a condition differ; 0 makes them repeat the same rates.
    """

    n_conditions: int = 24
    n_trials_per_condition: int = 20
    n_neurons: int = 150
    before: float = 0.25
    after: float = 0.45
    bin_width: float = 0.002
    reach_duration: float = 0.4
    mean_rate: float = 7.0
    modulation: float = 1.8
    variability: float = 1.0

    def __post_init__(self) -> None:
        settings = dataclasses.asdict(self)
        variability = settings.pop("variability")
        if not (np.isfinite(variability) and variability >= 0):
            raise ValueError(f"variability must be 0 or more, got {variability}")
        check_positive(**settings)
        for name in ("before", "after"):
            whole_steps(f"{name} in bins", settings[name], self.bin_width)

    @property
    def times(self) -> np.ndarray:
        """Bin centers relative to movement onset, in seconds [bins]."""
        n_before = whole_steps("before in bins", self.before, self.bin_width)
        n_after = whole_steps("after in bins", self.after, self.bin_width)
        return (np.arange(-n_before, n_after) + 0.5) * self.bin_width


@dataclass(frozen=True)
class _Trials:
    """What is drawn for each trial: [trials] or [trials, 2]."""

    forward: np.ndarray  # length of the reach along its direction, m
    sideways: np.ndarray  # bulge across it, m
    duration: np.ndarray  # s
    lead: np.ndarray  # s


def reaching(settings: Reaching | None = None, *, seed: int, **changes: Any) -> SpikeData:
    """Poisson spikes of a motor-cortical population before and during reaches.

    Ten factors: a preparatory state that lasts until shortly before movement onset (where the hand
    will go, and the bulge of its path: 4), a pulse and its derivative that are the same in all
    directions and stronger for faster reaches (2), and two planes in which the state rotates
    during the reach (4), whose first axes are the hand's velocity about 100 ms later. The
    preparatory state of a trial sets the size and the phase of its rotation. Directions,
    distances, bulges, durations and leads differ from trial to trial, and with them the path of
    the hand: trials of a condition share neither their rates nor their paths.

    Parameters
    ----------
    settings : Reaching, optional
    seed : int
        Population, trials and spikes have separate streams: the same seed gives the same
        population, whatever the number of trials.
    **changes
        Fields of `Reaching` to set by name.

    Returns
    -------
    SpikeData
        Trials ordered by condition, aligned to movement onset. ``behavior`` with
        ``hand_position`` (m, 0 at the start) and ``hand_velocity`` (m/s) [trials, bins, 2],
        ``conditions`` such as ``"45° left"``, ``truth`` with ``rates`` in Hz and ``factors``
        [trials, bins, 10], both float32.

    References
    ----------
    The task of Keshtkaran & Pandarinath (2019), section 4.1, after Churchland et al. (2012). Hand
    speed is that of minimum jerk, Flash & Hogan (1985).

    Examples
    --------
    >>> data = reaching(n_conditions=3, n_trials_per_condition=2, n_neurons=5, seed=0)
    >>> data.counts.shape, data.behavior["hand_velocity"].shape, data.t_start
    ((6, 350, 5), (6, 350, 2), -0.25)
    >>> data.conditions.tolist()[::2]
    ['0° straight', '0° left', '0° right']
    """
    settings = dataclasses.replace(settings or Reaching(), **changes)
    streams = random_streams(seed, "population", "trials", "spikes")
    conditions = np.repeat(np.arange(settings.n_conditions), settings.n_trials_per_condition)
    trials = _draw_trials(settings, conditions, streams["trials"])
    velocity, _ = _movement(trials, settings.times, 0 * trials.lead)
    factors = _factors(settings, trials)
    truth = {"rates": _rates(settings, factors, streams["population"]), "factors": factors}
    return SpikeData(
        poisson_counts(truth["rates"], settings.bin_width, streams["spikes"]),
        settings.bin_width,
        t_start=-settings.before,
        behavior={
            "hand_position": _integrated(velocity, settings.bin_width),
            "hand_velocity": velocity,
        },
        conditions=_names(settings)[conditions],
        truth=truth,
    )


def _directions(settings: Reaching) -> np.ndarray:
    """Angle of each condition's target, in radians [conditions]."""
    n_directions = -(-settings.n_conditions // len(SHAPES))
    return 2 * np.pi * (np.arange(settings.n_conditions) // len(SHAPES)) / n_directions


def _names(settings: Reaching) -> np.ndarray:
    angles = np.rad2deg(_directions(settings))
    return np.array([f"{a:g}° {SHAPES[k % len(SHAPES)]}" for k, a in enumerate(angles.round(1))])


def _draw_trials(
    settings: Reaching, conditions: np.ndarray, generator: np.random.Generator
) -> _Trials:
    noise = generator.standard_normal((len(_SD), conditions.size))
    drawn = {
        name: settings.variability * sd * row
        for (name, sd), row in zip(_SD.items(), noise, strict=True)
    }
    angle = _directions(settings)[conditions] + drawn["direction"]
    ahead = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    left = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    side = np.array([0.0, 1.0, -1.0])[conditions % len(SHAPES)]
    return _Trials(
        forward=_DISTANCE * np.exp(drawn["distance"])[:, None] * ahead,
        sideways=(_BULGE * side + drawn["bulge"])[:, None] * left,
        duration=settings.reach_duration * np.exp(drawn["duration"]),
        lead=np.maximum(_LEAD + drawn["lead"], 0.0),
    )


def _movement(
    trials: _Trials, times: np.ndarray, lead: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Velocity of the hand ``lead`` seconds later, and its partner in the rotation, in m/s.

    Along its direction the hand moves with minimum jerk; across, its position is the cube of
    ``4u(1 − u)``. The partner has the two courses of time exchanged, so that (velocity, partner)
    turns by a quarter.
    """
    u = np.clip((times + lead[:, None]) / trials.duration[:, None], 0.0, 1.0)
    speed = (30 * u**2 * (1 - u) ** 2)[:, :, None] / trials.duration[:, None, None]
    across = (192 * u**2 * (1 - u) ** 2 * (1 - 2 * u))[:, :, None]
    across = across / trials.duration[:, None, None]
    forward, sideways = trials.forward[:, None], trials.sideways[:, None]
    # 1.8: the ratio of the peaks of the two courses, so that the rotation is about round
    return forward * speed + sideways * across, forward * across / 1.8 - sideways * speed * 1.8


def _factors(settings: Reaching, trials: _Trials) -> np.ndarray:
    """Of size about 1, float32 [trials, bins, 10]."""
    times = settings.times
    since = times + trials.lead[:, None]  # 0 where preparation gives way to movement
    gate = (1 / (1 + np.exp(np.minimum(since / _SWITCH, 50.0))))[:, :, None]
    prepared = np.concatenate([trials.forward / _DISTANCE, trials.sideways / _BULGE], axis=1)
    vigor = (settings.reach_duration / trials.duration)[:, None]
    pulse = vigor * np.exp(-0.5 * ((since - _PULSE) / _PULSE) ** 2)
    shared = np.stack([pulse, -(since - _PULSE) / _PULSE * pulse], axis=2)
    moving = np.concatenate(_movement(trials, times, trials.lead), axis=2) / _HAND_SPEED
    parts = [gate * prepared[:, None], shared, moving]
    return np.concatenate([part.astype(np.float32) for part in parts], axis=2)


def _rates(settings: Reaching, factors: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Hz, float32: log-linear in the factors, with a soft bound."""
    loadings = unit_loadings(N_FACTORS, settings.n_neurons, generator).astype(np.float32)
    baseline = generator.standard_normal(settings.n_neurons)
    # the mean of exp of a normal variable of spread s is exp(s² / 2)
    total = _SPREAD_OF_RATES**2 + (settings.modulation / 3) ** 2
    log_rate = np.log(settings.mean_rate) - total / 2 + _SPREAD_OF_RATES * baseline
    rates = np.exp(log_rate.astype(np.float32) + settings.modulation * (factors @ loadings))
    rates /= 1 + rates / _SATURATION
    return rates


def _integrated(velocity: np.ndarray, bin_width: float) -> np.ndarray:
    """Position at bin centers [trials, bins, dims], 0 before the movement."""
    return np.cumsum(velocity, axis=1) * bin_width - velocity * bin_width / 2
