"""A search on disk: what was configured, who descends from whom, every score; all of it text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentspike.files import write_json, write_text
from latentspike.search.store import Store

FORMAT = 1
MANIFEST, LINEAGE, SCORES, WEIGHTS = "search.json", "lineage.csv", "scores", "weights"
Row = dict[str, Any]


@dataclass(frozen=True)
class SearchFolder:
    """Files of a search. ``search.json`` is written last: what it does not name did not happen.

    Parameters
    ----------
    path : folder
    """

    path: Path

    @property
    def store(self) -> Store:
        """Weights of the members."""
        return Store(self.path / WEIGHTS)

    def exists(self) -> bool:
        """True if the folder holds a search."""
        return (self.path / MANIFEST).exists()

    def commit(
        self,
        generation: int,
        manifest: Mapping[str, Any],
        scores: Sequence[Row],
        lineage: Sequence[Row],
    ) -> None:
        """Write a generation whose weights are in the store.

        Parameters
        ----------
        generation : its number, from 0
        manifest : what a resumed search continues from
        scores : one row per member and epoch of the generation
        lineage : one row per member and generation, all of them
        """
        write_text(self.path / SCORES / f"{generation:04d}.csv", _to_csv(scores))
        write_text(self.path / LINEAGE, _to_csv(lineage))
        write_json(
            self.path / MANIFEST,
            {"format": FORMAT, "kind": "search", "generation": generation, **manifest},
        )
        self.store.forget_all_but(generation)

    def manifest(self) -> dict[str, Any]:
        """What `commit` wrote last.

        Raises
        ------
        FileNotFoundError : if the folder holds no search.
        ValueError : if the file is damaged or of an unknown format.
        """
        path = self.path / MANIFEST
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        if not isinstance(document, dict) or document.get("kind") != "search":
            raise ValueError(f"{path} is damaged: it describes no search")
        if document.get("format") != FORMAT:
            raise ValueError(
                f"{path} has format {document.get('format')!r}; this version reads {FORMAT}"
            )
        return document

    def lineage(self) -> list[Row]:
        """Rows of the generations that were finished.

        Raises
        ------
        ValueError : if the table is damaged or rows are missing.
        """
        manifest = self.manifest()
        last = manifest["generation"]
        rows = [row for row in _from_csv(self.path / LINEAGE) if row["generation"] <= last]
        expected = (last + 1) * len(manifest["ancestors"])
        if len(rows) != expected:
            raise ValueError(
                f"{self.path / LINEAGE} is damaged: it has {len(rows)} rows of {expected}"
            )
        return rows

    def scores(self, generation: int) -> list[Row]:
        """Rows of one generation: one per member and epoch."""
        return _from_csv(self.path / SCORES / f"{generation:04d}.csv")


def _to_csv(rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


_WHOLE = ("generation", "member", "ancestor", "epoch")
_WORDS = ("reason",)


def _from_csv(path: Path) -> list[Row]:
    """Rows with numbers as numbers; exact, for floats are written with all their digits."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return [
            {name: _value(name, text) for name, text in row.items() if text != "" or name in _WORDS}
            for row in rows
        ]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _value(name: str, text: str) -> Any:
    if name in _WORDS:
        return text
    return int(text) if name in _WHOLE else float(text)
