"""The run: epochs, selection, checkpoints, the guard against losses that are not finite."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from latentspike.models.fitted import Fitted
from latentspike.training.checkpoint import (
    Checkpoint,
    has_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from latentspike.training.epoch import Program, on_one_device, train_epoch
from latentspike.training.figures import figures, not_finite
from latentspike.training.progress import Progress
from latentspike.training.report import Reporter
from latentspike.training.sample_validation import save_sample_mask
from latentspike.training.settings import TrainingSettings
from latentspike.training.task import Task
from latentspike.training.trials import Trials

Monitor = Callable[[Any, int], dict[str, float]]


class NonFiniteLossError(ArithmeticError):
    """A loss or gradient stopped being finite; says in which epoch, step and term."""


class CollapsedInputsWarning(UserWarning):
    """The inferred inputs carry nothing: their posterior fell back to the prior."""


@dataclass(frozen=True, eq=False)
class Run:
    """A fit with everything resolved.

    Parameters
    ----------
    task : what is learned
    program : what is compiled
    trials : training and validation trials on the devices
    hyperparams : scalars
    key : PRNG key
    folder : of the run, or None
    identity : what must be equal to resume
    """

    task: Task
    program: Program
    trials: tuple[Trials, Trials]
    hyperparams: dict[str, float]
    key: jax.Array
    folder: Path | None
    identity: dict[str, Any]

    @property
    def settings(self) -> TrainingSettings:
        """Settings of the task."""
        return self.task.settings


def run_epochs(
    run: Run, params: Any, *, resume: bool, show: bool, monitor: Monitor | None
) -> Fitted:
    """Train until the schedule stops; returns the best parameters by the selection loss."""
    checkpoint = _begin(run, params, resume)
    if run.folder is not None and run.task.sample_mask is not None:
        save_sample_mask(run.folder, run.task.sample_mask)  # only now: the folder is this run's
    reporter = Reporter(run.folder, run.settings.max_epochs, show=show)
    saved_at = time.monotonic()
    try:
        while checkpoint.progress.stopped is None:
            checkpoint = _advance(run, checkpoint, reporter, monitor)
            if time.monotonic() - saved_at > run.settings.checkpoint_seconds:
                _save(run, checkpoint, reporter)
                saved_at = time.monotonic()
        _save(run, checkpoint, reporter)
    except NonFiniteLossError:
        _save(run, checkpoint, reporter)
        raise
    except KeyboardInterrupt:
        _save(run, checkpoint, reporter)
        reporter.note(f"stopped after epoch {checkpoint.progress.epoch}; resume to continue")
        raise
    finally:
        reporter.close()
    return _finish(run, checkpoint)


def _begin(run: Run, params: Any, resume: bool) -> Checkpoint:
    state = run.program.start(params)
    if run.folder is not None and has_checkpoint(run.folder):
        if not resume:
            raise FileExistsError(
                f"{run.folder} already holds a run; resume it, or name another folder"
            )
        checkpoint = load_checkpoint(run.folder, state, run.identity)
        # limits may have changed since: decide again
        progress, rate = checkpoint.progress, run.hyperparams["learning_rate"]
        progress.stopped = progress.reason_to_stop(run.settings, rate)
        return checkpoint._replace(state=run.program.place(checkpoint.state))
    return Checkpoint(state, params, Progress())


def _advance(
    run: Run, checkpoint: Checkpoint, reporter: Reporter, monitor: Monitor | None
) -> Checkpoint:
    """One epoch; the given checkpoint stays as it is, so an interruption loses only this one."""
    state, best_params, progress = checkpoint
    progress = progress.copy()
    epoch = progress.epoch
    ramp = min(1.0, (epoch + 1) / (run.settings.ramp_epochs + 1))
    values = {**run.hyperparams, "ramp": ramp}
    values["learning_rate"] *= progress.rate_factor
    traced = {name: jnp.asarray(value, jnp.zeros(()).dtype) for name, value in values.items()}
    new_state, result = train_epoch(
        run.program, state, run.trials, traced, jnp.asarray(epoch), key=run.key
    )
    result = jax.device_get(result)
    if (problem := not_finite(result, epoch)) is not None:
        raise NonFiniteLossError(
            f"{problem}; the last good checkpoint is kept. "
            "Lower the learning rate or clip_norm, or look for extreme values in the data"
        )
    row, score = figures(run.task, result)
    row["learning_rate"] = values["learning_rate"]
    row["ramp"] = ramp
    if monitor is not None:
        row |= {
            name: float(value)
            for name, value in monitor(on_one_device(new_state.params), epoch).items()
        }
    is_best = progress.record(row, score, run.settings, run.hyperparams["learning_rate"])
    reporter.epoch(progress.history[-1])
    return Checkpoint(new_state, new_state.params if is_best else best_params, progress)


def _save(run: Run, checkpoint: Checkpoint, reporter: Reporter) -> None:
    if run.folder is not None and checkpoint.progress.epoch > 0:
        save_checkpoint(run.folder, checkpoint, run.identity)
        reporter.table(checkpoint.progress.history)


def _finish(run: Run, checkpoint: Checkpoint) -> Fitted:
    progress = checkpoint.progress
    about = {
        "hyperparams": run.hyperparams,
        "best_epoch": progress.best_epoch,
        "best_selection_loss": progress.best,
        "n_epochs": progress.epoch,
        "stopped": progress.stopped,
        "data": run.identity["data"],
        "n_devices": run.program.n_devices,
    }
    fitted = Fitted(
        run.program.model, on_one_device(checkpoint.best_params), list(progress.history), about
    )
    warn_if_collapsed(fitted)
    if run.folder is not None:
        fitted.save(run.folder)
    return fitted


def warn_if_collapsed(fitted: Fitted) -> None:
    """Warn if the inferred inputs fell back to their prior."""
    last = fitted.history[-1] if fitted.history else {}
    if last.get("input_variance", 1.0) < 0.01 and last.get("input_posterior_variance", 0) > 0.05:
        keep = fitted.about["hyperparams"].get("keep_ratio", 1.0)
        effective = fitted.about["hyperparams"].get("kl_co", 0.0) / max(1e-9, 1 - keep)
        hint = (
            f" With keep_ratio {keep:g} its effective weight is {effective:.2g}."
            if keep < 1
            else ""
        )
        warnings.warn(
            f"the inferred inputs have collapsed to their prior (variance "
            f"{last['input_variance']:.2g}): lower kl_co.{hint}",
            CollapsedInputsWarning,
            stacklevel=3,
        )
