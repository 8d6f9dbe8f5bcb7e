"""Pulses to the network and to its mesoscopic model."""

import numpy as np
import pytest

from latentspike.evaluate import pulse_outcomes
from latentspike.simulate import Pulse, pulse_experiment, winner_take_all

STRONG = Pulse(0.6, 0.02, 30.0)


def outcomes(trials, horizon):
    return pulse_outcomes(
        trials.activity,
        trials.pulse_time,
        bin_width=trials.bin_width,
        pair=trials.pair,
        names=trials.names,
        horizon=horizon,
    )


@pytest.mark.parametrize("kind", ["network", "mesoscopic"])
def test_a_strong_pulse_to_the_silent_population_makes_it_win(kind):
    options = {"kind": kind, "seed": 1, "n_trials": 20, "horizon": 0.2}
    trials = pulse_experiment(winner_take_all(), STRONG, target="silent", **options)
    found = outcomes(trials, 0.2)
    assert found.probability("switch").value > 0.7
    np.testing.assert_array_equal(found.before, trials.was_active)
    assert np.all(trials.stimulated == 1 - trials.was_active)
    # the pulse reached who it was meant for: nobody else fires that much
    during = trials.activity[:, 150:155].mean(1)
    own = during[np.arange(20), trials.stimulated]
    assert np.all(own > 3 * during[np.arange(20), 1 - trials.stimulated])


def test_without_a_pulse_hardly_anyone_switches_in_a_short_time():
    nothing = Pulse(0.6, 0.02, 0.0)
    options = {"kind": "mesoscopic", "seed": 2, "n_trials": 60, "horizon": 0.2}
    trials = pulse_experiment(winner_take_all(), nothing, target="active", **options)
    np.testing.assert_array_equal(trials.stimulated, trials.was_active)
    assert outcomes(trials, 0.2).probability("switch").value < 0.2
    assert 10 < trials.was_active.sum() < 50


def test_seeds_of_pulse_experiments():
    def run(seed):
        options = {"kind": "mesoscopic", "seed": seed, "n_trials": 3, "horizon": 0.2}
        return pulse_experiment(winner_take_all(), STRONG, target="silent", **options).activity

    np.testing.assert_array_equal(run(0), run(0))
    assert np.any(run(0) != run(1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "both"}, "target must be one of .*got 'both'"),
        ({"kind": "nest"}, "kind must be one of"),
        ({"pulse": Pulse(0.05, 0.01, 1.0)}, r"the pulse starts at 0\.05 s"),
        ({"pulse": Pulse(1.0, 0.01, 1.0, [0])}, r"pulse\.trials must be left out"),
        ({"pair": ("E1", "E3")}, "pair must be two of E1, E2, I"),
        ({"network": winner_take_all(free=True)}, "free parameters"),
        ({"n_trials": 0}, "n_trials"),
    ],
)
def test_wrong_pulse_experiments_are_named(changes, message):
    options = {"network": winner_take_all(), "pulse": STRONG, "target": "active"}
    options |= {"kind": "mesoscopic", "seed": 0}
    with pytest.raises(ValueError, match=message):
        pulse_experiment(**options | changes)


def test_a_network_without_two_states_is_found_out():
    network = winner_take_all()
    alike = type(network)(network.populations)  # unconnected
    with pytest.raises(ValueError, match=r"only \d+ of 200 trials have a winner"):
        pulse_experiment(alike, STRONG, target="active", kind="mesoscopic", seed=0, horizon=0.2)
