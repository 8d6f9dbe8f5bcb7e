import numpy as np
import pytest
from matplotlib.colors import to_rgb

from latentspike.plot import style


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def as_seen_with_deuteranopia(color):
    """Machado et al. (2009), full deuteranopia, on linear RGB."""
    matrix = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    return np.clip(np.array(matrix) @ np.array(to_rgb(color)) ** 2.2, 0, 1) ** (1 / 2.2)


def test_the_palette_is_told_apart_without_green_receptors():
    seen = [as_seen_with_deuteranopia(color) for color in style.PALETTE]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(distances) > 0.1
    # The measure itself sees what the eye does not: red and green of equal brightness.
    confused = [as_seen_with_deuteranopia(c) for c in ("#B05000", "#787000")]
    assert np.linalg.norm(confused[0] - confused[1]) < 0.1


def test_every_color_is_visible_on_white():
    assert all(luminance(color) < 0.5 for color in style.PALETTE)


def test_conditions_keep_their_colors_in_sorted_order():
    assert style.condition_colors(np.array([3, 1, 3])) == {1: style.PALETTE[0], 3: style.PALETTE[1]}


def test_time_axes_reach_from_edge_to_edge_of_the_bins():
    ax = style.one_axes(None, (2, 2))
    style.over_time(ax, np.array([0.005, 0.015, 0.025]), y="rate (Hz)")
    assert ax.get_xlim() == pytest.approx((0, 0.03))
    assert not ax.get_lines()  # the event is not in this trial
    style.plt.close(ax.figure)


def test_the_event_is_marked_inside_a_trial():
    ax = style.one_axes(None, (2, 2))
    style.over_time(ax, np.array([-0.005, 0.005]), y="rate (Hz)")
    np.testing.assert_array_equal(ax.get_lines()[0].get_xdata(), [0, 0])
    style.plt.close(ax.figure)


@pytest.mark.parametrize(("index", "expected"), [(0, 0), (3, 3), (-1, 3), (np.int64(2), 2)])
def test_an_index_may_count_from_the_end(index, expected):
    assert style.check_index(index, 4, "trial") == expected


@pytest.mark.parametrize("index", [4, -5])
def test_an_index_out_of_range_is_refused(index):
    with pytest.raises(ValueError, match=f"no trial {index}: the 4 trials count from 0"):
        style.check_index(index, 4, "trial")
