"""What a network is made of: populations, boxes of parameters, and all its numbers as arrays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Free:
    """A parameter to be fitted, with its prior box.

    Parameters
    ----------
    low, high : bounds; the prior is uniform between them
    start : where a fit begins; by default the middle

    Raises
    ------
    ValueError : if the box is empty or does not contain the start.
    """

    low: float
    high: float
    start: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"a free parameter needs low < high, got {self.low} and {self.high}")
        if self.start is not None and not self.low <= self.start <= self.high:
            raise ValueError(f"start {self.start} is outside of [{self.low}, {self.high}]")

    @property
    def middle(self) -> float:
        """The start, or the middle of the box."""
        return (self.low + self.high) / 2 if self.start is None else self.start


Value = float | str | Free
"""A number (fixed), a name in `Network.parameters` (shared), or `Free` (fitted)."""


@dataclass(frozen=True)
class Population:
    """Leaky integrate-and-fire neurons with escape noise, all alike.

    A neuron at voltage ``V`` (reset to 0 by a spike) fires at ``exp(V − threshold)`` per second.

    Parameters
    ----------
    size : number of neurons, recorded or not
    membrane_time : time constant of the membrane, s
    resting : voltage without input, mV above reset
    threshold : voltage at which a neuron fires once per second, mV above reset
    refractory : absolute refractory period, s
    synapse_time : time constant of the currents that its spikes evoke, s
    delay : from its spikes to those currents, s
    """

    size: int
    membrane_time: Value
    resting: Value
    threshold: Value
    refractory: float = 0.0
    synapse_time: Value = 0.003
    delay: float = 0.0


class Values(NamedTuple):
    """Every number of a network; K populations, all arrays in the order of its names."""

    membrane_time: Any  # [K], s
    resting: Any  # [K], mV
    threshold: Any  # [K], mV
    synapse_time: Any  # [K], s, of the source
    strength: Any  # [K target, K source], mV
    input_gain: Any  # [K, inputs], mV per unit


class Table(NamedTuple):
    """Every number of a network in a row: a place of a free parameter, or a constant."""

    index: Any  # int [numbers]; −1 where the number is known
    constants: Any  # [numbers]; 0 where it is free

    def at(self, free: Any) -> Table:
        """With these values as constants: nothing is free any more."""
        if not free.shape[0]:
            return self
        is_free = self.index >= 0
        flat = self.constants + is_free * free[is_free * self.index]
        return Table(0 * self.index - 1, flat)

    def fill(self, free: Any, n_populations: int) -> Values:
        """With values for the free parameters, [free]."""
        k, flat = n_populations, self.at(free).constants
        parts = [flat[i * k : (i + 1) * k] for i in range(4)]
        matrix = flat[4 * k : 4 * k + k * k].reshape(k, k)
        gain = flat[4 * k + k * k :].reshape(k, -1)
        return Values(parts[0], parts[1], parts[2], parts[3], matrix, gain)


OF_A_POPULATION = ("membrane_time", "resting", "threshold", "synapse_time")
POSITIVE = ("membrane_time", "synapse_time")


def check_population(name: str, population: Population) -> None:
    """Refuse sizes and times that cannot be, by the population's name."""
    size = population.size
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"{name}.size must be a whole number of neurons, got {size!r}")
    for kind in ("refractory", "delay"):
        value = getattr(population, kind)
        if not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"{name}.{kind} must be seconds, 0 or more, got {value!r}")


def as_table(value: Any, where: str) -> Mapping[str, Any]:
    """The value, which must be a table."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must be a table, got {value!r}")
    return value


def as_box(fields: Mapping[str, Any], where: str) -> Free:
    """Prior box from its plain form."""
    unknown = set(fields) - {"low", "high", "start"}
    if unknown or not {"low", "high"} <= set(fields):
        raise ValueError(f"{where} must have low and high (and may have start), got {dict(fields)}")
    return Free(**fields)


def as_value(value: Any, where: str) -> Value:
    """Number, name or prior box from its plain form."""
    if isinstance(value, Mapping):
        return as_box(value, where)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{where} must be a number, a name or {{low, high}}, got {value!r}")
    return value


def as_population(fields: Mapping[str, Any], where: str) -> Population:
    """Population from its plain form."""
    known = [f.name for f in dataclasses.fields(Population)]
    if unknown := set(fields) - set(known):
        raise ValueError(f"unknown key {where}.{sorted(unknown)[0]}; known: {', '.join(known)}")
    values = {
        name: as_value(value, f"{where}.{name}") if name in OF_A_POPULATION else value
        for name, value in fields.items()
    }
    try:
        return Population(**values)  # pyright: ignore[reportArgumentType]
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error


def plain(value: Any) -> Any:
    """Without the entries that are absent (a box's start), for formats that have no null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items() if v is not None}
    return value
