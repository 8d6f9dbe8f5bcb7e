"""Writing TOML (the standard library only reads it)."""

from __future__ import annotations

import json
import math
from typing import Any


def to_toml(document: dict[str, Any]) -> str:
    """TOML text of nested dicts of plain values; None is left out.

    Examples
    --------
    >>> print(to_toml({"seed": 1, "data": {"window": (-0.2, 0.5), "path": "a.h5"}}))
    seed = 1
    <BLANKLINE>
    [data]
    window = [-0.2, 0.5]
    path = "a.h5"
    <BLANKLINE>
    """
    return "\n".join(_table(document, ())) + "\n"


def _table(values: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = {name: v for name, v in values.items() if not isinstance(v, dict) and v is not None}
    lines = [f"{name} = {_value(value)}" for name, value in plain.items()]
    if path and (lines or not values):
        lines = ["", f"[{'.'.join(path)}]", *lines]
    for name, value in values.items():
        if isinstance(value, dict):
            lines += _table(value, (*path, name))
    return lines


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for the delete character, which TOML wants escaped
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    raise TypeError(f"{value!r} has no place in TOML")
