import numpy as np
import pytest
from matplotlib.figure import Figure

from latentspike import plot


@pytest.fixture
def ax():
    return Figure().add_subplot()


def paths(ax, style):
    drawn = [line for line in ax.get_lines() if line.get_linestyle() == style]
    return [np.array(line.get_xydata()) for line in drawn if len(line.get_xdata())]


def test_measured_is_dashed_and_estimated_solid(ax, rng):
    hand, decoded = rng.normal(size=(2, 3, 20, 2))
    plot.decoding(hand, decoded, trials=[2, 0], ax=ax)
    np.testing.assert_array_equal(paths(ax, "--"), hand[[2, 0]])
    np.testing.assert_array_equal(paths(ax, "-"), decoded[[2, 0]])


def test_both_axes_have_one_scale(ax, rng):
    hand = rng.normal(size=(3, 20, 2)) * [100, 1]
    plot.decoding(hand, hand, labels=("x (cm)", "y (cm)"), ax=ax)
    assert ax.get_aspect() == 1
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (cm)", "y (cm)")


def test_conditions_have_their_colors_and_a_legend(ax, rng):
    hand = rng.normal(size=(3, 20, 2))
    plot.decoding(hand, hand, conditions=["up", "down", "up"], ax=ax)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["actual", "estimated", "down", "up"]
    colors = [line.get_color() for line in ax.get_lines()[::2]][:3]
    assert colors[0] == colors[2] != colors[1]


def test_bins_without_measurement_are_gaps(ax, rng):
    hand = rng.normal(size=(1, 20, 2))
    hand[0, 5] = np.nan
    plot.decoding(hand, np.zeros_like(hand), ax=ax)
    assert np.isnan(paths(ax, "--")[0][5]).all()


@pytest.mark.parametrize(
    ("behavior", "prediction", "message"),
    [
        (np.ones((3, 20, 1)), np.ones((3, 20, 1)), "choose two"),
        (np.ones((3, 20, 2)), np.ones((3, 19, 2)), r"\(3, 20, 2\) but the prediction \(3, 19, 2\)"),
    ],
)
def test_paths_of_another_shape_are_refused(behavior, prediction, message):
    with pytest.raises(ValueError, match=message):
        plot.decoding(behavior, prediction)
