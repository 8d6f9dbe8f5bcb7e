"""`Network`: populations of spiking neurons and their connections, as a table of names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latentspike.dynamics.parts import (
    OF_A_POPULATION,
    POSITIVE,
    Free,
    Population,
    Table,
    Value,
    Values,
    as_box,
    as_population,
    as_table,
    as_value,
    check_population,
    plain,
)


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
            check_population(name, population)
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
        if place.endswith(POSITIVE) and lowest <= 0:
            raise ValueError(f"{place} must be positive, got {lowest}")

    # ---- the numbers -------------------------------------------------------------------------

    def _entries(self) -> Iterator[tuple[str, Value]]:
        """Every value with the name of its place, in the order of `Values`."""
        for kind in OF_A_POPULATION:
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
                p, **{k: number(getattr(p, k), f"{name}.{k}") for k in OF_A_POPULATION}
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
            name: as_population(as_table(fields, f"{where}.populations.{name}"), f"{where}.{name}")
            for name, fields in as_table(config.get("populations", {}), where).items()
        }
        tables = [
            {
                row: {
                    column: as_value(value, f"{where}.{kind}.{row}.{column}")
                    for column, value in as_table(columns, f"{where}.{kind}.{row}").items()
                }
                for row, columns in as_table(config.get(kind, {}), f"{where}.{kind}").items()
            }
            for kind in ("connections", "inputs")
        ]
        shared = {
            name: as_box(as_table(box, f"{where}.parameters.{name}"), f"{where}.parameters.{name}")
            for name, box in as_table(config.get("parameters", {}), where).items()
        }
        return cls(populations, tables[0], shared, tables[1])

    def to_config(self) -> dict[str, Any]:
        """Plain dicts that `from_config` reads back."""
        return plain(dataclasses.asdict(self))
