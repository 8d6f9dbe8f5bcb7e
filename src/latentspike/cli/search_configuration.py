"""What a search is configured by: the tables of a fit, ``[search]`` and ``[space]``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from latentspike.cli.configuration import Configuration, read_table
from latentspike.cli.outcome import UsageError
from latentspike.search import PBT, RandomSearch, SearchSettings, Space
from latentspike.training.settings import TRAINING_HYPERPARAMS

ALGORITHMS: dict[str, type] = {"pbt": PBT, "random": RandomSearch}
TABLES = ("seed", "data", "model", "training", "search", "space")
DEFAULT_MINUTES = 40.0


@dataclass(frozen=True)
class SearchTable:
    """The table ``[search]``; what is None is chosen when the search begins.

    Parameters
    ----------
    algorithm : "pbt" or "random"
    n_members : models that compete; by default as many as suit the machine
    epochs_per_generation : by default as many as suit the recording
    max_generations : by default as many as fit into ``minutes``
    minutes : for the whole search, by which max_generations is chosen
    fields : the algorithm's other fields
    """

    algorithm: str = "pbt"
    n_members: int | None = None
    epochs_per_generation: int | None = None
    max_generations: int | None = None
    minutes: float | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """True if nothing is left to choose."""
        return None not in (self.n_members, self.epochs_per_generation, self.max_generations)

    def settings(self) -> SearchSettings:
        """Settings of a complete table."""
        assert self.n_members and self.epochs_per_generation and self.max_generations
        algorithm = ALGORITHMS[self.algorithm](max_generations=self.max_generations, **self.fields)
        return SearchSettings(algorithm, self.n_members, self.epochs_per_generation)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the TOML file; what is not chosen yet is None."""
        values = dataclasses.asdict(self)
        fields = values.pop("fields")
        if self.max_generations is not None:
            values["minutes"] = None  # it has served
        return values | fields

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchTable:
        """Table from plain values.

        Raises
        ------
        ValueError
            Naming the key that is unknown or out of range.
        """
        name = values.get("algorithm", "pbt")
        if name not in ALGORITHMS:
            raise ValueError(
                f"search.algorithm: unknown algorithm {name!r}; known: {', '.join(ALGORITHMS)}"
            )
        own = {f.name for f in dataclasses.fields(cls)} - {"fields"}
        theirs = {f.name for f in dataclasses.fields(ALGORITHMS[name])} - own
        if unknown := sorted(set(values) - own - theirs):
            known = ", ".join(sorted(own | theirs))
            raise ValueError(f"unknown key search.{unknown[0]} for {name}; known: {known}")
        for key in ("n_members", "epochs_per_generation", "max_generations"):
            _check(values, key, type(values.get(key)) is int and values[key] >= 1, "whole number")
        minutes = values.get("minutes")
        positive = isinstance(minutes, int | float) and 0 < minutes < float("inf")
        _check(values, "minutes", positive, "number above 0")
        found = read_table(
            ALGORITHMS[name], {k: v for k, v in values.items() if k in theirs}, "search"
        )
        fields = {key: getattr(found, key) for key in sorted(theirs)}
        return cls(**{k: v for k, v in values.items() if k in own}, fields=fields)


def _check(values: Mapping[str, Any], key: str, holds: bool, what: str) -> None:
    if key in values and not holds:
        low = ", at least 1" if what == "whole number" else ""
        raise ValueError(f"search.{key} must be a {what}{low}, got {values[key]!r}")


@dataclass(frozen=True)
class SearchConfiguration:
    """Everything that decides the result of a search.

    Parameters
    ----------
    base : seed, data, model and training, as of a fit; without hyperparameters
    search : table ``[search]``
    space : table ``[space]``
    """

    base: Configuration
    search: SearchTable
    space: Space

    def to_dict(self) -> dict[str, Any]:
        """Plain values by table, as in ``search.toml``."""
        values = self.base.to_dict()
        del values["hyperparams"]
        for name in idle_limits(self.search.algorithm):
            del values["training"][name]
        return values | {"search": self.search.to_dict(), "space": space_to_dict(self.space)}

    def as_fit(self, hyperparams: dict[str, float]) -> Configuration:
        """What `fit` would be told to train one member."""
        settings = self.search.settings() if self.search.is_complete else None
        training = self.base.training
        if settings is not None and self.search.max_generations is not None:
            n_epochs = self.search.max_generations * settings.epochs_per_generation
            training = dataclasses.replace(training, max_epochs=n_epochs)
        return dataclasses.replace(self.base, training=training, hyperparams=hyperparams)


def idle_limits(algorithm: str) -> tuple[str, ...]:
    """Fields of ``[training]`` that a search decides by its own."""
    return ("max_epochs", "patience") if algorithm == "pbt" else ("max_epochs",)


def check_tables(document: Mapping[str, Any]) -> None:
    """Raise unless a plain configuration has the tables of a search.

    Raises
    ------
    ValueError
        Naming the key.
    """
    if document.get("hyperparams"):
        name = next(iter(document["hyperparams"]))
        raise UsageError(
            f"hyperparams.{name}: a search has no table [hyperparams]; fix a value in [space], as "
            f"in --set space.{name}=VALUE"
        )
    for name, value in document.items():
        if name not in (*TABLES, "hyperparams"):
            raise ValueError(f"unknown key {name}; known: {', '.join(TABLES)}")
        if name != "seed" and not isinstance(value, dict):
            raise ValueError(f"{name} must be a table, got {value!r}")


def fit_tables(document: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a plain configuration that a fit has too."""
    return {name: document[name] for name in TABLES[:4] if name in document}


def make_space(model: Any, changes: Mapping[str, Any]) -> Space:
    """Table 1 as far as the model has it, changed by the table ``[space]``.

    Raises
    ------
    ValueError
        Naming the hyperparameter that is unknown or out of range.
    """
    usual = Space.for_model(model)
    known = sorted(TRAINING_HYPERPARAMS | model.default_hyperparams())
    for name in changes:
        if name not in known:
            raise ValueError(f"space: unknown hyperparameter {name!r}; known: {', '.join(known)}")
    try:
        return usual.updated(changes)
    except ValueError as error:
        raise ValueError(f"space: {error}") from error


def space_to_dict(space: Space) -> dict[str, Any]:
    """Plain values that give the same space whatever the defaults are.

    Examples
    --------
    >>> space_to_dict(Space.table_1())["kl_ic"]
    {'low': 0.05, 'high': 5.0, 'scale': 'log', 'perturbation': 0.8, 'start': 'random'}
    """
    # a start that is left out would come back where Table 1 has one
    return {
        name: value
        if not isinstance(value, dict)
        else value | {"start": value.get("start", "random")}
        for name, value in space.to_dict().items()
    }


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values of both; those of the second win.

    Examples
    --------
    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    result = dict(first)
    for name, value in second.items():
        before = result.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[name] = merged(before, value) if both else value  # pyright: ignore
    return result
