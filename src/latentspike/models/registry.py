"""The models by name, and their configurations as plain dicts."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

from latentspike.models.glm import GLM
from latentspike.models.gpfa import GPFA
from latentspike.models.lfads import LFADS
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.linear_dynamics import PLDS, SLDS
from latentspike.models.neulvm import NeuLVM
from latentspike.models.psth import PSTH
from latentspike.models.smoothing import GaussianSmoothing

MODELS: dict[str, type] = {
    "lfads": LFADS,
    "neulvm": NeuLVM,
    "plds": PLDS,
    "slds": SLDS,
    "glm": GLM,
    "gpfa": GPFA,
    "psth": PSTH,
    "smoothing": GaussianSmoothing,
    "linear_autoencoder": LinearAutoencoder,
}


def model_to_config(model: Any) -> dict[str, Any]:
    """``{"name": …, **fields}`` of a model, for JSON and TOML."""
    for name, kind in MODELS.items():
        if type(model) is kind:
            own = getattr(model, "to_config", None)
            fields = dataclasses.asdict(model) if own is None else own()
            return {"name": name, **fields}
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

    A class that reads itself from a plain dict (``from_config``) does so.

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
            value = _nested(typing.cast(type, hint), value, f"{where}.{name}")
        else:
            value = _checked(value, hint, f"{where}.{name}")
        values[name] = value
    for field in dataclasses.fields(kind):
        needed = field.default is field.default_factory is dataclasses.MISSING
        if needed and field.name not in values:
            raise ValueError(f"{where}.{field.name} is missing")
    return kind(**values)


def _nested(kind: Any, fields: dict[str, Any], where: str) -> Any:
    if not hasattr(kind, "from_config"):
        return from_dict(kind, fields, where=where)
    try:
        return kind.from_config(fields, where=where)
    except ValueError as error:
        if where in str(error):
            raise
        raise ValueError(f"{where}: {error}") from error


def _checked(value: Any, hint: Any, where: str) -> Any:
    """Plain values of the right type; whole numbers pass as floats, lists as tuples."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType) and value is not None:
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        hint = kinds[0] if len(kinds) == 1 else hint
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    simple = {int, float, bool, str}
    if hint in simple and (type(value) is not hint):
        raise ValueError(f"{where} must be {hint.__name__}, got {value!r}")
    return value
