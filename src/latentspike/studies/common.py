"""What every study does: seeds, a folder, a table with spread, a JSON document."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from latentspike.files import write_json, write_text

if TYPE_CHECKING:
    from latentspike.search.executor import MakeExecutor

TABLE = "table.txt"


def arguments(description: str, folder: str, *, seeds: int = 3) -> argparse.ArgumentParser:
    """Options common to all studies."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=Path("runs") / folder, help="result folder")
    parser.add_argument("--seeds", type=int, default=seeds, help="number of seeds, from 0")
    return parser


def fit_arguments(
    parser: argparse.ArgumentParser, parts: Sequence[str], *, method: str = "sampling"
) -> None:
    """Options of a study that fits neuLVM to many recordings, a job each."""
    from latentspike.models.neulvm import Estimation  # JAX: not for the processes of other jobs

    defaults = Estimation()
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time, one core each")
    methods = ("sampling", "particles", "hard")
    parser.add_argument("--method", choices=methods, default=method)
    parser.add_argument("--starts", type=int, default=defaults.n_starts, help="of a fit")
    parser.add_argument("--warmup", type=int, default=defaults.n_warmup, help="samples")
    parser.add_argument("--draws", type=int, default=defaults.n_draws, help="samples")
    parser.add_argument("--particles", type=int, default=defaults.n_particles, help="of a swarm")
    parser.add_argument("--passes", type=int, default=defaults.n_passes, help="of a swarm")


def search_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a study that searches for hyperparameters."""
    parser.add_argument("--executor", choices=("local", "ray"), default="local", help="who trains")
    parser.add_argument("--ray-address", help="auto or host:port; one is started if left out")


def search_executor(options: argparse.Namespace) -> MakeExecutor:
    """Who trains the members of a search.

    Raises
    ------
    ImportError : if Ray is to, and is not installed.
    """
    if options.executor == "local":
        from latentspike.search.executor import local_executor

        return local_executor
    from latentspike.search.ray_executor import RayOptions, on_ray

    return on_ray(RayOptions(address=options.ray_address))


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


@contextmanager
def tabulated(folder: Path) -> Iterator[None]:
    r"""Print as always, and keep what the block has printed as ``table.txt``.

    A run has one block, around everything that is a summary: the file replaces that of an earlier
    run. A block that raises leaves the file as it was.

    Parameters
    ----------
    folder : of the study

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with tabulated(folder):
    ...     print("r  0.81")
    r  0.81
    >>> (folder / TABLE).read_text()
    'r  0.81\n'
    """
    both = _Both(sys.stdout)
    with redirect_stdout(both):
        yield
    lines = [line.rstrip() for line in both.getvalue().splitlines()]
    write_text(folder / TABLE, "\n".join(lines).strip("\n") + "\n")


class _Both(io.StringIO):
    """Keeps what is written, and shows it at once."""

    def __init__(self, shown: TextIO) -> None:
        super().__init__()
        self._shown = shown

    def write(self, text: str, /) -> int:
        self._shown.write(text)
        return super().write(text)

    def flush(self) -> None:
        self._shown.flush()


def keep(folder: Path, document: dict[str, Any]) -> None:
    """Write ``results.json`` into the study's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "results.json", document)
    print(f"\nwritten to {folder}")


def kept_before(folder: Path) -> dict[str, Any]:
    """What an earlier run kept there; empty if there was none."""
    path = folder / "results.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
