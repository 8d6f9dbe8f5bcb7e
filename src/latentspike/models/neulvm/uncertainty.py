"""What draws from a posterior say about each parameter, and what they cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latentspike.models.neulvm.chain import FEWEST, effective_draws, split_r_hat

INTERVAL = (0.05, 0.95)
_UNIFORM = 1 / np.sqrt(12)  # standard deviation of a uniform distribution on [0, 1]
_UNKNOWN = 0.8  # of the prior's spread: the data say next to nothing
_UNCERTAIN = 0.4  # of the prior's spread: not known well alone
_TOGETHER = 0.1  # variance of a combination, against that of its parts if they were independent
_PART = 0.35  # weight in a direction of unit length from which a parameter belongs to it
_EDGE, _PILED = 0.05, 0.3  # share of a box at its end, and of the draws in it
_R_HAT, _FEW = 1.1, 50
_FEW_FREE = 3  # parameters, for which a swarm is worth trying
_INSTEAD = ", or try estimation.method = 'particles', which suits so few parameters"


@dataclass(frozen=True, eq=False)
class Identifiability:
    """Posterior of the free parameters against their prior boxes.

    Parameters
    ----------
    names : of the parameters
    low, high : [free], prior boxes
    draws : [n_draws, free], of the posterior, one chain after the other
    n_chains : that have them
    """

    names: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    draws: np.ndarray
    n_chains: int = 1

    @property
    def mean(self) -> np.ndarray:
        """Posterior means, [free]."""
        return self.draws.mean(0)

    @property
    def sd(self) -> np.ndarray:
        """Posterior standard deviations, [free]."""
        return self.draws.std(0)

    @property
    def interval(self) -> np.ndarray:
        """Central 90 %, [2, free]."""
        return np.quantile(self.draws, INTERVAL, axis=0)

    @property
    def share(self) -> np.ndarray:
        """Of the prior's spread that is left, [free]: 0 where the data settle it, 1 where not."""
        return self.sd / ((self.high - self.low) * _UNIFORM)

    @property
    def r_hat(self) -> np.ndarray:
        """`split_r_hat`, [free]."""
        return split_r_hat(self.draws, self.n_chains)

    @property
    def n_effective(self) -> np.ndarray:
        """`effective_draws`, [free]."""
        return effective_draws(self.draws, self.n_chains)

    @property
    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Directions in the prior box, those that the data narrow least first.

        Returns
        -------
        shares : [free]; of the prior's spread along a direction that is left
        axes : [free, free]; a row per direction, unit length, in units of the boxes' widths
        """
        scaled = self.draws / ((self.high - self.low) * _UNIFORM)
        size, axes = np.linalg.eigh(np.atleast_2d(np.cov(scaled, rowvar=False)))
        return np.sqrt(np.maximum(size[::-1], 0.0)), axes.T[::-1]


def identifiability(
    names: Sequence[str],
    low: np.ndarray,
    high: np.ndarray,
    draws: np.ndarray,
    *,
    n_chains: int = 1,
) -> Identifiability:
    """What posterior draws say about the parameters.

    Parameters
    ----------
    names : of the free parameters
    low, high : [free], their prior boxes
    draws : [n_draws, free], of one chain after the other
    n_chains : equally long chains

    Raises
    ------
    ValueError : without draws, or if sizes differ.

    Examples
    --------
    >>> draws = np.random.default_rng(0).normal([60.0, 5.0], [1.0, 2.8], (400, 2))
    >>> found = identifiability(["J", "threshold"], np.array([10, 0]), np.array([110, 10]), draws)
    >>> found.share.round(2)
    array([0.03, 0.97])
    >>> print(*warnings_for(found), sep="; ")
    The data do not identify threshold: its posterior (sd 2.79) is about as wide as its prior box \
