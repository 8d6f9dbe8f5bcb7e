"""Populations found among recorded neurons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from latentspike.evaluate.populations import PopulationLabels
from latentspike.plot import style


def distances(found: PopulationLabels, *, ax: Axes | None = None) -> Axes:
    """Distances between neurons, ordered by population; stability and silhouette in the title.

    Parameters
    ----------
    found : PopulationLabels
        Within a population, neurons that fit it best come first.
    ax : Axes, optional

    Returns
    -------
    The axes.

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), section 5.2.

    Examples
    --------
    >>> apart = 5.0 * (np.arange(4)[:, None] // 2 != np.arange(4) // 2)
    >>> labels, ones = np.array([0, 0, 1, 1]), np.ones(4)
    >>> distances(PopulationLabels(np.arange(4), labels, apart, ones, ones)).get_title()
    'stability 1.00 ± 0.00, silhouette 1.00'
    """
    ax = style.one_axes(ax, (5.4, 4.0))
    order = np.lexsort((-found.silhouettes, found.labels))
    image = found.distance[np.ix_(order, order)]
    shown = ax.imshow(image, cmap="viridis", vmin=0, interpolation="nearest", aspect="auto")
    ax.figure.colorbar(shown, ax=ax, pad=0.02).set_label("van Rossum distance")
    sizes = np.bincount(found.labels)
    ends = np.cumsum(sizes) - 0.5
    for end in ends[:-1]:
        ax.axhline(end, color="white", linewidth=1.5)
        ax.axvline(end, color="white", linewidth=1.5)
    middles = ends - sizes / 2
    names = [f"population {i + 1}\n({size} neurons)" for i, size in enumerate(sizes)]
    ax.set_yticks(middles, names)
    ax.set_xticks(middles, [str(i + 1) for i in range(sizes.size)])
    title = f"stability {found.stability:.2f} ± {found.stability_spread:.2f}, "
    title += f"silhouette {found.silhouette:.2f}"
    ax.set_title(title.replace("-", "−"), fontsize="medium")
    style.tidy(ax, x="population", y="")
    return ax


def population_stability(results: Sequence[PopulationLabels], *, ax: Axes | None = None) -> Axes:
    """Stability and silhouette against the number of populations.

    Parameters
    ----------
    results : sequence of PopulationLabels
        Of `latentspike.evaluate.stability_against_number`. Bars are standard deviations over
        random splits of the recording.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if there is no result.

    Examples
    --------
    >>> ones = np.ones(4)
    >>> one = PopulationLabels(np.arange(4), np.array([0, 0, 1, 1]), np.eye(4), ones, ones)
    >>> population_stability([one]).get_xlabel()
    'number of populations'
    """
    if not len(results):
        raise ValueError("no populations to draw")
    ax = style.one_axes(ax, (4.2, 3.0))
    ordered = sorted(results, key=lambda result: result.n_populations)
    numbers = [result.n_populations for result in ordered]
    ax.errorbar(
        numbers,
        [result.stability for result in ordered],
        yerr=[result.stability_spread for result in ordered],
        fmt="o-",
        color=style.INFERRED,
        capsize=3,
        label="stability (adjusted Rand index of halves)",
    )
    silhouettes = [result.silhouette for result in ordered]
    ax.plot(numbers, silhouettes, "s--", color=style.PALETTE[1], label="silhouette")
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_xticks(numbers)
    ax.set_ylim(min(-0.1, *silhouettes, *(result.stability for result in ordered)) - 0.02, 1.15)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize="small")
    style.tidy(ax, x="number of populations", y="index (1 is best)")
    return ax
