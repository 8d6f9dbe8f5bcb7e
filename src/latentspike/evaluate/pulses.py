"""What a pulse does to a winner-take-all network: nothing, a switch, or a switch and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from latentspike.evaluate.intervals import Proportion, proportion
from latentspike.evaluate.switching import find_switches

Outcome = Literal["stay", "switch", "return"]


@dataclass(frozen=True, eq=False)
class PulseOutcomes:
    """What happened in each trial within the horizon after its pulse.

    Parameters
    ----------
    outcome : str [trials]
        ``"stay"``: the winner never changed. ``"switch"``: it changed, and the other population is
        active when the horizon ends. ``"return"``: it changed and changed back. ``""`` in a trial
        without a winner before the pulse.
    before, after : int [trials]
        Population that is active right before the pulse and at the end of the horizon: 0 or 1;
        −1 where there was none.
    n_switches : int [trials]
        Within the horizon.
    latency : float [trials], s
        From the pulse to the first switch; NaN without one.
    names : names of the two populations
    horizon : float, s
    """

    outcome: np.ndarray
    before: np.ndarray
    after: np.ndarray
    n_switches: np.ndarray
    latency: np.ndarray
    names: tuple[str, str]
    horizon: float

    def probability(
        self, outcome: Outcome, *, where: Any = None, confidence: float = 0.95
    ) -> Proportion:
        """Share of trials with an outcome, with Wilson's interval.

        Trials without a winner before the pulse do not count.

        Parameters
        ----------
        outcome : "stay", "switch" or "return"
        where : bool array [trials], optional
            Only these trials; ``outcomes.before == 0`` are those in which the first of the pair
            was active.
        confidence : float

        Raises
        ------
        ValueError
            If the outcome is not one of the three.
        """
        if outcome not in get_args(Outcome):
            raise ValueError(f"outcome must be one of {get_args(Outcome)}, got {outcome!r}")
        chosen = self.before >= 0
        if where is not None:
            chosen = chosen & np.asarray(where, bool)
        happened = (self.outcome == outcome) & chosen
        return proportion(int(happened.sum()), int(chosen.sum()), confidence=confidence)


def pulse_outcomes(
    activity: np.ndarray,
    pulse_times: float | np.ndarray,
    *,
    bin_width: float,
    pair: tuple[int | str, int | str] = (0, 1),
    names: Sequence[str] | None = None,
    horizon: float = 0.5,
    window: float = 0.1,
    threshold: float = 0.5,
) -> PulseOutcomes:
    """Whether a pulse made two populations change places, in each trial.

    Before: the mean activity of the last ``window`` before the pulse must have a contrast beyond
    the threshold. After: switches as `find_switches` defines them, in the activity between the
    pulse and the horizon only, starting from the winner before. The pulse's own spikes are part of
    that activity. Networks also switch on their own: compare with the same horizon without pulse.

    What Wang et al. call an *excitatory rebound* is a ``"switch"`` in a trial whose active
    population was stimulated: select such trials by ``where``.

    Parameters
    ----------
    activity : array [trials, bins, populations]
        As for `find_switches`.
    pulse_times : float or float array [trials]
        Seconds from the start of the trial; one for all trials or one each.
    bin_width : float
        Seconds.
    pair, names, window, threshold
        As for `find_switches`.
    horizon : float
        Seconds.

    Raises
    ------
    ValueError
        If ``window`` before and ``horizon`` after a pulse do not lie in the trial; and as for
        `find_switches`.

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), Fig. 5.

    Examples
    --------
    >>> first = np.array([np.repeat([8, 2], 300), np.full(600, 8)])
    >>> activity = np.stack([first, 10 - first], axis=2)  # the first of two trials switches
    >>> outcomes = pulse_outcomes(activity, 0.28, bin_width=0.001, horizon=0.3)
    >>> outcomes.outcome.tolist(), outcomes.probability("switch").value
    (['switch', 'stay'], 0.5)
    """
    activity = np.asarray(activity)
    settings: dict[str, Any] = {"bin_width": bin_width, "pair": pair, "names": names}
    settings |= {"threshold": threshold, "window": window}
    if activity.ndim != 3:
        raise ValueError(f"activity must have shape [trials, bins, populations], {activity.shape}")
    onsets = np.broadcast_to(np.asarray(pulse_times, float), activity.shape[:1]) / bin_width
    onsets = np.round(onsets).astype(int)
    n_window, n_after = max(1, round(window / bin_width)), max(1, round(horizon / bin_width))
    _check_span(onsets, n_window, n_after, activity.shape[1], bin_width)
    early = _cut(activity, onsets - n_window, n_window).mean(axis=1, keepdims=True)
    before = find_switches(early, **settings).winner[:, 0]
    after = find_switches(_cut(activity, onsets, n_after), **settings)
    return _outcomes(before, after.winner, bin_width, after.names)


def _check_span(
    onsets: np.ndarray, n_window: int, n_after: int, n_bins: int, bin_width: float
) -> None:
    outside = (onsets < n_window) | (onsets + n_after > n_bins)
    if outside.any():
        trial = int(np.argmax(outside))
        raise ValueError(
            f"trial {trial}: the pulse at {onsets[trial] * bin_width:g} s needs "
            f"{n_window * bin_width:g} s before and {n_after * bin_width:g} s after it in a trial "
            f"of {n_bins * bin_width:g} s: change window or horizon, or simulate longer"
        )


def _cut(activity: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Bins ``start`` to ``start + length`` of each trial."""
    bins = starts[:, None] + np.arange(length)
    return np.take_along_axis(activity, bins[:, :, None], axis=1)


def _outcomes(
    before: np.ndarray, winner: np.ndarray, bin_width: float, names: tuple[str, str]
) -> PulseOutcomes:
    # Until a threshold is passed after the pulse, the winner is who it was before.
    path = np.concatenate([before[:, None], np.where(winner < 0, before[:, None], winner)], axis=1)
    known = before >= 0
    changed = (path[:, 1:] != path[:, :-1]) & known[:, None]
    number = changed.sum(axis=1)
    latency = np.where(number > 0, changed.argmax(axis=1) * bin_width, np.nan)
    after = np.where(known, path[:, -1], -1)
    outcome = np.select([~known, number == 0, after != before], ["", "stay", "switch"], "return")
    return PulseOutcomes(
        outcome, before, after, number, latency, names, winner.shape[1] * bin_width
    )
