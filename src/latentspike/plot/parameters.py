"""Fitted parameters: what is known of each, against what was known before."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from latentspike.plot import style


def parameters(
    found: Mapping[str, Mapping[str, float]],
    boxes: Mapping[str, tuple[float, float]],
    *,
    truth: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Values and 90 % intervals within the prior boxes, one row per parameter.

    All boxes are drawn equally long; their ends stand beside them. An interval as long as its box
    means that the recording says nothing about the parameter.

    Parameters
    ----------
    found : by name ``value``, and ``low`` and ``high`` where there is a posterior; as of
        ``NeuLVM.parameters``
    boxes : by name the ends of the prior box, in the parameter's unit
    truth : by name the values that made the recording, where they are known
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if there is no parameter, or one has no box.

    Examples
    --------
    >>> ax = parameters({"J": {"value": 61.0, "low": 59.0, "high": 63.0}}, {"J": (10, 110)})
    >>> ax.get_xlabel()
    'place in the prior box'
    """
    if not found:
        raise ValueError("no parameter was fitted: there is nothing to draw")
    if missing := [name for name in found if name not in boxes]:
        raise ValueError(f"there is no prior box of {missing[0]!r}")
    ax = style.one_axes(ax, (5.4, 0.9 + 0.34 * len(found)))
    rows = np.arange(len(found))
    ax.barh(rows, 1.0, height=0.62, color="0.92", label="prior box")
    for row, (name, values) in enumerate(found.items()):
        low, high = boxes[name]
        place = {key: (value - low) / (high - low) for key, value in values.items()}
        for end, x, side in ((low, 0.0, "right"), (high, 1.0, "left")):
            words = f" {end:.3g} ".replace("-", "−")
            ax.text(x, row, words, ha=side, va="center", color=style.MUTED, fontsize="x-small")
        if "low" in place:
            ends = [place["low"], place["high"]]
            ax.plot(ends, [row, row], color=style.INFERRED, lw=3, label="90 % interval")
        ax.plot(place["value"], row, "o", color=style.INFERRED, label="value")
        if truth is not None and name in truth:
            x = (truth[name] - low) / (high - low)
            ax.plot(x, row, "|", color=style.TRUE, ms=13, mew=2, label="truth")
    ax.set_yticks(rows, list(found))
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.set_xlim(-0.14, 1.14)  # room for the ends of the boxes
    ax.set_xticks(np.linspace(0, 1, 6))
    handles, labels = ax.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 4}
    ax.legend(unique.values(), unique.keys(), frameon=False, fontsize="small", **place)
    style.tidy(ax, x="place in the prior box", y="")
    return ax
