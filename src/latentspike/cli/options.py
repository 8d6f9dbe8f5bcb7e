"""Options that every command has, and how commands are declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro import conf


@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every command."""

    json: conf.FlagCreatePairsOff[bool] = False
    """Print exactly one JSON document on standard output; everything else goes to standard
    error. Errors are a document with the keys error and exit_code."""
    debug: conf.FlagCreatePairsOff[bool] = False
    """Show the traceback of an error."""


RunFolder = Annotated[str, conf.Positional, conf.arg(metavar="RUN")]
"""The folder of a run, as a positional argument."""

Flag = conf.FlagCreatePairsOff[bool]
"""An option without a value."""
