"""What studies have found, as one page of Markdown: claim by claim, with the figures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from latentspike.files import atomic_path
from latentspike.studies.catalog import PAPERS, SCALES, STUDIES
from latentspike.studies.claims import FAILED, HELD, UNKNOWN

VERDICTS = (HELD, FAILED, UNKNOWN)
_HEAD = """# The two papers, redone

Made by `latentspike study page` from what `latentspike study run` has left; nothing here is written
by hand. A claim is a sentence of a paper. Whether it held is decided by what the sentence itself
says, or by the paper's own number; a difference that is smaller than its standard error over seeds
cannot be said. ± is the standard deviation.
"""


def page(found: Mapping[Path, dict[str, Any]], path: Path) -> str:
    """The page.

    Parameters
    ----------
    found : what ``study.json`` holds, by the folder that it lies in
    path : where the page will lie; figures of other places are copied to ``figures`` beside it

    Returns
    -------
    Markdown, whose links to figures are relative to ``path``.
    """
    order = {study.name: place for place, study in enumerate(STUDIES)}
    rows = sorted(
        found.items(),
        key=lambda row: (order.get(row[1]["study"], len(order)), SCALES.index(row[1]["scale"])),
    )
    parts = [_HEAD, _summary([document for _, document in rows])]
    for paper, title in PAPERS.items():
        own = [row for row in rows if row[1]["study"].startswith(f"{paper}/")]
        parts += [f"## {title}\n"] if own else []
        parts += [_section(document, folder, path) for folder, document in own]
    return "\n".join(parts)


def counted(claims: Sequence[Mapping[str, Any]]) -> str:
    """How many claims held, did not hold, and cannot be said.

    Examples
    --------
    >>> counted([{"verdict": "held"}, {"verdict": "cannot be said"}, {"verdict": "held"}])
    '2 held, 0 did not hold, 1 cannot be said'
    """
    verdicts = [claim["verdict"] for claim in claims]
    return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in VERDICTS)


def table(claims: Sequence[Mapping[str, Any]]) -> str:
    """Claims with the paper's numbers, ours, and the verdicts."""
    rows = [("claim", "paper", "ours", "seeds", "verdict"), ("---",) * 5]
    for claim in claims:
        verdict = claim["verdict"] if claim["verdict"] == HELD else f"**{claim['verdict']}**"
        reason = f": {claim['reason']}" if claim["reason"] else ""
        sentence = f"{claim['where']}: {claim['sentence']}"
        rows.append((sentence, claim["paper"], claim["ours"], claim["sample"], verdict + reason))
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _summary(documents: Sequence[dict[str, Any]]) -> str:
    rows = [
        "| study | scale | claims | took | version |",
        "|---|---|---|---|---|",
        *(
            f"| [{d['study']}](#{_anchor(d)}) | {d['scale']} | {_state(d)} | {_took(d)} | "
            f"{_version(d)} |"
            for d in documents
        ),
    ]
    return "\n".join(rows) + "\n"


def _heading(document: Mapping[str, Any]) -> str:
    return f"{document['study']}, {document['scale']}"


def _anchor(document: Mapping[str, Any]) -> str:
    kept = (c for c in _heading(document).lower() if c.isalnum() or c in "- _")
    return "".join(kept).replace(" ", "-")


def _state(document: Mapping[str, Any]) -> str:
    if document["status"] != "finished":
        return f"not finished ({document['status']})"
    return counted(document["claims"])


def _took(document: Mapping[str, Any]) -> str:
    seconds = document["seconds"]
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _version(document: Mapping[str, Any]) -> str:
    commit = document["commit"]
    return document["version"] + (f" ({commit[:10]}{_dirty(commit)})" if commit else "")


def _dirty(commit: str) -> str:
    return ", changed" if commit.endswith("-dirty") else ""


def _section(document: Mapping[str, Any], folder: Path, path: Path) -> str:
    lines = [
        f"### {_heading(document)}\n",
        f"{document['title'][:1].upper()}{document['title'][1:]}.\n",
        f"`{document['command']}`, {document['started'][:10]}\n",
    ]
    if document["status"] != "finished":
        return "\n".join([*lines, f"Not finished: {document['status']}.\n"])
    lines += [table(document["claims"]), ""]
    for name in document["figures"]:
        link = _link(folder, name, path)
        if link:
            lines.append(f"![{document['study']}: {Path(name).stem}]({quote(link)})\n")
    return "\n".join(lines)


def _link(folder: Path, name: str, path: Path) -> str:
    """From the page to a figure, which is copied if it lies outside the page's folder."""
    figure = (folder / name).resolve()
    home = path.resolve().parent
    if not figure.exists():
        return ""
    if not figure.is_relative_to(home):
        parts = figure.relative_to(folder.resolve().parents[2]).parts
        copy = home / "figures" / "-".join(parts)
        with atomic_path(copy) as temporary:
            shutil.copyfile(figure, temporary)
        figure = copy
    return Path(os.path.relpath(figure, home)).as_posix()
