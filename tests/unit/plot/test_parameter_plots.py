import numpy as np
import pytest
from matplotlib.figure import Figure

from latentspike.plot.parameters import parameters

FOUND = {
    "J": {"value": 60.0, "low": 35.0, "high": 85.0, "share": 0.5},
    "resting": {"value": -5.0},
}
BOXES = {"J": (10.0, 110.0), "resting": (-10.0, 10.0)}


@pytest.fixture
def ax():
    return Figure().add_subplot()


def lines(ax, label):
    return [line.get_xydata() for line in ax.get_lines() if line.get_label() == label]


def test_everything_stands_at_its_place_in_the_box(ax):
    parameters(FOUND, BOXES, truth={"J": 110.0, "other": 3.0}, ax=ax)
    np.testing.assert_allclose(lines(ax, "value"), [[[0.5, 0]], [[0.25, 1]]])
    np.testing.assert_allclose(lines(ax, "90 % interval"), [[[0.25, 0], [0.75, 0]]])
    np.testing.assert_allclose(lines(ax, "truth"), [[[1.0, 0]]])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["J", "resting"]
    assert [text.get_text().strip() for text in ax.texts] == ["10", "110", "−10", "10"]
    assert ax.yaxis_inverted()  # the first parameter on top


def test_the_legend_names_each_thing_once(ax):
    parameters(FOUND, BOXES, ax=ax)
    said = [text.get_text() for text in ax.get_legend().get_texts()]
    assert said == ["90 % interval", "value", "prior box"]


@pytest.mark.parametrize(
    "found, said", [({}, "nothing to draw"), ({"K": {"value": 1.0}}, "no prior box of 'K'")]
)
def test_what_cannot_be_drawn(found, said):
    with pytest.raises(ValueError, match=said):
        parameters(found, BOXES)
