"""How a search goes about it; everything here changes its result."""

from __future__ import annotations

from dataclasses import dataclass, field

from latentspike.search.algorithm import Algorithm
from latentspike.search.pbt import PBT


@dataclass(frozen=True)
class SearchSettings:
    """How a search goes about it.

    Parameters
    ----------
    algorithm : `PBT` or `RandomSearch`
    n_members : models that compete
    epochs_per_generation : epochs between two steps of the algorithm, and between two checkpoints

    Raises
    ------
    ValueError
        Naming the setting that is out of range.
    """

    algorithm: Algorithm = field(default_factory=PBT)
    n_members: int = 12
    epochs_per_generation: int = 10

    def __post_init__(self) -> None:
        for name in ("n_members", "epochs_per_generation"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
