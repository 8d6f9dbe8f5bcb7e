"""The mesoscopic model: all bins at once against bin by bin, and its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from latentspike.dynamics.drive import drive
from latentspike.dynamics.escape import expected_spikes
from latentspike.dynamics.mesoscopic import log_activity, predict
from latentspike.dynamics.parts import Values
from latentspike.dynamics.reference import predict_bin_by_bin
from latentspike.dynamics.single_neurons import log_spikes
from latentspike.dynamics.stepping import Mesoscopic, Stepping

WIDTH = 0.002


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def random_network(k, stepping, *, seed=0, delays=(0, 3, 0, 1), refractory=(2, 0, 5, 1)):
    """``k`` populations that differ in everything."""
    rng = np.random.default_rng([seed, k])
    system = Mesoscopic(
        sizes=tuple(40.0 + 170.0 * np.arange(k)),
        bin_width=WIDTH,
        refractory_bins=refractory[:k],
        delay_bins=delays[:k],
        n_ages=12,
        stepping=stepping,
    )
    values = Values(
        membrane_time=rng.uniform(0.008, 0.05, k),
        resting=rng.uniform(5, 15, k),
        threshold=rng.uniform(3, 8, k),
        synapse_time=rng.uniform(0.002, 0.01, k),
        strength=rng.uniform(-20, 20, (k, k)),
        input_gain=np.zeros((k, 0)),
    )
    return system, jax.tree.map(jnp.asarray, values)


def random_activity(k, n_bins, seed=0):
    """Activity with silent bins, rate before the first one, and current."""
    rng = np.random.default_rng([seed, k, n_bins])
    activity = rng.beta(1, 20, (n_bins, k)) * (rng.random((n_bins, k)) < 0.8)
    return activity, rng.uniform(1, 60, k), 3 * rng.normal(size=(n_bins, k))


def assert_equal_predictions(ours, theirs):
    for name, one, other in zip(ours._fields, ours, theirs, strict=True):
        scale = np.maximum(np.abs(other), 1e-3 if name == "variance" else 1.0)
        error = np.max(np.abs(one - other) / scale)
        assert error < 1e-10, f"{name}: {error}"


parallel = jax.jit(predict, static_argnums=0)
in_order = jax.jit(predict_bin_by_bin, static_argnums=0)

SETTINGS = [
    (1, Stepping("exact", "refined", has_old=True)),
    (2, Stepping("exact", "binomial", has_old=False)),
    (3, Stepping("exact", "refined", has_old=True)),
    (4, Stepping("exact", "poisson", has_old=True)),
    (1, Stepping("euler", "binomial", has_old=True)),
    (2, Stepping("euler", "poisson", has_old=False)),
    (3, Stepping("euler", "refined", has_old=True)),
    (4, Stepping("euler", "refined", has_old=False)),
]


@pytest.mark.parametrize(("k", "stepping"), SETTINGS)
def test_all_bins_at_once_equal_bin_by_bin(k, stepping):
    for seed in range(3):
        system, values = random_network(k, stepping, seed=seed)
        given = random_activity(k, 50, seed)
        assert_equal_predictions(parallel(system, values, *given), in_order(system, values, *given))


def test_without_current_and_with_as_many_bins_as_populations():
    system, values = random_network(2, Stepping())
    activity, rate, _ = random_activity(2, 2)
    ours = parallel(system, values, activity, rate)
    assert_equal_predictions(ours, in_order(system, values, activity, rate))


def test_equal_time_constants_are_the_limit_of_nearly_equal_ones():
    system, values = random_network(3, Stepping())
    given = random_activity(3, 50)
    equal = values._replace(synapse_time=values.membrane_time)
    near = values._replace(synapse_time=values.membrane_time * (1 + 1e-4))
    one, other = (parallel(system, v, *given) for v in (equal, near))
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(one.potential, other.potential, rtol=1e-3)


@pytest.mark.parametrize("membrane", ["exact", "euler"])
def test_without_a_spike_the_potential_approaches_the_resting_one(membrane):
    system, values = random_network(1, Stepping(membrane))
    n_bins = 400
    current = np.full((n_bins, 1), 2.5)
    found = parallel(system, values, np.zeros((n_bins, 1)), np.full(1, 20.0), current)
    initial = values.resting + values.membrane_time * (values.strength @ np.full(1, 20.0))
    target = values.resting + 2.5
    share = (found.potential - target) / (initial - target)
    assert np.all(np.abs(share[0]) < 1.1)
    np.testing.assert_allclose(share[-1], 0.0, atol=1e-5)


@pytest.mark.parametrize("delay", [0, 4])
def test_a_volley_moves_the_exact_potential_by_the_integral_of_its_kernel(delay):
    """Sum over bins of the effect of one volley is strength × membrane time, at any delay."""
    system, values = random_network(1, Stepping(), delays=(delay,))
    activity = np.zeros((400, 1))
    activity[5] = 1.0
    found = parallel(system, values, activity, np.zeros(1))
    effect = np.asarray(found.potential[:, 0] - values.resting[0])
    assert np.all(effect[: 5 + delay] == 0.0) and effect[5 + delay] != 0.0
    expected = values.strength[0, 0] * values.membrane_time[0]
    assert effect.sum() * WIDTH == pytest.approx(float(expected), rel=1e-6)


def test_each_trial_is_what_it_would_be_alone():
    system, values = random_network(3, Stepping())
    trials = [random_activity(3, 50, seed) for seed in range(4)]
    together = [np.stack(x).reshape(2, 2, *x[0].shape) for x in zip(*trials, strict=True)]
    found = parallel(system, values, *together)
    assert found.mean.shape == (2, 2, 50, 3) and found.log_det.shape == (2, 2, 50)
    for i, trial in enumerate(trials):
        alone = parallel(system, values, *trial)
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_allclose(one[i // 2, i % 2], other, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("membrane", ["exact", "euler"])
def test_gradients_are_those_of_finite_differences(membrane):
    stepping = Stepping(membrane)
    system, values = random_network(2, stepping)
    activity, rate, current = random_activity(2, 30)
    rng = np.random.default_rng(5)
    spikes = (rng.random((30, 5)) < 0.1).astype(float)
    ages = ages_of(spikes)
    population = np.array([0, 0, 1, 1, 1])

    def log_joint(values, activity, rate):
        prediction = predict(system, values, activity, rate, current)
        driven = drive(system, values, activity.T, rate, current.T)
        seen = log_spikes(system, values, driven, spikes=spikes, ages=ages, population=population)
        return jnp.sum(log_activity(system, prediction, activity)) + jnp.sum(seen)

    objective = jax.jit(log_joint)
    point = (values, jnp.asarray(activity) + 0.003, jnp.asarray(rate))
    flat, back = ravel_pytree(point)
    gradient = ravel_pytree(jax.jit(jax.grad(log_joint, (0, 1, 2)))(*point))[0]
    scale = 1e-6 * np.maximum(np.abs(flat), 1e-2)
    chosen = np.r_[
        :12, flat.size - 2 : flat.size, rng.integers(12, flat.size, 20)
    ]  # all parameters, some activities
    for i in chosen:
        step = np.zeros(flat.size)
        step[i] = scale[i]
        up, down = (float(objective(*back(flat + sign * step))) for sign in (1, -1))
        slope = (up - down) / (2 * scale[i])
        assert gradient[i] == pytest.approx(slope, rel=2e-5, abs=2e-5 * max(1.0, abs(slope)))


def ages_of(spikes):
    ages = np.full(spikes.shape, -1)
    for t in range(1, len(spikes)):
        older = np.where(ages[t - 1] >= 0, ages[t - 1] + 1, -1)
        ages[t] = np.where(spikes[t - 1] > 0, 0, older)
    return ages


def neuron_by_neuron(system, values, potential, initial, spikes, population):
    """`log_spikes` of the exact membrane, one neuron and bin after the other."""
    found = np.zeros(spikes.shape)
    for neuron, k in enumerate(population):
        a = system.bin_width / float(values.membrane_time[k])
        last = None
        for t in range(len(spikes)):
            age = None if last is None else t - 1 - last
            refractory = system.refractory_bins[k]
            if age is not None and age < refractory:
                log_hazard, expected = -float(values.threshold[k]), 0.0
            else:
                pull = 0.0
                if age is not None:
                    release = last + refractory
                    at_release = potential[release, k] if release >= 0 else initial[k]
                    amplitude = ((1 - np.exp(-a)) / a) ** 2
                    pull = -amplitude * at_release * np.exp(-a * (age - refractory))
                slope = np.clip(pull * a, -6, 6)
                voltage = potential[t, k] + pull + slope**2 / 12
                log_hazard = voltage - float(values.threshold[k])
                expected = float(expected_spikes(log_hazard + np.log(system.bin_width)))
            x = np.exp(log_hazard) * system.bin_width
            found[t, neuron] = np.log(-np.expm1(-x)) if spikes[t, neuron] else -expected
            last = t if spikes[t, neuron] else last
    return found


def test_observed_neurons_against_a_loop():
    system, values = random_network(3, Stepping())
    activity, rate, current = random_activity(3, 60)
    rng = np.random.default_rng(6)
    spikes = (rng.random((60, 6)) < 0.08).astype(float)
    population = np.array([2, 0, 1, 1, 2, 0])
    driven = drive(system, values, activity.T, jnp.asarray(rate), current.T)
    found = log_spikes(
        system, values, driven, spikes=spikes, ages=ages_of(spikes), population=population
    )
    expected = neuron_by_neuron(
        system, values, np.asarray(driven.potential).T, driven.initial, spikes, population
    )
    assert expected.max() <= 0.0
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_the_density_of_counts_adds_up_to_one():
    """Over all counts of a bin, with the mean and variance that were predicted for it."""
    system, values = random_network(1, Stepping(), delays=(2,))
    activity, rate, _ = random_activity(1, 10)
    size = int(system.sizes[0])
    grid = np.arange(-20 * size, 20 * size) / size  # a Gaussian, also where no count can be
    given = np.repeat(activity[None], grid.size, 0)
    given[:, -1, 0] = grid
    each = log_activity(
        system, parallel(system, values, given, np.repeat(rate[None], grid.size, 0)), given
    )
    np.testing.assert_allclose(np.exp(each[:, -1]).sum(), 1.0, rtol=1e-6)


def test_variances_differ_only_where_they_should():
    given = random_activity(1, 50)
    found = {}
    for kind in ("refined", "binomial", "poisson"):
        system, values = random_network(1, Stepping(variance=kind))
        found[kind] = parallel(system, values, *given)
        np.testing.assert_allclose(found[kind].mean, found["refined"].mean, rtol=1e-12)
    sizes = np.array(system.sizes)
    mean = found["binomial"].mean
    np.testing.assert_allclose(
        found["binomial"].variance, mean * (1 - mean) / sizes + 1 / sizes**2, rtol=1e-12
    )
    np.testing.assert_allclose(
        found["poisson"].variance, mean / sizes + 0.1 * WIDTH / sizes, rtol=1e-12
    )
    # age classes that differ are more certain than one class with their mean
    assert np.all(found["refined"].variance <= found["binomial"].variance * (1 + 1e-9))


def test_other_numbers_of_the_same_shapes_do_not_compile_again():
    system, values = random_network(3, Stepping())
    parallel(system, values, *random_activity(3, 50))
    n_compiled = parallel._cache_size()
    for seed in range(3):
        changed = values._replace(resting=values.resting + seed)
        parallel(system, changed, *random_activity(3, 50, seed))
    assert parallel._cache_size() == n_compiled
