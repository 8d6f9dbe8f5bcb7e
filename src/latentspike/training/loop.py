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
import numpy as np

from latentspike.models.fitted import Fitted
from latentspike.training.checkpoint import (
    Checkpoint,
    has_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from latentspike.training.epoch import EpochResult, Program, on_one_device, train_epoch
from latentspike.training.progress import Progress
from latentspike.training.report import Reporter
from latentspike.training.sample_validation import save_sample_mask
from latentspike.training.settings import Selection, TrainingSettings
from latentspike.training.trials import Constants, Trials

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
    program : what is compiled
    trials : training and validation trials on the device
    constants : of both
    hyperparams : scalars
    settings : of the run
    key : PRNG key
    folder : of the run, or None
    identity : what must be equal to resume
    sample_mask : entries held out by sample validation, kept in the folder
    """

    program: Program
    trials: tuple[Trials, Trials]
    constants: tuple[Constants, Constants]
    hyperparams: dict[str, float]
    settings: TrainingSettings
    key: jax.Array
    folder: Path | None
    identity: dict[str, Any]
    sample_mask: np.ndarray | None = None


def run_epochs(
    run: Run, params: Any, *, resume: bool, show: bool, monitor: Monitor | None
) -> Fitted:
    """Train until the schedule stops; returns the best parameters by the selection loss."""
    checkpoint = _begin(run, params, resume)
    if run.folder is not None and run.sample_mask is not None:
        save_sample_mask(run.folder, run.sample_mask)  # only now: the folder is this run's
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
    _guard(result, epoch)
    row, score = _figures(run, result)
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


def _guard(result: EpochResult, epoch: int) -> None:
    terms = {name: np.asarray(value) for name, value in result.steps.items()}
    bad = ~(np.isfinite(terms["loss"]) & np.isfinite(terms["gradient_norm"]))
    where, step = "training", 0
    if bad.any():
        step = int(np.flatnonzero(bad)[0])
        culprits = [n for n, v in terms.items() if n != "loss" and not np.isfinite(v[step])]
    else:
        where = "validation"
        culprits = [n for n, v in result.validation.items() if not np.isfinite(v)]
    if culprits or bad.any():
        term = ", ".join(culprits) or "loss"
        at = f"epoch {epoch + 1}" + (f", step {step + 1}" if where == "training" else "")
        raise NonFiniteLossError(
            f"{where} {term} is not finite in {at}; the last good checkpoint is kept. "
            "Lower the learning rate or clip_norm, or look for extreme values in the data"
        )


def _figures(run: Run, result: EpochResult) -> tuple[dict[str, float], float]:
    """Row of the history, in nats per trial, and the loss to select by."""
    train_constant, valid_constant = run.constants
    share = np.asarray(result.n_trials) / np.sum(result.n_trials)
    mean = {n: float(np.sum(share * np.asarray(v))) for n, v in result.steps.items()}
    row = {
        "train_loss": mean.pop("loss") + train_constant.all_entries,
        "train_recon": mean.pop("recon") + train_constant.all_entries,
        "valid_loss": float(result.validation["recon"]) + valid_constant.all_entries,
        "valid_objective": float(result.validation["loss"]) + valid_constant.all_entries,
        **{name: value for name, value in mean.items() if name != "recon_graded"},
    }
    reading = run.program.reading
    n_bins, n_neurons = run.trials[0].counts.shape[1:]
    if not reading.mask(n_bins, n_neurons).all():
        row["valid_heldout"] = float(result.validation["recon_graded"]) + valid_constant.never_read
    if result.samples:
        total = float(result.samples["recon"]) + train_constant.sample_entries
        n_trials = run.trials[0].counts.shape[0]
        row["sample_loss"] = total * n_trials / max(1, train_constant.n_sample_entries)
    return row, row[_selection_column(run.settings.select, row)]


def _selection_column(select: Selection, row: dict[str, float]) -> str:
    """The most trustworthy loss that the run has, or the one that was asked for."""
    if select == "auto":
        trusted = ("valid_heldout", "sample_loss", "valid_loss")
        return next(column for column in trusted if column in row)
    columns = {"heldout": "valid_heldout", "sample_validation": "sample_loss"}
    column = columns.get(select, "valid_loss")
    if column not in row:
        raise ValueError(f"select = {select!r}, but this run has no {select} loss")
    return column


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
    _warn_if_collapsed(fitted)
    if run.folder is not None:
        fitted.save(run.folder)
    return fitted


def _warn_if_collapsed(fitted: Fitted) -> None:
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
