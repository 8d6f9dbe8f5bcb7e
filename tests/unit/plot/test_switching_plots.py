from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from latentspike.evaluate import find_switches, proportion
from latentspike.plot import style
from latentspike.plot.switching import switch_probabilities, switches

BIN = 0.01
NAMES = ["I", "E1", "E2"]


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture
def activity():
    first = np.repeat([[20.0, 5.0, 20.0], [5.0, 5.0, 20.0]], 200, axis=1)
    return np.stack([np.full_like(first, 25.0), first, 25 - first], axis=2)


def test_triangles_stand_at_the_switches_in_the_color_of_the_winner(ax, activity):
    found = find_switches(activity, bin_width=BIN, pair=("E1", "E2"), names=NAMES)
    switches(activity, found, names=NAMES, ax=ax)
    marks = {line.get_color(): line for line in ax.get_lines() if line.get_marker() == "v"}
    np.testing.assert_allclose(marks[style.PALETTE[2]].get_xdata(), found.times[:1])
    np.testing.assert_allclose(marks[style.PALETTE[1]].get_xdata(), found.times[1:2])
    assert found.trials.tolist() == [0, 0, 1]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == NAMES


def test_lines_are_smoothed_activity_and_a_band_shows_who_is_active(ax, activity):
    found = find_switches(activity, bin_width=BIN, pair=(1, 2))
    switches(activity, found, trial=1, ax=ax)
    first = next(line for line in ax.get_lines() if line.get_label() == "population 1")
    assert first.get_ydata()[50] == pytest.approx(5.0)
    assert 5 < first.get_ydata()[400] < 20
    band = [item for item in ax.collections if isinstance(item, PolyCollection)]
    spans = [path.get_extents() for item in band for path in item.get_paths()]
    edges = sorted((span.x0, span.x1) for span in spans)
    np.testing.assert_allclose(edges, [(0, found.times[2]), (found.times[2], 6.0)])
    face: Any = band[0].get_facecolor()
    assert same_color(face, style.PALETTE[1])


def test_switches_of_other_activity_are_refused(activity):
    found = find_switches(activity, bin_width=BIN, pair=(1, 2))
    with pytest.raises(ValueError, match=r"\(2, 600\)"):
        switches(activity[:, :-1], found)
    with pytest.raises(ValueError, match="no trial 2"):
        switches(activity, found, trial=2)
    with pytest.raises(ValueError, match="2 names"):
        switches(activity, found, names=["a", "b"])


def test_bars_have_wilsons_intervals_and_counts(ax):
    shares = {"network": proportion(30, 100), "model": proportion(0, 50)}
    switch_probabilities({"active": shares, "silent": {"model": proportion(9, 10)}}, ax=ax)
    bars = {bar.get_label(): [patch.get_height() for patch in bar] for bar in bars_of(ax)}
    assert bars == {"network": [0.3], "model": [0.0, 0.9]}
    assert [text.get_text() for text in ax.texts] == ["30/100", "0/50", "9/10"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["active", "silent"]
    ends = [
        segment[:, 1]
        for container in ax.containers
        if not hasattr(container, "patches")
        for segment in container.lines[2][0].get_segments()
    ]
    np.testing.assert_allclose(ends[0], [shares["network"].low, shares["network"].high])
    np.testing.assert_allclose(ends[1], [0, shares["model"].high], atol=1e-12)


def bars_of(ax):
    return [container for container in ax.containers if hasattr(container, "patches")]


def test_without_trials_there_is_no_bar_but_a_count(ax):
    switch_probabilities({"active": {"network": proportion(0, 0)}}, ax=ax)
    assert [text.get_text() for text in ax.texts] == ["0/0"]


def test_no_probabilities_are_refused():
    with pytest.raises(ValueError, match="no probabilities"):
        switch_probabilities({"active": {}})
