"""The table of a comparison for a paper."""

from __future__ import annotations

import unicodedata
from typing import Any

from latentspike.compare.table import MISSING, format_value, header

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "²": r"\textsuperscript{2}", "±": r"$\pm$", "×": r"$\times$", "σ": r"$\sigma$",
    "µ": r"$\mu$", "μ": r"$\mu$", "→": r"$\to$", "≤": r"$\leq$", "≥": r"$\geq$",
    "–": "--", "—": "---", "…": r"\ldots{}", "‘": "`", "’": "'", "“": "``", "”": "''",
    "·": r"$\cdot$",
}  # fmt: skip
_LETTERS = "ßøØæÆœŒłŁı"  # that every document can print, beside those with accents
_LONGEST = 80

_HEAD = r"""% A table for \input into any LaTeX document. Alone it compiles between
%   \documentclass{article}\usepackage{booktabs}\begin{document}  and  \end{document}
% Without booktabs its rules are plain lines.
\providecommand{\toprule}{\hline}
\providecommand{\midrule}{\hline}
\providecommand{\bottomrule}{\hline}
"""


def escape(text: str) -> str:
    r"""Text that LaTeX prints as it stands; what its fonts lack appears as its code point.

    Examples
    --------
    >>> print(escape("hand_vel R² 50 %"), escape("路"))
    hand\_vel R\textsuperscript{2} 50 \% [U+8DEF]
    """
    return "".join(_letter(letter) for letter in " ".join(text.split()))


def _letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if letter.isascii() and letter.isprintable():
        return letter
    base, *accents = unicodedata.normalize("NFD", letter)
    if letter in _LETTERS or (accents and base.isascii() and "\N{COMBINING OGONEK}" not in accents):
        return letter
    return f"[U+{ord(letter):04X}]"


def as_latex(summary: dict[str, Any]) -> str:
    """A ``tabular`` with booktabs rules; the best of each column is bold.

    Failed models are rows with their reason.

    Parameters
    ----------
    summary : of `latentspike.compare.summary.summarize`
    """
    metrics = summary["metrics"]
    titles = ["model", "$n$", *(_head(metric) for metric in metrics)]
    lines = [
        _HEAD + rf"\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}",
        r"\toprule",
        " & ".join(titles) + r" \\",
        r"\midrule",
        *(_line(row, metrics, summary["best"]) for row in summary["models"]),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _head(metric: dict[str, Any]) -> str:
    """A heading of two lines where it is long."""
    words = header(metric).split()
    if len(words) < 3:
        return escape(" ".join(words))
    half = (len(words) + 1) // 2
    two = r" \\ ".join(escape(" ".join(part)) for part in (words[:half], words[half:]))
    return rf"\shortstack[r]{{{two}}}"


def _line(row: dict[str, Any], metrics: list[dict[str, Any]], best: dict[str, str]) -> str:
    label = escape(row["model"])
    if not row["n_ended"]:
        reason = row["failed"][0] if row["failed"] else ""
        short = reason if len(reason) <= _LONGEST else reason[: _LONGEST - 1] + "…"
        return (
            rf"{label} & 0 & \multicolumn{{{len(metrics)}}}{{l}}"
            rf"{{\emph{{failed: {escape(short)}}}}} \\"
        )
    cells = [_cell(m["name"], row, best) for m in metrics]
    return " & ".join([label, str(row["n_ended"]), *cells]) + r" \\"


def _cell(name: str, row: dict[str, Any], best: dict[str, str]) -> str:
    text = format_value(name, row["summary"][name], plus_minus=r" \pm ")
    if text == MISSING:
        return "--"
    if best.get(name) == row["model"]:
        mean, *rest = text.split(" ", 1)
        return f"$\\mathbf{{{mean}}}{''.join(' ' + part for part in rest)}$"
    return f"${text}$"