(0 … 10, sd 2.89)
    """
    names, draws = tuple(names), np.asarray(draws, float)
    low, high = np.asarray(low, float), np.asarray(high, float)
    if draws.ndim != 2 or not len(draws):
        raise ValueError(
            "there are no posterior draws: a fit by estimation.method = 'hard' finds one value per "
            "parameter and says nothing about its uncertainty; use 'sampling'"
        )
    if not draws.shape[1] == len(names) == low.size == high.size:
        raise ValueError(
            f"{len(names)} names, {low.size} and {high.size} ends of boxes, and draws of "
            f"{draws.shape[1]} parameters do not belong together"
        )
    if n_chains < 1 or len(draws) % n_chains:
        raise ValueError(f"{len(draws)} draws are not those of {n_chains} equally long chains")
    if not np.isfinite(draws).all():
        raise ValueError("posterior draws must be finite")
    return Identifiability(names, low, high, draws, n_chains)


def warnings_for(found: Identifiability, *, is_swarm: bool = False) -> list[str]:
    """What a reader of the fitted values must know; empty if there is nothing.

    Parameters
    ----------
    found : of `identifiability`
    is_swarm : draws are those of passes of a swarm, one pass after the other, not of a chain
    """
    said = _about_the_passes(found) if is_swarm else _about_the_chain(found)
    groups = _known_together(found)
    in_groups = {i for group, _ in groups for i in group}
    for i, name in enumerate(found.names):
        if end := _edge(found.draws[:, i], found.low[i], found.high[i]):
            said.append(_at_the_edge(name, end, found.low[i], found.high[i]))
        elif found.share[i] > _UNKNOWN and i not in in_groups:
            width = (found.high[i] - found.low[i]) * _UNIFORM
            said.append(
                f"The data do not identify {name}: its posterior (sd {found.sd[i]:.3g}) is about "
                f"as wide as its prior box ({found.low[i]:g} … {found.high[i]:g}, sd {width:.3g})"
            )
    return said + [_together(found, group, axis) for group, axis in groups]


def warnings_without_posterior(
    names: Sequence[str], low: np.ndarray, high: np.ndarray, free: np.ndarray
) -> list[str]:
    """The same for a fit that found one value per parameter.

    Parameters
    ----------
    names : of the free parameters
    low, high : [free], their prior boxes
    free : [free], the values found
    """
    if not len(names):
        return []
    said = [
        "There is no posterior: estimation.method = 'hard' finds one value per parameter, and says "
        "nothing about how well the data identify it"
    ]
    for i, name in enumerate(names):
        share = (free[i] - low[i]) / (high[i] - low[i])
        if min(share, 1 - share) < 1e-3:
            end = "lower" if share < 0.5 else "upper"
            said.append(_at_the_edge(name, end, low[i], high[i]))
    return said


def _about_the_chain(found: Identifiability) -> list[str]:
    n, n_chains = len(found.draws), found.n_chains
    if not found.names:
        return []
    if n // n_chains < FEWEST:
        of = f" of {n_chains} chains" * (n_chains > 1)
        return [f"{n} draws{of} are too few to judge the posterior; raise estimation.n_draws"]
    worst, fewest = int(np.argmax(found.r_hat)), int(np.argmin(found.n_effective))
    if not np.isfinite(found.r_hat[worst]):
        return [
            f"The chain never moved in {found.names[worst]}: there is no posterior; raise "
            "estimation.n_warmup"
        ]
    if found.r_hat[worst] > _R_HAT:
        r_hat = f"R-hat is {found.r_hat[worst]:.2f} for {found.names[worst]} (1.00 is best)"
        instead = _INSTEAD * (len(found.names) <= _FEW_FREE)
        if n_chains > 1:
            return [
                f"The {n_chains} chains have not met: {r_hat}. They explain the spikes alike, and "
                "the intervals hold what each of them found: they are rough; raise "
                f"estimation.n_starts{instead}"
            ]
        return [
            f"The chain has not converged: {r_hat}; raise estimation.n_warmup and "
            f"estimation.n_draws{instead}"
        ]
    if found.n_effective[fewest] < _FEW:
        return [
            f"The intervals are rough: the {n} draws of {found.names[fewest]} are worth about "
            f"{found.n_effective[fewest]:.0f} independent ones; raise estimation.n_draws"
        ]
    return []


def _about_the_passes(found: Identifiability) -> list[str]:
    if not found.names or len(found.draws) < FEWEST:
        return []
    worst = int(np.argmax(found.r_hat))
    if not found.r_hat[worst] > _R_HAT:
        return []
    return [
        f"Passes of the swarm disagree: R-hat is {found.r_hat[worst]:.2f} for "
        f"{found.names[worst]} (1.00 is best); raise estimation.n_particles"
    ]


def _edge(draws: np.ndarray, low: float, high: float) -> str:
    """End of the box at which draws pile up, or nothing."""
    share = (draws - low) / (high - low)
    if (share < _EDGE).mean() > _PILED:
        return "lower"
    return "upper" if (share > 1 - _EDGE).mean() > _PILED else ""


def _at_the_edge(name: str, end: str, low: float, high: float) -> str:
    return f"{name} sits at the {end} edge of its box ({low:g} … {high:g}); widen it"


def _known_together(found: Identifiability) -> list[tuple[list[int], np.ndarray]]:
    """Parameters of which only a combination is known, and that combination.

    Small eigenvalues of the correlations (Belsley 1980). Chance makes them small too, if draws are
    few against parameters: the limit is taken relative to its smallest (Marchenko & Pastur 1967).
    """
    n_free = len(found.names)
    few = np.min(found.n_effective, initial=np.inf)
    if n_free < 2 or not few > 2 * n_free:
        return []
    size, axes = np.linalg.eigh(np.corrcoef(found.draws, rowvar=False))
    limit = _TOGETHER * (1 - np.sqrt(n_free / few)) ** 2
    groups = []
    for value, axis in zip(size, axes.T, strict=True):
        group = np.flatnonzero(np.abs(axis) > _PART)
        if value < limit and group.size > 1 and (found.share[group] > _UNCERTAIN).all():
            groups.append((group.tolist(), axis))
    return groups


def _together(found: Identifiability, group: list[int], axis: np.ndarray) -> str:
    names = [found.names[i] for i in group]
    slope = axis[group] / found.sd[group]
    slope = slope / slope[0]
    terms = [names[0]]
    terms += [
        f"{'−' if s < 0 else '+'} {abs(s):.2g} × {n}"
        for s, n in zip(slope[1:], names[1:], strict=True)
    ]
    known = (found.draws[:, group] @ slope).std()
    alone = ", ".join(f"{found.sd[i]:.2g}" for i in group)
    return (
        f"{', '.join(names[:-1])} and {names[-1]} are known only together: {' '.join(terms)} to "
        f"± {known:.2g}, each alone to ± {alone}"
    )
