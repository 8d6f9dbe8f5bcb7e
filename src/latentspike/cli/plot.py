"""``latentspike plot``: every figure that applies to a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from latentspike.cli.options import Common, RunFolder
from latentspike.cli.outcome import Report, UsageError

MAX_LINES = 40  # trials in one picture
MAX_CONDITIONS = 6


@dataclass(frozen=True, kw_only=True)
class Plot(Common):
    """Draw every figure that applies into RUN/figures and print their paths.

    Trials are the validation trials. Figures of scores need `latentspike evaluate` first, all
    others `latentspike infer`; but those of a search (`latentspike tune`) can be drawn at any time,
    also while it runs.
    """

    run: RunFolder
    """Run folder on which infer has been run, or that of a search."""
    trial: int = 0
    """Which validation trial to show in figures of single trials, counted from 0."""
    dpi: float = 150.0
    """Resolution in pixels per inch."""


OPTIONS = Plot


def run(options: Plot) -> Report:
    """Draw and write; see `Plot`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from latentspike.cli import run_folder as files
    from latentspike.plot import save

    folder = Path(options.run)
    files.open_configuration(folder)
    figures, missing = _search_figures(folder), []
    if not figures or (folder / files.POSTERIOR).exists():
        of_run, missing = _run_figures(options, folder)
        figures |= of_run
    else:
        missing.append(f"only figures of the search: run `latentspike infer {folder}` for others")
    paths = []
    for name, draw in figures.items():
        paths.append(save(draw(), folder / files.FIGURES / f"{name}.png", dpi=options.dpi))
        plt.close("all")
    text = [*map(str, paths), *missing]
    return Report({"run": str(folder), "figures": [str(path) for path in paths]}, "\n".join(text))


def _run_figures(options: Plot, folder: Path) -> tuple[dict[str, Callable[[], Any]], list[str]]:
    """Figures of what a run inferred, and what is missing for more."""
    from latentspike.cli import recording
    from latentspike.cli import run_folder as files

    posterior = files.open_posterior(folder)
    fitted = files.open_fitted(folder)
    _, prepared, split = files.open_run(folder)
    data, pick = recording.graded(prepared, split)
    if not 0 <= options.trial < data.n_trials:
        raise UsageError(f"--trial must be from 0 to {data.n_trials - 1}, got {options.trial}")
    scores = folder / files.SCORES
    rows = files.read_json(scores)["scores"] if scores.exists() else []
    missing = [] if rows else [f"no figure of scores: run `latentspike evaluate {folder}` first"]
    return _figures(data, pick(posterior), fitted, rows, options.trial), missing


def _search_figures(folder: Path) -> dict[str, Callable[[], Any]]:
    """Figures of a search; none if there is none, or none of its scores is finite."""
    from latentspike import plot
    from latentspike.cli import run_folder as files

    if not (folder / files.MANIFEST).exists() or not (folder / files.LINEAGE).exists():
        return {}
    from latentspike.cli.search_folder import open_search
    from latentspike.search.folder import SearchFolder

    lineage = SearchFolder(folder).lineage()
    if not any(np.isfinite(row["score"]) for row in lineage):
        return {}
    last = [row for row in lineage if row["generation"] == lineage[-1]["generation"]]
    space = open_search(folder).get("space", {})
    scales = {name: r["scale"] for name, r in space.items() if isinstance(r, dict)}
    figures: dict[str, Callable[[], Any]] = {
        "search_scores": lambda: plot.search_scores(lineage),
    }
    if scales:
        figures["search_hyperparameters"] = lambda: plot.all_hyperparameter_trajectories(
            lineage, list(scales), scales=scales
        )
    varied = [name for name in scales if len({row[name] for row in last}) > 1]
    if varied and np.isfinite([row["score"] for row in last]).any():
        figures["search_sensitivity"] = lambda: plot.all_hyperparameter_sensitivities(
            last, varied, scales=scales
        )
    return figures


def _figures(
    data: Any, posterior: Any, fitted: Any, rows: list[Any], trial: int
) -> dict[str, Callable[[], Any]]:
    """What there is to draw: the name of each figure and how."""
    from latentspike import plot

    figures: dict[str, Callable[[], Any]] = {
        "raster": lambda: plot.raster(data, posterior, trial=trial),
        "rates": lambda: plot.rates(data, posterior, trial=trial),
        "psths": lambda: plot.psths(*_few_conditions(data, posterior)),
    }
    if "rates" in data.truth:
        figures["raster_true"] = lambda: plot.raster(data, trial=trial, rates="true")
    figures |= _latent_figures(data, posterior, fitted, trial)
    figures |= _fitting_figures(fitted, rows)
    for name, values in data.behavior.items():
        if values.shape[2] == 2:
            figures[f"decoding_{_as_file(name)}"] = lambda name=name: _decoding(
                data, posterior, name
            )
    return figures


