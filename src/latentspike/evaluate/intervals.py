"""A proportion with its binomial confidence interval."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Proportion:
    """How often something happened, with a binomial confidence interval.

    Parameters
    ----------
    n_successes, n_trials : int
    value : float
        Their ratio; NaN without trials.
    low, high : float
        Ends of the confidence interval; 0 and 1 without trials.
    confidence : float
        For example 0.95.
    """

    n_successes: int
    n_trials: int
    value: float
    low: float
    high: float
    confidence: float

    def __float__(self) -> float:
        return self.value


def proportion(n_successes: int, n_trials: int, *, confidence: float = 0.95) -> Proportion:
    """Share of successes with Wilson's score interval.

    Its coverage is close to nominal also near 0 and 1 and for few trials, where the interval
    ``p ± z·s.e.`` has width zero or leaves [0, 1].

    Parameters
    ----------
    n_successes, n_trials : int
    confidence : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If the counts are no counts, or the confidence is not between 0 and 1.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference, J. Am.
    Stat. Assoc. 22, 209–212.

    Examples
    --------
    >>> share = proportion(8, 10)
    >>> print(f"{share.value:.2f} ({share.low:.2f} to {share.high:.2f})")
    0.80 (0.49 to 0.94)
    """
    if int(n_successes) != n_successes or int(n_trials) != n_trials:
        raise ValueError(f"{n_successes} of {n_trials} are no counts")
    if not 0 <= n_successes <= n_trials:
        raise ValueError(f"successes must lie in 0 … {n_trials} trials, got {n_successes}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    value, low, high = math.nan, 0.0, 1.0
    if n_trials:
        from scipy.stats import binomtest

        value = n_successes / n_trials
        interval = binomtest(int(n_successes), int(n_trials)).proportion_ci(confidence, "wilson")
        low, high = float(interval.low), float(interval.high)
    return Proportion(int(n_successes), int(n_trials), value, low, high, confidence)
