"""Linear decoding of behavior from rates, factors or spikes, cross-validated over trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from latentspike.evaluate.recovery import r2_from_sums
from latentspike.evaluate.regression import Regression, contiguous_folds, fit_predict
from latentspike.spikes import Split

PENALTIES = tuple(10.0**power for power in np.arange(-5.0, 5.0))
"""Ridge penalties tried by default, per training row and for features of spread 1."""

Method = Literal["ole", "ridge"]
History = int | Literal["trial"]


@dataclass(frozen=True, eq=False)
class Decoding:
    """Cross-validated predictions of behavior and their R².

    Parameters
    ----------
    r2 : float [dims]
        Over the scored bins of all test trials together.
    mean : float
        Mean of ``r2`` over dimensions.
    r2_per_fold : float [folds, dims]
    predictions : float [trials, bins, dims]
        Each trial predicted by the fold that tested it; NaN where nothing could be predicted.
    folds : list of Split
        ``validation`` holds the trials that the fold tested.
    penalties : float [folds]
        Ridge penalty that each fold chose; 0 for optimal linear estimation.
    """

    r2: np.ndarray
    mean: float
    r2_per_fold: np.ndarray
    predictions: np.ndarray
    folds: list[Split]
    penalties: np.ndarray

    def __float__(self) -> float:
        return self.mean


def decode(
    features: np.ndarray,
    behavior: np.ndarray,
    *,
    bin_width: float,
    n_folds: int = 5,
    method: Method = "ole",
    lag: float = 0.0,
    n_history_bins: History = 1,
    penalties: Sequence[float] = PENALTIES,
) -> Decoding:
    """Decode behavior linearly, with contiguous folds over trials.

    Standardisation and the choice of the penalty (inner contiguous folds over trials) see training
    trials only. The features, however, are taken as they are: if a model learned from all
    trials, use `decode_blind` instead to keep it blind to the test fold, too.

    Parameters
    ----------
    features : array [trials, bins, features]
        Rates, factors or smoothed spikes.
    behavior : array [trials, bins, dims] or [trials, bins]
        For example hand velocity. Bins with a NaN are neither trained on nor scored.
    bin_width : float
        Seconds.
    n_folds : int
    method : "ole" or "ridge"
        Optimal linear estimation is linear regression with an intercept and no penalty (the
        minimum-norm solution if features are collinear).
    lag : float
        Seconds by which neural activity leads behavior; a whole number of bins. Behavior whose
        activity lies outside the trial is not scored.
    n_history_bins : int or "trial"
        Bins of activity that each prediction reads, the last at ``t − lag``. Missing history at
        the start of a trial is set to the training mean. ``"trial"``: every bin of the trial,
        before and after, with weights of their own for each predicted bin (ridge only).
    penalties : sequence of float
        Tried by the ridge, per training row and for standardised features.

    Raises
    ------
    ValueError
        If shapes do not fit, features are not finite, or nothing can be scored.

    References
    ----------
    Salinas & Abbott (1994), Vector reconstruction from firing rates; Keshtkaran & Pandarinath
    (2019), section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> rates = np.random.default_rng(0).normal(size=(20, 10, 3))
    >>> velocity = rates @ np.array([[1.0, 0.0], [0.5, -1.0], [0.0, 2.0]])
    >>> round(decode(rates, velocity, bin_width=0.02).mean, 6)
    1.0
    """
    folds = contiguous_folds(len(features), n_folds)
    regression = _regression(bin_width, method, lag, n_history_bins, penalties)
    behavior = _checked_behavior(behavior)
    checked = _checked_features(features, behavior)
    return _cross_validate(lambda _: checked, behavior, folds, regression)


def decode_blind(
    features_by_fold: Sequence[np.ndarray],
    behavior: np.ndarray,
    folds: Sequence[Split],
    *,
    bin_width: float,
    method: Method = "ole",
    lag: float = 0.0,
    n_history_bins: History = 1,
    penalties: Sequence[float] = PENALTIES,
) -> Decoding:
    """As `decode`, with features from one model per fold that never saw the fold's test trials.

    Parameters
    ----------
    features_by_fold : sequence of array [trials, bins, features]
        For each fold the features of *all* trials under the model trained on its training trials;
        the number of features may differ between folds.
    behavior : array [trials, bins, dims] or [trials, bins]
    folds : sequence of Split
        For example of `latentspike.spikes.k_folds`; ``validation`` holds the trials to test.
    bin_width, method, lag, n_history_bins, penalties
        As in `decode`.

    Raises
    ------
    ValueError
        As `decode`; and if folds name trials that do not exist, or test one twice.
    """
    behavior = _checked_behavior(behavior)
    _check_folds(folds, len(features_by_fold), len(behavior))
    checked = [_checked_features(features, behavior) for features in features_by_fold]
    regression = _regression(bin_width, method, lag, n_history_bins, penalties)
    return _cross_validate(lambda index: checked[index], behavior, list(folds), regression)


def _check_folds(folds: Sequence[Split], n_features: int, n_trials: int) -> None:
    if len(folds) != n_features or not folds:
        raise ValueError(f"{n_features} feature arrays for {len(folds)} folds")
    tested = np.concatenate([fold.validation for fold in folds])
    trials = np.concatenate([tested, *(fold.train for fold in folds)])
    if trials.min() < 0 or trials.max() >= n_trials:
        raise ValueError(f"folds name trials {trials.min()} … {trials.max()} of {n_trials}")
    if np.unique(tested).size != tested.size:
        raise ValueError("a trial is tested by two folds, so it would be scored twice")


def _regression(
    bin_width: float, method: str, lag: float, n_history_bins: History, penalties: Sequence[float]
) -> Regression:
    if method not in ("ole", "ridge"):
        raise ValueError(f"method must be 'ole' or 'ridge', got {method!r}")
    if not (bin_width > 0 and abs(lag / bin_width - round(lag / bin_width)) < 1e-6):
        raise ValueError(f"lag = {lag} s is not a whole number of bins of {bin_width} s")
    chosen = (0.0,) if method == "ole" else tuple(float(penalty) for penalty in penalties)
    if not chosen or (method == "ridge" and min(chosen) <= 0):
        raise ValueError(f"ridge penalties must be positive, got {tuple(penalties)}")
    if n_history_bins == "trial":
        if method == "ole" or lag != 0:
            raise ValueError("n_history_bins='trial' needs method='ridge' and no lag")
        return Regression(chosen, 0, None)
    if not (isinstance(n_history_bins, int | np.integer) and n_history_bins >= 1):
        raise ValueError(f"n_history_bins must be 1 or more, or 'trial', got {n_history_bins!r}")
    return Regression(chosen, round(lag / bin_width), int(n_history_bins))


def _checked_behavior(behavior: np.ndarray) -> np.ndarray:
    behavior = np.asarray(behavior, np.float64)
    if behavior.ndim == 2:
        behavior = behavior[:, :, None]
    if behavior.ndim != 3:
        raise ValueError(f"behavior must have shape [trials, bins, dims], got {behavior.shape}")
    return behavior


def _checked_features(features: np.ndarray, behavior: np.ndarray) -> np.ndarray:
    features = np.asarray(features)
    if features.ndim != 3 or features.shape[:2] != behavior.shape[:2]:
        raise ValueError(
            "features [trials, bins, features] and behavior [trials, bins, dims] must share trials "
            f"and bins, got {features.shape} and {behavior.shape}"
        )
    if not np.isfinite(features).all():
        trial, time_bin, which = (int(i) for i in np.argwhere(~np.isfinite(features))[0])
        raise ValueError(f"feature [trial {trial}, bin {time_bin}, {which}] is not finite")
    return features


def _cross_validate(
    features_of: Callable[[int], np.ndarray],
    behavior: np.ndarray,
    folds: list[Split],
    regression: Regression,
) -> Decoding:
    n_bins = behavior.shape[1]
    source = np.arange(n_bins) - regression.lag_bins
    target = behavior.copy()
    target[:, (source < 0) | (source >= n_bins)] = np.nan
    predictions, chosen, per_fold = np.full(behavior.shape, np.nan), [], []
    for index, fold in enumerate(folds):
        test = fold.validation
        guess, penalty = fit_predict(features_of(index), target, fold.train, test, regression)
        predictions[test] = guess
        chosen.append(penalty)
        per_fold.append(_r2(target[test], guess))
    predictions[:, (source < 0) | (source >= n_bins)] = np.nan
    r2 = _r2(target, predictions)
    if np.isnan(r2).all():
        raise ValueError("no test bin has behavior that varies: nothing can be scored")
    mean = float(np.nanmean(r2))
    return Decoding(r2, mean, np.stack(per_fold), predictions, folds, np.array(chosen))


def _r2(target: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """R² of each dimension over the bins where all is known."""
    known = np.isfinite(target).all(axis=2) & np.isfinite(guess).all(axis=2)
    if not known.any():
        return np.full(target.shape[2], np.nan)
    true, guess = target[known], guess[known]
    return r2_from_sums(((true - guess) ** 2).sum(axis=0), ((true - true.mean(0)) ** 2).sum(axis=0))
