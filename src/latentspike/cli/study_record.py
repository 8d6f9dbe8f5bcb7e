"""``study.json``: what a study was run with, how it ended, and what its claims came to."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import latentspike
from latentspike.cli.outcome import FileProblem, jsonable
from latentspike.cli.run_record import now
from latentspike.files import write_json

RECORD = "study.json"
_FORMAT = 1
_CAPTURED: dict[str, Any] = {"check": True, "capture_output": True, "text": True}


def read(path: Path) -> dict[str, Any]:
    """A record.

    Raises
    ------
    FileProblem : if it is damaged or of another version.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != _FORMAT or document["kind"] != "study":
            raise ValueError(f"format {document['format']}")
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} is damaged or of another version ({error}): remove it"
        raise FileProblem(message) from error
    return document


def begin(folder: Path, description: dict[str, Any]) -> dict[str, Any]:
    """Write what is known at the start; an earlier run that did not end is gone on with."""
    before = read(folder / RECORD) if (folder / RECORD).exists() else {}
    is_resumed = before.get("status", "finished") != "finished"
    record = {
        "format": _FORMAT,
        "kind": "study",
        **description,
        "status": "running",
        "started": before["started"] if is_resumed else now(),
        "resumed": [*before["resumed"], now()] if is_resumed else [],
        "ended": None,
        "seconds": before["seconds"] if is_resumed else None,
        "version": latentspike.__version__,
        "versions": {name: metadata.version(name) for name in ("jax", "numpy")}
        | {"python": platform.python_version()},
        "platform": platform.platform(),
        "n_cores": os.cpu_count(),
        "commit": commit(),
        "claims": [],
        "figures": [],
        "tables": [],
    }
    return _write(folder, record)


def end(folder: Path, record: dict[str, Any], status: str, **more: Any) -> dict[str, Any]:
    """Complete the record: "finished", "interrupted" or "failed"."""
    return _write(folder, {**record, "status": status, "ended": now(), **more})


def _write(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    document = jsonable(record)
    write_json(folder / RECORD, document)
    return document


def commit() -> str | None:
    """Of the source that runs, with ``-dirty`` if it was changed; None if it is in no checkout."""
    source = Path(latentspike.__file__)
    git = ["git", "-C", str(source.parent)]
    try:
        # a package that is installed inside somebody's checkout is none of its files
        subprocess.run([*git, "ls-files", "--error-unmatch", source.name], **_CAPTURED)
        head = subprocess.run([*git, "rev-parse", "HEAD"], **_CAPTURED).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "--", "."], **_CAPTURED).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}-dirty" if changed.strip() else head
