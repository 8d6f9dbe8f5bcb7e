import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from latentspike import Posterior, SpikeData, plot


@pytest.fixture
def ax():
    return Figure().add_subplot()


def lines(ax, width):
    """Curves of a line width (spikes 0.8, inferred 2) over the trial; not the legend's."""
    drawn = [line for line in ax.get_lines() if line.get_linewidth() == width]
    return [np.asarray(line.get_ydata(), float) for line in drawn if len(line.get_xdata()) > 2]


def steady(observed=None):
    """One spike in every bin of 10 ms: 100 Hz, whatever is averaged."""
    data = SpikeData(
        np.ones((4, 30, 2), int), bin_width=0.01, conditions=[0, 0, 1, 1], observed=observed
    )
    return data, Posterior(np.full((4, 30, 2), 90.0), 0.01, data.trial_ids, data.neuron_ids)


def test_a_steady_rate_stays_flat_up_to_the_edges(ax):
    plot.psths(*steady(), neurons=[0], axes=ax)
    for curve in lines(ax, 0.8):
        np.testing.assert_allclose(curve, 100.0)
    for curve in lines(ax, 2):
        np.testing.assert_allclose(curve, 90.0)


def test_missing_bins_do_not_pull_the_rate_down(ax):
    observed = np.ones((4, 30, 2), bool)
    observed[0, 10:20] = False
    plot.psths(*steady(observed), neurons=[0], axes=ax)
    for curve in lines(ax, 0.8):
        np.testing.assert_allclose(curve, 100.0)


def test_a_bin_that_no_trial_observed_is_a_gap(ax):
    observed = np.ones((4, 30, 2), bool)
    observed[:, :15] = False
    plot.psths(*steady(observed), neurons=[0], smoothing=0.01, axes=ax)
    first = lines(ax, 0.8)[0]
    assert np.isnan(first[0]) and np.isfinite(first[-1])


def test_one_pair_of_curves_for_each_condition(recording, inference, ax):
    plot.psths(recording, inference, neurons=[1], axes=ax)
    assert len(lines(ax, 0.8)) == len(lines(ax, 2)) == 2
    for curve, label in zip(lines(ax, 2), ["left", "right"], strict=True):
        chosen = recording.conditions == label
        np.testing.assert_allclose(curve, inference.rates[chosen, :, 1].mean(axis=0))
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["spikes ± s.e.", "inferred", "left", "right"]


def test_without_conditions_all_trials_are_one(recording, inference, ax):
    plot.psths(recording.replace(conditions=None), inference, neurons=[1], axes=ax)
    assert len(lines(ax, 2)) == 1


def test_more_conditions_than_colors_have_distinct_colors_and_no_legend_of_them(ax):
    data = SpikeData(np.ones((12, 5, 1), int), bin_width=0.01, conditions=np.arange(12))
    flat = Posterior(np.full((12, 5, 1), 100.0), 0.01, data.trial_ids, data.neuron_ids)
    plot.psths(data, flat, axes=ax)
    thick = [x for x in ax.get_lines() if x.get_linewidth() == 2 and len(x.get_xdata())]
    assert len({to_hex(x.get_color()) for x in thick}) == 12
    assert len(ax.get_legend().get_texts()) == 2


@pytest.mark.parametrize("smoothing", [0, -0.01, np.nan])
def test_smoothing_must_be_positive(recording, inference, smoothing, ax):
    with pytest.raises(ValueError, match="positive"):
        plot.psths(recording, inference, neurons=[0], smoothing=smoothing, axes=ax)
