"""What is around the models in the study of reaches: recordings, draws, percentages, figures."""

import numpy as np
import pytest

from latentspike.spikes import SpikeData
from latentspike.studies import reaching as study
from latentspike.studies.few_trials import draw_trials
from latentspike.studies.reaching_figures import draw_paths, draw_r2, integrated, one_of_each
from latentspike.studies.reaching_recordings import load

SIZES = {"n_neurons": 20, "n_trials_per_condition": 4, "seed": 0}


@pytest.fixture(scope="module")
def simulated():
    return load("simulated", None, bin_width=0.05, sizes=SIZES)


def test_simulated_reaches_are_mixed_so_that_folds_are_alike(simulated):
    data = simulated.data
    assert (data.n_trials, data.n_bins, data.bin_width) == (96, 14, pytest.approx(0.05))
    same = data.conditions[1:] == data.conditions[:-1]
    assert same.mean() < 0.2  # of 24 conditions in order it would be 0.75
    assert SIZES["seed"] == 0  # the sizes that were given are left alone


def test_bins_that_are_no_multiple_of_the_papers_are_refused():
    with pytest.raises(ValueError, match=r"0\.007 s are not a multiple of 0\.002 s"):
        load("simulated", None, bin_width=0.007, sizes=SIZES)


def test_test_trials_are_a_fifth_that_no_draw_holds(simulated):
    train, test = simulated.divided()
    assert test.n_trials == 19 and train.n_trials == 77
    for seed in range(3):
        part, split = draw_trials(train, 0.2, seed)
        assert not set(part.trial_ids) & set(test.trial_ids)
        assert part.n_trials == 15 == split.train.size + split.validation.size
    draws = [tuple(draw_trials(train, 0.2, seed)[0].trial_ids) for seed in range(3)]
    assert len(set(draws)) == 3


def test_velocity_is_decoded_from_the_activity_before_it():
    sizes = SIZES | {"n_neurons": 40, "n_trials_per_condition": 10}
    reaches = load("simulated", None, bin_width=0.02, sizes=sizes)
    _, test = reaches.divided()
    decoded = reaches.velocity(test.truth["rates"], test)
    assert decoded.r2.min() > 0.9
    assert np.isnan(decoded.predictions[:, :5]).all()  # 100 ms
    assert reaches.smoothed(test, 0.06).max() < decoded.r2.min()


def test_monkey_m1_has_few_trials_and_a_decoder_of_its_own(test_data):
    reaches = load("monkey_m1", None, bin_width=0.02, sizes={"n_neurons": 100})
    assert reaches.data.n_trials == 96 and reaches.shares == (0.2, 0.5, 1.0)
    _, test = reaches.divided()
    assert reaches.smoothed(test, 0.06).mean() > 0.3


def test_an_improvement_of_nothing_has_no_percentage():
    rows = {study.PBT: [[0.6, 0.6], [0.5, 0.5]], study.FIXED: [[0.5, 0.3], [-0.5, 0.1]]}
    found = study._improvement({"velocity_r2": {"1": rows}}, "1")
    assert found == [pytest.approx(50.0), None]


def test_integrated_velocity_is_the_path(simulated):
    data = simulated.data
    path = integrated(data.behavior["hand_velocity"], data.bin_width)
    np.testing.assert_allclose(path[:, -1], data.behavior["hand_position"][:, -1], atol=0.01)


def test_one_trial_of_each_condition_is_drawn(simulated):
    picked = one_of_each(simulated.data)
    assert np.unique(simulated.data.conditions[picked]).size == picked.size == 24
    plain = SpikeData(np.ones((3, 4, 2), int), 0.01)
    assert one_of_each(plain).tolist() == [0, 1, 2]


def test_figures_take_one_draw_and_percentages_that_are_missing(simulated, tmp_path):
    rows = {
        "0.1": {"PBT": [[0.6, 0.5], [0.5, 0.4]], "fixed setting": [[0.5, 0.4], [0.3, 0.2]]},
        "1": {"PBT": [[0.8, 0.7]], "fixed setting": [[0.8, 0.6]]},
    }
    document = {
        "velocity_r2": rows,
        "improvement": {"0.1": [10.0, None], "1": [2.0]},
        "n_trials": {"0.1": 10, "1": 100},
        "baselines": {study.SMOOTHING: [0.4, 0.3]},
    }
    draw_r2(document, study.SMOOTHING, tmp_path / "r2.png")
    velocity = simulated.data.behavior["hand_velocity"].copy()
    velocity[:, :2] = np.nan
    draw_paths(simulated.data, {"PBT": velocity}, {"PBT": "all"}, tmp_path / "paths.png")
    for name in ("r2.png", "paths.png"):
        assert (tmp_path / name).stat().st_size > 10_000
