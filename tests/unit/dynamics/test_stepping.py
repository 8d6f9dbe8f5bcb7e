"""How a network becomes bins and age classes."""

import pytest

from latentspike.dynamics import PUBLISHED, Free, Mesoscopic, Network, Population, Stepping


def of(stepping=None, bin_width=0.004, **fields):
    known = {"membrane_time": 0.02, "resting": 14.4, "threshold": 3.7} | fields
    return Mesoscopic.of(Network({"E": Population(400, **known)}), bin_width, stepping)


def test_times_are_rounded_to_whole_bins():
    system = of(refractory=0.005, delay=0.0065)
    assert (system.refractory_bins, system.delay_bins) == ((1,), (2,))
    system = of(refractory=0.0019, delay=0.0, bin_width=0.001)
    assert (system.refractory_bins, system.delay_bins) == ((2,), (0,))
    assert of(delay=0.0006, bin_width=0.0002).delay_bins == (3,)  # 0.0006/0.0002 is below 3


def test_memory_is_four_membrane_times_after_the_refractory_period():
    assert of().n_ages == 20
    assert of(refractory=0.004).n_ages == 21
    assert of(Stepping(max_age=0.1), refractory=0.004).n_ages == 25
    assert of(Stepping(max_age=0.001), refractory=0.04).n_ages == 11  # holds the refractory ones


def test_a_free_membrane_time_counts_with_its_largest_value():
    assert of(membrane_time=Free(0.01, 0.04)).n_ages == 40
    population = Population(400, "tau", resting=14.4, threshold=3.7)
    network = Network({"E": population}, parameters={"tau": Free(0.01, 0.08)})
    assert Mesoscopic.of(network, 0.004).n_ages == 80


def test_the_published_stepping():
    assert (PUBLISHED.membrane, PUBLISHED.variance, PUBLISHED.has_old) == (
        "euler",
        "poisson",
        False,
    )


def test_equal_systems_are_one_key_for_the_compiler():
    assert hash(of()) == hash(of()) and of() == of()
    assert of() != of(PUBLISHED)
    assert of().n_populations == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"membrane": "rk4"}, "membrane must be exact or euler, got 'rk4'"),
        ({"variance": "none"}, "variance must be refined or binomial or poisson"),
        ({"max_age": 0.0}, "max_age must be seconds above 0, got 0.0"),
        ({"max_age": float("inf")}, "max_age must be seconds above 0"),
    ],
)
def test_wrong_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        Stepping(**setting)
