"""Candidate networks compared by neurons that they have not read."""

import jax
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.dynamics import Free, Network, Population
from latentspike.dynamics.stepping import Stepping
from latentspike.models.neulvm import Estimation, NeuLVM
from latentspike.training import held_out
from latentspike.training.held_out import held_out_likelihood

FAST = Stepping("euler", "binomial", has_old=False, max_age=0.04)
SHORT = Estimation(
    n_starts=1, n_warmup=50, n_draws=50, n_leapfrog=8, smoothing=0.03, n_particles=200
)
KEY = jax.random.key(0)


def population():
    return Population(60, 0.02, resting=Free(0.0, 5.0), threshold=0.0, refractory=0.004)


def candidate(**neurons):
    """Populations that a measured input drives, each its own way."""
    populations = {name: population() for name in neurons}
    inputs = {"turn": {name: Free(-3.0, 3.0) for name in neurons}}
    return NeuLVM(Network(populations, inputs=inputs), neurons, FAST, SHORT)


ONE = candidate(all=list(range(8)))
RIGHT = candidate(early=[0, 1, 2, 3], late=[4, 5, 6, 7])
WRONG = candidate(odd=[1, 3, 5, 7], even=[0, 2, 4, 6])


def recording(rng, heldout=(0, 7)):
    """Two groups that take turns."""
    turn = np.arange(150) // 25 % 2
    rates = np.where(turn[:, None] == np.arange(8) // 4, 60.0, 5.0)
    counts = rng.random((1, 150, 8)) < rates * 0.004
    inputs = np.where(turn, 1.0, -1.0)[None, :, None]
    return SpikeData(
        counts.astype(int), 0.004, inputs=inputs, heldout=np.isin(np.arange(8), heldout)
    )


def test_the_right_populations_predict_best(rng):
    data = recording(rng)
    with np.errstate(over="ignore"):  # a trajectory that runs away overflows before it is refused
        found = held_out_likelihood({"right": RIGHT, "wrong": WRONG}, data, n_samples=0, key=KEY)
    assert list(found) == ["right", "wrong"]
    assert found["right"].value > 0.2 > found["wrong"].value + 0.1
    assert found["right"].n_spikes == data.counts[:, :, [0, 7]].sum()


def test_scored_spikes_of_held_out_neurons_do_not_change_their_rates(rng, monkeypatch):
    train, test = recording(rng), recording(rng)
    seen = []
    monkeypatch.setattr(held_out, "co_smoothing_bits", lambda _, posterior: seen.append(posterior))
    with np.errstate(over="ignore"):
        for own_rates in (False, True):
            for counts in (test.counts, np.where(test.heldout, 0, test.counts)):
                scored = test.replace(counts=counts)
                held_out_likelihood(
                    {"right": RIGHT},
                    train,
                    scored=scored,
                    own_rates=own_rates,
                    n_samples=0,
                    key=KEY,
                )
    plain, _, own, own_too = (posterior.rates for posterior in seen)
    np.testing.assert_array_equal(own, own_too)
    assert (np.ptp(own / plain, axis=(0, 1)) < 1e-9).all() and not np.allclose(own, plain)


@pytest.mark.parametrize(
    "models, heldout, said",
    [
        ({}, (0, 7), "no candidate"),
        ({"one": ONE}, (), "no neuron is held out"),
        ({"right": RIGHT}, (0, 1, 2, 3), "candidate 'right': no recorded neuron .* 'early'"),
    ],
)
def test_what_cannot_be_compared(models, heldout, said, rng):
    with pytest.raises(ValueError, match=said):
        held_out_likelihood(models, recording(rng, heldout), key=KEY)
