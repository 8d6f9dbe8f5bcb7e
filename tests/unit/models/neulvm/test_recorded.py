"""Simulation of a fitted network: populations, and the spikes of single neurons in them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike.dynamics import Free, Network, Population
from latentspike.dynamics.drive import drive
from latentspike.dynamics.single_neurons import log_spikes
from latentspike.dynamics.stepping import Mesoscopic, Stepping
from latentspike.models.neulvm import NeuLVM
from latentspike.models.neulvm.problem import ages_of
from latentspike.models.neulvm.recorded import _ids, draw_spikes

STEPPING = Stepping("euler", "binomial", max_age=0.06)  # the cheapest to compile
NETWORK = Network(
    {
        "E": Population(80, 0.02, resting=13.0, threshold=9.0, refractory=0.008),
        "I": Population(40, 0.01, resting=10.0, threshold=9.0),
    },
    {"E": {"E": Free(0.0, 5.0), "I": 2.0}, "I": {"E": -2.0}},
)
MODEL = NeuLVM(NETWORK, {"E": ["b", "a"], "I": ["c"]}, stepping=STEPPING)
PARAMS = {"free": np.array([2.0]), "rate": np.array([15.0, 5.0]), "n_recorded": np.array([2, 1])}


def simulated(seed=0, n_trials=3, **more):
    return MODEL.simulate(
        PARAMS, n_trials=n_trials, n_bins=100, bin_width=0.004, key=jax.random.key(seed), **more
    )


def test_a_simulation_looks_like_a_recording_with_truth():
    data = simulated()
    assert data.counts.shape == (3, 100, 3) and data.bin_width == 0.004
    assert data.neuron_ids.tolist() == ["b", "a", "c"]
    counts = data.truth["population_counts"]
    np.testing.assert_array_equal(counts, np.round(counts))
    np.testing.assert_allclose(data.truth["population_rate"], counts / ([80, 40] * np.array(0.004)))
    np.testing.assert_array_equal(
        data.truth["rates"], data.truth["population_rate"][..., [0, 0, 1]]
    )
    MODEL.prepare(data)  # and can be fitted again
    unnamed = NeuLVM(Network({"E": NETWORK.populations["E"]}), stepping=STEPPING)
    assert _ids(unnamed, np.array([11])) == [f"E-{i:02d}" for i in range(11)]


def test_trials_depend_on_the_key_and_their_number_alone():
    a, b, other = simulated(), simulated(n_trials=2), simulated(seed=1)
    np.testing.assert_array_equal(a.counts[:2], b.counts)
    np.testing.assert_array_equal(a.truth["population_counts"][:2], b.truth["population_counts"])
    assert not np.array_equal(a.counts[0], a.counts[1])
    assert not np.array_equal(a.counts, other.counts)


def test_currents_drive_the_populations_they_are_given_to():
    pulse = np.zeros((100, 2))
    pulse[50:, 0] = 15.0
    quiet, driven = (simulated(current=c).truth["population_rate"] for c in (None, pulse))
    np.testing.assert_array_equal(quiet[:, :50], driven[:, :50])
    assert driven[:, 60:, 0].mean() > 1.5 * quiet[:, 60:, 0].mean()
    each = np.stack([pulse, 0 * pulse, pulse])
    np.testing.assert_array_equal(simulated(current=each).truth["population_rate"][1], quiet[1])
    with pytest.raises(ValueError, match=r"current must be \[bins, K\].*got \(100,\)"):
        simulated(current=pulse[:, 0])
    with pytest.raises(ValueError, match="finite"):
        simulated(current=pulse * np.nan)
    with pytest.raises(ValueError, match="n_trials must be at least 1"):
        simulated(n_trials=0)


def test_neurons_fire_as_likely_as_the_likelihood_says():
    """Spikes of many neurons against `log_spikes`, where the last spike is known."""
    system = Mesoscopic.of(NETWORK, 0.004, Stepping(max_age=0.08))
    population = np.repeat([0, 1], 3000)
    with jax.enable_x64(True):
        values = NETWORK.values(np.array([2.0]))
        rng = np.random.default_rng(0)
        activity = jnp.asarray(rng.uniform(0.0, 0.15, (2, 120)))
        driven = drive(system, values, activity, jnp.array([15.0, 5.0]), None)
        drawn = draw_spikes(system, values, driven, jnp.asarray(population), key=jax.random.key(1))
        spikes = np.asarray(drawn)
        ages = ages_of(spikes[None], np.ones_like(spikes[None]))[0]
        log_chance = log_spikes(
            system, values, driven, spikes=jnp.ones(spikes.shape), ages=ages, population=population
        )
    chance = np.exp(log_chance)
    refractory = np.array(system.refractory_bins)[population]
    is_clamped = (ages >= 0) & (ages < refractory)
    assert refractory.tolist()[0] == 2 and not spikes[is_clamped].any()
    known = (ages >= 0) & ~is_clamped
    for k in (0, 1):
        for young in (True, False):
            chosen = known & (population == k) & ((ages < 15) == young)
            expected, spread = chance[chosen].sum(), np.sqrt(chance[chosen].sum())
            assert expected > 50
            assert abs(spikes[chosen].sum() - expected) < 4 * spread
    # before its first bin a neuron has lived: it does not start recovered
    recovered = np.exp(np.asarray(log_chance)[0])
    assert spikes[0, population == 0].mean() < 0.9 * recovered[population == 0].mean()
