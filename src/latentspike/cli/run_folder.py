"""What a run folder holds, and the checks when a command opens one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from latentspike.cli.configuration import Configuration, read_configuration
from latentspike.cli.outcome import FileProblem, UsageError
from latentspike.cli.recording import Prepared, prepare
from latentspike.cli.toml import to_toml
from latentspike.files import load_arrays, save_arrays, write_text
from latentspike.io import read_results_hdf5
from latentspike.models.fitted import Fitted
from latentspike.spikes import Posterior, Split

CONFIG, RUN, SPLIT = "config.toml", "run.json", "split.npz"
CHECKPOINT, MODEL = "checkpoint.npz", "model.npz"
POSTERIOR, SCORES, FIGURES = "posterior.h5", "scores.json", "figures"
# of a search; the last three and the folders below belong to `latentspike.search.folder`
SEARCH, MANIFEST, LINEAGE = "search.toml", "search.json", "lineage.csv"
OWN = (
    *(CONFIG, RUN, SPLIT, CHECKPOINT, MODEL, POSTERIOR, SCORES, "sample_mask.npz", "metrics.csv"),
    *(SEARCH, MANIFEST, LINEAGE),
)
# may change when a run is resumed: how long it lasts, and where the recording lies
FREE = (
    "data.path",
    "training.max_epochs",
    "training.patience",
    "training.checkpoint_seconds",
)
OWN_FOLDERS = ("tensorboard", FIGURES, "scores", "weights")
Kind = Literal["fit", "tune"]


def make_room(folder: Path, *, resume: bool, overwrite: bool, kind: Kind = "fit") -> None:
    """Make the folder ready for a fit or a search.

    Raises
    ------
    UsageError : if it holds a run that is neither to be resumed nor replaced, one of another
        command, or foreign files.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder} is a file; name a folder")
    is_ours = (folder / RUN).exists()
    if folder.exists() and not is_ours and any(not _is_leftover(p) for p in folder.iterdir()):
        raise UsageError(f"--out {folder} is not empty and holds no run; name a new folder")
    made_by = maker(folder)
    if made_by not in (None, kind):
        raise UsageError(
            f"{folder} was made by `latentspike {made_by}`, which alone continues or replaces it; "
            "name another folder"
        )
    has_results = any((folder / name).exists() for name in (CHECKPOINT, MODEL, MANIFEST))
    if has_results and not resume and not overwrite:
        raise UsageError(
            f"{folder} already holds a run: --resume continues it, --overwrite replaces it"
        )
    if is_ours and (overwrite or (kind == "tune" and not resume)):
        forget(folder, OWN, OWN_FOLDERS)
    folder.mkdir(parents=True, exist_ok=True)
    for path in filter(_is_leftover, list(folder.iterdir())):
        path.unlink(missing_ok=True)


def maker(folder: Path) -> Kind | None:
    """Command that made the run in a folder; None if there is none, or one without any result."""
    if any((folder / name).exists() for name in (SEARCH, MANIFEST)):
        return "tune"
    return "fit" if any((folder / name).exists() for name in (CHECKPOINT, MODEL)) else None


def _is_leftover(path: Path) -> bool:
    """True for the temporary file of a write that was killed."""
    return any(path.name.startswith(f".{name}.") for name in OWN)