def _latent_figures(
    data: Any, posterior: Any, fitted: Any, trial: int
) -> dict[str, Callable[[], Any]]:
    from latentspike import plot

    some = range(min(MAX_LINES, data.n_trials))
    figures: dict[str, Callable[[], Any]] = {}
    if posterior.factors is not None:
        figures["factors"] = lambda: plot.factors(
            posterior, trials=some, conditions=data.conditions
        )
        if posterior.factors.shape[2] >= 3:
            figures["factors_3d"] = lambda: _factors_3d(data, posterior)
    if posterior.inferred_inputs is not None and posterior.inferred_inputs.shape[2]:
        figures["inferred_inputs"] = lambda: plot.inferred_inputs(posterior, trial=trial)
    if posterior.population_activity is not None:
        names = fitted.model.network.names
        figures["population_activity"] = lambda: _population_activity(data, posterior, names, trial)
    return figures


def _population_activity(data: Any, posterior: Any, names: Sequence[str], trial: int) -> Any:
    """Inferred activity of every population with its spread, over the true one where known."""
    import matplotlib.pyplot as plt

    from latentspike.plot import style

    found, spread = posterior.population_activity[trial], posterior.population_activity_std
    truth = data.truth.get("population_rate")
    n, size = len(names), (6.8, 0.6 + 1.6 * len(names))
    _, panels = plt.subplots(n, 1, squeeze=False, sharex=True, figsize=size, layout="constrained")
    for k, (ax, name) in enumerate(zip(panels[:, 0], names, strict=True)):
        if truth is not None and truth.shape[2] == n:
            ax.plot(data.times, truth[trial, :, k], color=style.TRUE, linewidth=0.6, label="true")
        ax.plot(data.times, found[:, k], color=style.INFERRED, linewidth=1, label="inferred")
        if spread is not None:
            ends = (found[:, k] + sign * spread[trial, :, k] for sign in (-1, 1))
            ax.fill_between(data.times, *ends, color=style.INFERRED, alpha=0.3, linewidth=0)
        style.over_time(ax, data.times, y=f"{name} (Hz)")
    panels[0, 0].legend(frameon=False, fontsize="small", ncols=2, loc="upper right")
    return panels[0, 0]


def _log_probability(history: dict[str, list[float]], name: str) -> Any:
    from latentspike.plot import style

    ax = style.one_axes(None, (5.2, 3.0))
    steps = 1 + np.asarray(history["step"])
    ax.plot(steps, history[name], marker="o", markersize=3, color=style.INFERRED)
    style.tidy(ax, x="step", y=f"{name.replace('_', '-')} (nats)")
    return ax


def _fitting_figures(fitted: Any, rows: list[Any]) -> dict[str, Callable[[], Any]]:
    from latentspike import plot
    from latentspike.models.neulvm import NeuLVM

    figures: dict[str, Callable[[], Any]] = {}
    columns = list(dict.fromkeys(name for row in fitted.history for name in row))
    history = {name: [row.get(name, np.nan) for row in fitted.history] for name in columns}
    if "train_loss" in history:
        figures["training_loss"] = lambda: plot.training_curves(history)
    if "kl_ic" in history:
        figures["training_kl"] = lambda: plot.training_curves(history, show="kl")
    for name in ("log_joint", "log_likelihood"):
        if name in history:
            figures[name] = partial(_log_probability, history, name)
    if isinstance(fitted.model, NeuLVM) and len(fitted.params.get("draws", ())):
        found = fitted.model.parameters(fitted.params)
        boxes = {name: (box.low, box.high) for name, box in fitted.model.network.free.items()}
        figures["parameters"] = lambda: plot.parameters(found, boxes)
    weights = fitted.params.get("weights") if isinstance(fitted.params, dict) else None
    is_square = weights is not None and np.ndim(weights) == 2 and len(set(weights.shape)) == 1
    if is_square and type(fitted.model).__name__ == "LinearAutoencoder":
        figures["autoencoder_weights"] = lambda: plot.autoencoder_weights(np.asarray(weights))
    if rows:
        figures["scores"] = lambda: plot.scores(rows)
    return figures


def _few_conditions(data: Any, posterior: Any) -> tuple[Any, Any]:
    """Trials of the first conditions only, so that lines can be told apart."""
    from latentspike.cli.recording import select_trials

    if data.conditions is None:
        return data, posterior
    first = np.unique(data.conditions)[:MAX_CONDITIONS]
    chosen = np.flatnonzero(np.isin(data.conditions, first))
    return data.select_trials(chosen), select_trials(posterior, chosen)


def _factors_3d(data: Any, posterior: Any) -> Any:
    from latentspike import plot

    data, posterior = _few_conditions(data, posterior)
    some = range(min(MAX_LINES, data.n_trials))
    return plot.factors_3d(posterior, data.conditions, trials=some)


def _decoding(data: Any, posterior: Any, name: str) -> Any:
    from latentspike import plot
    from latentspike.evaluate import decode

    behavior = data.behavior[name]
    found = decode(posterior.rates, behavior, bin_width=data.bin_width, method="ridge")
    some = range(min(12, data.n_trials))
    labels = (f"{name} 1", f"{name} 2")
    return plot.decoding(behavior, found.predictions, trials=some, labels=labels)


def _as_file(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
