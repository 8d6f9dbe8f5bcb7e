"""Switches of a winner-take-all network: which of two populations is active, and since when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d


@dataclass(frozen=True, eq=False)
class Switches:
    """When the activity of two populations changed places.

    Parameters
    ----------
    trials : int [switches]
        Index of the trial.
    times : float [switches], s
        From the start of the trial: left edge of the first bin whose contrast is beyond the
        threshold of the new winner.
    winners : int [switches]
        Population that is active from then on: 0 or 1, the first or second of the pair.
    winner : int [trials, bins]
        Active population, 0 or 1; −1 until the contrast first passes a threshold.
    contrast : float [trials, bins]
        ``(E1 − E2) / (E1 + E2)`` of the smoothed activity, −1 to 1; 0 where both are silent.
    names : names of the two populations
    bin_width : float, s
    """

    trials: np.ndarray
    times: np.ndarray
    winners: np.ndarray
    winner: np.ndarray
    contrast: np.ndarray
    names: tuple[str, str]
    bin_width: float

    @property
    def duration(self) -> float:
        """Seconds of all trials together."""
        return self.winner.size * self.bin_width

    @property
    def per_trial(self) -> np.ndarray:
        """Number of switches in each trial, int [trials]."""
        return np.bincount(self.trials, minlength=len(self.winner))

    def dwell_times(self, population: int | str | None = None) -> np.ndarray:
        """Seconds between a switch and the next of the same trial, in order.

        The time before a trial's first and after its last switch is left out, so that short trials
        lack the long ones; `mean_dwell_time` does not suffer from that.

        Parameters
        ----------
        population : 0, 1 or a name, optional
            Only the times in which it was active.
        """
        same = self.trials[1:] == self.trials[:-1]
        if population is not None:
            same &= self.winners[:-1] == _place(population, self.names, 2)
        return np.diff(self.times)[same]

    @property
    def mean_dwell_time(self) -> float:
        """Seconds with a known winner per switch: counts unfinished dwells too; inf without one.

        The maximum-likelihood mean if dwell times are exponential.
        """
        decided = float((self.winner >= 0).sum()) * self.bin_width
        return decided / self.times.size if self.times.size else math.inf


@dataclass(frozen=True, eq=False)
class SwitchRate:
    """Switches per 100 s.

    Parameters
    ----------
    value : float
        Over all trials.
    counting_error : float
        ``sqrt(n) / duration``: standard error of ``value`` if switches were a Poisson process.
    spread : float
        Standard deviation over blocks; NaN with fewer than two.
    per_block : float [blocks]
        Each block's own figure, per 100 s too.
    n_switches : int
    duration : float
        Seconds.
    """

    value: float
    counting_error: float
    spread: float
    per_block: np.ndarray
    n_switches: int
    duration: float

    def __float__(self) -> float:
        return self.value


def find_switches(
    activity: np.ndarray,
    *,
    bin_width: float,
    pair: tuple[int | str, int | str] = (0, 1),
    names: Sequence[str] | None = None,
    window: float = 0.1,
    threshold: float = 0.5,
) -> Switches:
    """Switches between two populations: box smoothing, contrast, hysteresis.

    The activities are averaged over a box of ``window`` (cut at the ends of a trial). The winner
    changes to the first population where ``d = (E1 − E2)/(E1 + E2)`` rises above ``threshold`` and
    to the second where it falls below ``−threshold``; in between it stays what it was.

    Parameters
    ----------
    activity : array [trials, bins, populations]
        Spikes per bin, or any rate. Where the two populations differ in size, give the activity
        per neuron, since the two are compared.
    bin_width : float
        Seconds. State it, and the integrator, beside every count: both change a simulation.
    pair : two indices or two names
        Of the competing populations.
    names : sequence of str, optional
        Of all populations, in order; ``Network.names`` for example.
    window : float
        Seconds.
    threshold : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If activity is negative, not finite or has the wrong shape, or a setting does not fit.

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), section 5.2 (counts of switches).

    Examples
    --------
    >>> first = np.repeat([8, 2, 8], 500)
    >>> activity = np.stack([first, 10 - first], axis=1)[None]  # 1.5 s, two switches
    >>> found = find_switches(activity, bin_width=0.001, names=["E1", "E2"])
    >>> [found.names[winner] for winner in found.winners]
    ['E2', 'E1']
    >>> found.dwell_times().round(3)
    array([0.5])
    """
    both, labels = _two_activities(activity, pair, names)
    _check_settings(bin_width, window, threshold)
    contrast = _contrast(both, max(1, round(window / bin_width)))
    winner = _hysteresis(contrast, threshold)
    trials, bins = np.nonzero((winner[:, 1:] != winner[:, :-1]) & (winner[:, :-1] >= 0))
    winners = winner[trials, bins + 1]
    times = (bins + 1) * bin_width
    return Switches(trials, times, winners, winner, contrast, labels, bin_width)


def switch_rate(switches: Switches, *, block: float = 100.0) -> SwitchRate:
    """Switches per 100 s, with the spread over blocks of time.

    Long trials are cut into whole blocks; short trials are put together, one after the other, to
    blocks of about the length asked for. Time that fills no block counts in the value but not in
    the spread.

    Parameters
    ----------
    switches : Switches
    block : float
        Seconds.

    Raises
    ------
    ValueError
        If the block is not positive.

    Examples
    --------
    >>> first = np.tile(np.repeat([8, 2], 1000), 100)  # a switch every 10 s, for 2000 s
    >>> activity = np.stack([first, 10 - first], axis=1)[None]
    >>> rate = switch_rate(find_switches(activity, bin_width=0.01))
    >>> round(rate.value), rate.per_block.size
    (10, 20)
    """
    if not (math.isfinite(block) and block > 0):
        raise ValueError(f"a block must have a positive length in seconds, got {block}")
    n_trials, n_bins = switches.winner.shape
    n_block = max(1, round(block / switches.bin_width))
    if n_block <= n_bins:
        per_trial, length = n_bins // n_block, n_block * switches.bin_width
        bins = np.round(switches.times / switches.bin_width).astype(int)
        place = switches.trials * per_trial + bins // n_block
        inside = bins < per_trial * n_block
        per_block = np.bincount(place[inside], minlength=n_trials * per_trial)
    else:
        together = round(n_block / n_bins)
        length = together * n_bins * switches.bin_width
        whole = switches.per_trial[: n_trials - n_trials % together]
        per_block = whole.reshape(-1, together).sum(axis=1)
    return _switch_rate(switches, per_block * (100.0 / length))


def _switch_rate(switches: Switches, per_block: np.ndarray) -> SwitchRate:
    n, scale = switches.times.size, 100.0 / switches.duration
    spread = float(per_block.std(ddof=1)) if per_block.size > 1 else math.nan
    return SwitchRate(n * scale, math.sqrt(n) * scale, spread, per_block, n, switches.duration)


def _two_activities(
    activity: np.ndarray, pair: tuple[int | str, int | str], names: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, str]]:
    """Activities of the pair, float [trials, bins, 2], and their names."""
    activity = np.asarray(activity)
    if activity.ndim != 3:
        raise ValueError(f"activity must have shape [trials, bins, populations], {activity.shape}")
    n = activity.shape[2]
    known = [f"population {k}" for k in range(n)] if names is None else list(names)
    if len(known) != n:
        raise ValueError(f"{len(known)} names ({', '.join(known)}) for {n} populations")
    first, second = (_place(population, known, n) for population in pair)
    if first == second:
        raise ValueError(f"the pair must be two populations, got {known[first]} twice")
    both = np.asarray(activity[:, :, [first, second]], np.float64)
    bad = ~(np.isfinite(both) & (both >= 0))
    if bad.any():
        trial, time_bin, which = np.argwhere(bad)[0].tolist()
        raise ValueError(
            f"activity[trial {trial}, bin {time_bin}, {known[(first, second)[which]]}] = "
            f"{both[trial, time_bin, which]}: activity is a finite number, never negative"
        )
    return both, (known[first], known[second])


def _place(population: int | str, names: Sequence[str], n: int) -> int:
    if isinstance(population, str):
        if population not in names:
            raise ValueError(f"there is no population {population!r}; known: {', '.join(names)}")
        return list(names).index(population)
    if not 0 <= population < n:
        raise ValueError(f"there is no population {population}: the {n} count from 0")
    return int(population)


def _check_settings(bin_width: float, window: float, threshold: float) -> None:
    if not (math.isfinite(bin_width) and bin_width > 0):
        raise ValueError(f"bin_width must be positive seconds, got {bin_width}")
    if not (math.isfinite(window) and window > 0):
        raise ValueError(f"the window must be positive seconds, got {window}")
    if not 0 <= threshold < 1:
        raise ValueError(f"the threshold must lie in [0, 1), got {threshold}")


def _contrast(both: np.ndarray, n_window: int) -> np.ndarray:
    """Contrast of the activities in a box around each bin [trials, bins]."""
    # A box cut at the end of a trial has fewer bins for both alike: the ratio does not see it.
    box = uniform_filter1d(both, n_window, axis=1, mode="constant")
    box = np.where(box > 1e-9 * both.max(initial=0.0), box, 0.0)  # rounding left by a running sum
    total = box.sum(axis=2)
    difference = box[:, :, 0] - box[:, :, 1]
    return np.divide(difference, total, out=np.zeros_like(total), where=total > 0)


def _hysteresis(contrast: np.ndarray, threshold: float) -> np.ndarray:
    """0 or 1 since the contrast was last beyond a threshold; −1 before that was ever so."""
    beyond = np.abs(contrast) > threshold
    last = np.maximum.accumulate(np.where(beyond, np.arange(contrast.shape[1]), -1), axis=1)
    winner = np.where(np.take_along_axis(contrast, np.maximum(last, 0), axis=1) > 0, 0, 1)
    return np.where(last >= 0, winner, -1)
