"""Linear regressions behind `decode`: from a few bins of history, or from whole trials.

Both standardise features by the training trials, choose the ridge penalty by cross-validation over
the training trials, and return predictions for the test trials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from latentspike.spikes import Split

_CHUNK_TRIALS = 64
_RANK_TOLERANCE = 1e-12  # of the largest eigenvalue; below, a direction of the features is noise
N_INNER_FOLDS = 5


@dataclass(frozen=True)
class Regression:
    """What `decode` asks for, in bins. ``penalties`` of length 1 need no inner folds."""

    penalties: tuple[float, ...]
    lag_bins: int
    n_history_bins: int | None  # None: the whole trial


def contiguous_folds(n_trials: int, n_folds: int) -> list[Split]:
    """Folds over trials that test runs of neighbors; as `latentspike.spikes.k_folds`.

    Examples
    --------
    >>> [fold.validation.tolist() for fold in contiguous_folds(5, 2)]
    [[0, 1, 2], [3, 4]]
    """
    if not 2 <= n_folds <= n_trials:
        raise ValueError(f"n_folds must lie in [2, {n_trials} trials], got {n_folds}")
    everyone = np.arange(n_trials)
    blocks = np.array_split(everyone, n_folds)
    return [Split(np.setdiff1d(everyone, test), test) for test in blocks]


def fit_predict(
    features: np.ndarray,
    behavior: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    regression: Regression,
) -> tuple[np.ndarray, float]:
    """Predictions [test trials, bins, dims] of a regression fitted to the training trials.

    Training bins with a NaN in ``behavior`` are ignored. Returns the penalty chosen, too.
    """
    scaled = _standardize(features, train)
    if regression.n_history_bins is None:
        return _whole_trial(scaled, behavior, train, test, regression)
    return _history(scaled, behavior, train, test, regression)


def _standardize(features: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Training mean 0 and spread 1; a feature that never changes becomes 0."""
    mean = features[train].mean(axis=(0, 1), dtype=np.float64)
    spread = features[train].std(axis=(0, 1), dtype=np.float64)
    changes = spread > 1e-9 * np.abs(mean)
    return np.where(changes, features - mean, 0.0) / np.where(changes, spread, 1.0)


# A few bins of history: one regression for all bins, kept as sums so that memory stays small.


class _Moments(NamedTuple):
    n: int
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray  # only the sum of squares of each dimension

    def centered(self) -> tuple[np.ndarray, np.ndarray]:
        """Covariance of features, and of features with behavior."""
        x, y = self.x / self.n, self.y / self.n
        return self.xx / self.n - np.outer(x, x), self.xy / self.n - np.outer(x, y)


def _history(
    scaled: np.ndarray,
    behavior: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    regression: Regression,
) -> tuple[np.ndarray, float]:
    n_groups = min(N_INNER_FOLDS, len(train)) if len(regression.penalties) > 1 else 1
    groups = [_moments(scaled, behavior, g, regression) for g in np.array_split(train, n_groups)]
    total = _sum(groups)
    if total.n < 2:
        raise ValueError("fewer than two training bins have both behavior and neural activity")
    best = _choose_history(groups, total, regression)
    weights, offset = _solve(total, regression.penalties[best : best + 1])
    predictions = [
        _design(scaled[trial][None], regression)[0] @ weights[0] + offset[0] for trial in test
    ]
    return np.stack(predictions), regression.penalties[best]


def _sum(groups: list[_Moments]) -> _Moments:
    return _Moments(
        n=sum(group.n for group in groups),
        x=np.sum([group.x for group in groups], axis=0),
        y=np.sum([group.y for group in groups], axis=0),
        xx=np.sum([group.xx for group in groups], axis=0),
        xy=np.sum([group.xy for group in groups], axis=0),
        yy=np.sum([group.yy for group in groups], axis=0),
    )


def _design(scaled: np.ndarray, regression: Regression) -> np.ndarray:
    """Features at ``t − lag``, ``t − lag − 1``, …; before the trial 0, the training mean."""
    n_trials, n_bins, n_features = scaled.shape
    n_history = regression.n_history_bins or 1
    design = np.zeros((n_trials, n_bins, n_history, n_features))
    for back in range(n_history):
        shift = regression.lag_bins + back
        to = slice(max(shift, 0), min(n_bins, n_bins + shift))
        if to.start < to.stop:
            design[:, to, back] = scaled[:, to.start - shift : to.stop - shift]
    return design.reshape(n_trials, n_bins, n_history * n_features)


def _moments(
    scaled: np.ndarray, behavior: np.ndarray, trials: np.ndarray, regression: Regression
) -> _Moments:
    parts = []
    for start in range(0, len(trials), _CHUNK_TRIALS):
        chunk = trials[start : start + _CHUNK_TRIALS]
        known = np.isfinite(behavior[chunk]).all(axis=2)
        x, y = _design(scaled[chunk], regression)[known], behavior[chunk][known]
        sums = x.sum(axis=0), y.sum(axis=0), x.T @ x, x.T @ y, (y**2).sum(axis=0)
        parts.append(_Moments(len(x), *sums))
    return _sum(parts)


