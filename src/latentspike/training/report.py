"""What a run shows and leaves behind while it trains: progress, metrics table, TensorBoard."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Callable
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
    unit : column of the rows that counts them, and its name for people
    text : what to say of a row; by default its losses
    """

    def __init__(
        self,
        folder: Path | None,
        max_epochs: int,
        *,
        show: bool,
        unit: str = "epoch",
        text: Callable[[dict[str, float]], str] | None = None,
    ) -> None:
        self._folder = folder
        self._unit = unit
        self._text = text or _losses
        self._max_epochs = max_epochs
        self._started = time.monotonic()
        self._first_epoch: int | None = None
        self._last_line = 0.0
        self._bar = _bar(max_epochs) if show and sys.stderr.isatty() else None
        self._plain = show and self._bar is None
        self._events: EventFile | None = None
        if folder is not None:  # a folder that cannot be written to is named before the first epoch
            (folder / "tensorboard").mkdir(parents=True, exist_ok=True)

    def epoch(self, row: dict[str, float]) -> None:
        """Show one epoch (or other unit) and append it to the event file."""
        epoch = int(row[self._unit])
        if self._first_epoch is None:
            self._first_epoch = epoch
            if self._folder is not None:
                self._events = EventFile(self._folder / "tensorboard", epoch)
        text = self._text(row)
        if self._bar is not None:
            progress, task = self._bar
            progress.update(task, completed=epoch + 1, description=text)
        elif self._plain and time.monotonic() - self._last_line > 5:
            self._last_line = time.monotonic()
            left = self._seconds_left(epoch)
            line = f"{self._unit} {epoch + 1}/{self._max_epochs}  {text}  at most {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)
        if self._events is not None:
            for name, value in row.items():
                if name != self._unit:
                    self._events.add(name, value, epoch)

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


def _losses(row: dict[str, float]) -> str:
    return f"loss {row['train_loss']:.1f}  validation {row['valid_loss']:.1f}"


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


class EventFile:
    """Scalars of one TensorBoard run, in a new file.

    tensorboardX's `SummaryWriter` takes two threads and a pipe each; a search writes many runs,
    so events are written here and now, and reach the disk every ten seconds.

    Parameters
    ----------
    path : folder of the run, made if absent
    first_step : what other files of the run hold from this step on is not shown any more, so that
        work that was interrupted and done again appears once
    """

    def __init__(self, path: Path, first_step: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2

        path.mkdir(parents=True, exist_ok=True)
        # files are read in the order of their names, which hold whole seconds only
        self._writer = EventsWriter(str(path / "events"), f".{first_step:08d}")
        self._proto: Any = event_pb2  # made by protobuf: unknown to type checkers
        start = self._proto.SessionLog(status=self._proto.SessionLog.START)
        self._write(step=first_step, session_log=start)
        self.flush()

    def add(self, tag: str, value: float, step: int) -> None:
        """Append one scalar."""
        from tensorboardX.summary import scalar

        self._write(step=step, summary=scalar(tag, value))
        if time.monotonic() - self._flushed > 10:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the disk."""
        self._flushed = time.monotonic()
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()

    def _write(self, **content: Any) -> None:
        self._writer.write_event(self._proto.Event(wall_time=time.time(), **content))


def write_metrics(path: Path, history: list[dict[str, float]]) -> None:
    """One CSV row per epoch, written atomically; columns that an epoch lacks stay empty."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, text.getvalue())
