"""What a person sees while a search runs: a live table or plain lines, and TensorBoard."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latentspike.search.pace import Pace, Told
from latentspike.search.table import Member, best_of, drawing, format_loss
from latentspike.training.report import EventFile

MEMBER_RUNS = 64  # larger populations get no TensorBoard run per member
_LINE_SECONDS, _TABLE_SECONDS = 10.0, 0.25  # at most one line, or one refresh, in that time
_now = time.monotonic


class SearchReporter:
    """Live table on a terminal, plain lines elsewhere; TensorBoard when there is a folder.

    *Best* means the lowest selection loss, smoothed over epochs, while a generation runs, and the
    lowest score when it is over. The time left assumes that every member still in training goes
    on to the last generation; the first epoch, which compiles, does not count for the rate.

    TensorBoard counts epochs: figures of a generation are at its last epoch. Run ``search`` has
    ``best/score`` and ``median/score`` of each generation and the quartiles of every
    hyperparameter. Up to 64 members also have runs ``member-000``, … with ``valid_loss`` of each
    epoch, ``score`` and ``hyperparams/<name>``; for larger populations, which nobody can tell
    apart there, see ``lineage.csv`` and ``scores`` in the folder.

    Parameters
    ----------
    folder : of the search, or None
    n_members, epochs_per_generation, max_generations : for the time left
    names : searched hyperparameters, the columns of the table
    show : print to standard error

    Examples
    --------
    >>> reporter = SearchReporter(None, n_members=1, epochs_per_generation=1, max_generations=1,
    ...                           names=["l2_gen"], show=False)
    >>> reporter.begin(0, [{"l2_gen": 0.1}], [None])
    >>> reporter.epoch([(0, {"epoch": 0, "valid_loss": 2.0, "selection_smoothed": 2.0})])
    >>> reporter.end([{"member": 0, "ancestor": 0, "score": 2.0, "l2_gen": 0.1}])
    >>> reporter.close()
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        n_members: int,
        epochs_per_generation: int,
        max_generations: int,
        names: Sequence[str],
        show: bool,
    ) -> None:
        self._limits = (epochs_per_generation, max_generations)
        self._names = list(names)
        self._members = [Member(i) for i in range(n_members)]
        self._pace = Pace(n_members, epochs_per_generation, max_generations)
        self._folder = folder
        self._events: _Events | None = None
        self._view = _view() if show else None
        self._generation: int | None = None
        self._place = "compiling …"

    def begin(
        self,
        generation: int,
        hyperparams: Sequence[Mapping[str, float]],
        scores: Sequence[float | None],
    ) -> None:
        """Say that a generation starts.

        Parameters
        ----------
        generation : its number, from 0
        hyperparams : of each member
        scores : of each member after the generation before, None where there is none
        """
        if self._generation is None:
            self._pace.start(generation)
            if self._folder is not None:
                step = generation * self._limits[0]
                self._events = _Events(self._folder / "tensorboard", step, len(self._members))
        else:
            self._place = f"epoch 0/{self._limits[0]}"
        self._generation = generation
        for member, values, score in zip(self._members, hyperparams, scores, strict=True):
            member.hyperparams = dict(values)
            if math.isnan(member.loss) and score is not None and not member.failed:
                member.loss = score  # resumed
        self._refresh(at_once=True)

    def epoch(self, told: Told) -> None:
        """Take in the figures (member, row) of an epoch of some members."""
        self._pace.count(told)
        for number, row in told:
            self._members[number].loss = row["selection_smoothed"]
        if told:
            self._place = self._where(told)
        if self._events is not None:
            self._events.epoch(told)
        self._refresh()

    def end(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Say what came of a generation.

        Parameters
        ----------
        rows : one per member: ``member``, ``ancestor``, ``score`` (NaN if it failed), and every
            searched hyperparameter by its name
        """
        epochs, _ = self._limits
        before = [member.loss for member in self._members]
        for row in rows:
            member, ancestor = self._members[row["member"]], row["ancestor"]
            member.failed = not math.isfinite(row["score"])
            member.replaced_by = None if ancestor == member.number else ancestor
            gone = member.failed and member.replaced_by is None
            member.loss = math.nan if gone else before[ancestor]
        self._pace.end({row["member"]: row["ancestor"] for row in rows})
        if self._events is not None:
            step = ((self._generation or 0) + 1) * epochs - 1
            self._events.end(rows, self._names, step)
        if isinstance(self._view, _Lines):
            self._view.say(self._summary(rows))
        self._refresh(at_once=True)

    def note(self, text: str) -> None:
        """Say something to the person who watches."""
        if self._view is not None:
            self._view.say(text)

    def close(self) -> None:
        """Leave the last table standing; finish the event files."""
        if isinstance(self._view, _Table) and self._generation is not None:
            self._refresh(at_once=True)
        if self._view is not None:
            self._view.close()
        if self._events is not None:
            self._events.close()

    def _where(self, told: Told) -> str:
        """Epoch of the members that were told last, and which, unless all train together."""
        epochs, _ = self._limits
        epoch = max(int(row["epoch"]) for _, row in told) % epochs + 1
        text = f"epoch {epoch}/{epochs}"
        low, high = min(number for number, _ in told), max(number for number, _ in told)
        if high - low + 1 == len(self._members):
            return text
        return f"{text} (member {low})" if low == high else f"{text} (members {low}–{high})"

    def _refresh(self, *, at_once: bool = False) -> None:
        if isinstance(self._view, _Table) and self._view.is_due(at_once):
            title = " · ".join([self._number(), self._place, *self._pace.words(), *self._best()])
            self._view.draw(title, self._members, self._names)
        elif isinstance(self._view, _Lines) and self._view.is_due():
            words = ", ".join([*self._best(), *self._pace.words()])
            self._view.say(f"{self._number()} {self._place}" + (f": {words}" if words else ""))

    def _number(self) -> str:
        return f"generation {(self._generation or 0) + 1}/{self._limits[1]}"

    def _best(self) -> list[str]:
        best = best_of(self._members)
        return [] if best is None else [_best(best.loss, best.number)]

    def _summary(self, rows: Sequence[Mapping[str, Any]]) -> str:
        scores = [(row["score"], row["member"]) for row in rows if math.isfinite(row["score"])]
        words = [
            _best(*min(scores)) if scores else "no finite score",
            f"{sum(m.replaced_by is not None for m in self._members)} replaced",
            f"{sum(m.failed for m in self._members)} failed",
        ]
        return f"{self._number()}: {', '.join([*words, *self._pace.words()])}"


def _best(loss: float, member: int) -> str:
    return f"best {format_loss(loss)} (member {member})"


class _Lines:
    """Plain lines on standard error."""

    def __init__(self) -> None:
        self._last = _now()

    def is_due(self) -> bool:
        return _now() - self._last >= _LINE_SECONDS

    def say(self, text: str) -> None:
        self._last = _now()
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to finish."""


class _Table:
    """Live table. It is drawn when something is told: no thread that Ctrl-C could trip over."""

    def __init__(self, console: Any) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()
        self._last = -math.inf

    def is_due(self, at_once: bool) -> bool:
        return at_once or _now() - self._last >= _TABLE_SECONDS

    def draw(self, title: str, members: Sequence[Member], names: Sequence[str]) -> None:
        self._last = _now()
        size = self._console.size
        self._live.update(drawing(title, members, names, size.width, size.height), refresh=True)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._live.stop()


def _view() -> _Lines | _Table:
    return _Table(_console()) if sys.stderr.isatty() else _Lines()


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


class _Events:
    """TensorBoard runs: one of the search, and one per member unless there are too many.

    Each run holds one file open until `close`.
    """

    def __init__(self, path: Path, first_step: int, n_members: int) -> None:
        self._search = EventFile(path / "search", first_step)
        n_runs = n_members if n_members <= MEMBER_RUNS else 0
        self._members = [EventFile(path / f"member-{i:03d}", first_step) for i in range(n_runs)]

    def epoch(self, told: Told) -> None:
        for number, row in told if self._members else []:
            self._members[number].add("valid_loss", row["valid_loss"], int(row["epoch"]))

    def end(self, rows: Sequence[Mapping[str, Any]], names: Sequence[str], step: int) -> None:
        scores = [row["score"] for row in rows if math.isfinite(row["score"])]
        if scores:
            self._search.add("best/score", min(scores), step)
            self._search.add("median/score", float(np.median(scores)), step)
        for name in names:
            quartiles = np.quantile([row[name] for row in rows], [0.25, 0.5, 0.75])
            for word, value in zip(("lower", "median", "upper"), quartiles, strict=True):
                self._search.add(f"hyperparams/{name}/{word}", float(value), step)
        for row in rows if self._members else []:
            self._end(self._members[row["member"]], row, names, step)
        for run in (self._search, *self._members):
            run.flush()

    @staticmethod
    def _end(run: EventFile, row: Mapping[str, Any], names: Sequence[str], step: int) -> None:
        if math.isfinite(row["score"]):
            run.add("score", row["score"], step)
        for name in names:
            run.add(f"hyperparams/{name}", row[name], step)

    def close(self) -> None:
        for run in (self._search, *self._members):
            run.close()
