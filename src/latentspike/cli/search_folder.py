"""What the folder of a search holds beside that of a fit, and the checks when it is resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from latentspike.cli import run_folder as files
from latentspike.cli.configuration import read_configuration
from latentspike.cli.outcome import FileProblem, UsageError
from latentspike.cli.search_configuration import SearchConfiguration
from latentspike.cli.search_plan import Plan
from latentspike.cli.toml import to_toml
from latentspike.files import write_text
from latentspike.search.folder import SearchFolder
from latentspike.training.fit import data_hash

# may change when a search is resumed: how long it lasts, and where the recording lies
FREE = (
    "data.path",
    "training.checkpoint_seconds",
    "training.max_epochs",
    "training.patience",
    "search.max_generations",
    "search.patience",
    "search.minutes",
)
_HEAD = (
    "# Every setting of this search; repeat it with: latentspike tune --config THIS --out FOLDER\n"
)
_FIT_HEAD = "# Settings of the best member, as of a fit; search.toml has those of the search\n"


def write_search(folder: Path, configuration: SearchConfiguration) -> None:
    """Write ``search.toml``, which alone repeats and resumes the search."""
    write_text(folder / files.SEARCH, _HEAD + to_toml(configuration.to_dict()))


def write_best(
    folder: Path, configuration: SearchConfiguration, hyperparams: dict[str, float]
) -> None:
    """Write ``config.toml``: a fit with the hyperparameters of the best member."""
    document = configuration.as_fit(hyperparams).to_dict()
    write_text(folder / files.CONFIG, _FIT_HEAD + to_toml(document))


def open_search(folder: Path) -> dict[str, Any]:
    """Plain settings of the search in a folder.

    Raises
    ------
    FileProblem : if there is none.
    """
    if not (folder / files.SEARCH).exists():
        raise FileProblem(
            f"{folder} holds no search to resume; `latentspike tune FILE --out {folder}` begins one"
        )
    return read_configuration(str(folder / files.SEARCH))


def check_changes(folder: Path, before: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Refuse to resume a search with other settings.

    Parameters
    ----------
    folder : of the search
    before : its settings
    changes : what was given now, without what was left out

    Raises
    ------
    UsageError : naming what differs.
    """
    for names, new in _flat(changes, ()):
        name, old = ".".join(names), _at(before, names)
        if name not in FREE and old != new:
            raise UsageError(
                f"{folder} was begun with {name} = {old!r}, not {new!r}; resume it with its own "
                "settings (search.max_generations and search.patience may change), or name "
                "another folder"
            )


def _flat(
    values: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*path, name))
        else:
            yield (*path, name), value


def _at(values: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def check_resumable(folder: Path, plan: Plan) -> None:
    """Refuse to resume a search on another recording, before any of its files is replaced.

    Raises
    ------
    FileProblem, ValueError : if a file of the search is missing or damaged.
    UsageError : if the recording has changed.
    """
    split, _ = files.open_split(folder)
    same = all(
        np.array_equal(getattr(split, part), getattr(plan.split, part))
        for part in ("train", "validation")
    )
    expected = files.read_json(folder / files.RUN).get("data", {}).get("hash")
    if not same or expected != data_hash(plan.prepared.data):
        path = plan.configuration.base.data.path
        raise UsageError(f"{path} has changed since {folder} was begun; name another folder")
    if (search := SearchFolder(folder)).exists():
        search.lineage()  # a table that lost its end is named now, not after a generation
