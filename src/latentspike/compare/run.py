"""`compare`: every model under one protocol."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from latentspike.compare.defaults import WITHOUT_CHANCE
from latentspike.compare.jobs import Ended, Job, end_jobs
from latentspike.compare.latex import as_latex
from latentspike.compare.protocol import JOBS, RESULTS, Protocol, choose_trials, open_folder
from latentspike.compare.settings import Tables, check_models
from latentspike.compare.summary import remarks, summarize
from latentspike.compare.table import as_csv, format_comparison
from latentspike.files import write_json, write_text
from latentspike.spikes import SpikeData, Split

MEMBER = "latentspike.compare.member:run_member"
FIGURE = "comparison.png"
_LONGEST = 500  # of a reason


def compare(
    data: SpikeData,
    models: Iterable[str] | Mapping[str, Mapping[str, Any]],
    *,
    folder: str | os.PathLike[str],
    seeds: int = 3,
    split: Split | float = 0.2,
    lag: float = 0.0,
    n_processes: int = 1,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fit models to the same trials and score them on the same others.

    Each fit (a model and a seed) is a process of its own on one core: its memory is its own, and
    if it fails or is killed, the reason is its row. Called again with the same folder, it goes on:
    fits that have ended are read, those that failed are tried again, and models or seeds may be
    added.

    Parameters
    ----------
    data : SpikeData
        Held-out neurons (`latentspike.spikes.hold_out_neurons`), forward bins, behavior, conditions
        and truth each add scores.
    models : names of `latentspike.models.registry.MODELS`, or tables of plain values by label
        ``model`` (fields that differ from the defaults, and ``name`` where the label is none),
        ``hyperparams``, ``training``, ``samples`` (posterior draws), ``trials`` (training trials
        read at most).
    folder : of the comparison
    seeds : fits of each model, with seeds from 0; one of a model without chance
    split : Split or float
        ``validation`` are the test trials, which no fit and no choice sees; a fraction draws them,
        always the same.
    lag : float
        Seconds by which neural activity leads behavior, for decoding.
    n_processes : fits at a time
    say : told of every fit that ends

    Returns
    -------
    dict
        As ``results.json``: ``protocol``, ``metrics``, ``models`` (each with ``summary`` and
        ``runs``), ``best``, ``verdicts``, ``remarks``. The folder also holds ``table.csv``,
        ``table.tex`` and ``comparison.png``.

    Raises
    ------
    ValueError
        Naming the model or setting that is unknown, or what differs from the comparison in the
        folder.
    """
    if seeds < 1:
        raise ValueError(f"at least one seed is needed, got {seeds}")
    tables = check_models(models)
    folder = Path(folder).resolve()
    protocol = Protocol(data, choose_trials(data, split), float(lag))
    jobs = _jobs(folder, tables, seeds, open_folder(folder, protocol))
    ended = end_jobs(list(jobs.values()), n_processes=n_processes, say=say)
    runs: dict[str, list[dict[str, Any]]] = {}
    for (label, seed), end in zip(jobs, ended, strict=True):
        has_chance = _has_chance(tables[label])
        runs.setdefault(label, []).append({"seed": seed, "has_chance": has_chance, **_run(end)})
    summary = summarize({label: runs[label] for label in tables})
    results = {
        "format": 1,
        "kind": "comparison results",
        "protocol": protocol.document(),
        **summary,
        "remarks": remarks(summary),
    }
    results = _finite(results)
    write_results(folder, results)
    return results


def _jobs(
    folder: Path, tables: dict[str, Tables], seeds: int, digest: str
) -> dict[tuple[str, int], Job]:
    """By model and seed; the first seed of every model comes first."""
    planned = [
        (label, seed)
        for seed in range(seeds)
        for label in tables
        if seed == 0 or _has_chance(tables[label])
    ]
    return {
        (label, seed): Job(
            folder / JOBS / f"{label}-seed{seed}",
            MEMBER,
            {"protocol": digest, "seed": seed, "tables": tables[label]},
        )
        for label, seed in planned
    }


def _has_chance(tables: Tables) -> bool:
    return tables["model"]["name"] not in WITHOUT_CHANCE


def _run(end: Ended) -> dict[str, Any]:
    if end.result is not None:
        return end.result
    short = end.reason if len(end.reason) <= _LONGEST else end.reason[: _LONGEST - 1] + "…"
    return {"failed": short}


def _finite(value: Any) -> Any:
    """Plain JSON values; what is not finite becomes None."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_results(folder: Path, results: dict[str, Any]) -> list[Path]:
    """Write ``results.json``, the tables and the figure into a folder; returns their paths."""
    names = (RESULTS, "table.csv", "table.tex", FIGURE)
    paths = [folder / name for name in names]
    write_json(paths[0], results)
    write_text(paths[1], as_csv(results))
    write_text(paths[2], as_latex(results))
    if not _draw(results, paths[3]):
        paths.pop().unlink(missing_ok=True)
    return paths


def _draw(results: dict[str, Any], path: Path) -> bool:
    """The figure, a panel for each score; False if no model has any."""
    from matplotlib.figure import Figure

    from latentspike.plot import save
    from latentspike.plot.compared import comparison

    names = [metric["name"] for metric in results["metrics"] if metric["is_score"]]
    if not names:
        return False
    n_columns = min(3, len(names))
    n_rows = -(-len(names) // n_columns)
    height = 1.0 + 0.35 * len(results["models"])
    figure = Figure(figsize=(4.2 * n_columns, height * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax, name in zip(axes, names, strict=False):
        comparison(results, metric=name, ax=ax)
    for ax in axes[len(names) :]:
        ax.remove()
    save(figure, path)
    return True


def read_results(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What `compare` left in a folder.

    Raises
    ------
    FileNotFoundError : if there is no comparison.
    """
    path = Path(folder) / RESULTS
    if not path.exists():
        raise FileNotFoundError(f"{folder} holds no comparison ({RESULTS})")
    return json.loads(path.read_text(encoding="utf-8"))


def format_results(results: dict[str, Any], *, width: int = 120) -> str:
    """Table, what it says and what must be said of it, as text."""
    parts = [format_comparison(results, width=width)]
    if results["verdicts"]:
        parts.append("\n".join(verdict["text"] for verdict in results["verdicts"]))
    if results["remarks"]:
        parts.append("\n".join(f"note: {line}" for line in results["remarks"]))
    return "\n\n".join(parts)
