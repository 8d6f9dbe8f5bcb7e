"""What a paper says, and whether our numbers say it too.

A claim is a sentence of a paper with its number, and a pure function from the results that a study
has kept to our number and a verdict. What decides is what the sentence itself says (more, less,
above, none) or the paper's own number; no threshold is fitted to results. Two rules hold
everywhere: a difference of means that is smaller than its standard error over seeds cannot be said,
and what is missing in the results cannot be said either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Verdict = Literal["held", "did not hold", "cannot be said"]
HELD: Verdict = "held"
FAILED: Verdict = "did not hold"
UNKNOWN: Verdict = "cannot be said"
Results = Mapping[str, Any]  # what each step kept in results.json, by the name of its module


class Missing(Exception):
    """The results lack what a claim is about."""


@dataclass(frozen=True)
class Finding:
    """What our results say of a claim.

    Parameters
    ----------
    ours : our number, with its spread
    sample : of how many seeds, trials or models
    verdict : "held", "did not hold" or "cannot be said"
    reason : why it cannot be said, or what should be known beside the number
    """

    ours: str
    sample: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper that a study can hold or not hold.

    Parameters
    ----------
    where : figure or table
    sentence : what the paper says
    paper : its number
    judge : pure function of the results; may raise `Missing`
    why : what is known of why our results differ; shown only where it did not hold
    """

    where: str
    sentence: str
    paper: str
    judge: Callable[[Results], Finding]
    why: str = ""

    def of(self, results: Results) -> Finding:
        """What the results say of it; what is missing in them cannot be said.

        Examples
        --------
        >>> claim = Claim("Fig. 1", "it is so", "1", lambda results: part(results, "study", "r"))
        >>> claim.of({"study": {}}).reason
        'the results have no study, r'
        """
        try:
            return self.judge(results)
        except Missing as error:
            return Finding("–", "–", UNKNOWN, str(error))


def part(results: Any, *path: str) -> Any:
    """Entry of nested tables.

    Raises
    ------
    Missing : naming the entry that is not there.
    """
    found = results
    for depth, name in enumerate(path, 1):
        if not isinstance(found, Mapping) or name not in found:
            raise Missing(f"the results have no {', '.join(path[:depth])}")
        found = found[name]
    return found


def numbers(values: Iterable[Any], what: str) -> np.ndarray:
    """Values as an array, [n].

    Raises
    ------
    Missing : if there are none, or one is no number.
    """
    array = np.array([np.nan if value is None else value for value in values], float)
    if not array.size:
        raise Missing(f"the results have no {what}")
    if not np.isfinite(array).all():
        n = int((~np.isfinite(array)).sum())
        raise Missing(f"{what}: {n} of {array.size} values are no numbers")
    return array


def mean_sd(values: np.ndarray, digits: int = 3) -> str:
    """Mean with the standard deviation, where there is one.

    Examples
    --------
    >>> mean_sd(np.array([1.0, 2.0])), mean_sd(np.array([1.0]), 1)
    ('1.500 ± 0.707', '1.0')
    """
    if values.size == 1:
        return f"{values[0]:.{digits}f}"
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def is_above(values: np.ndarray, others: np.ndarray) -> tuple[Verdict, str]:
    """Whether the first are larger on average, and the reason where that cannot be said.

    Values of as many seeds are paired. One value alone has no spread: its sign decides.

    Examples
    --------
    >>> is_above(np.array([2.0, 3.0]), np.array([1.0, 2.1]))
    ('held', '')
    >>> is_above(np.array([1.0]), np.array([1.5]))
    ('did not hold', '')
    """
    difference = float(values.mean() - others.mean())
    if values.size == others.size:
        error = standard_error(values - others)
    else:
        error = float(np.hypot(standard_error(values), standard_error(others)))
    if difference == 0 or abs(difference) < error:
        return UNKNOWN, (
            f"the difference of the means, {difference:+.3f}, is within its standard error of "
            f"{error:.3f}"
        )
    return (HELD if difference > 0 else FAILED), ""


def is_within(distance: float, limit: float, error: float) -> tuple[Verdict, str]:
    """Whether a distance is at most a limit, and the reason where that cannot be said.

    Parameters
    ----------
    distance, limit : in the same unit
    error : standard error of the distance; 0 for one value alone
    """
    if abs(distance - limit) < error:
        return UNKNOWN, f"the limit is within the standard error, {error:.2f}"
    return verdict_of(distance <= limit), ""


def standard_error(values: np.ndarray) -> float:
    """Of the mean; 0 for one value alone, whose spread is not known."""
    return float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else 0.0


def many(n: int, singular: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> many(1, "seed"), many(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{n} {singular}{'' if n == 1 else 's'}"


def verdict_of(is_so: bool) -> Verdict:
    """Held or did not hold."""
    return HELD if is_so else FAILED


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Of a claim with several parts: it holds if all hold, and not if one does not.

    Examples
    --------
    >>> worst(["held", "cannot be said"]), worst(["cannot be said", "did not hold"])
    ('cannot be said', 'did not hold')
    """
    found = set(verdicts)
    return FAILED if FAILED in found else UNKNOWN if UNKNOWN in found or not found else HELD
