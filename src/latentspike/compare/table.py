"""The table of a comparison as text and as CSV."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Sequence
from typing import Any

from latentspike.compare.summary import COSTS, PARAMETERS

_HEADER_WIDTH = 14
BEST = "*"
MISSING = "–"


def format_value(name: str, found: dict[str, Any], *, plus_minus: str = " ± ") -> str:
    """Mean, and standard deviation over seeds where there are several.

    Examples
    --------
    >>> format_value("PSTH R²", {"mean": 0.51234, "sd": 0.0123})
    '0.512 ± 0.012'
    >>> format_value("fit", {"mean": 1234.5, "sd": None})
    '1234'
    """
    mean, sd = found.get("mean"), found.get("sd")
    if mean is None:
        return MISSING
    if name == PARAMETERS:
        return f"{mean:.0f}"
    show = _cost if name in COSTS else _score
    return show(mean) if sd is None else f"{show(mean)}{plus_minus}{show(sd)}"


def _score(value: float) -> str:
    return f"{value:.3f}"


def _cost(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def cells(summary: dict[str, Any]) -> list[list[str]]:
    """Rows of text: model, fits that ended, one cell per column; the best is marked."""
    return [
        [row["model"], _ended(row)]
        + [_cell(metric["name"], row, summary["best"]) for metric in summary["metrics"]]
        for row in summary["models"]
    ]


def _ended(row: dict[str, Any]) -> str:
    ended, planned = row["n_ended"], row["n_seeds"]
    return f"{ended}" if ended == planned else f"{ended} of {planned}"


def _cell(name: str, row: dict[str, Any], best: dict[str, str]) -> str:
    if not row["n_ended"]:
        return "failed"
    mark = BEST if best.get(name) == row["model"] else ""
    return format_value(name, row["summary"][name]) + mark


def header(metric: dict[str, Any]) -> str:
    """Name of a column, with its unit where that is not in the name already."""
    name, unit = metric["name"], metric["unit"]
    return f"{name} ({unit})" if unit and not metric["is_score"] else name


def format_comparison(summary: dict[str, Any], *, width: int = 120) -> str:
    """The table as plain text, cut into blocks of columns that fit a width.

    Parameters
    ----------
    summary : of `latentspike.compare.summary.summarize`
    width : characters
    """
    heads = [textwrap.wrap(header(m), _HEADER_WIDTH) for m in summary["metrics"]]
    rows = cells(summary)
    sizes = [
        max(len(text) for text in [*head, *(row[i + 2] for row in rows)])
        for i, head in enumerate(heads)
    ]
    fixed = [["model"], ["n"]]
    fixed_sizes = [
        max(len(text) for text in [*fixed[i], *(row[i] for row in rows)]) for i in range(2)
    ]
    blocks = []
    for columns in _blocks(sizes, width - sum(fixed_sizes) - 2):
        block_heads = fixed + [heads[i] for i in columns]
        block_rows = [row[:2] + [row[i + 2] for i in columns] for row in rows]
        blocks.append(_block(block_heads, block_rows, fixed_sizes + [sizes[i] for i in columns]))
    foot = f"mean ± standard deviation over n seeds; {BEST} best of its column"
    return "\n\n".join([*blocks, foot])


def _blocks(sizes: Sequence[int], width: int) -> list[list[int]]:
    """Numbers of the columns of each block; at least one in each."""
    blocks: list[list[int]] = [[]]
    room = width
    for i, size in enumerate(sizes):
        if blocks[-1] and size + 2 > room:
            blocks.append([])
            room = width
        blocks[-1].append(i)
        room -= size + 2
    return blocks


def _block(heads: list[list[str]], rows: list[list[str]], sizes: list[int]) -> str:
    height = max(len(head) for head in heads)
    stacked = [[""] * (height - len(head)) + head for head in heads]
    lines = [[head[i] for head in stacked] for i in range(height)] + rows
    return "\n".join(
        "  ".join(
            text.ljust(size) if i == 0 else text.rjust(size)
            for i, (text, size) in enumerate(zip(line, sizes, strict=True))
        ).rstrip()
        for line in lines
    )


_COLUMNS = ("model", "metric", "unit", "mean", "sd", "n", "standard_error", "is_best", "note")


def as_csv(summary: dict[str, Any]) -> str:
    """One line per model and metric; a failed model is one line with the reason."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    units = {metric["name"]: metric["unit"] for metric in summary["metrics"]}
    for row in summary["models"]:
        for reason in row["failed"]:
            writer.writerow({"model": row["model"], "n": 0, "note": f"failed: {reason}"})
        for name, found in row["summary"].items():
            is_best = summary["best"].get(name) == row["model"]
            own = {"model": row["model"], "metric": name, "unit": units[name], "is_best": is_best}
            writer.writerow(own | found)
    return text.getvalue()
