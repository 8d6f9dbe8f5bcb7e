"""The models by name, and their configurations as plain dicts."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from latentspike.models.lfads import LFADS
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.smoothing import GaussianSmoothing

MODELS: dict[str, type] = {
    "lfads": LFADS,
    "linear_autoencoder": LinearAutoencoder,
    "smoothing": GaussianSmoothing,
}


def model_to_config(model: Any) -> dict[str, Any]:
    """``{"name": …, **fields}`` of a model, JSON-able."""
    for name, kind in MODELS.items():
        if type(model) is kind:
            return {"name": name, **dataclasses.asdict(model)}
    raise ValueError(f"{type(model).__name__} is not a known model; known: {', '.join(MODELS)}")


def model_from_config(config: dict[str, Any]) -> Any:
    """Model from a plain dict, as in a TOML file.

    Raises
    ------
    ValueError : naming the unknown model, field or value.
    """
    fields = dict(config)
    name = fields.pop("name", "lfads")
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    return from_dict(MODELS[name], fields, where=name)


def from_dict(kind: type, fields: dict[str, Any], *, where: str) -> Any:
    """Frozen dataclass from a plain dict, nested dataclasses included.

    Parameters
    ----------
    kind : dataclass
    fields : values by name; what is absent keeps its default
    where : names the place in errors

    Raises
    ------
    ValueError : naming the unknown key and those that exist, or the value that does not fit.
    """
    hints = typing.get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if name not in known:
            raise ValueError(f"unknown key {where}.{name}; known: {', '.join(sorted(known))}")
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, dict):
                raise ValueError(f"{where}.{name} must be a table of values, got {value!r}")
            value = from_dict(typing.cast(type, hint), value, where=f"{where}.{name}")
        else:
            value = _checked(value, hint, f"{where}.{name}")
        values[name] = value
    return kind(**values)


def _checked(value: Any, hint: Any, where: str) -> Any:
    """Plain values of the right type; whole numbers pass as floats, lists as tuples."""
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    simple = {int, float, bool, str}
    if hint in simple and (type(value) is not hint):
        raise ValueError(f"{where} must be {hint.__name__}, got {value!r}")
    return value
