"""What an epoch found, as figures for people: losses in nats, and what is not finite."""

from __future__ import annotations

import numpy as np

from latentspike.training.epoch import EpochResult
from latentspike.training.settings import Selection
from latentspike.training.task import Task


def not_finite(result: EpochResult, epoch: int) -> str | None:
    """Where and which term of an epoch is not finite, or None if all are.

    Parameters
    ----------
    result : of the epoch, on the host
    epoch : its number, from 0
    """
    terms = {name: np.asarray(value) for name, value in result.steps.items()}
    bad = ~(np.isfinite(terms["loss"]) & np.isfinite(terms["gradient_norm"]))
    if bad.any():
        step = int(np.flatnonzero(bad)[0])
        culprits = [n for n, v in terms.items() if n != "loss" and not np.isfinite(v[step])]
        term = ", ".join(culprits) or "loss"
        return f"training {term} is not finite in epoch {epoch + 1}, step {step + 1}"
    measured = {**result.validation, **{f"sample {n}": v for n, v in result.samples.items()}}
    culprits = [name for name, value in measured.items() if not np.isfinite(value)]
    if culprits:
        return f"validation {', '.join(culprits)} is not finite in epoch {epoch + 1}"
    return None


def figures(task: Task, result: EpochResult) -> tuple[dict[str, float], float]:
    """Row of the history, in nats per trial, and the loss to select by.

    Parameters
    ----------
    task : that was trained for
    result : of an epoch, on the host
    """
    train_constant, valid_constant = task.constants
    share = np.asarray(result.n_trials) / np.sum(result.n_trials)
    mean = {n: float(np.sum(share * np.asarray(v))) for n, v in result.steps.items()}
    row = {
        "train_loss": mean.pop("loss") + train_constant.all_entries,
        "train_recon": mean.pop("recon") + train_constant.all_entries,
        "valid_loss": float(result.validation["recon"]) + valid_constant.all_entries,
        "valid_objective": float(result.validation["loss"]) + valid_constant.all_entries,
        **{name: value for name, value in mean.items() if name != "recon_graded"},
    }
    if not task.reading.mask(task.train.n_bins, task.train.n_neurons).all():
        row["valid_heldout"] = float(result.validation["recon_graded"]) + valid_constant.never_read
    if result.samples:
        total = float(result.samples["recon"]) + train_constant.sample_entries
        entries = max(1, train_constant.n_sample_entries)
        row["sample_loss"] = total * task.train.n_trials / entries
    return row, row[selection_column(task.settings.select, row)]


def selection_column(select: Selection, row: dict[str, float]) -> str:
    """The most trustworthy loss that the run has, or the one that was asked for.

    Raises
    ------
    ValueError : if the run has no such loss.
    """
    if select == "auto":
        trusted = ("valid_heldout", "sample_loss", "valid_loss")
        return next(column for column in trusted if column in row)
    columns = {"heldout": "valid_heldout", "sample_validation": "sample_loss"}
    column = columns.get(select, "valid_loss")
    if column not in row:
        raise ValueError(f"select = {select!r}, but this run has no {select} loss")
    return column
