"""Checkpoints of a run: one atomic file, no pickle, with everything that an exact resume needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from latentspike.files import load_arrays, save_arrays
from latentspike.models.tree import flatten, unflatten_like
from latentspike.training.epoch import TrainState
from latentspike.training.progress import Progress

FORMAT = 1
NAME = "checkpoint.npz"


class Checkpoint(NamedTuple):
    """A run between two epochs."""

    state: TrainState
    best_params: Any
    progress: Progress


def save_checkpoint(folder: Path, checkpoint: Checkpoint, identity: dict[str, Any]) -> None:
    """Write ``checkpoint.npz``; the previous one survives any failure.

    Parameters
    ----------
    folder : of the run
    checkpoint : to keep
    identity : what must be equal to resume: configuration, seed, data hash
    """
    arrays = {
        **{f"state/{name}": value for name, value in flatten(checkpoint.state).items()},
        **{f"best/{name}": value for name, value in flatten(checkpoint.best_params).items()},
    }
    write_checkpoint(folder, arrays, checkpoint.progress.to_dict(), identity)


def write_checkpoint(
    folder: Path,
    arrays: dict[str, np.ndarray],
    progress: dict[str, Any],
    identity: dict[str, Any],
) -> None:
    """Write ``checkpoint.npz`` atomically.

    Parameters
    ----------
    folder : of the run
    arrays : by name
    progress, identity : JSON-able; how far the run is, and what must be equal to resume it
    """
    header = {"format": FORMAT, "kind": "checkpoint", "identity": identity, "progress": progress}
    save_arrays(folder / NAME, arrays, header)


def load_checkpoint(folder: Path, like: TrainState, identity: dict[str, Any]) -> Checkpoint:
    """Read ``checkpoint.npz`` of the same run.

    Parameters
    ----------
    folder : of the run
    like : state with the expected structure and shapes
    identity : of the run that resumes

    Raises
    ------
    FileNotFoundError : if there is no checkpoint.
    ValueError : if it is damaged, of an unknown format, or of another run (naming what differs).
    """
    arrays, progress = read_checkpoint(folder, identity)
    where = str(folder / NAME)
    state = unflatten_like(like, below("state/", arrays), where)
    best = unflatten_like(like.params, below("best/", arrays), where)
    return Checkpoint(state, best, Progress.from_dict(progress))


def read_checkpoint(
    folder: Path, identity: dict[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and progress that `write_checkpoint` wrote, of the same run.

    Raises
    ------
    FileNotFoundError : if there is no checkpoint.
    ValueError : if it is damaged, of an unknown format, or of another run (naming what differs).
    """
    path = folder / NAME
    arrays, header = load_arrays(path)
    if header.get("kind") != "checkpoint" or header.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {header.get('format')!r} of {header.get('kind')!r}; this version "
            f"reads format {FORMAT} of 'checkpoint'"
        )
    for name, value in identity.items():
        stored = header["identity"].get(name)
        if stored != value:
            where, was, now = _first_difference(name, stored, value)
            raise ValueError(
                f"{path} belongs to another run: {where} was {was!r}, now {now!r}; "
                "resume with the same data, configuration and seed, or use another folder"
            )
    return arrays, header["progress"]


def _first_difference(name: str, stored: Any, now: Any) -> tuple[str, Any, Any]:
    """Where two nested tables differ first, and what stands there; None where nothing does."""
    if not (isinstance(stored, dict) and isinstance(now, dict)):
        return name, stored, now
    key = next(k for k in [*now, *stored] if stored.get(k) != now.get(k))
    return _first_difference(f"{name}.{key}", stored.get(key), now.get(key))


def below(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }


def has_checkpoint(folder: Path) -> bool:
    """True if the folder holds a checkpoint."""
    return (folder / NAME).exists()
