"""`Network`: populations of spiking neurons and their connections, as a table of names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


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


_OF_A_POPULATION = ("membrane_time", "resting", "threshold", "synapse_time")
_POSITIVE = ("membrane_time", "synapse_time")


@dataclass(frozen=True)
class Network:
    """Populations, who projects to whom, and which numbers are known.

    Parameters
    ----------
    populations : by name
    connections : ``connections[sender][receiver]`` in mV: how far a volley of all neurons of the
        sender moves the voltage of each neuron of the receiver; absent means no connection
    parameters : free parameters that several places share, by the name used there
    inputs : ``inputs[channel][receiver]`` in mV per unit of a measured external input, channels in
        the order of `SpikeData.inputs`

    Raises
    ------
    ValueError : naming the entry that is wrong.

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), Appendix A and Table S2.

    Examples
    --------
    >>> network = Network(
    ...     {"E": Population(600, 0.1, resting=26.0, threshold=49.7)}, {"E": {"E": Free(50, 70)}}
    ... )
    >>> network.free_names
    ('E → E',)
    >>> network.values([60.0]).strength
    array([[60.]])
    """

    populations: Mapping[str, Population]
    connections: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    parameters: Mapping[str, Free] = field(default_factory=dict)
    inputs: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.populations:
            raise ValueError("a network needs at least one population")
        for name, population in self.populations.items():
            _check_population(name, population)
        for kind, table in (("connections", self.connections), ("inputs", self.inputs)):
            for row, columns in table.items():
                unknown = set(columns) - set(self.populations)
                if kind == "connections" and row not in self.populations:
                    unknown.add(row)
                if unknown:
                    known = ", ".join(self.populations)
                    raise ValueError(
                        f"{kind}.{row} names {', '.join(sorted(unknown))}; populations: {known}"
                    )
        used = {value for _, value in self._entries() if isinstance(value, str)}
        if missing := used - set(self.parameters):
            raise ValueError(f"parameter {sorted(missing)[0]!r} is used but not declared")
        if unused := set(self.parameters) - used:
            raise ValueError(f"parameter {sorted(unused)[0]!r} is declared but used nowhere")
        for place, value in self._entries():
            self._check_value(place, value)

    def _check_value(self, place: str, value: Value) -> None:
        box = self.parameters[value] if isinstance(value, str) else value
        lowest = box.low if isinstance(box, Free) else box
        if not isinstance(lowest, int | float) or isinstance(lowest, bool):
            raise ValueError(f"{place} must be a number, a name or a box, got {value!r}")
        if not math.isfinite(lowest):
            raise ValueError(f"{place} must be finite, got {lowest}")
        if place.endswith(_POSITIVE) and lowest <= 0:
            raise ValueError(f"{place} must be positive, got {lowest}")

    # ---- the numbers -------------------------------------------------------------------------

    def _entries(self) -> Iterator[tuple[str, Value]]:
        """Every value with the name of its place, in the order of `Values`."""
        for kind in _OF_A_POPULATION:
            for name, population in self.populations.items():
                yield f"{name}.{kind}", getattr(population, kind)
        for receiver in self.populations:
            for sender in self.populations:
                value = self.connections.get(sender, {}).get(receiver, 0.0)
                yield f"{sender} → {receiver}", value
        for receiver in self.populations:
            for channel, columns in self.inputs.items():
                yield f"{channel} → {receiver}", columns.get(receiver, 0.0)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the populations, in order."""
        return tuple(self.populations)

    @property
    def sizes(self) -> np.ndarray:
        """Neurons per population, float [K]."""
        return np.array([p.size for p in self.populations.values()], float)

    @property
    def free(self) -> dict[str, Free]:
        """The parameters to be fitted: shared ones first, then the others by their place."""
        own = {place: value for place, value in self._entries() if isinstance(value, Free)}
        return dict(self.parameters) | own

    @property
    def free_names(self) -> tuple[str, ...]:
        """Names of the parameters to be fitted."""
        return tuple(self.free)

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends of the prior box, float [free] each."""
        boxes = self.free.values()
        return np.array([b.low for b in boxes], float), np.array([b.high for b in boxes], float)

    @property
    def start(self) -> np.ndarray:
        """Where a fit begins, float [free]."""
        return np.array([b.middle for b in self.free.values()], float)

    def values(self, free: Any = ()) -> Values:
        """Every number of the network, given those that are free.

        Parameters
        ----------
        free : float [free], in the order of `free_names`; NumPy or JAX

        Raises
        ------
        ValueError : if their number is wrong.
        """
        names = self.free_names
        free = np.asarray(free, float) if isinstance(free, list | tuple) else free
        if free.shape != (len(names),):
            raise ValueError(f"{len(names)} free parameters ({', '.join(names)}), got {free.shape}")
        return self.table.fill(free, len(self.populations))

    @property
    def table(self) -> Table:
        """Where each free parameter goes, as arrays."""
        names = self.free_names
        index, constants = [], []
        for place, value in self._entries():
            name = value if isinstance(value, str) else place
            is_free = isinstance(value, str | Free)
            index.append(names.index(name) if is_free else -1)
            constants.append(0.0 if is_free else float(value))  # pyright: ignore
        return Table(np.array(index), np.array(constants))

    def with_values(self, free: Any) -> Network:
        """The same network with numbers in place of the free parameters."""
        found = dict(zip(self.free_names, np.asarray(free, float).tolist(), strict=True))

        def number(value: Value, place: str) -> Value:
            if isinstance(value, str):
                return found[value]
            return found[place] if isinstance(value, Free) else value

        populations = {
            name: dataclasses.replace(
                p, **{k: number(getattr(p, k), f"{name}.{k}") for k in _OF_A_POPULATION}
            )
            for name, p in self.populations.items()
        }
        tables = [
            {
                row: {column: number(v, f"{row} → {column}") for column, v in columns.items()}
                for row, columns in table.items()
            }
            for table in (self.connections, self.inputs)
        ]
        return Network(populations, tables[0], {}, tables[1])

    # ---- as plain dicts ----------------------------------------------------------------------

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, where: str = "network") -> Network:
        """Network from plain dicts, as in a TOML file.

        Raises
        ------
        ValueError : naming the key or value that is wrong.
        """
        unknown = set(config) - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise ValueError(f"unknown key {where}.{sorted(unknown)[0]}")
        populations = {
            name: _population(_table(fields, f"{where}.populations.{name}"), f"{where}.{name}")
            for name, fields in _table(config.get("populations", {}), where).items()
        }
        tables = [
            {
                row: {
                    column: _value(value, f"{where}.{kind}.{row}.{column}")
                    for column, value in _table(columns, f"{where}.{kind}.{row}").items()
                }
                for row, columns in _table(config.get(kind, {}), f"{where}.{kind}").items()
            }
            for kind in ("connections", "inputs")
        ]
        shared = {
            name: _box(_table(box, f"{where}.parameters.{name}"), f"{where}.parameters.{name}")
            for name, box in _table(config.get("parameters", {}), where).items()
        }
        return cls(populations, tables[0], shared, tables[1])

    def to_config(self) -> dict[str, Any]:
        """Plain dicts that `from_config` reads back."""
        return _plain(dataclasses.asdict(self))


def _check_population(name: str, population: Population) -> None:
    size = population.size
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"{name}.size must be a whole number of neurons, got {size!r}")
    for kind in ("refractory", "delay"):
        value = getattr(population, kind)
        if not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"{name}.{kind} must be seconds, 0 or more, got {value!r}")


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must be a table, got {value!r}")
    return value


def _box(fields: Mapping[str, Any], where: str) -> Free:
    unknown = set(fields) - {"low", "high", "start"}
    if unknown or not {"low", "high"} <= set(fields):
        raise ValueError(f"{where} must have low and high (and may have start), got {dict(fields)}")
    return Free(**fields)


def _value(value: Any, where: str) -> Value:
    if isinstance(value, Mapping):
        return _box(value, where)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{where} must be a number, a name or {{low, high}}, got {value!r}")
    return value


def _population(fields: Mapping[str, Any], where: str) -> Population:
    known = [f.name for f in dataclasses.fields(Population)]
    if unknown := set(fields) - set(known):
        raise ValueError(f"unknown key {where}.{sorted(unknown)[0]}; known: {', '.join(known)}")
    values = {
        name: _value(value, f"{where}.{name}") if name in _OF_A_POPULATION else value
        for name, value in fields.items()
    }
    try:
        return Population(**values)  # pyright: ignore[reportArgumentType]
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error


def _plain(value: Any) -> Any:
    """Without the entries that are absent (a box's start), for formats that have no null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if v is not None}
    return value
