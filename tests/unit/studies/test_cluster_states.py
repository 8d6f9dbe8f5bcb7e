"""The study of cluster states: its spectra, its recordings, its errors; no fit."""

import json

import numpy as np
import pytest

from latentspike.evaluate import cluster_states as orders_of
from latentspike.studies import cluster_fits, cluster_states
from latentspike.studies.common import kept_before


def test_spectra_show_silence_two_clusters_and_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cluster_states, "SPECTRA_AT", (58.0, 61.0, 64.0))
    words = ["--only", "spectra", "--trials", "1", "--duration", "4", "--out", str(tmp_path)]
    rows = cluster_states.main(words)["spectra"]
    assert [row["order"] for row in rows] == [0, 2, 1]
    assert rows[0]["frequency"] is None and 60 < rows[2]["frequency"] < 80
    kept = (tmp_path / "table.txt").read_text(encoding="utf-8")
    assert "paper: orders fall" in kept and kept.strip() in capsys.readouterr().out
    assert "Euler, steps and bins of 1 ms" in kept
    assert (tmp_path / "spectra.png").stat().st_size > 5_000
    assert json.loads((tmp_path / "results.json").read_text())["spectra"] == rows
    assert list(kept_before(tmp_path)) == ["spectra"]


def test_the_transition_trial_goes_from_four_clusters_to_three():
    activity = cluster_fits.transition_trial(60.32, 1.0)
    found = orders_of(activity.counts(0.001)[..., 0], 600, bin_width=0.001).order[0]
    assert found[0] == 4 and found[-1] == 3


def test_data_sets_of_a_strength_are_runs_of_their_own():
    settings = {"strength": 61.0, "duration": 0.2, "is_transition": False, "n_neurons": 6}
    first, again, other = (cluster_fits.recording({**settings, "seed": i}) for i in (0, 0, 1))
    np.testing.assert_array_equal(first.counts, again.counts)
    assert first.counts.shape == (1, 200, 6)
    true = [data.truth["population_counts"] for data in (first, other)]
    assert (true[0] != true[1]).any()


def test_a_recording_without_spikes_is_not_fitted(tmp_path, monkeypatch):
    real = cluster_fits.recording

    def silent(settings):
        data = real(settings)
        return data.replace(counts=0 * data.counts)

    monkeypatch.setattr(cluster_fits, "recording", silent)
    settings = {"strength": 58.0, "duration": 0.1, "is_transition": False, "n_neurons": 1}
    assert cluster_fits.run_fit({**settings, "seed": 0}, tmp_path) == {"n_spikes": 0}


def test_errors_of_recovered_strengths():
    found = cluster_states.errors(np.array([59.0, 61.5, 62.0]), np.array([60.0, 61.0, 62.0]))
    assert found["bias"] == pytest.approx(-1 / 6) and found["mae"] == pytest.approx(0.5)
    assert 0.9 < found["r"] < 1
    assert "r" not in cluster_states.errors(np.array([59.0, 60.0]), np.array([60.0, 60.0]))


def test_table_of_fits_leaves_silent_data_sets_out(tmp_path, capsys):
    common = {"n_neurons": 6, "seed": 0, "low": 59.5, "r": 0.9, "n_spikes": 9}
    rows = [
        {"strength": 60.0, "value": 60.5, "high": 61.0, "fully_observed": 70.0} | common,
        {"strength": 62.0, "value": 62.1, "high": 61.0, "fully_observed": 60.0} | common,
        {"strength": 59.0, "n_neurons": 6, "seed": 0, "n_spikes": 0},
    ]

    class Options:
        method, seeds, out = "sampling", 1, tmp_path

    found = cluster_states.show_fits("strengths", rows, Options)["overall"]
    said = capsys.readouterr().out
    assert found["neuLVM"]["coverage"] == 0.5
    assert found["neuLVM"]["mae"] == pytest.approx(0.3)
    assert found["fully observed"]["bias"] == pytest.approx(4.0)
    assert "59      no spikes in any data set" in said and "60.46 ± 0.71" in said
    assert (tmp_path / "strengths-sampling.png").exists()


def test_folders_of_the_fits_tell_parts_values_and_seeds_apart(tmp_path):
    class Options:
        method, starts, warmup, draws, fully_observed_starts = "hard", 1, 1, 1, 0
        out, seeds, strengths, neurons, fit_duration = tmp_path, 2, [59.0], [1, 599], 1.0

    jobs = cluster_states.jobs_of("neurons", Options)
    assert list(jobs) == [(1, 0), (1, 1), (599, 0), (599, 1)]
    assert jobs[599, 1].folder == tmp_path / "neurons-hard" / "599-1"
    assert jobs[599, 1].settings["strength"] == 60.32
