"""What a fit is configured by: a TOML file, changed by ``--set``, with every default resolved."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentspike.cli.outcome import FileProblem, UsageError
from latentspike.io import ReadOptions
from latentspike.models.protocol import GradientModel
from latentspike.models.registry import MODELS, from_dict, model_from_config, model_to_config
from latentspike.training.settings import (
    TRAINING_HYPERPARAMS,
    TrainingSettings,
    check_hyperparams,
)


@dataclass(frozen=True)
class DataSettings(ReadOptions):
    """The table ``[data]``: the recording and how it is prepared.

    Parameters
    ----------
    path : recording; ``.h5``, ``.npz`` or ``.nwb``
    rebin : join so many neighboring bins into one
    heldout_neurons : number of neurons that the model predicts but never reads, chosen by the
        seed; by default those that the file marks
    forward_bins : last bins of each trial that the model predicts but never reads; by default
        those that the file marks
    chop_window, chop_overlap : cut trials into overlapping windows of so many bins; 0 does not.
        A recording of a single trial is cut into windows of about 1 s that share a fifth
        unless told otherwise.
    """

    path: str | None = None
    rebin: int = 1
    heldout_neurons: int | None = None
    forward_bins: int | None = None
    chop_window: int | None = None
    chop_overlap: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        lowest = {"rebin": 1, "heldout_neurons": 0, "forward_bins": 0}
        lowest |= {"chop_window": 0, "chop_overlap": 0}
        for name, low in lowest.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"{name} must be at least {low}, got {value}")


@dataclass(frozen=True)
class Configuration:
    """Everything that decides the result of a fit.

    Parameters
    ----------
    seed : of the hold-outs, the split, the initial weights and all noise
    data : table ``[data]``
    model : table ``[model]``: ``name`` and the model's fields
    hyperparams : table ``[hyperparams]``: scalars that a search may vary
    training : table ``[training]``
    """

    seed: int = 0
    data: DataSettings = field(default_factory=DataSettings)
    model: Any = field(default_factory=lambda: model_from_config({}))
    hyperparams: dict[str, float] = field(default_factory=dict)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values by table, as in the TOML file."""
        return {
            "seed": self.seed,
            "data": dataclasses.asdict(self.data),
            "model": model_to_config(self.model),
            "hyperparams": dict(self.hyperparams),
            "training": dataclasses.asdict(self.training),
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Configuration:
        """Configuration with every default filled in.

        Raises
        ------
        ValueError
            Naming the table and key that is unknown or out of range.
        """
        known = [f.name for f in dataclasses.fields(cls)]
        for name, value in document.items():
            if name not in known:
                raise ValueError(f"unknown key {name}; known: {', '.join(known)}")
            if name != "seed" and not isinstance(value, dict):
                raise ValueError(f"{name} must be a table, got {value!r}")
        seed = document.get("seed", 0)
        if type(seed) is not int or not 0 <= seed < 2**63:
            raise ValueError(f"seed must be a whole number from 0 to 2**63 - 1, got {seed!r}")
        model = _model(document.get("model", {}))
        return cls(
            seed=seed,
            data=read_table(DataSettings, document.get("data", {}), "data"),
            model=model,
            hyperparams=_hyperparams(model, document.get("hyperparams", {})),
            training=read_table(TrainingSettings, document.get("training", {}), "training"),
        )


def read_configuration(path: str | None, changes: Sequence[str] = ()) -> dict[str, Any]:
    """Plain configuration from a TOML file (or nothing), with ``table.key=value`` changes.

    Raises
    ------
    FileProblem : if the file cannot be read.
    ValueError : if it is not TOML, or a change is malformed.
    """
    document = {} if path is None else _read_toml(Path(path))
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--set takes KEY=VALUE, as in training.max_epochs=50; got {change!r}")
        _put(document, name.strip().split("."), _read_value(text.strip()), change)
    return document


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise FileProblem(f"the configuration {path} cannot be read: {reason}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not TOML: it is not UTF-8 text ({error})") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from error


def _read_value(text: str) -> Any:
    """A TOML value, or the text itself where it is none: quotes may be left out."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(document: dict[str, Any], names: list[str], value: Any, change: str) -> None:
    table = document
    for name in names[:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise UsageError(f"--set {change}: {name} is not a table")
    table[names[-1]] = value


def _model(values: dict[str, Any]) -> Any:
    fields = dict(values)
    name = fields.pop("name", "lfads")
    if name not in MODELS:
        raise ValueError(f"model.name: unknown model {name!r}; known: {', '.join(MODELS)}")
    return read_table(MODELS[name], fields, "model")


def read_table(kind: type, values: dict[str, Any], where: str) -> Any:
    """Frozen dataclass from the plain values of a table.

    Raises
    ------
    ValueError
        Naming the table and key that is unknown or out of range.
    """
    try:
        return from_dict(kind, _fitting(kind, values, where), where=where)
    except ValueError as error:
        if where in str(error):
            raise
        raise ValueError(f"{where}: {error}") from error


def _fitting(kind: type, values: dict[str, Any], where: str) -> dict[str, Any]:
    """Values whose optional fields have the right type; `from_dict` checks the others."""
    hints = typing.get_type_hints(kind)
    return {
        name: _optional(value, hints[name], f"{where}.{name}") if name in hints else value
        for name, value in values.items()
    }


def _optional(value: Any, hint: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and not isinstance(value, dict):
        raise ValueError(f"{where} must be a table, got {value!r}")
    if typing.get_origin(hint) is tuple:
        return _sequence(value, typing.get_args(hint), where)
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return value
    inner = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    if typing.get_origin(inner) is tuple:
        return _sequence(value, typing.get_args(inner), where)
    if inner is float and type(value) is int:
        return float(value)
    if inner in (int, float, str, bool) and type(value) is not inner:
        raise ValueError(f"{where} must be {inner.__name__}, got {value!r}")
    return value


def _sequence(value: Any, kinds: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    kind, is_open = kinds[0], kinds[-1] is Ellipsis
    allowed = (int, float) if kind is float else (kind,)
    fits = isinstance(value, list | tuple) and all(type(item) in allowed for item in value)
    if not fits or not (is_open or len(value) == len(kinds)):
        size = "" if is_open else f"{len(kinds)} "
        raise ValueError(f"{where} must be a list of {size}{kind.__name__}, got {value!r}")
    return tuple(kind(item) for item in value)


def _hyperparams(model: Any, values: dict[str, Any]) -> dict[str, float]:
    for name, value in values.items():
        if type(value) not in (int, float):
            raise ValueError(f"hyperparams.{name} must be a number, got {value!r}")
    if not isinstance(model, GradientModel):
        if values:
            raise ValueError(f"hyperparams.{next(iter(values))}: this model has no hyperparameters")
        return {}
    known = TRAINING_HYPERPARAMS | model.default_hyperparams()
    try:
        return check_hyperparams(values, known)
    except ValueError as error:
        raise ValueError(f"hyperparams: {error}") from error
