"""What every study does: seeds, a folder, a table with spread, a JSON document."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latentspike.files import write_json


def arguments(description: str, folder: str, *, seeds: int = 3) -> argparse.ArgumentParser:
    """Options common to all studies."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=Path("runs") / folder, help="result folder")
    parser.add_argument("--seeds", type=int, default=seeds, help="number of seeds, from 0")
    return parser


def fit_arguments(parser: argparse.ArgumentParser, parts: Sequence[str]) -> None:
    """Options of a study that fits neuLVM to many recordings, a job each."""
    from latentspike.models.neulvm import Estimation  # JAX: not for the processes of other jobs

    defaults = Estimation()
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time, one core each")
    parser.add_argument("--method", choices=("sampling", "hard"), default="sampling")
    parser.add_argument("--starts", type=int, default=defaults.n_starts, help="of a fit")
    parser.add_argument("--warmup", type=int, default=defaults.n_warmup, help="samples")
    parser.add_argument("--draws", type=int, default=defaults.n_draws, help="samples")


def recordings_folder() -> Path:
    """Folder of the real recordings, from ``LATENTSPIKE_TEST_DATA``.

    Raises
    ------
    FileNotFoundError : if the variable is not set or names no folder.
    """
    name = os.environ.get("LATENTSPIKE_TEST_DATA", "")
    if not name or not Path(name).is_dir():
        raise FileNotFoundError(
            "set LATENTSPIKE_TEST_DATA to the folder with the recordings (see docs/studies.md)"
        )
    return Path(name)


def spread(values: Sequence[float]) -> str:
    """Mean with the standard deviation over seeds, and their number."""
    array = np.asarray(values, float)
    if array.size == 1:
        return f"{array[0]:.3f} (n = 1)"
    return f"{array.mean():.3f} ± {array.std(ddof=1):.3f} (n = {array.size})"


def print_table(title: str, rows: Mapping[str, Sequence[float]]) -> None:
    """One line per row: name, mean ± standard deviation, and the single values."""
    print(f"\n{title}")
    width = max(len(name) for name in rows)
    for name, values in rows.items():
        singles = ", ".join(f"{value:.3f}" for value in values)
        print(f"  {name:{width}s}  {spread(values)}   [{singles}]")


def keep(folder: Path, document: dict[str, Any]) -> None:
    """Write ``results.json`` into the study's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "results.json", document)
    print(f"\nwritten to {folder}")


def kept_before(folder: Path) -> dict[str, Any]:
    """What an earlier run kept there; empty if there was none."""
    path = folder / "results.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
