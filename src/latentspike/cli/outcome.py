"""What a command gives back, how it fails, and the exit code that says so."""

from __future__ import annotations

import math
import struct
import sys
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

EXIT_CODES = {
    0: "ok",
    1: "unexpected error",
    2: "bad usage, configuration or input data",
    3: "file problem: missing, damaged, not writable, disk full",
    4: "training failed: a loss is not finite",
    130: "interrupted (Ctrl-C): a checkpoint was written",
}

# What readers pass on as the cause when a file is damaged rather than merely unsuitable.
_DAMAGE = (
    OSError,
    EOFError,
    RuntimeError,
    KeyError,
    SyntaxError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


_FAILED = ("NonFiniteLossError", "SearchFailedError")


@dataclass(frozen=True)
class Report:
    """What a command found.

    Parameters
    ----------
    document : for ``--json``
    text : the same for people
    """

    document: dict[str, Any]
    text: str


class UsageError(ValueError):
    """The command cannot be carried out as it was given."""


class FileProblem(OSError):
    """A file is missing or damaged; the message names it and what to do."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a message that says how to go on."""


def exit_code(error: BaseException) -> int:
    """Exit code of an error that ended a command."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, ArithmeticError) and type(error).__name__ in _FAILED:
        return 4  # by name: importing their rooms would load JAX before every message
    if isinstance(error, OSError) or _is_damage(error):
        return 3
    if isinstance(error, ValueError | ImportError) or type(error) is MemoryError:
        return 2  # a model too large for the machine is a matter of configuration
    return 1


def _is_damage(error: BaseException) -> bool:
    if not isinstance(error, ValueError):
        return False
    cause = error.__cause__
    while cause is not None:
        if isinstance(cause, _DAMAGE):
            return True
        cause = cause.__cause__
    return "is truncated" in str(error) or "is damaged" in str(error)


def message_of(error: BaseException) -> str:
    """One line that says what went wrong."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        text = f"{where}{error.strerror}"
    text = "; ".join([text, *getattr(error, "__notes__", [])])
    if isinstance(error, KeyboardInterrupt) and not text:
        text = "interrupted"
    if exit_code(error) == 1:
        return f"{type(error).__name__}: {text} (unexpected; --debug shows where)"
    return text or type(error).__name__


def jsonable(value: Any) -> Any:
    """Plain JSON values; what is not finite becomes None, tuples and arrays become lists.

    Examples
    --------
    >>> jsonable({"loss": float("nan"), "window": (0, 1)})
    {'loss': None, 'window': [0, 1]}
    """
    if isinstance(value, dict):
        return {str(name): jsonable(item) for name, item in value.items()}
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def note(message: str) -> None:
    """Say something to the person who watches; never on standard output."""
    print(message, file=sys.stderr, flush=True)
