"""The table of a search: a row per member, as many as a terminal has room for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Member:
    """A row of the table."""

    number: int
    loss: float = math.nan
    replaced_by: int | None = None
    failed: bool = False
    hyperparams: dict[str, float] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[bool, float, bool, int]:
        """Sorts the lowest loss first; before those who took it over, and failures last."""
        missing = not math.isfinite(self.loss)
        return missing, 0.0 if missing else self.loss, self.replaced_by is not None, self.number

    @property
    def happened(self) -> str:
        """What came of it after the last generation."""
        words = ["failed"] if self.failed else []
        return " ".join(words if self.replaced_by is None else [*words, f"← {self.replaced_by}"])


def drawing(
    title: str, members: Sequence[Member], names: Sequence[str], width: int, height: int
) -> Any:
    """As many of the best members and of the hyperparameters as there is room for."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    fixed = {
        "member": [str(m.number) for m in members],
        "loss": [format_loss(m.loss) for m in members],
        "change": [m.happened for m in members],
    }
    searched = {
        n.replace("_", "\n"): [format_number(m.hyperparams.get(n)) for m in members] for n in names
    }
    columns, n_left_out = _fitting(fixed, searched, width)
    n_head = 1 + len(title) // width + max(name.count("\n") + 1 for name in columns)
    rows = _shown(members, height - n_head - 2)  # hidden ones, cursor
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        table.add_column(Text(name), justify="left" if name == "change" else "right", no_wrap=True)
    best = best_of(members)
    for i in rows:
        style = "bold green" if members[i] is best else None
        table.add_row(*[Text(cells[i]) for cells in columns.values()], style=style)
    hidden = _hidden(len(members) - len(rows), names[len(names) - n_left_out :])
    foot = [Text(hidden, "dim", no_wrap=True, overflow="ellipsis")] if hidden else []
    return Group(Text(title, "bold"), table, *foot)


def _fitting(
    fixed: dict[str, list[str]], searched: dict[str, list[str]], width: int
) -> tuple[dict[str, list[str]], int]:
    """Columns that fit a width, and how many of the searched ones do not: no number is cut."""
    columns, room = dict(fixed), width - sum(_width(*item) for item in fixed.items())
    for name, cells in searched.items():
        room -= _width(name, cells)
        if room < 0:
            break
        columns[name] = cells
    return columns, len(fixed) + len(searched) - len(columns)


def _width(name: str, cells: Sequence[str]) -> int:
    return max(len(text) for text in [*name.split("\n"), *cells]) + 2


def _shown(members: Sequence[Member], room: int) -> list[int]:
    """Positions of all members, or of the best: as many as there is room for, at least one."""
    ranked = sorted(range(len(members)), key=lambda i: members[i].rank)
    return sorted(ranked[: max(room, 1)])


def _hidden(n_members: int, names: Sequence[str]) -> str:
    members = [f"{n_members} members with higher loss"] if n_members else []
    return "not shown: " + ", ".join([*members, *names]) if members or names else ""


def best_of(members: Sequence[Member]) -> Member | None:
    """Member with the lowest loss, or None if none is finite."""
    best = min(members, key=lambda member: member.rank)
    return best if math.isfinite(best.loss) else None


def format_loss(value: float) -> str:
    """One decimal place, or four digits of a small one."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.4g}"


def format_number(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return ""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
