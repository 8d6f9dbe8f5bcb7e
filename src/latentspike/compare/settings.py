"""What a model of a comparison is told: tables of plain values, checked before anything runs."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from latentspike.models.registry import MODELS
from latentspike.training.settings import TrainingSettings

Tables = dict[str, Any]
_TABLES = ("model", "hyperparams", "training")
_NUMBERS = {"samples": 0, "trials": 1}  # and the least of each
_LABEL = re.compile(r"[A-Za-z0-9][\w.+-]*")


@dataclass(frozen=True)
class Rival:
    """A model of a comparison with all its settings, ready to fit.

    Parameters
    ----------
    model : configuration
    hyperparams, training : of models that are learned by gradient
    n_samples : posterior draws of an inference
    n_trials : training trials that the model reads at most; None for all
    notes : what a reader of its scores must know
    """

    model: Any
    hyperparams: dict[str, float] = field(default_factory=dict)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    n_samples: int = 0
    n_trials: int | None = None
    notes: tuple[str, ...] = ()


def check_models(models: Iterable[str] | Mapping[str, Mapping[str, Any]]) -> dict[str, Tables]:
    """Tables of each model by label, the model's name always among them.

    Parameters
    ----------
    models : names; or tables of plain values by label: ``model`` (fields, and ``name`` where the
        label is none), ``hyperparams``, ``training``, ``samples`` and ``trials``

    Raises
    ------
    ValueError : naming the model, table or key that is unknown, and those that exist.

    Examples
    --------
    >>> check_models(["smoothing"])
    {'smoothing': {'model': {'name': 'smoothing'}}}
    """
    if isinstance(models, str):
        models = [models]
    given = models if isinstance(models, Mapping) else {name: {} for name in _once(models)}
    if not given:
        raise ValueError(f"no model to compare; known: {', '.join(MODELS)}")
    return {label: _checked(label, tables) for label, tables in given.items()}


def _once(names: Iterable[str]) -> list[str]:
    listed = list(names)
    if twice := [name for name in listed if listed.count(name) > 1]:
        raise ValueError(f"model {twice[0]!r} is named twice")
    return listed


def _checked(label: str, tables: Mapping[str, Any]) -> Tables:
    if not _LABEL.fullmatch(label):
        raise ValueError(f"model {label!r}: a label has letters, digits, '.', '_', '+' and '-'")
    known = (*_TABLES, *_NUMBERS)
    for key, value in tables.items():
        if key not in known:
            raise ValueError(f"unknown key {label}.{key}; known: {', '.join(known)}")
        if key in _TABLES and not isinstance(value, Mapping):
            raise ValueError(f"{label}.{key} must be a table, got {value!r}")
        if key in _NUMBERS and (type(value) is not int or value < _NUMBERS[key]):
            raise ValueError(
                f"{label}.{key} must be a whole number of {_NUMBERS[key]} or more, got {value!r}"
            )
    fields = dict(tables.get("model", {}))
    name = fields.setdefault("name", label)
    if name not in MODELS:
        hint = "" if "model" in tables else "unknown model, or label without model.name: "
        raise ValueError(f"{hint}{name!r} is not a known model; known: {', '.join(MODELS)}")
    _check_keys(MODELS[name], {k: v for k, v in fields.items() if k != "name"}, f"{label}.model")
    _check_keys(TrainingSettings, dict(tables.get("training", {})), f"{label}.training")
    return {**tables, "model": {"name": name, **fields}}


def _check_keys(kind: Any, values: dict[str, Any], where: str) -> None:
    """Unknown keys of a dataclass and of those in it; values are checked where they are used."""
    hints = typing.get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"unknown key {where}.{key}; known: {', '.join(known)}")
        hint = hints[key]
        reads_itself = hasattr(hint, "from_config")
        if dataclasses.is_dataclass(hint) and not reads_itself and isinstance(value, Mapping):
            _check_keys(hint, dict(value), f"{where}.{key}")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables, the second over the first.

    Examples
    --------
    >>> merged({"model": {"width": 0.1, "forward": "mean"}}, {"model": {"width": 0.2}})
    {'model': {'width': 0.2, 'forward': 'mean'}}
    """
    found = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = merged(found[key], value) if both else value
    return found
