"""The study of the winner-take-all network: its trials, its figures, its tables; no fit."""

import numpy as np
import pytest

from latentspike.io import read_npz
from latentspike.studies import photo_stimulation, winner_take_all, winner_take_all_tables
from latentspike.studies import winner_take_all_fits as fits


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """Two trials of 1 s out of a run of 4 s, and the file that keeps them."""
    path = tmp_path_factory.mktemp("wta") / "recording.npz"
    data, switching = fits.segments(path, n=2, length=1.0, run=4.0, seed=0)
    return path, data, switching


def test_trials_are_parts_of_one_run_and_kept_in_a_file(cut, tmp_path):
    path, data, switching = cut
    assert data.counts.shape == (2, 250, 9)
    assert switching["seconds"] == pytest.approx(4.0) and switching["spread"] is None
    again = read_npz(path)
    np.testing.assert_array_equal(again.counts, data.counts)
    true = again.truth["population_counts"]
    np.testing.assert_array_equal(true, data.truth["population_counts"])
    one, _ = fits.segments(tmp_path / "one.npz", n=1, length=1.0, run=4.0, seed=0)
    np.testing.assert_array_equal(one.counts[0], data.counts[0])
    with pytest.raises(ValueError, match=r"a run of 4 s has no 5 segments of 1 s"):
        fits.segments(tmp_path / "no.npz", n=5, length=1.0, run=4.0, seed=0)


def test_recorded_spikes_are_summed_by_population(cut):
    _, data, _ = cut
    sums = fits.recorded_sums(data, 1)
    assert sums.shape == (250, 3)
    np.testing.assert_array_equal(sums[:, 2], data.counts[1][:, 6:].sum(1))


def test_agreement_is_over_both_excitatory_populations(cut):
    true = cut[1].truth["population_counts"][0].astype(float)
    same = fits.agreement(true, true)
    assert same["r"] == pytest.approx(1) and same["r_difference"] == pytest.approx(1)
    other = true.copy()
    other[:, 2] = 0
    assert fits.agreement(other, true)["r"] == pytest.approx(1)
    swapped = fits.agreement(true[:, [1, 0, 2]], true)
    assert swapped["r_difference"] == pytest.approx(-1)


def test_the_smoothed_truth_is_above_smoothed_spikes(cut):
    found = winner_take_all.baselines(cut[1])
    best = winner_take_all_tables.best_smoothing(found, "r")
    assert best.startswith("smoothing, ")
    oracle = np.mean(found["true activity, smoothed by 48 ms"]["r"])
    assert oracle > np.mean(found[best]["r"]) >= np.mean(found["smoothing, 0.02 s"]["r"])


def test_activity_at_the_true_parameters_is_that_of_swarms(cut, tmp_path):
    settings = {"recording": str(cut[0]), "trial": 1, "n_particles": 100}
    found = fits.run_known(settings, tmp_path)
    smoothed = fits.smoothed(fits.recorded_sums(cut[1], 1), 0.02)
    narrow = fits.agreement(smoothed, cut[1].truth["population_counts"][1])
    assert found["r"] > narrow["r"]
    assert found == fits.run_known(settings, tmp_path)


def test_table_counts_the_fits_near_the_network(capsys):
    fitted = {"mesoscopic_of_draws": [10.0, 12.0]}
    results = [
        {"mesoscopic": {"value": 13.0}, "network": {"value": 30.0}} | fitted,
        {"mesoscopic": {"value": 8.0}, "network": {"value": 14.0}} | fitted,
    ]
    document = {"network": {"value": 14.0, "counting_error": 1.0}, "before": {"middle": [0.0]}}
    winner_take_all_tables.show_switches(document, results)
    said = capsys.readouterr().out
    assert "fitted, mesoscopic, exact membrane, 4 ms: 10.500" in said
    assert "1 of 2 within 13.5 ± 3.7, 2 within twice that" in said
    assert "sd over the draws of a fit (their counting noise included) 1.0" in said


def test_fits_of_a_trial_have_a_folder_and_say_what_they_read(cut, tmp_path):
    class Options:
        method, starts, warmup, draws, smoothing = "sampling", 1, 1, 1, 0.0
        seconds, network_seconds, draws_simulated, out = 1.0, 0.0, 1, tmp_path
        run, length, network_seed, together, particles = 4.0, 1.0, 0, 1, 30

    jobs = winner_take_all.jobs_of(cut[1], Options)
    assert [job.folder.name for job in jobs] == ["0", "1"]
    assert jobs[1].settings["trial"] == 1 and jobs[1].settings["cut"] == [4.0, 1.0, 0]
    Options.together = 2
    (both,) = winner_take_all.jobs_of(cut[1], Options)
    assert both.folder.parent != jobs[0].folder.parent and both.settings["n_trials"] == 2


def test_a_pulse_to_the_silent_population_switches_more_often(tmp_path, capsys):
    words = ["--trials", "30", "--amplitudes", "10", "--horizon", "0.2", "--out", str(tmp_path)]
    found = photo_stimulation.main(words)["seed 0"]
    said = capsys.readouterr().out
    for source in ("network", "true parameters"):
        silent = found["silent population, 10 mV"][source]["switch"]["value"]
        active = found["active population, 10 mV"][source]["switch"]["value"]
        assert silent > 0.5 > active
    kept = (tmp_path / "table.txt").read_text(encoding="utf-8")
    assert "Wilson" in kept and kept.strip() in said
    assert "network: exact membrane, steps of 0.2 ms" in kept and "bins of 4 ms" in kept
    assert sum(line.startswith("  silent population, 10 mV") for line in kept.splitlines()) == 2
    assert (tmp_path / "switch_probabilities_0.png").stat().st_size > 10_000
