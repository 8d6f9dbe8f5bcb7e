"""``latentspike evaluate``: how good the inference is, beside Gaussian smoothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latentspike.cli.options import Common, RunFolder
from latentspike.cli.outcome import Report

if TYPE_CHECKING:
    from latentspike.cli.recording import Prepared
    from latentspike.evaluate import Score
    from latentspike.models.smoothing import GaussianSmoothing
    from latentspike.spikes import Posterior, SpikeData, Split

PAPER_WIDTH = 0.06  # seconds; Keshtkaran & Pandarinath (2019), section 4.3

NO_VALIDATION_NOTE = "the model was fitted to all trials: these scores are of the same trials"
OWN_SPIKES = ("held-in bits per spike", "PSTH R²")
OWN_SPIKES_NOTE = (
    "held-in bits per spike and PSTHs of few trials reward copying the very spikes that are "
    "scored, which smoothing does; co-smoothing (--set data.heldout_neurons=N) does not"
)


@dataclass(frozen=True, kw_only=True)
class Evaluate(Common):
    """Score the inference on the validation trials, beside Gaussian smoothing of the same spikes.

    The smoothing's width is chosen on the training trials, and another for held-out neurons.
    Scores at the width of the paper, 60 ms, and those of the true rates, where they are known,
    stand below the table. Writes RUN/scores.json.
    """

    run: RunFolder
    """Run folder on which infer has been run."""
    lag: float = 0.0
    """Seconds by which neural activity leads behavior, for decoding; a whole number of bins."""


OPTIONS = Evaluate


def run(options: Evaluate) -> Report:
    """Score and write; see `Evaluate`."""
    from latentspike.cli import recording
    from latentspike.cli import run_folder as files
    from latentspike.evaluate import as_records, score_table
    from latentspike.files import write_json

    folder = Path(options.run)
    files.open_configuration(folder)
    posterior = files.open_posterior(folder)
    _, prepared, split = files.open_run(folder)
    data, pick = recording.graded(prepared, split)
    baseline, smoothed, paper = _baselines(prepared, split, pick)
    rows = score_table(data, pick(posterior), baseline=smoothed, lag=options.lag)
    rows += _population_rows(data, pick(posterior), files.open_fitted(folder))
    others = {"paper": paper, "truth": _true_rates(data)}
    # decoding four times over would take long, and says the same
    plain = data.replace(behavior={})
    values = {name: _values(score_table(plain, p)) for name, p in others.items() if p is not None}
    document = {
        "run": str(folder),
        "n_validation_trials": data.n_trials,
        "baseline": {
            "name": "gaussian smoothing",
            "width": baseline.width,
            "heldout_width": baseline.heldout_width,
        },
        "scores": as_records(rows),
        "paper_baseline": {"width": PAPER_WIDTH, "values": values.get("paper", {})},
        "true_rates": values.get("truth", {}),
        "note": _note(rows, split),
    }
    write_json(folder / files.SCORES, document)
    return Report(document, format_scores(rows, baseline, values, document["note"]))


def _note(rows: list[Score], split: Split | None) -> str:
    notes = [OWN_SPIKES_NOTE] if any(row.metric in OWN_SPIKES for row in rows) else []
    return "; ".join(notes + ([NO_VALIDATION_NOTE] if split is None else []))


def _population_rows(data: SpikeData, posterior: Posterior, fitted: Any) -> list[Score]:
    """Correlation of the inferred with the true activity of whole populations, where it is known.

    Over the bins of all trials, as in Wang et al. (2022), section 5.2.
    """
    from latentspike.evaluate import Score

    found, truth = posterior.population_activity, data.truth.get("population_rate")
    if found is None or truth is None or found.shape != truth.shape:
        return []
    pairs = zip(
        found.reshape(-1, found.shape[-1]).T, truth.reshape(-1, truth.shape[-1]).T, strict=True
    )
    names = fitted.model.network.names
    return [
        Score(f"{name} activity r", "", _correlation(a, b))
        for name, (a, b) in zip(names, pairs, strict=True)
    ]


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    is_flat = np.ptp(a) == 0 or np.ptp(b) == 0
    return None if is_flat else float(np.corrcoef(a, b)[0, 1])


def _baselines(
    prepared: Prepared, split: Split | None, pick: Callable[[Posterior], Posterior]
) -> tuple[GaussianSmoothing, Posterior, Posterior | None]:
    """Smoothing tuned on the training trials, its posterior, and that of the paper's."""
    from latentspike.models.smoothing import GaussianSmoothing, tuned_smoothing

    train = prepared.data if split is None else prepared.data.select_trials(split.train)
    fixed = GaussianSmoothing(width=PAPER_WIDTH)
    tuned = tuned_smoothing(train) if train.kind == "counts" else fixed
    smoothed, paper = (pick(_smoothing(m, train, prepared.whole)) for m in (tuned, fixed))
    return tuned, smoothed, paper if train.kind == "counts" else None


def _smoothing(model: GaussianSmoothing, train: SpikeData, whole: SpikeData) -> Posterior:
    from latentspike.models.protocol import DataSpec

    return model.infer(model.estimate(model.init(DataSpec.of(train)), train), whole)


def _values(rows: list[Score]) -> dict[str, float | None]:
    return {row.metric: row.value for row in rows}


def _true_rates(data: SpikeData) -> Posterior | None:
    from latentspike.spikes import Posterior

    if "rates" not in data.truth:
        return None
    return Posterior(
        data.truth["rates"], data.bin_width, data.trial_ids, data.neuron_ids, t_start=data.t_start
    )


def format_scores(
    rows: list[Score],
    baseline: GaussianSmoothing,
    others: dict[str, dict[str, Any]],
    remark: str = "",
) -> str:
    """Table for people: the model beside smoothing; below, other rates for orientation."""
    from latentspike.evaluate import format_table

    text = [*format_table(rows).splitlines(), ""]
    text.append(f"baseline: Gaussian smoothing with {baseline.label}, chosen on training trials")
    names = {"truth": "the true rates themselves"}
    if {baseline.width, baseline.heldout_width} - {PAPER_WIDTH, None}:
        names["paper"] = f"smoothing with the paper's σ = {1e3 * PAPER_WIDTH:g} ms"
    for name, heading in names.items():
        values = [
            f"{metric} {v:.3f}" for metric, v in others.get(name, {}).items() if v is not None
        ]
        if values:
            text.append(f"{heading}: {', '.join(values)}")
    return "\n".join(text + ([f"note: {remark}"] if remark else []))
