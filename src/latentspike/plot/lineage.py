"""Rows of a search as arrays: who descends from whom, with errors that name the row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

Row = Mapping[str, Any]
Scale = Literal["auto", "log", "linear"]

_OTHER_COLUMNS = ("generation", "member", "ancestor", "reason", "score")
_OTHER_COLUMNS += ("best_epoch", "r2", "valid_loss")


class Tree(NamedTuple):
    """A lineage as arrays [generations, members]; ancestors are places among the members."""

    rows: list[list[Row]]
    generations: np.ndarray
    members: np.ndarray
    scores: np.ndarray
    ancestors: np.ndarray

    def values(self, name: str) -> np.ndarray:
        """Numbers of a column."""
        return np.array([[as_number(row, name) for row in rows] for rows in self.rows])

    @property
    def steps(self) -> np.ndarray:
        """Generation of each place."""
        return np.broadcast_to(self.generations[:, None], self.scores.shape)

    @property
    def kept(self) -> np.ndarray:
        """True where a member keeps its weights."""
        return self.ancestors == np.arange(self.members.size)

    @property
    def founders(self) -> np.ndarray:
        """Whose weights of the first generation a member trains in each generation."""
        found = [np.arange(self.members.size)]
        for ancestors in self.ancestors[:-1]:
            found.append(found[-1][ancestors])
        return np.stack(found)

    @property
    def alive(self) -> np.ndarray:
        """True where the weights went on to a member of the last generation."""
        alive = np.ones(self.ancestors.shape, bool)
        for step in range(len(alive) - 2, -1, -1):
            alive[step] = np.isin(
                np.arange(self.members.size), self.ancestors[step][alive[step + 1]]
            )
        return alive

    @property
    def winner(self) -> np.ndarray:
        """Places, generation by generation, of the weights that reached the lowest score."""
        lowest = int(np.argmin(np.where(np.isfinite(self.scores), self.scores, np.inf)))
        last, place = divmod(lowest, self.members.size)
        path = [place]
        for ancestors in self.ancestors[:last][::-1]:
            path.append(int(ancestors[path[-1]]))
        return np.array(path[::-1])

    def links(self, values: np.ndarray) -> np.ndarray:
        """Lines from where the weights were [generations − 1, members, 2 ends, (x, y)]."""
        before = np.take_along_axis(values[:-1], self.ancestors[:-1], axis=1)
        ends = [(self.steps[:-1], before), (self.steps[1:], values[1:])]
        return np.stack([np.stack(end, axis=-1) for end in ends], axis=2)


def read_lineage(lineage: Sequence[Row]) -> Tree:
    """A lineage from rows in any order; ValueError names the row that is missing or double."""
    if not lineage:
        raise ValueError("the lineage has no rows")
    places: dict[tuple[int, int], Row] = {}
    for row in lineage:
        key = (_whole(row, "generation"), _whole(row, "member"))
        if key in places:
            raise ValueError(f"generation {key[0]} has two rows of member {key[1]}")
        places[key] = row
    generations, members = (sorted(set(numbers)) for numbers in zip(*places, strict=True))
    generations = list(range(generations[0], generations[-1] + 1))
    for generation in generations:
        for member in members:
            if (generation, member) not in places:
                raise ValueError(f"generation {generation} has no row of member {member}")
    rows = [[places[generation, member] for member in members] for generation in generations]
    ancestors = np.array([[_ancestor(row, members) for row in some] for some in rows])
    scores = np.array([[as_number(row, "score") for row in some] for some in rows])
    check_scores(scores)
    return Tree(rows, np.array(generations), np.array(members), scores, ancestors)


def _ancestor(row: Row, members: list[int]) -> int:
    ancestor = _whole(row, "ancestor")
    if ancestor not in members:
        raise ValueError(f"{_where(row)}: its ancestor {ancestor} is no member of the search")
    return members.index(ancestor)


def check_scores(scores: np.ndarray) -> None:
    """Raise if no score is finite."""
    if not np.isfinite(scores).any():
        raise ValueError("no member has a finite score: all failed, there is nothing to draw")


def _where(row: Row) -> str:
    known = [f"{word} {row[word]}" for word in ("generation", "member") if word in row]
    return ", ".join(known) or "a row"


def as_number(row: Row, column: str) -> float:
    """A float; an empty field is NaN."""
    if column not in row:
        raise ValueError(f"{_where(row)} has no column {column!r}; it has {', '.join(row)}")
    try:
        return math.nan if row[column] in (None, "") else float(row[column])
    except (TypeError, ValueError):
        raise ValueError(f"{_where(row)}: {column} = {row[column]!r} is no number") from None


def _whole(row: Row, column: str) -> int:
    found = as_number(row, column)
    if not found.is_integer():
        raise ValueError(f"{_where(row)}: {column} = {row[column]!r} is no whole number")
    return int(found)


def final_values(members: Sequence[Row], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores and the values of a hyperparameter at the end, each [members]."""
    scores = np.array([as_number(row, "score") for row in members])
    check_scores(scores)
    values = np.array([as_number(row, name) for row in members])
    if not np.isfinite(scores + values).any():
        raise ValueError(f"no member has both a finite score and a finite {name}")
    return scores, values


def hyperparameter_names(rows: Sequence[Row], names: Sequence[str] | None) -> list[str]:
    """The names given, or those of all columns with several values, in the order of the rows."""
    if names is None:
        others = [column for column in dict(*rows[:1]) if column not in _OTHER_COLUMNS]
        names = [column for column in others if _varies(rows, column)]
    if not names:
        raise ValueError("no hyperparameter varies: name the columns to draw")
    return list(names)


def _varies(rows: Sequence[Row], column: str) -> bool:
    try:
        values = np.array([as_number(row, column) for row in rows])
    except ValueError:  # text, or a column of some rows only
        return False
    return np.unique(values[np.isfinite(values)]).size > 1


def choose_scale(name: str, values: np.ndarray, scale: Scale) -> Literal["log", "linear"]:
    """Scale of an axis for values; ValueError if zero is to go on a log scale."""
    known = values[np.isfinite(values)]
    if not known.size:
        raise ValueError(f"{name} has no finite value: nothing to draw")
    if scale == "auto":
        return "log" if _is_wide(known) else "linear"
    if scale not in ("log", "linear"):
        raise ValueError(f"scale must be auto, log or linear, got {scale!r}")
    if scale == "log" and known.min() <= 0:
        raise ValueError(f"{name} = {known.min():g} has no place on a log scale: scale='linear'")
    return scale


def _is_wide(values: np.ndarray) -> bool:
    """Positive, over a factor of ten or more, and crowded at the bottom of a linear axis."""
    low, high = values.min(), values.max()
    return low > 0 and high >= 10 * low and np.median(values) < (low + high) / 6
