"""The run of a model that is estimated in steps: progress, checkpoints, exact resume."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax

from latentspike.models.fitted import Fitted
from latentspike.models.protocol import Params, State, SteppedModel
from latentspike.training.checkpoint import (
    below,
    has_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from latentspike.training.loop import Monitor, NonFiniteLossError
from latentspike.training.report import Reporter

_STATE = "state/"


@dataclass(frozen=True, eq=False)
class SteppedRun:
    """An estimation in steps with everything resolved.

    Parameters
    ----------
    model : to estimate
    prepared : what it reads of the recording
    params : fresh parameters
    key : PRNG key
    folder : of the run, or None
    identity : what must be equal to resume
    """

    model: SteppedModel
    prepared: Any
    params: Params
    key: jax.Array
    folder: Path | None
    identity: dict[str, Any]


class _Place(NamedTuple):
    """Where a run is between two steps."""

    state: State
    history: list[dict[str, float]]


def run_steps(run: SteppedRun, *, resume: bool, show: bool, monitor: Monitor | None) -> Fitted:
    """Advance until no step is left; a checkpoint is written after each.

    Parameters
    ----------
    run : the estimation
    resume : continue from the checkpoint in the folder, if there is one
    show : progress on standard error
    monitor : called after each step with ``(state, step)``; returns figures for the history

    Raises
    ------
    FileExistsError : if the folder holds a run that is not to be resumed.
    NonFiniteLossError : if a figure stops being finite; the last checkpoint is kept.
    """
    is_resumed = run.folder is not None and has_checkpoint(run.folder)
    if is_resumed and not resume:
        raise FileExistsError(
            f"{run.folder} already holds a run; resume it, or name another folder"
        )
    place = _resumed(run) if is_resumed else None
    reporter = Reporter(run.folder, run.model.n_steps, show=show, unit="step", text=_text)
    try:
        if place is None:
            place = _Place(run.model.begin(run.params, run.prepared, key=run.key), [])
            _save(run, place, reporter)
        while not run.model.is_finished(place.state):
            place = _advance(run, place, reporter, monitor)
            _save(run, place, reporter)
    except KeyboardInterrupt:
        if place is not None:
            _save(run, place, reporter)  # it may have come while the step was being written
            reporter.note(f"stopped after step {len(place.history)}; resume to continue")
        raise
    finally:
        reporter.close()
    return _finish(run, place)


def _resumed(run: SteppedRun) -> _Place:
    assert run.folder is not None
    arrays, progress = read_checkpoint(run.folder, run.identity)
    return _Place(below(_STATE, arrays), list(progress["history"]))


def _advance(run: SteppedRun, place: _Place, reporter: Reporter, monitor: Monitor | None) -> _Place:
    """One step; the given place stays as it is, so an interruption loses only this one."""
    step = len(place.history)
    state, figures = run.model.advance(place.state, run.prepared)
    row = {"step": step, **{name: float(value) for name, value in figures.items()}}
    for name, value in row.items():
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"{name} is not finite in step {step + 1}; the last good checkpoint is kept. "
                "Narrow the boxes of the parameters, or look for extreme values in the data"
            )
    if monitor is not None:
        row |= {name: float(value) for name, value in monitor(state, step).items()}
    reporter.epoch(row)
    return _Place(state, [*place.history, row])


def _text(row: dict[str, float]) -> str:
    return "  ".join(
        f"{name.replace('_', ' ')} {value:.5g}" for name, value in row.items() if name != "step"
    )


def _save(run: SteppedRun, place: _Place, reporter: Reporter) -> None:
    if run.folder is None:
        return
    arrays = {f"{_STATE}{name}": value for name, value in place.state.items()}
    write_checkpoint(run.folder, arrays, {"history": place.history}, run.identity)
    reporter.table(place.history)


def _finish(run: SteppedRun, place: _Place) -> Fitted:
    n_steps = len(place.history)
    reason = "finished" if n_steps >= run.model.n_steps else "converged"
    about = {
        "n_steps": n_steps,
        "stopped": f"{reason} after {n_steps} steps",
        "data": run.identity["data"],
    }
    params = run.model.finish(run.params, place.state, run.prepared)
    fitted = Fitted(run.model, params, place.history, about)
    if run.folder is not None:
        fitted.save(run.folder)
    return fitted
