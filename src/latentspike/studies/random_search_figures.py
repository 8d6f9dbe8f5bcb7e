"""Figures of `latentspike.studies.random_search`: losses against R², rates of three models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

from latentspike.models import LFADS
from latentspike.plot import loss_against_r2, rates, save
from latentspike.search import SearchResult
from latentspike.spikes import SpikeData

_N_TRACES = 2  # neurons, as in Fig. 1c


def draw_losses(
    pairs: Mapping[str, tuple[list[float], list[float]]], limit: float, path: Path, *, apart: str
) -> None:
    """Selection losses against R² of the true rates (Figs. 1b, 4).

    Parameters
    ----------
    pairs : losses and R² of the models of an arm, by its name
    limit : loss of the true rates
    path : of the picture
    apart : the arm whose loss is another one, of fewer entries
    """
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), constrained_layout=True)
    together = {arm: pair for arm, pair in pairs.items() if arm != apart}
    loss_against_r2(together, true_loss=limit, ax=axes[0])
    loss_against_r2({apart: pairs[apart]}, ax=axes[1])
    axes[1].set_xlabel("sample validation loss")
    save(figure, path)
    plt.close(figure)


def draw_traces(
    chosen: dict[str, dict[str, float]],
    result: SearchResult,
    model: LFADS,
    validation: SpikeData,
    path: Path,
) -> None:
    """True and inferred rates of the most active neurons in the first validation trial (Fig. 1c).

    Parameters
    ----------
    chosen : by name, the place among the search's members, loss and R²
    result : of the search
    model, validation : whose rates of which trials
    path : of the picture
    """
    trial = validation.select_trials([0])
    neurons = np.argsort(-trial.counts.sum(axis=(0, 1)), kind="stable")[:_N_TRACES].tolist()
    figure, axes = plt.subplots(
        _N_TRACES, len(chosen), figsize=(12, 4.2), sharex=True, layout="constrained"
    )
    for place, (column, (name, row)) in enumerate(zip(axes.T, chosen.items(), strict=True)):
        member = result.members[int(row["model"])]["member"]
        posterior = model.infer(result.params_of(member), trial, n_samples=0, key=jax.random.key(0))
        rates(trial, posterior, neurons=neurons, axes=column)
        title = f"{name}: loss {row['loss']:.0f}, R² {row['r2']:.2f}"
        column[0].set_title(f"{title}\n{column[0].get_title('left')}", loc="left", fontsize="small")
        column[0].get_legend().remove()
        if place == len(chosen) - 1:
            figure.legend(
                *column[0].get_legend_handles_labels(), loc="outside lower right", ncols=3
            )
    for row_of_axes in axes:  # one scale for a neuron in all models
        top = max(ax.get_ylim()[1] for ax in row_of_axes)
        bottom = min(ax.get_ylim()[0] for ax in row_of_axes)
        for ax in row_of_axes:
            ax.set_ylim(bottom, top)
    save(figure, path)
    plt.close(figure)
