"""``run.json``: what was run, when, on what, and how it ended."""

from __future__ import annotations

import datetime
import hashlib
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np

import latentspike
from latentspike.cli.configuration import Configuration
from latentspike.cli.outcome import jsonable
from latentspike.cli.run_folder import RUN, read_json
from latentspike.files import write_json


def begin(
    folder: Path, configuration: Configuration, digest: str, n_devices: int
) -> dict[str, Any]:
    """Write ``run.json`` with what is known when a fit starts, and return it."""
    import jax

    path = Path(str(configuration.data.path))
    before = read_json(folder / RUN) if (folder / RUN).exists() else {}
    document = {
        "format": 1,
        "status": "running",
        "started": before.get("started", now()),
        "resumed": [*before.get("resumed", []), now()] if before else [],
        "ended": None,
        "command": shlex.join(["latentspike", *sys.argv[1:]]),
        "seed": configuration.seed,
        "data": {"path": str(path), "sha256": _file_digest(path), "hash": digest},
        "versions": {
            "latentspike": latentspike.__version__,
            "python": platform.python_version(),
            "jax": jax.__version__,
            "numpy": np.__version__,
        },
        "platform": {
            "system": platform.platform(),
            "backend": jax.default_backend(),
            "devices": n_devices,
        },
    }
    write_json(folder / RUN, document)
    return document


def end(folder: Path, document: dict[str, Any], status: str, **more: Any) -> None:
    """Complete ``run.json``: "finished", "interrupted" or "failed"."""
    write_json(folder / RUN, jsonable({**document, "status": status, "ended": now(), **more}))


def now() -> str:
    """Time of day with zone, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
