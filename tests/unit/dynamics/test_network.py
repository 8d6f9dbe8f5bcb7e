"""`Network`: names, free, shared, fixed and absent numbers, and its errors."""

import numpy as np
import pytest

from latentspike.dynamics import Free, Network, Population


def population(**fields):
    known = {"size": 10, "membrane_time": 0.02, "resting": 14.4, "threshold": 3.7} | fields
    return Population(**known)


def competing():
    """Every kind of number: fixed, free, shared, absent."""
    return Network(
        {
            "E": population(size=40, membrane_time="tau", threshold=Free(1.0, 9.0, start=2.0)),
            "I": population(size=20, membrane_time="tau", delay=0.001),
        },
        {"E": {"E": "J", "I": "J"}, "I": {"E": Free(-30.0, -10.0)}},
        {"J": Free(4.0, 20.0), "tau": Free(0.01, 0.03)},
        {"light": {"E": 3.0}, "sound": {"I": Free(0.0, 2.0)}},
    )


def test_free_parameters_have_names_bounds_and_starts():
    network = competing()
    assert network.free_names == ("J", "tau", "E.threshold", "I → E", "sound → I")
    low, high = network.bounds
    assert low.tolist() == [4.0, 0.01, 1.0, -30.0, 0.0]
    assert high.tolist() == [20.0, 0.03, 9.0, -10.0, 2.0]
    assert network.start.tolist() == [12.0, 0.02, 2.0, -20.0, 1.0]
    assert network.names == ("E", "I") and network.sizes.tolist() == [40.0, 20.0]


def test_each_number_goes_to_its_place():
    values = competing().values([7.0, 0.015, 5.0, -11.0, 0.5])
    assert values.membrane_time.tolist() == [0.015, 0.015]
    assert values.threshold.tolist() == [5.0, 3.7]
    assert values.resting.tolist() == [14.4, 14.4]
    assert values.synapse_time.tolist() == [0.003, 0.003]
    # rows are targets, columns are sources
    assert values.strength.tolist() == [[7.0, -11.0], [7.0, 0.0]]
    assert values.input_gain.tolist() == [[3.0, 0.0], [0.0, 0.5]]


def test_a_network_of_numbers_has_the_values_of_its_parameters():
    free = np.array([7.0, 0.015, 5.0, -11.0, 0.5])
    known = competing().with_values(free)
    assert known.free_names == () and known.start.size == 0
    for one, other in zip(known.values(), competing().values(free), strict=True):
        np.testing.assert_array_equal(one, other)
    assert known.populations["I"].delay == 0.001


def test_no_connections_and_no_inputs():
    values = Network({"E": population()}).values()
    assert values.strength.tolist() == [[0.0]] and values.input_gain.shape == (1, 0)


def test_plain_dicts_and_back():
    network = competing()
    config = network.to_config()
    assert config["parameters"]["J"] == {"low": 4.0, "high": 20.0}
    assert config["populations"]["E"]["threshold"] == {"low": 1.0, "high": 9.0, "start": 2.0}
    assert Network.from_config(config) == network
    assert Network.from_config(config).to_config() == config


def test_defaults_of_a_population_need_not_be_written():
    fields = {"size": 5, "membrane_time": 0.02, "resting": 14, "threshold": 4}
    network = Network.from_config({"populations": {"E": fields}})
    assert network == Network({"E": population(size=5, resting=14, threshold=4)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({},), "at least one population"),
        (({"E": population(size=0)},), r"E\.size must be a whole number of neurons, got 0"),
        (({"E": population(size=2.5)},), r"E\.size must be a whole number"),
        (({"E": population(size=True)},), r"E\.size must be a whole number"),
        (({"E": population(refractory=-1.0)},), r"E\.refractory must be seconds, 0 or more, got"),
        (({"E": population(delay=float("nan"))},), r"E\.delay must be seconds"),
        (({"E": population(delay="slow")},), r"E\.delay must be seconds"),
        (({"E": population()}, {"X": {"E": 1.0}}), r"connections\.X names X; populations: E"),
        (({"E": population()}, {"E": {"Y": 1.0}}), r"connections\.E names Y; populations: E"),
        (({"E": population()}, {}, {}, {"light": {"Z": 1.0}}), r"inputs\.light names Z"),
        (({"E": population()}, {"E": {"E": "J"}}), "'J' is used but not declared"),
        (({"E": population()}, {}, {"J": Free(0, 1)}), "'J' is declared but used nowhere"),
        (({"E": population(resting=None)},), r"E\.resting must be a number, a name or a box"),
        (({"E": population(resting=float("inf"))},), r"E\.resting must be finite, got inf"),
        (({"E": population(membrane_time=0.0)},), r"E\.membrane_time must be positive, got 0"),
        (({"E": population(synapse_time=-1.0)},), r"E\.synapse_time must be positive"),
        (({"E": population(membrane_time=Free(0, 1))},), r"E\.membrane_time must be positive"),
        (
            ({"E": population(membrane_time="t")}, {}, {"t": Free(-1, 1)}),
            r"E\.membrane_time must be positive",
        ),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Network(*arguments)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((1.0, 1.0), "low < high, got 1.0 and 1.0"),
        ((0.0, float("inf")), "low < high"),
        ((0.0, 1.0, 2.0), r"start 2.0 is outside of \[0.0, 1.0\]"),
    ],
)
def test_boxes_that_are_none(box, message):
    with pytest.raises(ValueError, match=message):
        Free(*box)


def config(**changes):
    fields = {"size": 5, "membrane_time": 0.02, "resting": 14.0, "threshold": 4.0} | changes
    return {"populations": {"E": fields}}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"nodes": {}}, r"unknown key network\.nodes"),
        ({"populations": 3}, "must be a table, got 3"),
        ({"populations": {"E": 3}}, r"network\.populations\.E must be a table"),
        (config(colour=1), r"unknown key network\.E\.colour; known: size"),
        (config(resting=True), r"network\.E\.resting must be a number, a name or"),
        (config(resting=[1]), r"network\.E\.resting must be a number"),
        (config(resting={"low": 1}), r"network\.E\.resting must have low and high"),
        ({"populations": {"E": {"size": 5}}}, r"network\.E: .*membrane_time"),
        (config() | {"connections": {"E": 5}}, r"network\.connections\.E must be a table"),
        (config() | {"connections": {"E": {"E": []}}}, r"network\.connections\.E\.E must be"),
        (
            config() | {"parameters": {"J": {"low": 0, "high": 1, "mid": 2}}},
            r"network\.parameters\.J must have low and high",
        ),
    ],
)
def test_wrong_tables_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        Network.from_config(wrong)


@pytest.mark.parametrize("free", [[1.0], np.zeros(6), np.zeros((5, 1))])
def test_a_wrong_number_of_parameters(free):
    with pytest.raises(ValueError, match=r"5 free parameters \(J, tau, "):
        competing().values(free)
    if len(np.shape(free)) == 1:
        with pytest.raises(ValueError):
            competing().with_values(free)
