import numpy as np
import pytest
from matplotlib.figure import Figure

from latentspike.evaluate.populations import PopulationLabels
from latentspike.plot.populations import distances, population_stability


@pytest.fixture
def ax():
    return Figure().add_subplot()


def found(labels, agreements=(0.8, 1.0), silhouettes=None):
    labels = np.array(labels)
    n = labels.size
    distance = np.abs(np.arange(n)[:, None] - np.arange(n)).astype(float)
    scores = np.linspace(0.1, 0.9, n) if silhouettes is None else np.array(silhouettes)
    return PopulationLabels(np.arange(n), labels, distance, scores, np.array(agreements))


def test_neurons_are_ordered_by_population_and_the_best_fit_first(ax):
    result = found([0, 1, 0, 1, 1], silhouettes=[0.1, 0.5, 0.9, 0.2, 0.7])
    distances(result, ax=ax)
    order = [2, 0, 4, 1, 3]
    np.testing.assert_array_equal(ax.images[0].get_array(), result.distance[np.ix_(order, order)])
    lines = sorted(float(line.get_ydata()[0]) for line in ax.get_lines())
    assert 1.5 in lines
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == ["population 1\n(2 neurons)", "population 2\n(3 neurons)"]
    assert ax.get_title() == "stability 0.90 ± 0.10, silhouette 0.48"


def test_stability_is_drawn_with_its_spread_by_number(ax):
    three, two = found([0, 1, 2, 0], (0.6, 0.8)), found([0, 1, 0, 1], (1.0, 1.0))
    population_stability([three, two], ax=ax)
    (bars,) = ax.containers
    np.testing.assert_allclose(bars.lines[0].get_xydata(), [[2, 1.0], [3, 0.7]])
    ends = [segment[:, 1] for segment in bars.lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, [[1.0, 1.0], [0.6, 0.8]])
    assert ax.get_xticks().tolist() == [2, 3]


def test_no_populations_are_refused():
    with pytest.raises(ValueError, match="no populations"):
        population_stability([])
