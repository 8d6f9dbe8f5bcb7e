"""What the tables of the studies say, on results that are made up: no fit."""

import pytest

from latentspike.studies import (
    cluster_states,
    cluster_transition_table,
    linear_autoencoder,
    random_search,
    reaching,
    winner_take_all_rivals,
    winner_take_all_tables,
)
from latentspike.studies.common import TABLE


@pytest.fixture
def said(capsys):
    """Lines that were printed since the last call, without the blanks around each."""
    return lambda: [line.strip() for line in capsys.readouterr().out.splitlines()]


def line_of(lines, start):
    """The one line that begins so."""
    [found] = [line for line in lines if line.startswith(start)]
    return found


def test_rank_correlations_have_a_spread_and_the_true_rates_a_loss(said):
    def row(rho, losses):
        return {"rank_correlation": rho, "losses": losses, "r2": [0.1, 0.5, -0.3]}

    arms = {
        random_search.PLAIN: [row(0.2, [9.0, 12.0, 8.0]), row(0.4, [13.0, 9.5, 12.0])],
        random_search.SAMPLE: [row(-0.9, [1.0, 2.0, 3.0]), row(-0.9, [1.0, 2.0, 3.0])],
        random_search.DROPOUT: [row(-0.8, [11.0, 12.0, 13.0])] * 2,
    }
    random_search.show(arms, 10.0)
    lines = said()
    assert "3 models" in lines[1]
    plain = [line for line in lines if line.startswith(random_search.PLAIN)]
    assert plain[0].endswith("0.300 ± 0.141 (n = 2)   [0.200, 0.400]")
    assert plain[1].endswith("[-0.300, 0.500]")  # R² of the lowest loss
    assert plain[2].endswith("3 of 6, their mean R² 0.100")
    assert line_of(lines, "Models with a loss below").endswith("10.0 nats per trial")
    assert [line for line in lines if line.startswith("(c)")][2].endswith("0 of 6")
    assert sum(line.startswith("(b)") for line in lines) == 2  # its loss is another one


def test_shares_of_one_draw_have_no_error(said):
    reaching.show(
        {
            "recording": "simulated",
            "best_width": 0.05,
            "baselines": {reaching.SMOOTHING: [0.7, 0.6], reaching.TUNED: [0.8, 0.7]},
            "n_trials": {"0.1": 10, "1": 100},
            "velocity_r2": {
                "0.1": {reaching.PBT: [[0.6, 0.4], [0.8, 0.4]]},
                "1": {reaching.PBT: [[0.9, 0.8]]},
            },
            "rate_r2": {"0.1": {reaching.PBT: [0.2, 0.4]}, "1": {}},
            "improvement": {"0.1": [4.0, None], "1": [None]},
        }
    )
    lines = said()
    assert line_of(lines, reaching.SMOOTHING).endswith("x 0.700, y 0.600")
    assert line_of(lines, reaching.TUNED).startswith(f"{reaching.TUNED} (50 ms)")
    few, every = (line for line in lines if line.startswith(reaching.PBT))
    numbers = "x 0.700 ± 0.100, y 0.400 ± 0.000 (n = 2); R² of the rates 0.300 ± 0.100"
    assert few.endswith(numbers) and every.endswith("x 0.900, y 0.800 (n = 1)")
    assert line_of(lines, "improvement").endswith("+4.0 % (n = 1)")


def test_bias_and_mean_absolute_error_stand_beside_the_correlation(said, tmp_path):
    common = {"n_neurons": 6, "r": 0.9, "n_spikes": 9}
    rows = [
        {"strength": 60.0, "value": 60.5, "fully_observed": 70.0} | common,
        {"strength": 60.0, "value": 59.9, "fully_observed": 61.0} | common,
        {"strength": 62.0, "value": 62.1, "fully_observed": 60.0} | common,
    ]

    class Options:
        method, seeds, out = "sampling", 2, tmp_path

    cluster_states.show_fits("strengths", rows, Options)
    lines = said()
    fit = line_of(lines, "60 ").split()
    #       J   mean ± sd             bias    MAE    r       paper
    ours = ["60", "60.20", "±", "0.42", "0.20", "0.30", "0.90", "60.46", "±", "0.71"]
    assert fit == [*ours, "65.50", "±", "6.36", "5.50", "5.50", "5.50"]
    assert "r of J 0.96, bias 0.17, MAE 0.23" in line_of(lines, "all, neuLVM")
    assert "r of J = 0.81, bias -0.35 (of its means)" in line_of(lines, "paper")


