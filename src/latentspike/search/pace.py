"""How fast a search goes and how long it may still take."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from latentspike.search.table import format_number

_now = time.monotonic

Told = list[tuple[int, dict[str, float]]]  # (member, row of figures), each of one epoch


class Pace:
    """How fast a search goes and how long it may still take.

    What compiles is left out: the first epoch at first and then, once it is over, the whole first
    generation, for executors elsewhere may tell all its epochs at a time.
    """

    def __init__(self, n_members: int, epochs_per_generation: int, max_generations: int) -> None:
        self._epochs, self._total = epochs_per_generation, epochs_per_generation * max_generations
        self._done = [0] * n_members  # epochs of each member
        self._begun = 0  # epochs before the present generation
        self._since: float | None = None
        self._counted = 0
        self._last: float | None = None  # rate before the clock was set back
        self._n_ended = 0

    def start(self, generation: int) -> None:
        """Begin with a generation, the first one of this process."""
        self._begun = generation * self._epochs
        self._done = [self._begun] * len(self._done)

    def count(self, told: Told) -> None:
        """Take in epochs."""
        if self._since is None:
            self._since = _now()
        else:
            self._counted += len(told)
        for number, row in told:
            self._done[number] = max(self._done[number], int(row["epoch"]) + 1)

    def end(self, ancestors: Mapping[int, int]) -> None:
        """Go on to the next generation."""
        done = list(self._done)
        for member, ancestor in ancestors.items():
            self._done[member] = done[ancestor]
        self._begun += self._epochs
        self._n_ended += 1
        if self._n_ended == 1:
            self._last = self.rate()
            self._since, self._counted = _now(), 0

    def rate(self) -> float | None:
        """Epochs of one member per second, or None while it is not known."""
        if self._since is None or self._counted == 0:
            return self._last
        seconds = _now() - self._since
        return self._counted / seconds if seconds > (0 if self._n_ended else 1) else self._last

    def seconds_left(self) -> float | None:
        """At most that long; None if not known, or if nobody trains any more."""
        # who has not finished the generations before this one has failed or stopped
        left = sum(self._total - done for done in self._done if done >= self._begun)
        rate = self.rate()
        return None if rate is None or left <= 0 else left / rate

    def words(self) -> list[str]:
        """Both in words, as far as they are known."""
        rate, left = self.rate(), self.seconds_left()
        words = [] if rate is None else [f"{format_number(rate)} member-epochs/s"]
        return words if left is None else [*words, f"at most {_duration(left)} left"]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return (
        f"{math.ceil(seconds / 60)} min" if seconds < 5400 else f"{math.ceil(seconds / 360) / 10} h"
    )
