"""Mean and spread over seeds, the best model, and when its lead means something."""

import csv
import io
import re

import pytest

from latentspike.compare.latex import as_latex, escape
from latentspike.compare.summary import remarks, summarize
from latentspike.compare.table import as_csv, format_comparison


def fitted(value, replicates, *, seed=0, metric="PSTH R²", has_chance=True, note="", **more):
    score = {
        "metric": metric, "unit": "", "value": value, "standard_error": None,
        "replicates": replicates, "note": note,
    }  # fmt: skip
    return {
        "seed": seed, "has_chance": has_chance, "scores": [score], "seconds_fit": 12.0 + seed,
        "seconds_inference": 0.5, "peak_bytes": 300_000_000, "n_parameters": 42, "notes": [],
        "versions": {"latentspike": "0.1.0", "jax": "0.8"},
    } | more  # fmt: skip


def both(a, b, **more):
    """Two models of as many seeds as values, whose scores move together over trials."""
    return {
        name: [fitted(v, [v - 0.1, v, v + 0.1], seed=i, **more) for i, v in enumerate(values)]
        for name, values in {"ours": a, "theirs": b}.items()
    }


def test_mean_and_spread_over_seeds_and_error_over_trials():
    found = summarize(both([0.5, 0.7], [0.2, 0.2]))
    ours = found["models"][0]["summary"]["PSTH R²"]
    assert ours["mean"] == pytest.approx(0.6) and ours["sd"] == pytest.approx(0.02**0.5)
    assert ours["n"] == 2 and ours["standard_error"] == pytest.approx((2 / 3 * 0.02) ** 0.5)
    assert found["models"][0]["summary"]["fit"] == pytest.approx(
        {"mean": 12.5, "sd": 0.5**0.5, "n": 2, "standard_error": None, "note": ""}
    )
    assert found["best"] == {
        "PSTH R²": "ours", "fit": "ours", "inference": "ours", "peak memory": "ours",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("a", "b", "is_clear", "said"),
    [
        (
            [0.6, 0.62],
            [0.5, 0.52],
            True,
            r"leads theirs by 0.1: more than the spread over seeds \(",
        ),
        ([0.4, 0.8], [0.5, 0.52], False, r"decides nothing: not more than the spread over seeds"),
        ([0.6], [0.5], False, "decides nothing: the spread over seeds not known"),
        ([0.5, 0.5], [0.5, 0.5], False, r"by 0, which .* \(0\) and the standard error over test"),
    ],
)
def test_a_lead_must_exceed_seeds_and_trials(a, b, is_clear, said):
    (verdict,) = summarize(both(a, b))["verdicts"]
    assert verdict["is_clear"] == is_clear
    assert re.search(said, verdict["text"]), verdict["text"]


def test_the_error_of_a_lead_is_paired_over_trials():
    runs = both([0.6, 0.6], [0.5, 0.5])
    (verdict,) = summarize(runs)["verdicts"]
    assert verdict["standard_error"] == pytest.approx(0, abs=1e-12)  # both move alike over trials
    for run in runs["theirs"]:
        run["scores"][0]["replicates"].reverse()
    (verdict,) = summarize(runs)["verdicts"]
    assert verdict["standard_error"] == pytest.approx(2 * (2 / 3 * 0.02) ** 0.5)
    assert not verdict["is_clear"] and "standard error over test trials (0.23)" in verdict["text"]


def test_one_fit_of_a_model_without_chance_has_no_spread():
    runs = both([0.6, 0.62], [0.5])
    runs["theirs"][0]["has_chance"] = False
    (verdict,) = summarize(runs)["verdicts"]
    assert verdict["seed_sd"] == pytest.approx(0.02 / 2**0.5) and verdict["is_clear"]


def test_a_model_alone_is_not_the_best():
    found = summarize({"ours": [fitted(0.5, [0.5, 0.4])]})
    assert found["best"] == {} and found["verdicts"][0]["text"] == "PSTH R²: only ours has a value."


@pytest.fixture
def mixed():
    """One model that works, one that lost a seed, one that failed, one without a score."""
    dead = {"seed": 0, "has_chance": True, "failed": "killed by signal 9 (SIGKILL)"}
    return summarize(
        both([0.6, 0.62], [0.5])
        | {
            "partly_dead": [fitted(0.4, [0.4, 0.3, 0.5]), dead | {"seed": 1}],
            "dead": [dead, dead | {"seed": 1}],
            "mute": [fitted(None, [], note="a rate is never < 0")],
        }
    )


