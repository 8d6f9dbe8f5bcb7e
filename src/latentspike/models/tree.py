"""Trees of arrays as flat, named arrays for files."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def _name(path: Any) -> str:
    parts = []
    for step in path:
        for attribute in ("key", "name", "idx"):
            if hasattr(step, attribute):
                parts.append(str(getattr(step, attribute)))
                break
    return "/".join(parts)


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """Arrays of a tree by their path, such as ``generator/gates``."""
    return {_name(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def unflatten_like(like: Any, arrays: dict[str, np.ndarray], where: str) -> Any:
    """Tree with the structure of ``like`` from named arrays.

    Raises
    ------
    ValueError : naming the file and the array that is missing, left over, or of another shape.
    """
    paths, structure = jax.tree.flatten_with_path(like)
    wanted = {_name(path): leaf for path, leaf in paths}
    for name in sorted(set(wanted) ^ set(arrays)):
        problem = "lacks" if name in wanted else "has an unexpected"
        raise ValueError(f"{where} {problem} array {name!r}")
    leaves = []
    for name, leaf in wanted.items():
        if arrays[name].shape != jnp.shape(leaf):
            raise ValueError(
                f"{where}: array {name!r} has shape {arrays[name].shape}, "
                f"expected {jnp.shape(leaf)}"
            )
        leaves.append(jnp.asarray(arrays[name]))
    return jax.tree.unflatten(structure, leaves)


def nest(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Nested dicts from named arrays: the inverse of `flatten` for trees of dicts."""
    tree: dict[str, Any] = {}
    for name, value in arrays.items():
        *parents, last = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        on_device = jnp.asarray(value)
        # JAX may be set to single precision: what was kept in double stays as it was
        node[last] = on_device if on_device.dtype == value.dtype else value
    return tree
