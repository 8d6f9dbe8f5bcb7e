"""Every score that applies to a recording, beside the same score of a baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from latentspike.evaluate.bits import co_smoothing_bits, forward_bits, heldin_bits
from latentspike.evaluate.decoding import decode
from latentspike.evaluate.match import check_match
from latentspike.evaluate.psth import psth_r2
from latentspike.evaluate.recovery import rate_r2
from latentspike.spikes import Posterior, SpikeData

Scorer = Callable[[SpikeData, Posterior], Any]

_N_FOLDS = 5
_DECODERS: dict[str, dict[str, Any]] = {
    "OLE": {"method": "ole"},
    "ridge, 10 bins": {"method": "ridge", "n_history_bins": 10},
    # Long context hides the difference between models, so it is always shown beside the others.
    "ridge, whole trial": {"method": "ridge", "n_history_bins": "trial"},
}


@dataclass(frozen=True)
class Score:
    """One row of a `score_table`; missing figures are None, so that it can be written as JSON.

    Parameters
    ----------
    metric, unit : str
    value, standard_error : float or None
    baseline, baseline_standard_error : float or None
        The same metric for the baseline's posterior.
    note : str
        Why there is no value, if there is none.
    """

    metric: str
    unit: str
    value: float | None
    standard_error: float | None = None
    baseline: float | None = None
    baseline_standard_error: float | None = None
    note: str = ""


def score_table(
    data: SpikeData,
    posterior: Posterior,
    *,
    baseline: Posterior | None = None,
    lag: float = 0.0,
    psth_width: float | None = None,
) -> list[Score]:
    """Every metric that applies to this recording, the baseline's value beside it.

    Grade on trials that the model did not learn from. Decoding is from the rates given, with five
    contiguous folds over these trials.

    Parameters
    ----------
    data : SpikeData
        Known true rates, held-out neurons, forward bins, conditions and behavior each add rows.
    posterior : Posterior
        Of the model, for these trials.
    baseline : Posterior, optional
        For example of `latentspike.models.smoothing.GaussianSmoothing`.
    lag : float
        Seconds by which neural activity leads behavior (not used by the whole-trial decoder).
    psth_width : float, optional
        Of `psth_r2`; by default chosen on these trials.

    Returns
    -------
    list of Score
        See `format_table` to print it and `as_records` to write it as JSON.

    Raises
    ------
    ValueError
        If a posterior is not of these trials and neurons. A metric that cannot be computed
        on this recording (no spike, flat PSTHs) is a row with a note instead.

    Examples
    --------
    >>> from latentspike.simulate import chaotic_rnn
    >>> data = chaotic_rnn(n_conditions=2, n_trials_per_condition=3, seed=0)
    >>> rates = data.truth["rates"]
    >>> posterior = Posterior(rates, data.bin_width, data.trial_ids, data.neuron_ids)
    >>> [row.metric for row in score_table(data, posterior)]
    ['rates R²', 'held-in bits per spike', 'PSTH R²']
    """
    posteriors = [posterior] if baseline is None else [posterior, baseline]
    return [
        _row(metric, unit, scorer, data, posteriors)
        for metric, unit, scorer in _applicable(data, lag, psth_width)
    ]


def _applicable(
    data: SpikeData, lag: float, psth_width: float | None
) -> Iterator[tuple[str, str, Scorer]]:
    if "rates" in data.truth:
        yield "rates R²", "", rate_r2
    if data.kind == "counts":
        if data.heldout.any():
            yield "co-smoothing bits per spike", "bits/spike", co_smoothing_bits
        if data.n_forward_bins:
            yield "forward bits per spike", "bits/spike", forward_bits
        yield "held-in bits per spike", "bits/spike", heldin_bits
        if data.conditions is not None:
            yield "PSTH R²", "", partial(psth_r2, width=psth_width)
    for name, values in data.behavior.items():
        for decoder, settings in _DECODERS.items():
            delay = 0.0 if settings.get("n_history_bins") == "trial" else lag
            scorer = _decoding_scorer(values, {"lag": delay, **settings})
            yield f"{name} R² ({decoder})", "", scorer


def _decoding_scorer(values: np.ndarray, settings: dict[str, Any]) -> Scorer:
    def scorer(data: SpikeData, posterior: Posterior) -> Any:
        return decode(
            posterior.rates, values, bin_width=data.bin_width, n_folds=_N_FOLDS, **settings
        )

    return scorer


def _row(
    metric: str, unit: str, scorer: Scorer, data: SpikeData, posteriors: Sequence[Posterior]
) -> Score:
    for posterior in posteriors:  # someone else's posterior is an error, not a row with a note
        check_match(data, posterior)
    try:
        results = [scorer(data, posterior) for posterior in posteriors]
    except ValueError as error:
        return Score(metric, unit, None, note=str(error))
    figures = [(_figure(r), _figure(getattr(r, "standard_error", None))) for r in results]
    ours, theirs = figures[0], figures[1] if len(figures) > 1 else (None, None)
    return Score(metric, unit, *ours, *theirs)


def _figure(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(float(value)) else None


def format_table(scores: Sequence[Score]) -> str:
    """The table as plain text, one row per metric.

    Examples
    --------
    >>> print(format_table([Score("rates R²", "", 0.68, None, 0.25)]))
    metric    score  baseline
    rates R²  0.680  0.250
    """
    rows = [("metric", "score", "baseline", "")]
    for score in scores:
        value = _text(score.value, score.standard_error)
        baseline = _text(score.baseline, score.baseline_standard_error)
        rows.append((score.metric, value, baseline, score.note))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _text(value: float | None, error: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if error is None else f"{value:.3f} ± {error:.3f}"


def as_records(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """The table as plain dicts, ready for JSON."""
    return [asdict(score) for score in scores]