def test_failed_fits_are_rows_with_their_reason(mixed):
    rows = {row["model"]: row for row in mixed["models"]}
    assert list(rows) == ["ours", "theirs", "partly_dead", "dead", "mute"]
    assert rows["partly_dead"]["n_ended"] == 1 and rows["partly_dead"]["n_seeds"] == 2
    assert rows["dead"]["summary"] == {} and rows["dead"]["failed"] == [
        "killed by signal 9 (SIGKILL)"
    ]
    said = remarks(mixed)
    assert "partly_dead: 1 of 2 failed: killed by signal 9 (SIGKILL)" in said
    assert "dead: 2 of 2 failed: killed by signal 9 (SIGKILL)" in said
    assert "mute, PSTH R²: a rate is never < 0" in said


def test_the_table_as_text(mixed):
    lines = format_comparison(mixed, width=200).splitlines()
    ours = next(line for line in lines if line.startswith("ours"))
    assert ours.split()[:5] == ["ours", "2", "0.610", "±", "0.014*"]
    assert next(line for line in lines if line.startswith("dead")).split()[1:3] == ["0", "of"]
    assert next(line for line in lines if line.startswith("partly")).split()[1:4] == [
        "1",
        "of",
        "2",
    ]
    assert next(line for line in lines if line.startswith("mute")).split()[2] == "–"
    for width in (40, 60, 80):
        narrow = format_comparison(mixed, width=width).splitlines()
        assert max(map(len, narrow[:-1])) <= width
        assert sum(line.startswith("ours") for line in narrow) > 1


def test_the_table_as_csv_has_a_line_per_figure_and_failure(mixed):
    rows = list(csv.DictReader(io.StringIO(as_csv(mixed))))
    best = [row for row in rows if row["metric"] == "PSTH R²" and row["is_best"] == "True"]
    assert [row["model"] for row in best] == ["ours"]
    assert float(best[0]["mean"]) == pytest.approx(0.61) and best[0]["n"] == "2"
    failed = [row for row in rows if row["note"].startswith("failed: killed")]
    assert [row["model"] for row in failed] == ["partly_dead", "dead"]


def test_other_versions_and_copying_are_remarked():
    runs = both([0.6], [0.5], metric="held-in bits per spike")
    runs["theirs"][0]["versions"] = {"latentspike": "0.2.0", "jax": "0.8"}
    said = "\n".join(remarks(summarize(runs)))
    assert "different versions" in said and "reward copying" in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 50 % of #1 {x} $", r"a\_b \& 50 \% of \#1 \{x\} \$"),
        ("~ ^ <", r"\textasciitilde{} \textasciicircum{} \textless{}"),
        ("C:\\new", r"C:\textbackslash{}new"),
        ("R² ± σ → –", r"R\textsuperscript{2} $\pm$ $\sigma$ $\to$ --"),
        ("Schüz, Ørsted", "Schüz, Ørsted"),
        ("two\nlines\tand tab", "two lines and tab"),
        ("路 Ą ð", "[U+8DEF] [U+0104] [U+00F0]"),
    ],
)  # fmt: skip
def test_latex_prints_any_text_as_it_stands(text, expected):
    assert escape(text) == expected


def test_the_table_as_latex_is_whole(mixed):
    mixed["models"][3]["failed"] = [r"C:\temp_1 is 100 % full {of $ & #}" + 90 * "x"]
    text = as_latex(mixed)
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    begin, end = text.rindex(r"\midrule"), text.rindex(r"\bottomrule")
    lines = text[begin:end].strip().splitlines()[1:]
    assert len(lines) == 5
    n_columns = text.split(r"\begin{tabular}{")[1].split("}")[0]
    assert n_columns == "l" + "r" * 6
    for line in lines:
        cells = line.replace(r"\&", "").count("&")
        assert line.endswith(r" \\") and cells == (2 if "multicolumn{5}" in line else 6)
    assert r"ours & 2 & $\mathbf{0.610} \pm 0.014$" in text
    assert r"failed: C:\textbackslash{}temp\_1 is 100 \% full \{of \$ \& \#\}" in text
    assert r"\ldots{}" in text and all(ord(letter) < 128 for letter in text)
