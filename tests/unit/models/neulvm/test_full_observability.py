"""The fit that takes the smoothed spikes for the activity."""

import jax
import numpy as np
import pytest

from latentspike.dynamics import Mesoscopic, Stepping
from latentspike.models.neulvm.full_observability import fit_fully_observed
from latentspike.models.neulvm.joint import terms
from latentspike.models.neulvm.problem import make_problem
from latentspike.simulate import Clusters, cluster_network, lif_network


@pytest.fixture(scope="module")
def recorded():
    """0.4 s of example 5.1 in its four-cluster state: 200 of its 600 neurons."""
    start = Clusters(4, 0.06, warm_up=0.5)
    activity = lif_network(cluster_network(), 0.4, seed=0, time_step=0.001, start=start)
    return activity.record(200, 0.001, seed=1)


@pytest.fixture(scope="module")
def problem(recorded):
    network = cluster_network(free=True)
    system = Mesoscopic.of(network, 0.001, Stepping(max_age=0.1))
    return system, make_problem(network, system, {}, recorded)


def test_the_best_of_many_starts_is_at_least_as_good_as_a_grid(problem, recorded):
    system, given = problem
    found = fit_fully_observed(system, given, seed=0, width=0.0003, n_starts=8)
    true = recorded.truth["population_counts"]
    assert found.counts.shape == true.shape
    # after 100 ms every neuron has fired
    assert found.counts[:, 100:].sum() == pytest.approx(true[:, 100:].sum(), rel=0.05)
    with jax.enable_x64(True):
        grid = [
            float(terms(system, given, np.array([x]), found.counts).activity[0])
            for x in np.arange(50.0, 75.0, 4.0)
        ]
    assert found.log_probability >= max(grid)
    assert found.log_probability == found.log_probabilities.max()
    np.testing.assert_array_equal(found.free, found.ends[np.argmax(found.log_probabilities)])
    assert found.starts.min() >= 10.0 and found.starts.max() <= 110.0
    assert len(set(found.starts[:, 0])) == 8


def test_starts_of_a_seed_are_the_same(problem):
    one, other = (
        fit_fully_observed(*problem, seed=3, width=0.0014, n_starts=1, n_steps=1) for _ in "ab"
    )
    np.testing.assert_array_equal(one.starts, other.starts)
    np.testing.assert_array_equal(one.free, other.free)


def test_a_fit_without_starts_is_refused(problem):
    with pytest.raises(ValueError, match="n_starts must be at least 1, got 0"):
        fit_fully_observed(*problem, seed=0, n_starts=0)
