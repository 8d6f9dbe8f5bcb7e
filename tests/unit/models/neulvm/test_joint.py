"""What the first bins of a trial are held to."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike.dynamics import Mesoscopic, Stepping
from latentspike.models.neulvm.joint import by_activity, log_free, terms
from latentspike.models.neulvm.metric import _free, to_counts, to_place
from latentspike.models.neulvm.problem import make_problem
from latentspike.simulate import Asynchronous, cluster_network, lif_network

STATIONARY = Stepping("euler", "refined", max_age=0.2, start="stationary")
BIN = 0.001


@pytest.fixture(scope="module")
def volleys():
    """Half a second of six neurons, cut from a network in the middle of its volleys."""
    run = lif_network(
        cluster_network(62.0), 1.5, seed=0, time_step=BIN, membrane="euler", start=Asynchronous(20)
    )
    data = run.record(6, BIN, seed=0)
    cut = {name: values[:, 1000:] for name, values in data.truth.items()}
    return data.replace(counts=data.counts[:, 1000:], observed=None, truth=cut)


def joint_of(data, stepping):
    network = cluster_network(free=True)
    system = Mesoscopic.of(network, BIN, stepping)
    return system, make_problem(network, system, {}, data)


def test_a_trial_cut_from_volleys_is_likely_only_if_its_start_is_free(volleys):
    true = volleys.truth["population_counts"]
    with jax.enable_x64(True):
        free = jnp.array([62.0])
        found = {
            start: [
                np.asarray(x)
                for x in terms(*joint_of(volleys, replace(STATIONARY, start=start)), free, true)
            ]
            for start in ("stationary", "free")
        }
    (spikes, cut_off), (same_spikes, free_start) = found.values()
    assert cut_off[0] < free_start[0] - 1000
    assert -4 < free_start[0] / true.shape[1] < 0  # nats per bin, as of other bins
    np.testing.assert_allclose(spikes, same_spikes)


def test_the_free_bins_are_half_the_memory_and_at_most_a_quarter_of_a_trial():
    system = Mesoscopic.of(cluster_network(), BIN, replace(STATIONARY, start="free"))
    assert [system.n_free_bins(n) for n in (1000, 400, 200, 3)] == [100, 100, 50, 0]
    assert Mesoscopic.of(cluster_network(), BIN, STATIONARY).n_free_bins(1000) == 0


def test_the_density_of_free_bins_and_its_curvature_are_one(rng):
    counts = rng.uniform(0.0, 80.0, (2, 40, 3))
    with jax.enable_x64(True):
        place = jnp.asarray(to_place(counts))
        np.testing.assert_allclose(to_counts(place), counts, atol=1e-6)
        squares = 0.5 * jnp.sum(_free(place, 10) ** 2, -1)
        mean = counts.mean(1, keepdims=True)
        expected = -np.sum(counts[:, :10] / mean + np.log(mean), -1)
        np.testing.assert_allclose(log_free(jnp.asarray(counts), 10), expected, rtol=1e-9)
        np.testing.assert_allclose(-squares - np.log(mean).sum(-1), expected, rtol=1e-6)


def test_gradients_are_those_of_the_free_start(volleys):
    system, problem = joint_of(volleys, replace(STATIONARY, start="free"))
    root = 2 * np.sqrt(volleys.truth["population_counts"] + 0.1)
    with jax.enable_x64(True):
        free = jnp.array([62.0])
        _, gradient = by_activity(system, problem, free, jnp.asarray(root))
        for place in ((0, 3, 0), (0, 99, 0), (0, 150, 0)):
            step = np.zeros(root.shape)
            step[place] = 1e-5
            ends = [by_activity(system, problem, free, root + s)[0] for s in (step, -step)]
            slope = float(ends[0] - ends[1]) / 2e-5
            assert float(gradient[place]) == pytest.approx(slope, rel=1e-4)