def test_scores_of_a_transition_come_with_what_chance_gives_and_j(said):
    state = {
        "n_missed_by_other": 30,
        "n_of_these_inferred": 20,
        "n_by_chance": 9.5,
        "neuLVM": {"r": 0.5, "share_seen": 0.9, "n_extra": 1},
        "fully observed": {"r": 0.4, "share_seen": 0.3, "n_extra": 0},
    }
    moments = {"neuLVM": 0.5, "fully observed": None}
    scores = {"moment": moments, "whole trial": state, "4 clusters": state}
    fits = [{"scores": scores, "true_moment": 0.53, "value": value} for value in (60.0, 61.0)]
    cluster_transition_table.show(fits, "two draws")
    lines = said()
    assert lines[1] == "two draws; network and model: Euler, steps and bins of 1 ms"
    assert "[20.000, 20.000]" in line_of(lines, "found of these, whole trial, neuLVM")
    assert "[9.500, 9.500]" in line_of(lines, "found of these by chance, 4 clusters")
    assert "fully observed: none, none" in lines and "neuLVM: 0.500 s, 0.500 s" in lines
    assert "neuLVM: 60.500 ± 0.707 (n = 2) mV, bias 0.18, mean absolute error 0.50" in lines
    assert len([line for line in lines if line.startswith("fully observed:")]) == 1


def agreements(r, difference):
    return {"r": [r, r], "r_difference": [difference, difference]}


def test_table_1_has_the_baseline_the_oracle_and_integrators(said, tmp_path):
    widths = {f"smoothing, {w:g} s": agreements(w, 0.2) for w in winner_take_all_tables.WIDTHS}
    found = widths | {
        "smoothing, 0.4 s": agreements(0.1, 0.3),
        "true activity, smoothed by 48 ms": agreements(0.83, 0.75),
    }
    fit = {"r": 0.8, "r_difference": 0.5, "mesoscopic": {"value": 9.0}}
    known = {"r": 0.25, "r_difference": 0.1}
    winner_take_all_tables.show_agreement(found, [fit, fit], "sampling", [known, known])
    lines = said()
    assert "neuLVM, sampling: above the best smoothing in 2 of 2 trials" in lines[-2]
    assert "neuLVM at the true parameters: above the best smoothing in 0 of 2 trials" in lines[-1]
    del lines[-2:]
    winner_take_all_tables.show_agreement(found, [fit], "sampling")
    assert said()[-1].startswith("paper, neuLVM")  # a fit of two trials is compared with neither
    assert "r of E1 − E2" in lines[1]
    for start, r, difference in (
        ("neuLVM, sampling", "0.800", "0.500"),
        ("smoothing, 0.3 s: the best", "0.300", "0.200"),
        ("smoothing, 0.4 s", "0.100", "0.300"),
        ("true activity", "0.830", "0.750"),
    ):
        line = line_of(lines, start)
        assert f"{r} ± 0.000" in line and f"{difference} ± 0.000" in line
    winner_take_all_rivals.keep(tmp_path, {"baselines": found, "fits, sampling": [fit, fit]})
    _, rows = winner_take_all_rivals.neulvm_rows(tmp_path, 2)
    rival = {"r": 0.7, "r_difference": 0.1, "paper_r": 0.71, "switches": 1.0}
    rivals = {"plds": [rival], "slds, 40 ms": [rival], "glm": [{"switches": 2.0}]}
    said()
    winner_take_all_rivals.show(rows | rivals, {"value": 13.0, "counting_error": 1.0})
    lines = said()
    assert "smoothing, 0.3 s: the best, if one knew the truth" in line_of(lines, "smoothing")
    assert "0.750 ± 0.000" in line_of(lines, "true activity")
    counts = lines[lines.index("Switches per 100 s of a free run") :]
    assert "mesoscopic, exact membrane, steps and bins of 4 ms" in line_of(counts, "neuLVM")
    assert "its own bins of 40 ms" in line_of(counts, "slds, 40 ms")
    assert "2.000 (n = 1)" in line_of(counts, "glm") and "4 ms" in line_of(counts, "glm")
    network = line_of(counts, "network")
    assert "13.0 ± 1.0" in network and "steps of 0.2 ms, bins of 4 ms" in network
    winner_take_all_rivals.show({"plds": [rival]}, None)
    assert "not in the folder of --neulvm" in line_of(said(), "neuLVM, smoothing")


def test_a_study_leaves_the_table_that_it_has_printed(said, tmp_path):
    linear_autoencoder.main(["--seeds", "1", "--epochs", "2", "--out", str(tmp_path)])
    kept = (tmp_path / TABLE).read_text(encoding="utf-8").splitlines()
    assert kept[0].startswith("Linear autoencoder, last epoch") and len(kept) == 6
    lines = said()
    assert all(line.strip() in lines for line in kept)
    assert not any("written to" in line for line in kept)
