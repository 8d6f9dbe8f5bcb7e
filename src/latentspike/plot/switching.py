"""Activity of competing populations with its switches, and what pulses do to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from scipy.ndimage import uniform_filter1d

from latentspike.evaluate.intervals import Proportion
from latentspike.evaluate.switching import Switches
from latentspike.plot import style


def switches(
    activity: np.ndarray,
    found: Switches,
    *,
    names: Sequence[str] | None = None,
    trial: int = 0,
    smoothing: float = 0.1,
    ax: Axes | None = None,
) -> Axes:
    """Population activity of one trial with its switches marked.

    Triangles at the top stand where a population takes over, in its color; a band beneath shows
    which one is active.

    Parameters
    ----------
    activity : array [trials, bins, populations], Hz
        Of which ``found`` was made.
    found : Switches
    names : sequence of str, optional
        Of all populations, in order; the pair must be among them.
    trial : int
        Index of the trial.
    smoothing : float
        Width of the box in seconds.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if activity and switches are not of the same trials and bins.

    Examples
    --------
    >>> from latentspike.evaluate import find_switches
    >>> first = np.repeat([20.0, 5.0], 500)
    >>> activity = np.stack([first, 25 - first], axis=1)[None]
    >>> ax = switches(activity, find_switches(activity, bin_width=0.004))
    >>> ax.get_ylabel()
    'activity (Hz)'
    """
    activity = np.asarray(activity, float)
    if activity.ndim != 3 or activity.shape[:2] != found.winner.shape:
        raise ValueError(
            f"activity has shape {activity.shape} but the switches were found in "
            f"{found.winner.shape} [trials, bins]"
        )
    trial = style.check_index(trial, activity.shape[0], "trial")
    labels = _names(names, activity.shape[2])
    colors = dict(zip(labels, style.condition_colors(np.arange(len(labels))).values(), strict=True))
    pair = [colors.get(name, style.TRUE) for name in found.names]
    ax = style.one_axes(ax, (6.8, 2.8))
    n_box = max(1, round(smoothing / found.bin_width))
    smooth = uniform_filter1d(activity[trial], n_box, axis=0, mode="nearest")
    times = (np.arange(len(smooth)) + 0.5) * found.bin_width
    for name, line in zip(labels, smooth.T, strict=True):
        ax.plot(times, line, color=colors[name], linewidth=1.2, label=name)
    top = 1.15 * float(smooth.max()) or 1.0
    _mark_switches(ax, found, trial, pair)
    ax.set_ylim(-0.07 * top, top)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, fontsize="small")
    style.over_time(ax, times, y="activity (Hz)")
    return ax


def _names(names: Sequence[str] | None, n: int) -> list[str]:
    labels = [f"population {k}" for k in range(n)] if names is None else list(names)
    if len(labels) != n:
        raise ValueError(f"{len(labels)} names ({', '.join(labels)}) for {n} populations")
    return labels


def _mark_switches(ax: Axes, found: Switches, trial: int, pair: Sequence[str]) -> None:
    of = found.trials == trial
    transform = ax.get_xaxis_transform()
    edges = np.repeat(np.arange(found.winner.shape[1] + 1) * found.bin_width, 2)[1:-1]
    for which, color in enumerate(pair):
        times = found.times[of & (found.winners == which)]
        heights = np.full(times.size, 0.96)
        ax.plot(times, heights, "v", color=color, ms=6, mew=0, transform=transform)
        active = np.repeat(found.winner[trial] == which, 2)
        ax.fill_between(edges, 0, 0.035, where=active, color=color, lw=0, transform=transform)


def switch_probabilities(
    results: Mapping[str, Mapping[str, Proportion]],
    *,
    label: str = "probability of a switch",
    ax: Axes | None = None,
) -> Axes:
    """Probabilities side by side, with their binomial confidence intervals.

    Parameters
    ----------
    results : mapping of condition to mapping of source to `Proportion`
        For example ``{"silent stimulated": {"network": …, "model": …}}``: one group of bars for
        each condition, one color for each source.
    label : str
        Of the probability.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if there is nothing to draw.

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), Fig. 5.

    Examples
    --------
    >>> from latentspike.evaluate import proportion
    >>> both = {"network": proportion(31, 100), "fitted model": proportion(35, 100)}
    >>> switch_probabilities({"active stimulated": both}).get_ylabel()
    'probability of a switch'
    """
    sources = list(dict.fromkeys(source for group in results.values() for source in group))
    if not sources:
        raise ValueError("no probabilities to draw")
    ax = style.one_axes(ax, (1.6 + 1.5 * len(results), 3.0))
    width = 0.8 / len(sources)
    colors = style.condition_colors(np.arange(len(sources)))
    for number, (source, color) in enumerate(zip(sources, colors.values(), strict=True)):
        groups = [place for place, group in enumerate(results.values()) if source in group]
        shares = [group[source] for group in results.values() if source in group]
        places = np.array(groups) + (number - (len(sources) - 1) / 2) * width
        _share_bars(ax, places, 0.9 * width, shares, color, source)
    ax.set_xticks(range(len(results)), list(results))
    ax.set_xlim(-0.6, len(results) - 0.4)
    ax.set_ylim(0, 1)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize="small")
    style.tidy(ax, x="", y=label)
    return ax


def _share_bars(
    ax: Axes, places: np.ndarray, width: float, shares: list[Proportion], color: str, source: str
) -> None:
    values = np.array([share.value for share in shares])
    ends = np.array([(share.low, share.high) for share in shares]).T
    ax.bar(places, values, width, color=color, alpha=0.75, label=source)
    known = np.isfinite(values)
    errors = np.abs(ends - values)[:, known]
    ax.errorbar(
        places[known], values[known], yerr=errors, fmt="none", ecolor="black", capsize=3, lw=1
    )
    for place, share, high in zip(places, shares, ends[1], strict=True):
        height = high if share.n_trials else 0.0
        ax.annotate(
            f"{share.n_successes}/{share.n_trials}",
            (place, height),
            (0, 3),
            textcoords="offset points",
            ha="center",
            fontsize="x-small",
        )
