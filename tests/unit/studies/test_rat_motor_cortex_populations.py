"""The study of rat motor cortex as a network: trials, clusters, scores, table; no fit."""

from types import SimpleNamespace

import numpy as np
import pytest

from latentspike.evaluate import PopulationLabels
from latentspike.models.neulvm import NeuLVM
from latentspike.spikes import SpikeData, Split
from latentspike.studies import rat_motor_cortex_populations as study
from latentspike.studies import rat_populations_fits as fits
from latentspike.studies.recordings import rat_motor_cortex

HELDOUT = np.arange(12) % 3 == 2


@pytest.fixture
def two_groups(rng):
    """Neurons of two populations, whose course differs from trial to trial; and the courses."""
    phase = rng.uniform(0, 2 * np.pi, (80, 1, 2)) * 0.3 + [0, 2]
    course = 25 * (1.2 + np.sin(phase + np.linspace(0, 6, 60)[:, None]))  # Hz [trials, bins, 2]
    scale = rng.uniform(0.4, 1.6, 12)
    rates = course[..., np.arange(12) // 6] * scale
    counts = rng.poisson(rates * 0.02)
    data = SpikeData(counts, 0.02, t_start=0.2, heldout=HELDOUT)
    return data, Split(np.arange(60), np.arange(60, 80)), course


@pytest.fixture
def groups():
    return {"early": list(range(6)), "late": list(range(6, 12))}


def test_spikes_are_those_of_the_coarse_recording(test_data):
    coarse, _ = rat_motor_cortex(test_data)
    fine = fits.spikes_of(coarse)
    assert fine.counts.shape == (1266, 120, 30) and fine.counts.max() == 1
    pairs = fine.counts.reshape(1266, 60, 2, 30).sum(2)
    np.testing.assert_array_equal(pairs > 0, coarse.counts > 0)
    assert 0.9 < pairs.sum() / coarse.counts.sum() < 0.95
    clock = np.asarray(fine.inputs)
    np.testing.assert_array_equal(clock[0], clock[-1])
    np.testing.assert_allclose(clock[0].T @ clock[0] / 120, np.eye(8), atol=1e-9)


def test_parts_share_no_trial():
    split = Split(np.arange(0, 90, 2), np.arange(1, 90, 2))
    parts = fits.parts_of(split, 10, 20, 5)
    assert [len(trials) for trials in parts.values()] == [10, 20, 5]
    assert np.unique(np.concatenate(list(parts.values()))).size == 35
    assert (parts["fitted"] % 2 == 0).all() and (parts["choice"] % 2 == 0).all()


def test_clusters_find_the_groups_and_leave_each_two_held_in_neurons(two_groups, groups):
    data, split, _ = two_groups
    train = data.select_trials(split.train)
    assert fits.clusters(train, 1, seed=0) == {"population 1": list(range(12))}
    assert list(fits.clusters(train, 2, seed=0).values()) == list(groups.values())
    with pytest.raises(ValueError, match="no 6 populations with 2 held-in"):
        fits.clusters(train, 6, seed=0)


def test_a_cluster_without_held_in_neurons_joins_the_nearest():
    place = np.array([0.0, 0.1, 10.0, 10.1, 9.0])
    found = PopulationLabels(
        np.arange(5), np.array([0, 0, 1, 1, 2]), abs(place[:, None] - place), place, place
    )
    heldin = np.array([True, True, True, True, False])
    np.testing.assert_array_equal(fits.merged(found, heldin), [0, 0, 1, 1, 1])
    everything = fits.merged(found, np.array([True, False, True, False, False]))
    np.testing.assert_array_equal(everything, 0)


def test_every_number_but_the_size_is_free(groups):
    plain = fits.network(groups, 50, has_clock=False)
    assert len(plain.free_names) == 2 * 3 + 4 and plain.sizes.tolist() == [50, 50]
    clock = fits.network(groups, 50, has_clock=True)
    assert set(clock.free_names) - set(plain.free_names) == {
        f"cosine {i} → {name}" for i in range(1, 9) for name in groups
    }


def test_a_fit_leaves_activity_of_all_parts_in_scored_bins(
    two_groups, groups, tmp_path, monkeypatch
):
    data, split, course = two_groups
    fine = SpikeData(
        np.minimum(np.repeat(data.counts, 2, axis=1), 1), 0.01, t_start=0.2, heldout=HELDOUT
    )
    monkeypatch.setattr(fits, "recordings_folder", lambda: tmp_path)
    monkeypatch.setattr(fits, "rat_motor_cortex", lambda _, draw: (data, split))
    monkeypatch.setattr(fits, "spikes_of", lambda _: fine)
    monkeypatch.setattr(fits, "fit", lambda *_, **__: SimpleNamespace(params={}))
    monkeypatch.setattr(
        NeuLVM,
        "infer",
        lambda self, _, read, **__: SimpleNamespace(
            population_activity=np.repeat(course[read.trial_ids], 2, axis=1)
        ),
    )
    monkeypatch.setattr(NeuLVM, "parameters", lambda *_: {})
    monkeypatch.setattr(NeuLVM, "warnings", lambda *_: [])
    settings = {
        "groups": groups,
        "has_clock": False,
        "draw": 1,
        "size": 200,
        "trials": [3, 2, 4],
        "estimation": {},
        "inference": {"n_warmup": 5},
        "samples": 3,
    }
    assert fits.run_fit(settings, tmp_path) == {"parameters": {}, "warnings": []}
    for part, trials in fits.parts_of(split, 3, 2, 4).items():
        found = np.load(fits.activity_file(tmp_path, part))
        np.testing.assert_allclose(found, course[trials])


def test_true_activity_predicts_held_out_neurons_best(two_groups, groups):
    data, split, course = two_groups
    parts = fits.parts_of(split, 20, 20, 20)
    scores = study.Scores(data, split, parts)
    truth = scores.row({name: course[trials] for name, trials in parts.items()}, groups)
    swapped = scores.row({n: course[trials][..., ::-1] for n, trials in parts.items()}, groups)
    smoothing = scores.smoothing(groups)
    for way in study.WAYS:
        assert truth[way]["test"]["value"] > smoothing[way]["test"]["value"] > 0.05
    assert truth["own"]["test"]["value"] > 0.1 > swapped["own"]["test"]["value"]
    # weights find the right population by themselves
    same = swapped["weights"]["test"]["value"]
    assert same == pytest.approx(truth["weights"]["test"]["value"])


def test_scores_read_held_out_neurons_in_training_trials_only(two_groups, groups):
    data, split, course = two_groups
    parts = fits.parts_of(split, 20, 20, 20)
    activity = {name: course[trials] for name, trials in parts.items()}
    changed = np.array(data.counts)
    changed[60:, :, HELDOUT] = 1
    rates = [
        study.Scores(each, split, parts)._rates(activity, "test", groups)
        for each in (data, data.replace(counts=changed))
    ]
    for way in study.WAYS:
        np.testing.assert_array_equal(rates[0][way], rates[1][way])


def test_table_figure_and_choice(two_groups, tmp_path, monkeypatch, capsys):
    data, split, course = two_groups

    def leave_truth(jobs, *, n_processes):
        for job in jobs:
            job.folder.mkdir(parents=True)
            k = len(job.settings.get("groups", ()))
            noise = 0 if job.settings.get("has_clock") else 40
            for part, trials in fits.parts_of(split, 20, 20, 20).items():
                np.save(fits.activity_file(job.folder, part), course[trials][..., :k] + noise)
        return [{"value": 0.4, "standard_error": 0.01} for _ in jobs]

    monkeypatch.setattr(study, "recordings_folder", lambda: tmp_path)
    monkeypatch.setattr(study, "rat_motor_cortex", lambda _, draw: (data, split))
    monkeypatch.setattr(study, "run_jobs", leave_truth)
    words = "--populations 1 2 --trials 20 --choice 20 --test 20 --out".split()
    document = study.main([*words, str(tmp_path)])
    said = capsys.readouterr().out
    assert document["chosen"]["own"] == "neuLVM, clock, K = 2"
    assert document["baselines"][study.LFADS]["value"] == 0.4
    assert "20 test trials" in said and "smoothing + Poisson ridge" in said
    assert (tmp_path / "rat_motor_cortex_populations.png").stat().st_size > 10_000
