"""How a network of spiking neurons begins: asynchronous, or split into clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.simulate.lif_constants import StepConstants
from latentspike.simulate.lif_step import State, Weights, senders_with
from latentspike.spikes.validate import as_whole

_SYNAPSES_REMEMBERED = 12  # synaptic times after which a volley has left no trace in float32
_NEGLIGIBLE = 1e-9  # probability of ages that are not drawn
_LONGEST_AGE = 60.0  # s


class History(NamedTuple):
    """What the steps before the first one leave behind; T trials, K populations of N neurons."""

    potential: np.ndarray  # [T, K, N], mV
    age: np.ndarray  # [T, K, N], steps since the one after the last spike
    synapse: np.ndarray  # [K], Hz
    fraction: np.ndarray  # [ring, K], that fired 1, 2, … steps ago
    fired: np.ndarray  # [T, ring, K, N], who fired 1, 2, … steps ago; empty if nobody asks


class Start(Protocol):
    """A way to begin; ``warm_up`` seconds are simulated before the recording."""

    @property
    def warm_up(self) -> float:
        """Seconds, 0 or more."""
        ...

    def history(
        self, constants: StepConstants, n_trials: int, generator: np.random.Generator, *, who: bool
    ) -> History:
        """Draw the past of every trial; ``who`` asks for the neurons behind the fractions."""
        ...


def _check_warm_up(warm_up: float) -> None:
    if not 0 <= warm_up < np.inf:
        raise ValueError(f"warm_up must be seconds, 0 or more, got {warm_up!r}")


@dataclass(frozen=True)
class Asynchronous:
    """Every neuron on its own, at a steady rate.

    The input of each neuron is that of all populations firing steadily at ``rates``; the times
    since the last spikes are drawn from the renewal process that this input makes. (Where the rates
    are no fixed point of the network, that process has another rate.) Nothing external acts.

    Parameters
    ----------
    rates : Hz, one for all or by population
    warm_up : s that are simulated before the recording starts

    Raises
    ------
    ValueError : if a rate is negative or not finite, or ``warm_up`` is negative.
    """

    rates: float | Mapping[str, float] = 5.0
    warm_up: float = 0.0

    def __post_init__(self) -> None:
        _check_warm_up(self.warm_up)
        rates = self.rates if isinstance(self.rates, Mapping) else {"rates": self.rates}
        for name, rate in rates.items():
            if not 0 <= rate < np.inf:
                raise ValueError(f"{name}: a rate must be Hz, 0 or more, got {rate!r}")

    def _rates(self, names: tuple[str, ...]) -> np.ndarray:
        if not isinstance(self.rates, Mapping):
            return np.full(len(names), float(self.rates))
        if set(self.rates) != set(names):
            raise ValueError(f"rates name {', '.join(self.rates)}; populations: {', '.join(names)}")
        return np.array([self.rates[name] for name in names], float)

    def history(
        self, constants: StepConstants, n_trials: int, generator: np.random.Generator, *, who: bool
    ) -> History:
        """Ages from the renewal process; synapses and spikes on their way at their mean."""
        c = constants
        per_step = self._rates(c.names) * c.time_step
        if (per_step > 1).any():
            raise ValueError(f"rates above one spike per time step of {c.time_step} s")
        synapse = c.synapse_gain * per_step / (1 - c.synapse_decay)
        drive = (1 - c.leak) * c.resting + (c.response * c.strength) @ synapse
        shape = (n_trials, len(c.names), int(c.sizes.max()))
        age, potential = np.zeros(shape, np.int64), np.zeros(shape)
        of_ages, of_spikes = generator.spawn(2)
        chance = of_ages.random(shape)
        for k in range(len(c.names)):
            course, survival = _after_a_spike(c, k, drive[k])
            cumulative = np.cumsum(survival)
            found = np.searchsorted(cumulative, chance[:, k] * cumulative[-1], side="right")
            age[:, k] = np.minimum(found, len(course) - 1)
            potential[:, k] = course[age[:, k]]
        fraction = np.tile(per_step, (c.ring, 1))
        fired = np.zeros((n_trials, 0, *shape[1:]), bool)
        if who:
            fired = of_spikes.random((n_trials, c.ring, *shape[1:])) < per_step[:, None]
        return History(potential, age, synapse, fraction, fired)


def _after_a_spike(c: StepConstants, k: int, drive: float) -> tuple[np.ndarray, np.ndarray]:
    """Voltage and survival before the step of each age, for a neuron with a steady input."""
    steps, longest = 256, int(_LONGEST_AGE / c.time_step)
    while True:
        free = np.maximum(np.arange(steps + 1) - c.refractory[k], 0)
        course = drive * (1 - c.leak[k] ** free) / (1 - c.leak[k])
        hazard = np.exp(np.minimum(course[1:] - c.threshold[k], 30.0)) * (free[1:] > 0)
        survival = np.exp(-c.time_step * np.append(0.0, np.cumsum(hazard)))
        if survival[-1] < _NEGLIGIBLE or steps >= longest:
            return course, survival
        steps = min(2 * steps, longest)


@dataclass(frozen=True)
class Clusters:
    """Every population split into groups that fire in turn (an m-cluster state).

    The neurons of a group have all fired in the same step, the groups one after another, evenly
    spread over one period; voltages and synapses are those of a past that has always been so.

    Parameters
    ----------
    n : number of groups; at least one neuron each
    period : s between two spikes of a neuron; a volley occurs every ``period / n``
    warm_up : s that are simulated before the recording starts

    Raises
    ------
    ValueError : if a setting is out of range.
    """

    n: int
    period: float
    warm_up: float = 0.0

    def __post_init__(self) -> None:
        _check_warm_up(self.warm_up)
        as_whole("n", self.n, 1)
        if not 0 < self.period < np.inf:
            raise ValueError(f"period must be seconds above 0, got {self.period!r}")

    def history(
        self, constants: StepConstants, n_trials: int, generator: np.random.Generator, *, who: bool
    ) -> History:
        """Neurons are assigned to the groups at random, the groups as equal as possible."""
        c = constants
        period = round(self.period / c.time_step)
        self._check(c, period)
        last = np.round(np.arange(self.n) * period / self.n).astype(int)  # age of each group
        width = int(c.sizes.max())
        group = np.zeros((n_trials, len(c.names), width), np.int64)
        shares = np.zeros((len(c.names), self.n))
        for k, size in enumerate(c.sizes):
            shares[k] = np.bincount(np.arange(size) % self.n, minlength=self.n) / size
        for trial in range(n_trials):
            for k, size in enumerate(c.sizes):
                group[trial, k, :size] = generator.permutation(np.arange(size) % self.n)
        course, synapse = _volleys(c, period, last, shares)
        potential = course[np.arange(len(c.names))[None, :, None], group]
        ago = np.arange(c.ring)
        fired_then = (ago[:, None] - last) % period == 0  # [ring, groups]
        fraction = fired_then @ shares.T
        fired = np.zeros((n_trials, 0, *group.shape[1:]), bool)
        if who:
            fired = np.moveaxis(fired_then[:, group], 0, 1)
        return History(potential, last[group], synapse, fraction, fired)

    def _check(self, c: StepConstants, period: int) -> None:
        if self.n > c.sizes.min():
            raise ValueError(f"{self.n} clusters of {c.sizes.min()} neurons: too few neurons")
        if period < self.n or period <= c.refractory.max():
            raise ValueError(
                f"a period of {self.period} s is too short for {self.n} volleys in time steps of "
                f"{c.time_step} s and a refractory period of {c.refractory.max()} steps"
            )


def _volleys(
    c: StepConstants, period: int, last: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Voltage [K, groups] and synaptic activity [K] after volleys that never began."""
    memory = int(_SYNAPSES_REMEMBERED / (1 - c.synapse_decay.max())) + int(c.delay.max())
    potential = np.zeros((len(c.names), len(last)))
    synapse = np.zeros(len(c.names))
    for ago in range(memory + period, -1, -1):
        arriving = ((ago + 1 + c.delay[:, None] - last) % period == 0) * shares
        synapse = c.synapse_decay * synapse + c.synapse_gain * arriving.sum(-1)
        drive = (1 - c.leak) * c.resting + (c.response * c.strength) @ synapse
        since = (last - ago - 1) % period  # steps from the one after the group's spike to this one
        is_free = since >= c.refractory[:, None]
        moved = c.leak[:, None] * potential + drive[:, None]
        potential = np.where(is_free & (since < period - 1), moved, 0.0)
    return potential, synapse


def first_state(
    history: History,
    constants: StepConstants,
    weights: Weights,
    generator: np.random.Generator,
) -> State:
    """The state of the first step.

    Synapses with a weight of their own start as if all neurons of the sender had its mean activity.
    """
    n_trials = len(history.age)
    clamped = np.maximum(constants.refractory[:, None] - history.age, 0)
    own = {s: np.zeros(history.age.shape) for s in senders_with(weights)}
    for (sender, receiver), matrix in weights.items():
        per_step = constants.response[receiver, sender] * history.synapse[sender]
        own[sender][:, receiver, : len(matrix)] = matrix.sum(1) * per_step
    # The loop finds step t in slot t modulo the ring: one step ago is the last slot.
    fraction = np.tile(history.fraction[::-1], (n_trials, 1, 1))
    state = State(
        potential=np.where(clamped > 0, 0.0, history.potential),
        clamped=clamped.astype(np.int32),
        remaining=generator.exponential(size=history.age.shape),
        synapse=np.tile(history.synapse, (n_trials, 1)),
        fraction=fraction,
        own_synapse=tuple(own.values()),
        fired=history.fired[:, ::-1],
    )
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32 if x.dtype == float else None), state)
