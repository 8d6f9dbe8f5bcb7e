"""How the fit went and how good it is: training curves, weights, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from latentspike.evaluate.table import Score
from latentspike.plot import style

# Column of the training history → (name in the legend, line style). One panel shows one group,
# because losses, KL terms and R² differ by orders of magnitude.
_CURVES: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "loss": {
        "train_loss": ("training", {"color": style.PALETTE[1]}),
        "valid_loss": ("validation", {"color": style.INFERRED, "alpha": 0.45, "linewidth": 1}),
        "valid_loss_smoothed": ("validation, smoothed", {"color": style.INFERRED}),
        "valid_recon": ("validation, reconstruction", {"color": style.PALETTE[5]}),
        "sv_loss": ("sample validation", {"color": style.PALETTE[2]}),
        "sample_loss": ("sample validation", {"color": style.PALETTE[2]}),
        "train_recon": ("training, reconstruction", {"color": style.PALETTE[4]}),
        "valid_heldout": ("validation, held-out entries", {"color": style.PALETTE[3]}),
    },
    "kl": {
        "kl_ic": ("initial condition", {"color": style.INFERRED}),
        "kl_co": ("inferred inputs", {"color": style.PALETTE[1]}),
    },
    "r2": {"r2": ("true rates", {"color": style.INFERRED})},
}
_LABELS = {"loss": "loss (nats per trial)", "kl": "KL (nats per trial)", "r2": "R² of rates"}


def training_curves(
    history: Mapping[str, Sequence[float]],
    *,
    show: Literal["loss", "kl", "r2"] = "loss",
    true_loss: float | None = None,
    unit: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Curves of a training run over epochs; draws the columns that the history has.

    Parameters
    ----------
    history : mapping of column to one number for each epoch
        ``epoch`` (else 1, 2, 3, …) and any of ``train_loss``, ``valid_loss``,
        ``valid_loss_smoothed``, ``valid_recon``, ``sample_loss`` (or ``sv_loss``),
        ``train_recon``, ``valid_heldout``; ``kl_ic``, ``kl_co``; ``r2``. Other columns are left
        alone. Epochs with NaN, where a metric was not measured, are passed over.
    show : "loss", "kl" or "r2"
        Which group of columns.
    true_loss : float, optional
        Loss of the true rates, drawn as a dashed line: the best a model can honestly do.
    unit : str, optional
        Label of the y axis.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if the history has no column of the group.

    Examples
    --------
    >>> ax = training_curves({"epoch": [1, 2], "train_loss": [3.0, 2.0], "valid_loss": [3.1, 2.2]})
    >>> [line.get_label() for line in ax.get_lines()]
    ['training', 'validation']
    """
    if show not in _CURVES:
        raise ValueError(f"show must be one of {', '.join(_CURVES)}, got {show!r}")
    present = [column for column in _CURVES[show] if column in history]
    if not present:
        wanted = ", ".join(_CURVES[show])
        raise ValueError(
            f"the history has none of {wanted}; it has {', '.join(history) or 'nothing'}"
        )
    ax = style.one_axes(ax, (5.2, 3.0))
    for column in present:
        name, look = _CURVES[show][column]
        values = np.asarray(history[column], dtype=float)
        epochs = np.asarray(history.get("epoch", np.arange(1, values.size + 1)))
        known = np.isfinite(values)
        # A single epoch is a point, not an invisible line.
        marker = "o" if known.sum() == 1 else None
        ax.plot(epochs[known], values[known], label=name, marker=marker, **look)
    if true_loss is not None:
        ax.axhline(true_loss, color=style.TRUE, linestyle="--", linewidth=1, label="true rates")
    if len(ax.get_lines()) > 1:
        ax.legend(frameon=False, fontsize="small")
    style.tidy(ax, x="epoch", y=_LABELS[show] if unit is None else unit)
    return ax


