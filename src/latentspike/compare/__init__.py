"""Every model under one protocol: the same trials, held-out neurons and decoder, in own processes.

See ``docs/compare.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentspike.compare.run import compare, format_results, read_results

__all__ = ["compare", "format_results", "read_results"]


def __getattr__(name: str) -> Any:
    """Loaded when asked for: processes of jobs import this package, and not all need JAX."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from latentspike.compare import run

    return getattr(run, name)
