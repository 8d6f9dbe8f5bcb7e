"""Writing TOML (the standard library only reads it)."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_BOX = {"low", "high", "start"}


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
    plain = {name: v for name, v in values.items() if not _is_table(v) and v is not None}
    lines = [f"{_key(name)} = {_value(value)}" for name, value in plain.items()]
    if path and (lines or not values):
        lines = ["", f"[{'.'.join(map(_key, path))}]", *lines]
    for name, value in values.items():
        if _is_table(value):
            lines += _table(value, (*path, name))
    return lines


def _is_table(value: Any) -> bool:
    """Written under a heading of its own; the box of a parameter stays in its line."""
    return isinstance(value, dict) and not (value and value.keys() <= _BOX)


def _key(name: str) -> str:
    """Bare where TOML allows it; names of populations and neurons may hold anything."""
    is_bare = bool(re.fullmatch(r"[A-Za-z0-9_-]+", name))
    return name if is_bare else _value(name)


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
    if isinstance(value, dict):
        items = [f"{_key(name)} = {_value(item)}" for name, item in value.items()]
        return f"{{ {', '.join(items)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    raise TypeError(f"{value!r} has no place in TOML")
