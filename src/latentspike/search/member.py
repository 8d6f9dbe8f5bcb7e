"""What a search and its executors say to each other about one member."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

from latentspike.training.progress import Progress


class Weights(NamedTuple):
    """Arrays of one member between two generations, on the host."""

    state: Any  # parameters and optimizer: they travel to whoever takes them over
    best: Any  # parameters of the best epoch that this place in the population has seen


@dataclass(frozen=True)
class Best:
    """The best epoch that one place in the population has seen.

    Parameters
    ----------
    score : smoothed selection loss, lower is better
    epoch : its number, from 0
    hyperparams : in force then
    """

    score: float
    epoch: int
    hyperparams: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able copy; ``Best(**document)`` is its inverse."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Order:
    """What one member is to do in a generation.

    Parameters
    ----------
    member : its number; with the epoch it fixes every random draw
    ancestor : member whose weights of the generation before it continues from; itself, as a rule
    hyperparams : every scalar of training and model
    progress : of the ancestor: patience, decay, smoothed loss; without its history
    best : of this place, or None before the first epoch
    failed : why it failed in an earlier generation and does not train any more, or None
    """

    member: int
    ancestor: int
    hyperparams: dict[str, float]
    progress: Progress
    best: Best | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of an order.

    Parameters
    ----------
    member : its number
    progress : after the generation, without history
    rows : one row of figures per epoch of this generation
    score : selection loss of the last epoch (smoothed, where no epoch was trained because the
        member had stopped); NaN if it failed
    best : of this place
    failed : why a loss was not finite, or None
    """

    member: int
    progress: Progress
    rows: list[dict[str, float]]
    score: float
    best: Best | None = None
    failed: str | None = None
