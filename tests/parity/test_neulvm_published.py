"""The published scheme of `latentspike.dynamics` against the NumPy reference without quirks."""

import functools
import importlib.util
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from latentspike.dynamics import Network, Population
from latentspike.dynamics.drive import drive
from latentspike.dynamics.mesoscopic import log_activity, predict
from latentspike.dynamics.single_neurons import log_spikes
from latentspike.dynamics.stepping import PUBLISHED, Mesoscopic

_spec = importlib.util.spec_from_file_location(
    "neulvm_reference", Path(__file__).with_name("neulvm_reference.py")
)
assert _spec and _spec.loader
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

TOLERANCE = 1e-10
SEEN_IN_D = (
    "initial_voltage_from_spike",
    "initial_class_missing",
    "age_from_history",
    "unseen_just_fired",
    "tiny_hazard_at_zero",
    "linear_small_hazard",
    "unbounded_hazard",
    "short_pi",
)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def network_of(system):
    """The same numbers as the product's `Network`."""
    names = [f"p{k}" for k in range(len(system.sizes))]
    dt = system.bin_width
    populations = {
        name: Population(
            size=int(system.sizes[k]),
            membrane_time=float(system.membrane_time[k]),
            resting=float(system.resting[k]),
            threshold=float(system.threshold[k]),
            refractory=float(system.refractory[k] * dt),
            synapse_time=float(system.synapse_time[k]),
            delay=float(system.delay[k]),
        )
        for k, name in enumerate(names)
    }
    connections = {
        sender: {receiver: float(system.strength[k, s]) for k, receiver in enumerate(names)}
        for s, sender in enumerate(names)
    }
    return Network(populations, connections)


def product_of(system):
    network = network_of(system)
    stepping = replace(PUBLISHED, max_age=system.n_ages * system.bin_width)
    return Mesoscopic.of(network, system.bin_width, stepping), network.values()


def ages_of(spikes):
    """Bins since the last spike before each bin (0: the bin before), −1 where there was none."""
    bins = np.arange(len(spikes))[:, None]
    latest = np.maximum.accumulate(np.where(spikes > 0, bins, -1), axis=0)
    latest = np.concatenate([np.full((1, spikes.shape[1]), -1), latest[:-1]])
    return np.where(latest >= 0, bins - 1 - latest, -1)


@functools.partial(jax.jit, static_argnames="system")
def run(system, values, activity, rate, current, spikes, ages, population):
    """Everything that the product predicts for one recording."""
    found = predict(system, values, activity, rate, current)
    driven = drive(system, values, activity.T, rate, current.T)
    seen = {"spikes": spikes, "ages": ages, "population": population}
    did = log_spikes(system, values, driven, **seen)
    return found, log_activity(system, found, activity), did


def compare(case, quirks=reference.CLEAN):
    """Largest error of each output: relative for moments, else absolute below 1 in size."""
    expected = case.score(quirks)
    system, values = product_of(case.system)
    assert system.n_ages == case.system.n_ages
    population, spikes, _ = case.observed
    given = (case.activity, case.initial_rate, case.current, spikes, ages_of(spikes), population)
    found, log_counts, did = run(system, values, *given)
    # ours is the density of counts, theirs of shares
    log_shares = log_counts + np.sum(np.log(case.system.sizes))
    assert np.all(found.log_det == 0.0)
    return {
        "mean": error(found.mean, expected.mean, least=1e-4),
        "variance": error(found.variance, expected.variance, least=0.0),
        "mass": error(found.mass, 1 - expected.mass_deficit),
        "potential": error(found.potential, expected.potential),
        "log density": error(log_shares, -expected.negative_log_density.sum(1)),
        "log spikes": error(did, expected.log_did(case.observed)),
    }


def error(ours, theirs, least=1.0):
    assert np.shape(ours) == np.shape(theirs)
    return np.max(np.abs(np.asarray(ours) - theirs) / np.maximum(np.abs(theirs), least))


def assert_same(case):
    errors = compare(case)
    assert all(e < TOLERANCE for e in errors.values()), errors


