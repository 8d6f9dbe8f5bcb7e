"""Free simulation: its draws have the moments that `predict` gives them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike.dynamics import PUBLISHED, Mesoscopic, Network, Population, Stepping
from latentspike.dynamics.free_run import free_run, solve
from latentspike.dynamics.reference import predict_bin_by_bin


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def network(strength=6.0, delay=0.0, size=200):
    excited = Population(size, 0.02, 14.4, 7.0, refractory=0.004, delay=delay)
    inhibited = Population(size // 2, 0.015, 12.0, 6.0, synapse_time=0.006)
    return Network(
        {"E": excited, "I": inhibited},
        {"E": {"E": strength, "I": strength}, "I": {"E": -strength}},
    )


def trials(net, stepping, n_trials, n_bins, current=None, bin_width=0.004, rate=15.0):
    system = Mesoscopic.of(net, bin_width, stepping)
    rates = jnp.full(len(net.names), rate)
    one = lambda key: free_run(system, net.values(), rates, n_bins, current, key=key)  # noqa: E731
    counts = jax.vmap(one)(jax.random.split(jax.random.key(0), n_trials))
    return system, np.asarray(counts)


@partial(jax.jit, static_argnums=0)
def one_bin_ahead(system, values, activity, rates):
    """Of all trials; with the counts' news of the survivors where `free_run` has them."""
    one = lambda activity, rate: predict_bin_by_bin(  # noqa: E731
        system, values, activity, rate, is_conditioned=system.stepping.has_old
    )
    return jax.vmap(one)(activity, rates)


@pytest.mark.parametrize(
    "stepping",
    [
        Stepping(),
        pytest.param(Stepping(variance="binomial"), marks=pytest.mark.slow),
        pytest.param(PUBLISHED, marks=pytest.mark.slow),
    ],
)
def test_draws_have_the_moments_of_the_prediction(stepping):
    """Each bin's error, scaled by the implicit step, has mean 0 and the variance predicted."""
    net = network()
    system, counts = trials(net, stepping, 40, 500)
    activity = counts / np.array(system.sizes)
    rates = np.full((40, 2), 15.0)
    found = one_bin_ahead(system, net.values(), activity, rates)
    error = activity - np.asarray(found.mean)
    mean_error = error.mean((0, 1)) / activity.mean((0, 1))
    assert np.abs(mean_error).max() < 0.01
    # a draw has neither the likelihood's floor of one neuron² nor the rounding's 1/6
    floor = 0.1 * system.bin_width / np.array(system.sizes)
    if stepping.variance != "poisson":
        floor = 1 / np.array(system.sizes) ** 2
    predicted = (np.asarray(found.variance) - floor).mean((0, 1))
    if stepping.variance != "refined":  # draws are binomial, also of the published stepping
        predicted = (np.asarray(found.mean) * (1 - np.asarray(found.mean))).mean((0, 1))
        predicted = predicted / np.array(system.sizes)
    ratio = error.var((0, 1)) / predicted
    np.testing.assert_allclose(ratio, 1.0, atol=0.06)


def test_counts_are_whole_and_within_the_population():
    _, counts = trials(network(strength=60.0, size=12), Stepping(), 4, 200)
    assert np.array_equal(counts, np.round(counts))
    assert counts.min() >= 0 and np.all(counts.max((0, 1)) <= [12, 6])
    assert counts.max() > 0


def test_the_key_alone_decides():
    system = Mesoscopic.of(network(), 0.004)
    run = lambda seed: free_run(  # noqa: E731
        system, network().values(), jnp.full(2, 15.0), 50, None, key=jax.random.key(seed)
    )
    np.testing.assert_array_equal(run(1), run(1))
    assert np.any(run(1) != run(2))


def test_a_current_moves_the_population_it_enters():
    current = np.zeros((300, 2))
    current[150:, 0] = 3.0
    _, counts = trials(network(strength=0.0), Stepping(), 20, 300, jnp.asarray(current))
    early, late = counts[:, 50:150].mean((0, 1)), counts[:, 200:].mean((0, 1))
    assert late[0] > 1.15 * early[0]
    assert late[1] == pytest.approx(early[1], rel=0.05)


def test_without_noise_and_input_a_population_keeps_its_renewal_rate():
    """A population of a million neurons fires at the rate of a single neuron's renewal."""
    alone = Network({"E": Population(1_000_000, 0.02, 14.4, 7.0, refractory=0.004)})
    time, step = np.arange(0, 2.0, 1e-5), 1e-5
    voltage = 14.4 * (1 - np.exp(-time / 0.02))
    survival = np.exp(-np.cumsum(np.exp(voltage - 7.0)) * step)
    expected = 1 / (0.004 + survival.sum() * step)
    system, counts = trials(alone, Stepping(), 1, 400, bin_width=0.001, rate=expected)
    rate = counts[0, 200:, 0].mean() / system.sizes[0] / 0.001
    assert rate == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_solutions_of_small_systems(rng, k):
    matrix, right = np.eye(k) + 0.5 * rng.normal(size=(k, k)), rng.normal(size=k)
    found = solve(jnp.asarray(matrix), jnp.asarray(right))
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-10)
    assert np.isfinite(solve(jnp.zeros((k, k)), jnp.asarray(right))).all()