def _solve(moments: _Moments, penalties: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Weights [penalties, features, dims] and intercepts [penalties, dims]."""
    gram, cross = moments.centered()
    values, vectors = np.linalg.eigh(gram)
    rotated = vectors.T @ cross
    kept = values > _RANK_TOLERANCE * max(values[-1], 0.0)
    weights = np.stack(
        [
            vectors[:, kept] @ (rotated[kept] / (values[kept] + penalty)[:, None])
            for penalty in penalties
        ]
    )
    offset = moments.y / moments.n - np.einsum("f,pfd->pd", moments.x / moments.n, weights)
    return weights, offset


def _choose_history(groups: list[_Moments], total: _Moments, regression: Regression) -> int:
    if len(regression.penalties) == 1:
        return 0
    error = np.zeros((len(regression.penalties), len(total.y)))
    for index, group in enumerate(groups):
        others = [g for other, g in enumerate(groups) if other != index]
        rest = _sum(others) if others else group
        if group.n == 0 or rest.n < 2:
            continue
        error += _squared_error(group, *_solve(rest, regression.penalties))
    return _best(error, total.yy - total.y**2 / total.n)


def _squared_error(moments: _Moments, weights: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Sum of squared errors [penalties, dims] from the sums alone."""
    linear = np.einsum("pfd,fd->pd", weights, moments.xy)
    quadratic = np.einsum("pfd,pfd->pd", weights, moments.xx @ weights)
    shift = np.einsum("pfd,f->pd", weights, moments.x)
    rest = moments.n * offset**2 - 2 * offset * moments.y + 2 * offset * shift
    return moments.yy - 2 * linear + quadratic + rest


def _best(error: np.ndarray, spread: np.ndarray) -> int:
    """Index of the penalty with the least error, dimensions weighing alike."""
    return int(np.argmin((error / np.where(spread > 0, spread, 1.0)).sum(axis=1)))


# Whole trials: every bin has its own weights on every bin's features, found in the dual since
# there are far more features than trials.


def _whole_trial(
    scaled: np.ndarray,
    behavior: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    regression: Regression,
) -> tuple[np.ndarray, float]:
    flat = scaled.reshape(len(scaled), -1)
    kernel = flat @ flat.T
    known = np.asarray(np.isfinite(behavior).all(axis=2))
    best = 0
    if len(regression.penalties) > 1:
        best = _choose_whole_trial(kernel, behavior, known, train, regression.penalties)
    penalties = regression.penalties[best : best + 1]
    (guess,) = _dual(kernel, behavior, known, train, test, penalties)
    return guess, regression.penalties[best]


def _choose_whole_trial(
    kernel: np.ndarray,
    behavior: np.ndarray,
    known: np.ndarray,
    train: np.ndarray,
    penalties: tuple[float, ...],
) -> int:
    error = np.zeros((len(penalties), behavior.shape[2]))
    for fold in contiguous_folds(len(train), min(N_INNER_FOLDS, len(train))):
        fit, check = train[fold.train], train[fold.validation]
        guess = _dual(kernel, behavior, known, fit, check, penalties)
        difference = guess - behavior[check]
        scored = known[check][None, :, :, None] & np.isfinite(guess)
        error += np.sum(difference**2, axis=(1, 2), where=scored)
    return _best(error, np.var(behavior[train][known[train]], axis=0))


def _dual(
    kernel: np.ndarray,
    behavior: np.ndarray,
    known: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    penalties: tuple[float, ...],
) -> np.ndarray:
    """Predictions [penalties, test, bins, dims]; NaN in bins that training never saw."""
    guess = np.full((len(penalties), len(test), *behavior.shape[1:]), np.nan)
    patterns, pattern_of = np.unique(known[train], axis=1, return_inverse=True)
    for pattern in range(patterns.shape[1]):
        rows, bins = train[patterns[:, pattern]], np.flatnonzero(pattern_of == pattern)
        if len(rows) >= 2:
            target = behavior[np.ix_(rows, bins)].reshape(len(rows), -1)
            found = _dual_solve(kernel, target, rows, test, penalties)
            guess[:, :, bins] = found.reshape(len(penalties), len(test), len(bins), -1)
    return guess


def _dual_solve(
    kernel: np.ndarray,
    target: np.ndarray,
    rows: np.ndarray,
    test: np.ndarray,
    penalties: tuple[float, ...],
) -> np.ndarray:
    n = len(rows)
    among, across = kernel[np.ix_(rows, rows)], kernel[np.ix_(test, rows)]
    column = among.mean(axis=0)
    centered = among - column - column[:, None] + column.mean()
    across = across - column - across.mean(axis=1, keepdims=True) + column.mean()
    values, vectors = np.linalg.eigh(centered / n)
    mean = target.mean(axis=0)
    rotated = vectors.T @ (target - mean) / n
    projected = across @ vectors
    return np.stack([projected @ (rotated / (values + p)[:, None]) + mean for p in penalties])
