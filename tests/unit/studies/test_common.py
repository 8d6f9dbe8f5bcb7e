"""The table that a study leaves."""

import pytest

from latentspike.studies.common import TABLE, print_table, tabulated


def test_a_table_is_shown_and_kept_without_the_blanks_around_it(tmp_path, capsys):
    with tabulated(tmp_path / "new"):
        print_table("R²", {"ours": [0.5, 0.7], "paper": [0.6]})
        print("  \nend   \n", flush=True)
    print("no part of it")
    kept = (tmp_path / "new" / TABLE).read_text(encoding="utf-8")
    assert kept == (
        "R²\n"
        "  ours   0.600 ± 0.141 (n = 2)   [0.500, 0.700]\n"
        "  paper  0.600 (n = 1)   [0.600]\n"
        "\nend\n"
    )
    shown = capsys.readouterr().out
    assert [line.rstrip() for line in shown.strip().splitlines()] == [
        *kept.splitlines(),
        "",
        "no part of it",
    ]


def test_a_table_is_shown_at_once(tmp_path, capsys):
    with tabulated(tmp_path):
        print("first")
        assert capsys.readouterr().out == "first\n"
        assert not (tmp_path / TABLE).exists()


def test_a_run_replaces_the_table_of_an_earlier_one_unless_it_fails(tmp_path):
    for text in ("first", "second"):
        with tabulated(tmp_path):
            print(text)
    assert (tmp_path / TABLE).read_text() == "second\n"

    def fail():
        with tabulated(tmp_path):
            print("third")
            raise KeyError("no such row")

    with pytest.raises(KeyError):
        fail()
    assert (tmp_path / TABLE).read_text() == "second\n"
    assert [path.name for path in tmp_path.iterdir()] == [TABLE]
