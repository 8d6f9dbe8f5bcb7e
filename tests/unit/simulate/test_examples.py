import dataclasses
from pathlib import Path

import numpy as np
import pytest

from latentspike.simulate import cluster_network, winner_take_all

GOLDEN = Path(__file__).parents[2] / "golden"


TRUE = winner_take_all()


def true_value(name):
    """Of a free parameter of the winner-take-all network."""
    if name.startswith("strength_"):
        return next(iter(TRUE.connections[name.removeprefix("strength_")].values()))
    population, kind = name.split(".")
    return getattr(TRUE.populations[population], kind)


# file d was made with 60 mV
@pytest.mark.parametrize(("name", "network"), [("a", TRUE), ("d", cluster_network(60.0))])
def test_examples_have_the_numbers_of_the_golden_files(name, network):
    with np.load(GOLDEN / f"neulvm_{name}.npz", allow_pickle=False) as file:
        golden = dict(file)
    values = network.values()
    np.testing.assert_allclose(values.membrane_time, 1 / golden["amem"])
    np.testing.assert_allclose(values.resting, golden["rp"])
    np.testing.assert_allclose(values.threshold, golden["ft"])
    np.testing.assert_allclose(values.synapse_time, 1 / golden["alpha_syn"])
    np.testing.assert_allclose(values.strength, golden["J_src_dst"].T)
    np.testing.assert_array_equal(network.sizes, golden["N"])
    for population in network.populations.values():
        assert population.delay == pytest.approx(golden["syn_delay"].max())
        assert population.refractory == pytest.approx(float(golden["ref_bins"] * golden["dt"]))


def test_boxes_surround_the_true_values():
    network = winner_take_all(free=True)
    low, high = network.bounds
    values = np.array([true_value(name) for name in network.free_names])
    assert len(values) == 12
    np.testing.assert_allclose(np.minimum(0.4 * values, 2 * values), low)
    np.testing.assert_allclose(np.maximum(0.4 * values, 2 * values), high)


def test_free_examples_become_the_true_ones():
    network = winner_take_all(free=True)
    numbers = [true_value(name) for name in network.free_names]
    assert dataclasses.asdict(network.with_values(numbers)) == dataclasses.asdict(TRUE)
    fixed = cluster_network(free=True).with_values([61.0])
    assert dataclasses.asdict(fixed) == dataclasses.asdict(cluster_network(61.0))
