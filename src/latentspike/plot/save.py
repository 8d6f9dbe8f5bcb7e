"""Figures to files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from latentspike.files import atomic_path

# Without dates and versions a changed file is a changed figure.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def save(figure: Figure | Axes | Any, path: str | os.PathLike[str], *, dpi: float = 150) -> Path:
    """Write a figure as PNG, SVG or PDF, atomically; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure, Axes or array of Axes
        Axes stand for the figure they are in.
    path : path ending in ``.png``, ``.svg`` or ``.pdf``
    dpi : float
        Pixels per inch of a PNG.

    Returns
    -------
    The path.

    Raises
    ------
    ValueError : if the ending names another format.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Figure(), Path(folder) / "empty.svg").name
    'empty.svg'
    """
    target = Path(path)
    kind = target.suffix.lower().removeprefix(".")
    if kind not in _METADATA:
        raise ValueError(f"cannot write {target}: the name must end in .png, .svg or .pdf")
    with mpl.rc_context({"svg.hashsalt": "latentspike"}), atomic_path(target) as temporary:
        _figure_of(figure).savefig(temporary, format=kind, dpi=dpi, metadata=_METADATA[kind])
    return target


def _figure_of(drawn: Any) -> Figure:
    if isinstance(drawn, Figure):
        return drawn
    first = np.asarray(drawn, dtype=object).ravel()[0]
    figure = first.get_figure(root=True) if isinstance(first, Axes) else None
    if not isinstance(figure, Figure):
        raise ValueError(f"expected a figure or axes, got {type(drawn).__name__}")
    return figure
