"""Poisson regression of several neurons on shared features, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MAX_LOG = 20.0  # caps exp() far above any count per bin, so that extrapolation stays finite
_MANY_FEATURES = 150  # beyond, the Hessian of Newton's method costs more than it saves


@dataclass(frozen=True, eq=False)
class PoissonRegression:
    """``log E[counts] = ((features − mean) / spread) · weights + intercept``.

    Parameters
    ----------
    weights : float [features, neurons]
    intercept : float [neurons]
    mean, spread : float [features]
        Of the training rows; a constant feature has spread 1.
    """

    weights: np.ndarray
    intercept: np.ndarray
    mean: np.ndarray
    spread: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Expected counts per bin [..., neurons] for features [..., features]."""
        # Scaling the few weights instead of the many features saves a copy of the design.
        weights = self.weights / self.spread[:, None]
        log_rates = features @ weights + (self.intercept - self.mean @ weights)
        return np.exp(np.minimum(log_rates, _MAX_LOG))


def fit_poisson(
    features: np.ndarray,
    counts: np.ndarray,
    observed: np.ndarray | None = None,
    *,
    penalty: float = 10.0,
    exposure: np.ndarray | None = None,
) -> PoissonRegression:
    """Maximum penalised likelihood, one neuron after the other.

    Parameters
    ----------
    features : float [rows, features]
        Standardised here.
    counts : [rows, neurons]
    observed : bool [rows, neurons], optional
    penalty : float
        Half of this times the squared weights is added to the total negative log-likelihood: a
        Gaussian prior of variance ``1 / penalty`` on each weight, whatever the number of rows. (A
        penalty per row would leave rare spikers, with little evidence, nearly free.) The intercept
        is free.
    exposure : float [rows, neurons], optional
        Expected counts to be multiplied by the regression, for example a PSTH: its log is an
        offset. Multiply `PoissonRegression.predict` by it again.

    Returns
    -------
    PoissonRegression
        A neuron without a spike gets zero weights and the rate of half a spike in all its rows.

    Raises
    ------
    ValueError
        If the penalty is not positive, or a neuron was never observed.
    """
    if not (np.isfinite(penalty) and penalty > 0):
        raise ValueError(f"penalty must be positive, got {penalty}")
    counts = np.asarray(counts)
    observed = np.ones(counts.shape, bool) if observed is None else observed
    exposure = np.ones(counts.shape) if exposure is None else exposure
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 1e-9 * np.maximum(np.abs(mean), 1.0), spread, 1.0)
    scaled = (features - mean) / spread
    fitted = [
        _fit_neuron(scaled, counts[:, n], observed[:, n], exposure[:, n], penalty)
        for n in range(counts.shape[1])
    ]
    weights = np.stack([w for w, _ in fitted], axis=1)
    return PoissonRegression(weights, np.array([b for _, b in fitted]), mean, spread)


def _fit_neuron(
    scaled: np.ndarray,
    counts: np.ndarray,
    observed: np.ndarray,
    exposure: np.ndarray,
    penalty: float,
) -> tuple[np.ndarray, float]:
    if not observed.any():
        raise ValueError("a neuron to be predicted was never observed in the training trials")
    rows = slice(None) if observed.all() else observed
    x, y, weight = scaled[rows], counts[rows].astype(scaled.dtype), exposure[rows]
    if y.sum() == 0:
        return np.zeros(scaled.shape[1]), float(np.log(0.5 / weight.sum()))
    alpha = penalty / float(np.sum(weight))
    solver = "newton-cholesky" if scaled.shape[1] <= _MANY_FEATURES else "lbfgs"
    from sklearn.linear_model import PoissonRegressor  # seconds to import, for few commands

    model = PoissonRegressor(alpha=alpha, solver=solver, max_iter=1000, tol=1e-4)
    # Both the penalty and the weights are relative to the total weight in scikit-learn, and a
    # log offset is the same as counts per exposure weighted by the exposure.
    model.fit(x, y / weight, sample_weight=weight)
    return model.coef_, float(model.intercept_)
