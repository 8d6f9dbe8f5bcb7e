"""Scores on test trials, with the standard error over them and what pairs need to be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from latentspike.evaluate import choose_psth_width, decode_blind, score_table
from latentspike.evaluate.recovery import r2_from_sums
from latentspike.spikes import Posterior, SpikeData, Split

N_GROUPS = 20  # of test trials, left out in turn
DECODERS: dict[str, dict[str, Any]] = {
    "10 bins": {"method": "ridge", "n_history_bins": 10},
    # long context hides the difference between models, so it is never shown alone
    "whole trial": {"method": "ridge", "n_history_bins": "trial"},
}
POPULATIONS = "population activity r"


@dataclass(frozen=True)
class Measure:
    """One metric of one fit.

    Parameters
    ----------
    metric, unit : str
    value : None if there is none
    standard_error : over test trials (jackknife)
    replicates : value without each group of test trials; the groups are the same for all models
    note : why there is no value, or how it came about
    """

    metric: str
    unit: str
    value: float | None
    standard_error: float | None = None
    replicates: tuple[float | None, ...] = ()
    note: str = ""


def needs_training_posterior(data: SpikeData) -> bool:
    """Whether a decoder or a linear map is to be fitted on training trials."""
    return bool(data.behavior) or "population_rate" in data.truth


def measure(
    train: SpikeData, test: SpikeData, known: Posterior | None, found: Posterior, *, lag: float
) -> list[Measure]:
    """Every metric that applies to a recording.

    Parameters
    ----------
    train, test : the trials with all that is known of them
    known : posterior of the training trials, see `needs_training_posterior`
    found : posterior of the test trials
    lag : seconds by which neural activity leads behavior
    """
    rows = _tabled(test.replace(behavior={}), found)
    if known is None:
        return rows
    for name in test.behavior:
        for decoder, how in DECODERS.items():
            settings = how if how["n_history_bins"] == "trial" else {"lag": lag, **how}
            metric = f"{name} R² ({decoder})"
            rows.append(_decoded(metric, train, test, known, found, name, settings))
    if "population_rate" in test.truth:
        rows.append(_populations(train, test, known, found))
    return rows


# ---- scores of `evaluate.score_table` --------------------------------------------------------


def _tabled(test: SpikeData, found: Posterior) -> list[Measure]:
    # the same for all models, and for all that the jackknife leaves
    width = None if test.conditions is None else choose_psth_width(test)
    rows = score_table(test, found, psth_width=width)
    without: list[dict[str, float | None]] = []
    for kept in kept_trials(test.n_trials):
        again = score_table(test.select_trials(kept), _some(found, kept), psth_width=width)
        without.append({row.metric: row.value for row in again})
    return [
        _measure(row.metric, row.unit, row.value, [w[row.metric] for w in without], row.note)
        for row in rows
    ]


def _some(posterior: Posterior, trials: np.ndarray) -> Posterior:
    return Posterior(
        posterior.rates[trials],
        posterior.bin_width,
        np.asarray(posterior.trial_ids)[trials],
        posterior.neuron_ids,
        t_start=posterior.t_start,
    )


# ---- jackknife -------------------------------------------------------------------------------


def kept_trials(n_trials: int) -> list[np.ndarray]:
    """Trials that are left when each group of them is left out in turn; none of a single trial.

    Examples
    --------
    >>> [kept.size for kept in kept_trials(3)]
    [2, 2, 2]
    """
    if n_trials < 2:
        return []
    # at random, or groups could be conditions
    order = np.random.default_rng(0).permutation(n_trials)
    groups = np.array_split(order, min(N_GROUPS, n_trials))
    return [np.setdiff1d(order, group) for group in groups]


def jackknife(replicates: Any) -> float | None:
    """Standard error from the values without each group; None if one is missing.

    References
    ----------
    Efron & Stein (1981), The jackknife estimate of variance.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0, 4.0])
    >>> error = jackknife([(x.sum() - one) / 3 for one in x])
    >>> bool(np.isclose(error, x.std(ddof=1) / 2))
    True
    """
    values = np.array([np.nan if value is None else value for value in replicates], float)
    if values.size < 2 or not np.isfinite(values).all():
        return None
    n = values.size
    return float(np.sqrt((n - 1) / n * np.sum((values - values.mean()) ** 2)))


def _measure(metric: str, unit: str, value: Any, replicates: list[Any], note: str) -> Measure:
    value = _number(value)
    if value is None:
        return Measure(metric, unit, None, note=note or "not defined on these trials")
    return Measure(metric, unit, value, jackknife(replicates), tuple(replicates), note)


def _number(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


# ---- decoding and populations: fitted on training trials, scored on test trials --------------


def _predicted(
    features: tuple[np.ndarray, np.ndarray],
    targets: tuple[np.ndarray, np.ndarray],
    bin_width: float,
    settings: dict[str, Any],
) -> tuple[np.ndarray, np.ndarray]:
    """Target and prediction of the test trials, [trials, bins, dims]."""
    n_train, n_test = len(targets[0]), len(targets[1])
    fold = Split(np.arange(n_train), np.arange(n_train, n_train + n_test))
    everything = [np.concatenate(pair) for pair in (features, targets)]
    found = decode_blind([everything[0]], everything[1], [fold], bin_width=bin_width, **settings)
    return targets[1], found.predictions[n_train:]


def _decoded(
    metric: str,
    train: SpikeData,
    test: SpikeData,
    known: Posterior,
    found: Posterior,
    name: str,
    settings: dict[str, Any],
) -> Measure:
    try:
        target, guess = _predicted(
            (known.rates, found.rates),
            (train.behavior[name], test.behavior[name]),
            test.bin_width,
            settings,
        )
    except ValueError as error:
        return Measure(metric, "", None, note=str(error))
    return _over_trials(metric, _r2, target, guess)


def _over_trials(
    metric: str,
    score: Callable[[np.ndarray, np.ndarray], float],
    target: np.ndarray,
    guess: np.ndarray,
    note: str = "",
) -> Measure:
    without = [_number(score(target[kept], guess[kept])) for kept in kept_trials(len(target))]
    return _measure(metric, "", score(target, guess), without, note)


def _r2(target: np.ndarray, guess: np.ndarray) -> float:
    """Mean over dimensions of R² over the bins where all is known."""
    known = np.isfinite(target).all(axis=2) & np.isfinite(guess).all(axis=2)
    if not known.any():
        return np.nan
    true, guess = target[known], guess[known]
    r2 = r2_from_sums(((true - guess) ** 2).sum(axis=0), ((true - true.mean(0)) ** 2).sum(axis=0))
    return float(np.nanmean(r2)) if np.isfinite(r2).any() else np.nan


def _populations(train: SpikeData, test: SpikeData, known: Posterior, found: Posterior) -> Measure:
    """Correlation over test bins with the true activity of populations, mean over these."""
    truth = train.truth["population_rate"], test.truth["population_rate"]
    own = known.population_activity, found.population_activity
    try:
        if own[0] is not None and own[1] is not None and own[0].shape == truth[0].shape:
            order = _matching(own[0], truth[0])
            return _over_trials(
                POPULATIONS, _correlation, truth[1], own[1][..., order], "the model's own activity"
            )
        name, features = _latents(known, found)
        guess = _predicted(features, truth, test.bin_width, {"method": "ridge"})
    except ValueError as error:
        return Measure(POPULATIONS, "", None, note=str(error))
    return _over_trials(POPULATIONS, _correlation, *guess, f"linear map from {name}")


def _latents(known: Posterior, found: Posterior) -> tuple[str, tuple[np.ndarray, np.ndarray]]:
    for name in ("population_activity", "factors"):
        pair = getattr(known, name), getattr(found, name)
        if pair[0] is not None and pair[1] is not None:
            return name.replace("_", " "), pair
    return "rates", (known.rates, found.rates)


def _matching(own: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """For each true population the model's that goes with it best on training trials."""
    k = truth.shape[-1]
    both = np.concatenate([truth.reshape(-1, k), own.reshape(-1, k)], axis=1)
    spread = both.std(axis=0)
    scaled = (both - both.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    alike = scaled[:, :k].T @ scaled[:, k:]
    return linear_sum_assignment(-alike)[1]


def _correlation(target: np.ndarray, guess: np.ndarray) -> float:
    pairs = zip(
        target.reshape(-1, target.shape[-1]).T, guess.reshape(-1, guess.shape[-1]).T, strict=True
    )
    values = [np.corrcoef(a, b)[0, 1] if np.ptp(a) and np.ptp(b) else np.nan for a, b in pairs]
    return float(np.mean(values))


def as_records(measures: list[Measure]) -> list[dict[str, Any]]:
    """Plain dicts, ready for JSON."""
    return [dataclasses.asdict(row) | {"replicates": list(row.replicates)} for row in measures]
