import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from latentspike import plot


@pytest.fixture
def ax():
    return Figure().add_subplot()


def ticks(ax):
    """Positions (time, lower end) of all spike ticks in axes."""
    (lines,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    return np.array([segment[0] for segment in lines.get_segments()]), lines


def test_raster_has_one_tick_per_bin_with_spikes(recording, ax):
    plot.raster(recording, trial=2, ax=ax)
    places, lines = ticks(ax)
    bins, rows = np.nonzero(recording.counts[2])
    np.testing.assert_allclose(places[:, 0], recording.times[bins])
    np.testing.assert_allclose(np.round(places[:, 1]), rows)
    widths = np.asarray(lines.get_linewidths())
    counts = recording.counts[2][bins, rows]
    assert (widths[counts == 2] > widths[counts == 1].max()).all()


def test_raster_image_is_the_rates_neurons_by_time_in_hz(recording, inference, ax):
    order = [3, 1, 0, 2, 4]
    plot.raster(recording, inference, trial=1, order=order, ax=ax)
    np.testing.assert_array_equal(ax.images[0].get_array(), inference.rates[1][:, order].T)
    assert ax.images[0].get_extent() == pytest.approx([-0.1, 0.3, -0.5, 4.5])


def test_raster_of_true_rates(recording, ax):
    plot.raster(recording, rates="true", max_rate=50, ax=ax)
    np.testing.assert_array_equal(ax.images[0].get_array(), recording.truth["rates"][0].T)
    assert ax.images[0].get_clim() == (0, 50)


def test_raster_shades_what_was_not_observed_and_draws_no_spike_there(recording, ax):
    observed = np.ones(recording.counts.shape, bool)
    observed[0, :20] = False
    plot.raster(recording.replace(observed=observed), ax=ax)
    assert ticks(ax)[0][:, 0].min() > recording.times[19]
    shade = np.asarray(ax.images[0].get_array())[:, :, 3]
    np.testing.assert_array_equal(shade > 0, ~observed[0].T)


def test_raster_of_continuous_data_has_no_spikes(recording, ax):
    traces = recording.replace(counts=recording.counts * 0.5, kind="continuous")
    plot.raster(traces, rates="true", ax=ax)
    assert not ax.collections


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"trial": 6}, "no trial 6"),
        ({"rates": "observed"}, "'inferred' or 'true'"),
    ],
)
def test_raster_refuses(recording, inference, ax, keywords, message):
    with pytest.raises(ValueError, match=message):
        plot.raster(recording, inference, ax=ax, **keywords)


def test_raster_says_when_the_truth_is_not_known(recording, ax):
    with pytest.raises(ValueError, match="only simulations know"):
        plot.raster(recording.replace(truth={}), rates="true", ax=ax)


def test_rates_draws_truth_black_and_inference_in_blue(recording, inference, ax):
    plot.rates(recording, inference, trial=-1, neurons=[2], axes=[ax])
    true, inferred = ax.get_lines()[:2]
    np.testing.assert_array_equal(true.get_ydata(), recording.truth["rates"][5, :, 2])
    np.testing.assert_array_equal(inferred.get_ydata(), inference.rates[5, :, 2])
    np.testing.assert_allclose(true.get_xdata(), recording.times)
    assert (true.get_color(), inferred.get_color()) == ("black", "#0072B2")


def test_rates_without_truth_draws_the_inference_alone(recording, inference, ax):
    plot.rates(recording.replace(truth={}), inference, neurons=[2], axes=ax)
    labels = [line.get_label() for line in ax.get_lines()]
    assert "inferred" in labels and "true" not in labels


def test_rates_says_which_neuron_is_held_out(recording, inference):
    axes = Figure().subplots(2, 1)
    plot.rates(recording, inference, neurons=[3, 4], axes=axes)
    assert [ax.get_title(loc="left") for ax in axes] == ["neuron 3", "neuron 4, held out"]


def test_rates_of_the_busiest_neurons_by_default(recording, inference):
    spikes = recording.counts.sum(axis=(0, 1))
    axes = plot.rates(recording, inference, axes=Figure().subplots(3, 1))
    busiest = sorted(np.argsort(-spikes.astype(int), kind="stable")[:3])
    titles = [ax.get_title(loc="left").split(",")[0] for ax in axes]
    assert titles == [f"neuron {i}" for i in busiest]


def test_rates_refuses_a_wrong_number_of_axes(recording, inference, ax):
    with pytest.raises(ValueError, match="2 panels to draw need 2 axes, got 1"):
        plot.rates(recording, inference, neurons=[0, 1], axes=ax)


def test_rates_refuses_another_recording(recording, inference, ax):
    with pytest.raises(ValueError, match="posterior"):
        plot.rates(recording.select_trials([0, 1]), inference, neurons=[0], axes=ax)


@pytest.mark.parametrize(("neurons", "message"), [([5], "no neuron 5"), ([], "no neuron was")])
def test_rates_refuses_neurons_that_do_not_exist(recording, inference, neurons, message):
    with pytest.raises(ValueError, match=message):
        plot.rates(recording, inference, neurons=neurons)
