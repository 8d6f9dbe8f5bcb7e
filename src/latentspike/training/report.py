"""What a run shows and leaves behind while it trains: progress, metrics table, TensorBoard."""

from __future__ import annotations

import csv
import io
import sys
import time
from pathlib import Path
from typing import Any

from latentspike.files import write_text


class Reporter:
    """Progress bar on a terminal, plain lines elsewhere; metrics to disk when there is a folder.

    Parameters
    ----------
    folder : of the run, or None
    max_epochs : for the time left
    show : print progress to standard error
    """

    def __init__(self, folder: Path | None, max_epochs: int, *, show: bool) -> None:
        self._folder = folder
        self._max_epochs = max_epochs
        self._started = time.monotonic()
        self._first_epoch: int | None = None
        self._last_line = 0.0
        self._bar = _bar(max_epochs) if show and sys.stderr.isatty() else None
        self._plain = show and self._bar is None
        self._events = None if folder is None else _event_writer(folder)

    def epoch(self, row: dict[str, float]) -> None:
        """Show one epoch and append it to the event file."""
        epoch = int(row["epoch"])
        if self._first_epoch is None:
            self._first_epoch = epoch
        text = f"loss {row['train_loss']:.1f}  validation {row['valid_loss']:.1f}"
        if self._bar is not None:
            progress, task = self._bar
            progress.update(task, completed=epoch + 1, description=text)
        elif self._plain and time.monotonic() - self._last_line > 5:
            self._last_line = time.monotonic()
            left = self._seconds_left(epoch)
            line = f"epoch {epoch + 1}/{self._max_epochs}  {text}  at most {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)
        if self._events is not None:
            for name, value in row.items():
                if name != "epoch":
                    self._events.add_scalar(name, value, epoch)

    def table(self, history: list[dict[str, float]]) -> None:
        """Write ``metrics.csv`` (one row per epoch) and flush the event file."""
        if self._folder is not None and history:
            write_metrics(self._folder / "metrics.csv", history)
        if self._events is not None:
            self._events.flush()

    def note(self, message: str) -> None:
        """Say something to the person who watches."""
        if self._bar is not None:
            self._bar[0].console.print(message)
        elif self._plain:
            print(message, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Finish the bar and the event file."""
        if self._bar is not None:
            self._bar[0].stop()
        if self._events is not None:
            self._events.close()

    def _seconds_left(self, epoch: int) -> float:
        done = epoch + 1 - (self._first_epoch or 0)
        return (time.monotonic() - self._started) / done * (self._max_epochs - epoch - 1)


def _bar(max_epochs: int) -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    progress = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    progress.start()
    return progress, progress.add_task("compiling …", total=max_epochs)


def _event_writer(folder: Path) -> Any:
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))


def write_metrics(path: Path, history: list[dict[str, float]]) -> None:
    """One CSV row per epoch, written atomically; columns that an epoch lacks stay empty."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, text.getvalue())