def forget(folder: Path, names: Iterable[str], folders: Iterable[str] = ()) -> None:
    """Delete files of a run by name; nothing that is not named."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
    for name in folders:
        shutil.rmtree(folder / name, ignore_errors=True)


def write_configuration(folder: Path, configuration: Configuration) -> None:
    """Write ``config.toml``, which alone repeats the run."""
    head = (
        "# Every setting of this run; repeat it with: latentspike fit --config THIS --out FOLDER\n"
    )
    write_text(folder / CONFIG, head + to_toml(configuration.to_dict()))


def open_configuration(folder: Path) -> Configuration:
    """The configuration of a run.

    Raises
    ------
    FileProblem : if the folder is not there or holds no run.
    """
    if not folder.is_dir():
        raise FileProblem(
            f"there is no run folder {folder}; `latentspike fit FILE --out {folder}` makes one"
        )
    if not (folder / CONFIG).exists():
        raise FileProblem(
            f"{folder} holds no run ({CONFIG} is missing); `latentspike fit FILE --out {folder}` "
            "makes one"
        )
    return Configuration.from_dict(read_configuration(str(folder / CONFIG)))


def save_split(folder: Path, split: Split | None, heldout: np.ndarray) -> None:
    """Write ``split.npz``: training and validation trials (or windows), and held-out neurons.

    Without a split, where every trial is fitted, both lists are empty.
    """
    none = np.zeros(0, int)
    train, validation = (none, none) if split is None else (split.train, split.validation)
    arrays = {"train": train, "validation": validation, "heldout": heldout}
    save_arrays(folder / SPLIT, arrays, {"format": 1, "kind": "split"})


def open_split(folder: Path) -> tuple[Split | None, np.ndarray]:
    """Split (None where every trial was fitted) and held-out neurons of a run."""
    arrays = _arrays(folder / SPLIT, "fit")
    try:
        train, validation = arrays["train"], arrays["validation"]
        is_whole = not train.size and not validation.size
        split = None if is_whole else Split(train, validation)
        return split, arrays["heldout"].astype(bool)
    except KeyError as error:
        raise FileProblem(f"{folder / SPLIT} is damaged: it lacks {error}") from error


def open_fitted(folder: Path) -> Fitted:
    """The fitted model of a run; FileProblem says which command makes it."""
    if not (folder / MODEL).exists():
        command = maker(folder) or "fit"
        which = "--resume" if (folder / RUN).exists() else "FILE"
        how = f"{command} {which} --out {folder}"
        raise FileProblem(f"{folder} holds no fitted model ({MODEL}); run `latentspike {how}`")
    try:
        return Fitted.load(folder)
    except (ValueError, KeyError, TypeError) as error:
        raise FileProblem(f"{error}; fit again with --overwrite") from error


def open_posterior(folder: Path) -> Posterior:
    """What `infer` found; FileProblem says to run it if it has not been."""
    path = folder / POSTERIOR
    if not path.exists():
        raise FileProblem(
            f"{folder} has no inference yet ({POSTERIOR}); run `latentspike infer {folder}`"
        )
    try:
        return read_results_hdf5(path)
    except ValueError as error:
        raise FileProblem(f"{error}; run `latentspike infer {folder}` again") from error


def open_run(folder: Path) -> tuple[Configuration, Prepared, Split | None]:
    """Configuration, recording and split (None where every trial was fitted) of a run.

    Raises
    ------
    FileProblem : if something is missing or damaged, naming the command that makes it.
    UsageError : if the recording is not the one that was fitted.
    """
    from latentspike.training.fit import data_hash

    configuration = open_configuration(folder)
    split, heldout = open_split(folder)
    prepared = prepare(configuration.data, seed=configuration.seed, heldout=heldout)
    expected = read_json(folder / RUN).get("data", {}).get("hash")
    if expected != data_hash(prepared.data):
        raise UsageError(
            f"{configuration.data.path} has changed since {folder} was fitted; fit again, or pass "
            "another recording to `latentspike infer RUN --data FILE`"
        )
    return configuration, prepared, split


def check_resumable(
    folder: Path, configuration: Configuration, split: Split | None, digest: str
) -> None:
    """Refuse to resume a run with other settings or data, before any of its files is replaced.

    Raises
    ------
    FileProblem : if a file that the resumed run needs is damaged.
    UsageError : naming what differs.
    """
    if not (folder / CHECKPOINT).exists():
        return
    _arrays(folder / CHECKPOINT, "fit --overwrite")
    before, after = (dict(_flat(c.to_dict())) for c in (open_configuration(folder), configuration))
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if name not in FREE and old != new:
            raise UsageError(
                f"{folder} was fitted with {name} = {old!r}, not {new!r}; resume it with its own "
                "settings, or name another folder"
            )
    before_split, _ = open_split(folder)
    same_split = all(
        np.array_equal(getattr(before_split, part, []), getattr(split, part, []))
        for part in ("train", "validation")
    )
    if not same_split or read_json(folder / RUN).get("data", {}).get("hash") != digest:
        raise UsageError(
            f"{configuration.data.path} has changed since {folder} was begun; name another folder"
        )


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _arrays(path: Path, command: str) -> dict[str, np.ndarray]:
    if not path.exists():
        raise FileProblem(f"{path} is missing; run `latentspike {command}` again")
    try:
        return load_arrays(path)[0]
    except ValueError as error:
        raise FileProblem(f"{error}; run `latentspike {command}` again") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON document; FileProblem if it is missing or damaged."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileProblem(f"{path} is missing; fit again") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise FileProblem(f"{path} is damaged: {error}") from error
    if not isinstance(document, dict):
        raise FileProblem(f"{path} is damaged: it is not a JSON object")
    return document
