"""The page on records that are made up: tables, reasons that claims share, stale figures."""

import pytest

from latentspike.studies.claims import FAILED, HELD
from latentspike.studies.page import page, remove_unlinked


def claim(sentence, verdict=FAILED, why="It is 0."):
    return {
        "where": "Fig. 0", "sentence": sentence, "paper": "3", "ours": "0", "sample": "1 seed",
        "verdict": verdict, "reason": "", "why": why,
    }  # fmt: skip


def record(claims=(), **more):
    """A finished study that the catalog does not know."""
    return {
        "study": "keshtkaran-2019/made-up", "title": "a title", "scale": "laptop",
        "command": "latentspike study run", "status": "finished", "started": "2026-01-01T00:00:00",
        "seconds": 3.0, "version": "0", "commit": None, "claims": list(claims), "figures": [],
        **more,
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Of a study."""
    found = tmp_path / "runs" / "keshtkaran-2019" / "made-up" / "laptop"
    found.mkdir(parents=True)
    return found


def listed(text):
    """Lines of what did not hold."""
    return text.split("## What did not hold\n\n")[1].split("\n\n")[0].splitlines()


def test_a_reason_that_claims_share_is_said_once(folder, tmp_path):
    claims = [
        claim("a is 1."),
        claim("b is 1.", HELD, why=""),
        claim("c is 1."),
        claim("d is 1.", why="It is 2."),
        claim("e is 1."),
        claim("f is 1.", why=""),
    ]
    text = page({folder: record(claims)}, tmp_path / "page.md")
    number = "(Fig. 0). Paper: 3; ours: 0 [1 seed]."
    heading = "keshtkaran-2019/made-up, laptop"
    assert listed(text) == [
        f"- {heading}, 2 claims: It is 0.",
        f"  - “a is 1.” {number}",
        f"  - “c is 1.” {number}",
        f"- {heading}: “d is 1.” {number} It is 2.",
        f"- {heading}: “e is 1.” {number} It is 0.",
        f"- {heading}: “f is 1.” {number} Why is not known.",
    ]


def test_studies_do_not_share_a_reason(folder, tmp_path):
    full = folder.with_name("full")
    found = {folder: record([claim("a.")]), full: record([claim("a.")], scale="full")}
    lines = listed(page(found, tmp_path / "page.md"))
    assert len(lines) == 2 and all(line.endswith("It is 0.") for line in lines)


def test_a_table_stands_between_claims_and_figures(folder, tmp_path):
    (folder / "step").mkdir()
    (folder / "step" / "table.txt").write_text("  name  r\n  ours  0.8 | ±\n", encoding="utf-8")
    (folder / "empty.txt").write_text("\n")
    (folder / "one.png").touch()
    tables = ["step/table.txt", "gone.txt", "empty.txt"]
    document = record([claim("a is 1.")], tables=tables, figures=["one.png"])
    text = page({folder: document}, tmp_path / "page.md")
    assert text.count("```") == 2
    assert "\n\n```text\n  name  r\n  ours  0.8 | ±\n```\n\n![" in text
    assert text.index("| Fig. 0: a is 1.") < text.index("```text")


def test_records_of_old_versions_have_no_tables(folder, tmp_path):
    (folder / "table.txt").write_text("r 0.8\n")
    assert "```" not in page({folder: record()}, tmp_path / "page.md")


def test_only_figures_that_a_page_has_copied_and_none_shows_are_removed(tmp_path):
    copies = tmp_path / "papers"
    stale = ["keshtkaran-2019-fig3-laptop-old.png", "wang-2022-fig5-full-a-b.png"]
    others = [
        "wang-2022-fig5-laptop-new figure.png",  # linked below
        "wang-2022-fig5-laptop-notes.txt",
        "wang-2022-my-own.png",
        "wang-1999-fig5-laptop-x.png",
        "my-wang-2022-fig5-laptop-x.png",
        "logo.png",
    ]
    copies.mkdir()
    for name in [*stale, *others]:
        (copies / name).touch()
    (copies / "wang-2022-fig5-laptop-folder.png").mkdir()
    (tmp_path / stale[0]).touch()  # not in the page's own folder
    text = "![a](papers/wang-2022-fig5-laptop-new%20figure.png)\n"
    remove_unlinked(text, tmp_path / "papers.md")
    left = {path.name for path in copies.iterdir()}
    assert left == {*others, "wang-2022-fig5-laptop-folder.png"}
    assert (tmp_path / stale[0]).exists()
    remove_unlinked(text, tmp_path / "no-folder.md")
