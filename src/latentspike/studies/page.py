"""What studies have found, as one page of Markdown: claim by claim, with tables and figures."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from latentspike.files import atomic_path
from latentspike.studies.catalog import PAPERS, SCALES, STUDIES
from latentspike.studies.claims import FAILED, HELD, UNKNOWN

_LARGEST = 100_000  # bytes of a figure that is copied: pages are kept in repositories

# paper, figure, scale, and what the study calls it
_COPY = re.compile(rf"(?:{'|'.join(PAPERS)})-.+-(?:{'|'.join(SCALES)})-.+\.png")
VERDICTS = (HELD, FAILED, UNKNOWN)
_HEAD = """# The two papers, redone

Made by `latentspike study page` from what `latentspike study run` has left; nothing here is written
by hand but the reasons after “why”, which stand in the catalog. A claim is a sentence of a paper.
Whether it held is decided by what the sentence itself says, or by the paper's own number; a
difference that is smaller than its standard error over seeds cannot be said. ± is the standard
deviation. Times are those of the clock, whatever else the machine did.
"""


def page(found: Mapping[Path, dict[str, Any]], path: Path) -> str:
    """The page.

    Parameters
    ----------
    found : what ``study.json`` holds, by the folder that it lies in
    path : where the page will lie; figures of other places are copied, below 100 kB each, to a
        folder of its name beside it

    Returns
    -------
    Markdown, whose links to figures are relative to ``path``.
    """
    order = {study.name: place for place, study in enumerate(STUDIES)}
    rows = sorted(
        found.items(),
        key=lambda row: (order.get(row[1]["study"], len(order)), SCALES.index(row[1]["scale"])),
    )
    rows = [(folder, _explained(document)) for folder, document in rows]
    documents = [document for _, document in rows]
    parts = [_HEAD, _summary(documents), _not_held(documents), _absent(documents)]
    for paper, title in PAPERS.items():
        own = [row for row in rows if row[1]["study"].startswith(f"{paper}/")]
        parts += [f"## {title}\n"] if own else []
        parts += [_section(document, folder, path) for folder, document in own]
    return "\n".join(parts)


def _explained(document: dict[str, Any]) -> dict[str, Any]:
    """With what is known today of why claims did not hold, which may be more than at the run."""
    known = {(study.name, claim.sentence): claim.why for study in STUDIES for claim in study.claims}
    why = lambda claim: known.get((document["study"], claim["sentence"]), claim.get("why", ""))  # noqa: E731
    claims = [claim | {"why": why(claim)} for claim in document["claims"]]
    return document | {"claims": claims}


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
        reason = f": {reason_of(claim)}" if reason_of(claim) else ""
        sentence = f"{claim['where']}: {claim['sentence']}"
        rows.append((sentence, claim["paper"], claim["ours"], claim["sample"], verdict + reason))
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def reason_of(claim: Mapping[str, Any]) -> str:
    """Why a claim cannot be said or did not hold; what should be known beside its number.

    Examples
    --------
    >>> reason_of({"verdict": "did not hold", "reason": "", "why": "Ours is better."})
    'why: Ours is better.'
    """
    why = claim.get("why", "") if claim["verdict"] == FAILED else ""
    return "; ".join(filter(None, [claim["reason"], f"why: {why}" if why else ""]))


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


def _not_held(documents: Sequence[dict[str, Any]]) -> str:
    """Claims that did not hold, said plainly, with why."""
    lines = ["## What did not hold\n"]
    for document in documents:
        failed = [claim for claim in document["claims"] if claim["verdict"] == FAILED]
        for why, group in groupby(failed, lambda claim: claim.get("why", "")):
            claims = [_beside(claim) for claim in group]
            reason = why or "Why is not known."
            if len(claims) == 1:
                lines.append(f"- {_heading(document)}: {claims[0]} {reason}")
            else:  # a reason that several claims share is said once
                lines.append(f"- {_heading(document)}, {len(claims)} claims: {reason}")
                lines += [f"  - {claim}" for claim in claims]
    return "\n".join([*lines, ""]) if len(lines) > 1 else ""


def _beside(claim: Mapping[str, Any]) -> str:
    """A claim with the paper's number beside ours."""
    return (
        f"“{claim['sentence']}” ({claim['where']}). Paper: {claim['paper']}; ours: "
        f"{claim['ours']} [{claim['sample']}]."
    )


def _absent(documents: Sequence[dict[str, Any]]) -> str:
    """Figures of the papers that the page does not show, and why."""
    done = {document["study"] for document in documents if document["status"] == "finished"}
    left = [study for study in STUDIES if study.name not in done]
    needs = {s.name: f" (needs {', '.join(s.needs)})" if s.needs else "" for s in left}
    lines = [f"- {s.name}: {s.missing or 'not run yet' + needs[s.name]}" for s in left]
    return "\n".join(["## Not on this page\n", *lines, ""]) if lines else ""


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
    lines += [table(document["claims"]), "", *_tables(document, folder)]
    for name in document["figures"]:
        link = _link(folder, name, path)
        if link:
            lines.append(f"![{document['study']}: {Path(name).stem}]({quote(link)})\n")
    return "\n".join(lines)


def _tables(document: Mapping[str, Any], folder: Path) -> list[str]:
    """What the study's modules have printed, as it is; records of old versions name none."""
    paths = [folder / name for name in document.get("tables", [])]
    texts = [path.read_text(encoding="utf-8").strip("\n") for path in paths if path.is_file()]
    return [f"```text\n{text}\n```\n" for text in texts if text]


def remove_unlinked(text: str, path: Path) -> None:
    """Remove figures that earlier pages had copied and this one does not show.

    Only files with names that `page` gives its copies are removed.

    Parameters
    ----------
    text : of the page
    path : where it lies
    """
    linked = set(re.findall(r"\]\(([^)]+)\)", text))
    for figure in (path.parent / path.stem).glob("*.png"):
        is_ours = _COPY.fullmatch(figure.name) and figure.is_file()
        if is_ours and quote(f"{path.stem}/{figure.name}") not in linked:
            figure.unlink()


def _link(folder: Path, name: str, path: Path) -> str:
    """From the page to a figure, which is copied if it lies outside the page's folder."""
    figure = (folder / name).resolve()
    home = path.resolve().parent
    if not figure.exists():
        return ""
    if not figure.is_relative_to(home):
        parts = figure.relative_to(folder.resolve().parents[2]).parts
        copy = home / path.stem / "-".join(parts).replace(" ", "-")
        _shrink(figure, copy)
        figure = copy
    return Path(os.path.relpath(figure, home)).as_posix()


def _shrink(figure: Path, copy: Path) -> None:
    """Copy a figure with few colors, and with fewer pixels until it is small."""
    from PIL import Image  # matplotlib has brought it

    with Image.open(figure) as opened:
        image = opened.convert("RGB")
    with atomic_path(copy) as temporary:
        while True:
            image.quantize(64).save(temporary, format="PNG", optimize=True)
            if temporary.stat().st_size < _LARGEST or min(image.size) < 100:
                return
            image = image.resize((int(0.85 * image.width), int(0.85 * image.height)))
