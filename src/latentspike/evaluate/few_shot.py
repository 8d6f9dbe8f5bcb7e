"""Few-shot co-smoothing: how directly do the factors speak to neurons they never met?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentspike.evaluate.bits import bits_per_spike
from latentspike.evaluate.poisson_regression import fit_poisson
from latentspike.spikes import SpikeData


@dataclass(frozen=True, eq=False)
class FewShot:
    """Bits per spike on the trials that were not shots.

    Parameters
    ----------
    mean : float
        Over repeats.
    standard_error : float
        Over repeats; they share trials, so this is a lower bound. NaN with one repeat.
    per_repeat : float [n_repeats]
    n_shots : int
    """

    mean: float
    standard_error: float
    per_repeat: np.ndarray
    n_shots: int

    def __float__(self) -> float:
        return self.mean


def few_shot_co_smoothing(
    factors: np.ndarray,
    data: SpikeData,
    *,
    n_shots: int,
    n_repeats: int = 10,
    penalty: float = 1.0,
    seed: int,
) -> FewShot:
    """Bits per spike of held-out neurons predicted from factors by a regression on few trials.

    A Poisson regression from the factors to each held-out neuron is fitted to ``n_shots`` trials
    drawn at random, and scored on all others. Factors that carry more than the data support (unused
    dynamics) need more trials to be read, and score lower.

    Parameters
    ----------
    factors : float array [trials, bins, n_factors]
        For example ``posterior.factors``, of a model that never saw the held-out neurons' spikes
        on these trials.
    data : SpikeData
        With ``heldout`` neurons; forward bins are left out.
    n_shots : int
        Trials to fit on (``k``).
    n_repeats : int
        Random draws of the shots.
    penalty : float
        Ridge penalty of the regression, see `fit_poisson`.
    seed : int

    Raises
    ------
    ValueError
        Without held-out neurons, or if no trial is left to score.

    References
    ----------
    Dabholkar & Barak (2024), When predict can also explain: few-shot prediction to select better
    neural latents.
    """
    factors = np.asarray(factors, np.float64)
    if factors.ndim != 3 or factors.shape[:2] != data.counts.shape[:2]:
        raise ValueError(
            f"factors must have shape [{data.n_trials} trials, {data.n_bins} bins, n_factors], "
            f"got {factors.shape}"
        )
    if not np.isfinite(factors).all():
        raise ValueError("factors are not finite: did training diverge?")
    if not data.heldout.any() or data.kind != "counts":
        raise ValueError("few-shot co-smoothing needs spike counts and held-out neurons")
    if not 1 <= n_shots < data.n_trials or n_repeats < 1:
        raise ValueError(
            f"n_shots must lie in [1, {data.n_trials - 1}] and n_repeats be 1 or more, "
            f"got {n_shots} and {n_repeats}"
        )
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(data.n_trials) for _ in range(n_repeats)]
    scores = np.array([_score(factors, data, o[:n_shots], o[n_shots:], penalty) for o in orders])
    error = float(scores.std(ddof=1) / np.sqrt(n_repeats)) if n_repeats > 1 else float("nan")
    return FewShot(float(scores.mean()), error, scores, n_shots)


def _score(
    factors: np.ndarray, data: SpikeData, shots: np.ndarray, rest: np.ndarray, penalty: float
) -> float:
    bins = slice(0, data.n_read_bins)
    counts, observed = data.counts[:, bins, data.heldout], data.observed[:, bins, data.heldout]
    factors, n_neurons = factors[:, bins], counts.shape[2]
    regression = fit_poisson(
        factors[shots].reshape(-1, factors.shape[2]),
        counts[shots].reshape(-1, n_neurons),
        observed[shots].reshape(-1, n_neurons),
        penalty=penalty,
    )
    log_rates = np.log(regression.predict(factors[rest]))
    return bits_per_spike(log_rates, counts[rest], observed[rest]).value