def autoencoder_weights(weights: np.ndarray, ax: Axes | None = None) -> Axes:
    """Weight matrix of a linear autoencoder, zero in the middle of a diverging color map.

    Parameters
    ----------
    weights : array [M outputs, M inputs]
        Without units. A bright diagonal copies spikes to itself: the autoencoder overfits.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if the matrix is not square or not finite.

    References
    ----------
    Keshtkaran & Pandarinath (2019), Fig. 3b,d.

    Examples
    --------
    >>> autoencoder_weights(np.eye(4)).get_xlabel()
    'input'
    """
    matrix = np.asarray(weights, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"weights must be a square matrix, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise ValueError(f"weights[{row}, {column}] = {matrix[row, column]} is not finite")
    ax = style.one_axes(ax, (3.9, 3.3))
    largest = float(np.abs(matrix).max()) or 1.0
    extent = (0.5, matrix.shape[1] + 0.5, matrix.shape[0] + 0.5, 0.5)
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-largest, vmax=largest, extent=extent)
    ax.figure.colorbar(image, ax=ax, shrink=0.9).set_label("weight")
    ax.set(xlabel="input", ylabel="output")
    return ax


def scores(
    rows: Sequence[Score | Mapping[str, Any]], *, label: str = "score", ax: Axes | None = None
) -> Axes:
    """Bars of scores, each beside the score of its baseline.

    Parameters
    ----------
    rows : sequence of Score, or of mappings with the same names
        As from `latentspike.evaluate.score_table` or `as_records`; standard errors are drawn
        where known, and a metric without a value keeps its place with a dash.
    label : str
        Of the score axis, with its unit where all rows share one.
    ax : Axes, optional

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError : if there is no row, or a row is no score.

    Examples
    --------
    >>> row = {"metric": "co-smoothing", "unit": "bits/spike", "value": 0.28, "baseline": 0.16}
    >>> scores([row], label="bits per spike").get_xlabel()
    'bits per spike'
    """
    table = [_score(place, row) for place, row in enumerate(rows)]
    if not table:
        raise ValueError("no scores to draw")
    paired = any(row.baseline is not None for row in table)
    ax = style.one_axes(ax, (6.0, 0.9 + (0.62 if paired else 0.4) * len(table)))
    places = np.arange(len(table))
    height, shift = (0.38, 0.19) if paired else (0.6, 0.0)
    values = [(row.value, row.standard_error) for row in table]
    _bars(ax, places - shift, height, values, color=style.INFERRED, label="model")
    if paired:
        others = [(row.baseline, row.baseline_standard_error) for row in table]
        _bars(ax, places + shift, height, others, color="0.78", label="baseline")
        ax.legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize="small"
        )
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(places, [row.metric for row in table])
    ax.set_ylim(len(table) - 0.45, -0.55)
    ax.margins(x=0.12)
    style.tidy(ax, x=label, y="")
    return ax


def _score(place: int, row: Score | Mapping[str, Any]) -> Score:
    if isinstance(row, Score):
        return row
    try:
        return Score(**row)
    except TypeError as error:
        raise ValueError(f"row {place} is no score: {error}") from error


def _bars(
    ax: Axes,
    places: np.ndarray,
    height: float,
    figures: Sequence[tuple[float | None, float | None]],
    **look: Any,
) -> None:
    """Horizontal bars with error bars; the number stands beyond both."""
    values = np.array([np.nan if value is None else value for value, _ in figures], float)
    errors = np.array([np.nan if error is None else error for _, error in figures], float)
    ax.barh(places, values, height, **look)
    ax.errorbar(values, places, xerr=errors, fmt="none", color="black", capsize=2, linewidth=1)
    for place, value, error in zip(places, values, np.nan_to_num(errors), strict=True):
        text = f"{value:.2f}" if np.isfinite(value) else "–"
        end = max(value, 0.0) + error if np.isfinite(value) else 0.0
        ax.annotate(
            text, (end, place), (4, 0), textcoords="offset points", va="center", fontsize="small"
        )
