"""The moment at which four clusters turn into three, and the volleys that are found; no fit."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from latentspike.studies import claims_wang_transition, cluster_fits
from latentspike.studies import cluster_transition as study


@pytest.fixture(scope="module")
def trial():
    """The recording of two neurons, and the true activity."""
    activity = cluster_fits.transition_trial(60.32, 1.0)
    return activity.record(2, 0.001, seed=0), activity.counts(0.001)[0, :, 0]


def volley(size, *, of=600, at=0, cycle=12, n=1000):
    """Activity with a volley of so many neurons in every cycle."""
    counts = np.zeros(n)
    counts[at::cycle] = size
    assert size <= of
    return counts


def test_the_moment_is_that_of_a_known_change():
    """A neuron of four clusters is in every fourth volley, of three in every third."""
    for at in (400, 600):
        counts = np.concatenate([volley(150)[:at], volley(200)[: 1000 - at]])
        assert study.moment(counts) == pytest.approx(at / 1000, abs=0.05)
    before, after = volley(150), volley(200)
    assert study.moment(before) is None and study.moment(after) is None
    assert study.moment(np.concatenate([after[:500], before[:500]])) is None


def test_noise_has_no_moment(trial, rng):
    _, true = trial
    assert 0.45 < study.moment(true) < 0.6
    assert study.moment(rng.poisson(true.mean(), true.size)) is None
    assert study.moment(np.full(true.size, true.mean())) is None


def test_volleys_are_found_where_they_are(trial):
    _, true = trial
    whole = slice(0, true.size)
    same = study.volleys(true, true, whole)
    assert all(same["seen"]) and not any(same["extra"])
    assert len(same["seen"]) == pytest.approx(80, abs=3)  # 80 Hz for a second
    half = np.roll(true, 6)  # half a cycle late
    assert np.mean(study.volleys(true, half, whole)["seen"]) < 0.2
    assert np.mean(study.volleys(true, half, whole)["extra"]) > 0.8
    flat = np.full(true.size, true.mean())
    assert not any(study.volleys(true, flat, whole)["seen"])
    halves = slice(0, 500), slice(500, 1000)
    parts = [len(study.volleys(true, true, half)["seen"]) for half in halves]
    assert sum(parts) == len(same["seen"])


def test_scores_of_the_truth_and_of_two_neurons(trial):
    data, true = trial
    smooth = 300 * gaussian_filter1d(data.counts[0].sum(-1).astype(float), 1.4)
    at = study.moment(true)
    found = study.scores(true, {study.OURS: true, study.OTHER: smooth}, at)
    assert found["moment"] == {study.OURS: at, study.OTHER: None}
    for state in ("whole trial", "4 clusters", "3 clusters"):
        row = found[state]
        assert row[study.OURS]["r"] == pytest.approx(1) and row[study.OURS]["share_seen"] == 1
        assert 0.1 < row[study.OTHER]["r"] < 0.6
        assert row["n_of_these_inferred"] == row["n_missed_by_other"] > row["n_by_chance"] > 0
    assert claims_wang_transition.RESOLUTION == study.WINDOW / 2
