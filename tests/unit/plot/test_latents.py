import dataclasses

import numpy as np
import pytest
from matplotlib.figure import Figure

from latentspike import Posterior, plot


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture
def space():
    return Figure().add_subplot(projection="3d")


def with_factors(inference, factors):
    return dataclasses.replace(inference, factors=factors, factors_std=None)


def test_factors_keep_to_their_rows(inference, ax):
    plot.factors(inference, ax=ax)
    lines = [line for line in ax.get_lines() if len(line.get_xdata()) == 40]
    assert len(lines) == 6 * 4
    heights = np.array([line.get_ydata() for line in lines]).reshape(6, 4, 40)
    assert (np.abs(heights + np.arange(4)[:, None]) <= 0.5).all()
    for factor in range(4):  # a row is its factor, moved and scaled
        truth, row = inference.factors[:, :, factor].ravel(), heights[:, factor].ravel()
        assert np.corrcoef(truth, row)[0, 1] == pytest.approx(1)


def test_a_constant_factor_is_a_flat_line(inference, ax):
    plot.factors(with_factors(inference, np.ones((6, 40, 1))), ax=ax)
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), np.zeros(40))


def test_the_band_of_a_factor_is_in_its_own_scale(inference, ax):
    plot.factors(inference, trials=[2], ax=ax)
    path = ax.collections[0].get_paths()[0].vertices
    factor = inference.factors[2, :, 0]
    scale = 0.85 / np.ptp(factor)
    expected = np.ptp(np.concatenate([factor - 0.1, factor + 0.1])) * scale
    assert np.ptp(path[:, 1]) == pytest.approx(expected)


def test_factors_are_colored_by_condition(inference, ax):
    plot.factors(inference, trials=[0, 5], conditions=list("aaabbb"), ax=ax)
    by_trial = [line.get_color() for line in ax.get_lines() if len(line.get_xdata()) == 40]
    assert len(set(by_trial[:4])) == len(set(by_trial[4:])) == 1
    assert by_trial[0] != by_trial[4]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"trials": [6]}, "no trial 6"),
        ({"trials": []}, "no trial was chosen"),
        ({"conditions": ["a"]}, "one label per trial"),
    ],
)
def test_factors_refuses(inference, keywords, message):
    with pytest.raises(ValueError, match=message):
        plot.factors(inference, **keywords)


def test_what_a_model_does_not_infer_is_said(inference):
    bare = Posterior(
        inference.rates, inference.bin_width, inference.trial_ids, inference.neuron_ids
    )
    for function, what in [
        (plot.factors, "no factors"),
        (plot.factors_3d, "no factors"),
        (plot.inferred_inputs, "no inferred inputs"),
    ]:
        with pytest.raises(ValueError, match=what):
            function(bare)


def test_three_components_keep_the_distances_of_three_factors(inference, space):
    plot.factors_3d(with_factors(inference, inference.factors[:, :, :3]), ax=space)
    drawn = np.array([np.array(line.get_data_3d()).T for line in space.get_lines()[:6]])
    factors = inference.factors[:, :, :3].reshape(-1, 3)
    flat = drawn.reshape(-1, 3)
    np.testing.assert_allclose(
        np.linalg.norm(flat - flat[0], axis=1), np.linalg.norm(factors - factors[0], axis=1)
    )
    variances = flat.var(axis=0)
    assert (np.diff(variances) < 0).all()
    shares = np.round(100 * variances / variances.sum())
    labels = [space.get_xlabel(), space.get_ylabel(), space.get_zlabel()]
    assert labels == [f"PC {i + 1} ({share:.0f} %)" for i, share in enumerate(shares)]


def test_thick_lines_are_the_means_of_the_conditions(inference, space):
    labels = np.array(list("aaabbb"))
    plot.factors_3d(inference, labels, ax=space)
    drawn = [np.array(line.get_data_3d()) for line in space.get_lines()]
    np.testing.assert_allclose(drawn[6], np.mean(drawn[:3], axis=0), atol=1e-12)
    np.testing.assert_allclose(drawn[7], np.mean(drawn[3:6], axis=0), atol=1e-12)


def test_factors_3d_needs_three_factors_and_3d_axes(inference, ax, space):
    few = with_factors(inference, inference.factors[:, :, :2])
    with pytest.raises(ValueError, match="three factors or more, got 2"):
        plot.factors_3d(few, ax=space)
    with pytest.raises(ValueError, match="3-d axes"):
        plot.factors_3d(inference, ax=ax)


def test_inferred_inputs_of_a_trial_with_posterior_spread(inference, ax):
    plot.inferred_inputs(inference, trial=2, ax=ax)
    np.testing.assert_array_equal(ax.get_lines()[1].get_ydata(), inference.inferred_inputs[2, :, 0])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    trace = inference.inferred_inputs[2, :, 0]
    assert (band.min(), band.max()) == pytest.approx((trace.min() - 0.2, trace.max() + 0.2))
    assert ax.get_title() == "trial 2 ± posterior s.d."


def test_inferred_inputs_of_a_trial_without_spread(inference, ax):
    plot.inferred_inputs(dataclasses.replace(inference, inferred_inputs_std=None), trial=2, ax=ax)
    assert not ax.collections
    assert ax.get_title() == "trial 2"


def test_mean_inferred_inputs_spread_over_trials(inference, ax):
    plot.inferred_inputs(inference, ax=ax)
    mean = inference.inferred_inputs.mean(axis=0)
    np.testing.assert_allclose(ax.get_lines()[2].get_ydata(), mean[:, 1])
    assert ax.get_title() == "mean of 6 trials ± s.d. over trials"