def random_case(seed, k, *, n_bins=80, n_ages=25, **changes):
    """A network of `k` populations that differ in everything, driven by random activity.

    What is static for JAX follows from `k` alone, so that cases share their compilation.
    """
    rng = np.random.default_rng([seed, k])
    dt = 0.002
    system = reference.System(
        sizes=50.0 + 130 * np.arange(k),
        membrane_time=rng.uniform(0.008, 0.05, k),
        resting=rng.uniform(5, 20, k),
        threshold=rng.uniform(3, 12, k),
        strength=rng.uniform(-20, 20, (k, k)),
        synapse_time=rng.uniform(0.002, 0.01, k),
        delay=np.arange(k) % 3 * 3 * dt,  # none, three bins, six bins
        refractory=(np.arange(k) + 2) % 3,  # two bins, none, one
        bin_width=dt,
        n_ages=n_ages,
    )
    system = replace(system, **changes)
    n_neurons = 3 * k + 1  # unequal numbers per population
    population = np.sort(np.concatenate([np.arange(k), rng.integers(0, k, n_neurons - k)]))
    spikes = rng.random((n_bins, n_neurons)) < 0.15
    spikes[:, -1] = False
    return reference.Golden(
        system=system,
        activity=rng.beta(1, 20, (n_bins, k)) * (rng.random((n_bins, k)) < 0.8),
        initial_rate=rng.uniform(1, 60, k),
        observed=reference.Observed(population, spikes.astype(int), spikes[:0].astype(int)),
        current=3 * rng.normal(size=(n_bins, k)),
        file={},
    )


@pytest.mark.parametrize("name", ["a", "b", "d"])
def test_inputs_of_the_golden_files(name):
    assert_same(reference.read_golden(name))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_random_networks(k, seed):
    assert_same(random_case(seed, k))


def test_networks_without_delay_or_current():
    case = random_case(10, 3, delay=np.zeros(3))
    assert_same(case._replace(current=0 * case.current))


@pytest.mark.parametrize("n_bins", [1, 4])
def test_recordings_shorter_than_the_memory_and_the_delay(n_bins):
    """And with as many bins as populations: their axes must not be taken for each other."""
    assert_same(random_case(20, 4, n_bins=n_bins, delay=np.array([0.0, 0.002, 0.02, 0.008])))


def test_hazards_far_above_the_cap():
    case = random_case(30, 2, threshold=np.array([12.0, 2.0]), resting=np.array([40.0, 10.0]))
    case = case._replace(activity=np.maximum(case.activity, 0.01))
    lowest = case.score().log_did(case.observed).min()
    assert lowest < -10 * reference.LARGEST  # the tangent was in use
    assert_same(case)


def test_populations_that_cannot_fire():
    case = random_case(40, 2, threshold=np.full(2, 900.0), strength=np.zeros((2, 2)))
    assert np.all(case.score().mean < 1e-300)
    assert_same(case)


def test_populations_that_have_never_fired():
    case = random_case(41, 2)
    assert_same(case._replace(activity=0 * case.activity, initial_rate=0 * case.initial_rate))


def test_age_classes_that_hold_almost_nobody():
    """Strongly driven and yet silent: whoever is left, however few, tells what the others do."""
    one = lambda x: np.array([x])  # noqa: E731
    system = random_case(42, 1).system
    system = replace(system, membrane_time=one(0.01), threshold=one(4.5), resting=one(14.0))
    case = random_case(42, 1, n_bins=23)._replace(system=replace(system, strength=np.zeros((1, 1))))
    silent = case._replace(activity=0 * case.activity, current=0 * case.current)
    found = silent.score()
    held = 1 - found.mass_deficit
    assert held[0] > 0.1 and held[-1] < 1e-12
    assert found.mean[-1] > 0.99
    assert_same(silent)


def test_a_bin_longer_than_the_membrane_time():
    """Euler's step then overshoots, and voltages alternate after a spike."""
    case = random_case(50, 2, membrane_time=np.array([0.0013, 0.02]), threshold=np.full(2, 20.0))
    assert_same(case)


def test_several_trials_at_once():
    cases = [random_case(60, 2), random_case(60, 2)._replace(initial_rate=np.array([3.0, 8.0]))]
    cases[1] = cases[1]._replace(activity=cases[0].activity[::-1], current=-cases[0].current)
    system, values = product_of(cases[0].system)
    stack = lambda name: np.stack([getattr(c, name) for c in cases])  # noqa: E731
    given = (stack("activity"), stack("initial_rate"), stack("current"))
    found = jax.jit(predict, static_argnums=0)(system, values, *given)
    for trial, case in enumerate(cases):
        expected = case.score()
        assert error(found.mean[trial], expected.mean, least=1e-4) < TOLERANCE
        assert error(found.variance[trial], expected.variance, least=0.0) < TOLERANCE


@pytest.mark.parametrize("quirk", SEEN_IN_D)
def test_the_product_has_no_quirk_of_the_published_program(quirk):
    errors = compare(reference.read_golden("d"), replace(reference.CLEAN, **{quirk: True}))
    assert max(errors.values()) > 1e-8
