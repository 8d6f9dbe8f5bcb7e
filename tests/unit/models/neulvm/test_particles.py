"""The swarm against what it stands for: the law of the recorded neurons, along known paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.dynamics import Free, Mesoscopic, Network, Population, Stepping
from latentspike.dynamics.drive import drive
from latentspike.dynamics.single_neurons import log_firing
from latentspike.models.neulvm import Estimation, NeuLVM, narrowing, particles
from latentspike.models.neulvm.narrowing import one_pass, share_of_passes, to_parameters
from latentspike.models.neulvm.particles import follow, of_trial
from latentspike.models.neulvm.problem import make_problem
from latentspike.simulate import Asynchronous, cluster_network, lif_network
from latentspike.training import RunOptions, fit

BIN = 0.004
KEY = jax.random.key(0)


def network(strength):
    excited = Population(60, 0.02, 14.4, 9.0, refractory=0.004)
    inhibited = Population(40, 0.015, 12.0, 7.0, refractory=0.008, synapse_time=0.006)
    return Network(
        {"E": excited, "I": inhibited},
        {"E": {"E": strength, "I": 4.0}, "I": {"E": -4.0}},
    )


def recorded(n_bins=80, n_trials=1, missing=False):
    counts = np.random.default_rng(0).random((n_trials, n_bins, 5)) < 0.1
    observed = np.ones(counts.shape, bool)
    if missing:
        observed[:, 20:30, 1] = False
    return SpikeData(np.where(observed, counts, 0).astype(int), BIN, observed=observed)


def prepared(net, data, stepping=None):
    members = {"E": [0, 1, 2], "I": [3, 4]}
    members = {name: data.neuron_ids[ids].tolist() for name, ids in members.items()}
    system = Mesoscopic.of(net, data.bin_width, stepping or Stepping(max_age=0.06))
    return system, make_problem(net, system, members, data)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(
    "stepping", [Stepping(max_age=0.06), Stepping("euler", "refined", max_age=0.06)]
)
def test_one_particle_weighs_the_spikes_as_the_likelihood_does(monkeypatch, stepping, missing):
    """The path of a single particle is known: its likelihood is that of neurons it drives.

    Neurons older than the memory feel the pull of the oldest class, released a few bins later.
    """
    monkeypatch.setattr(particles, "_RATE_SPREAD", 0.0)
    monkeypatch.setattr(particles, "_SURPRISE", 1e-30)
    net = network(Free(0.0, 10.0))
    data = recorded(missing=missing)
    system, problem = prepared(net, data, stepping)
    trial = of_trial(problem, 0)
    logits = jnp.zeros((1, 1), jnp.float32)  # the middle of the box
    particles.follow.clear_cache()  # the constants above are compiled in
    found = follow(system, trial, logits, jnp.float32(0.0), key=KEY)
    particles.follow.clear_cache()
    counts = np.asarray(found.counts)
    np.testing.assert_allclose(found.squares, counts**2, rtol=1e-5)
    first = min(system.n_ages, data.n_bins)
    rate = (trial.spikes[:first].sum(0) + 0.5) / (trial.seen[:first].sum(0) + 1) / BIN
    with jax.enable_x64(True):
        values = jax.tree.map(jnp.asarray, net.values([5.0]))
        driven = drive(system, values, jnp.asarray((counts / net.sizes).T), jnp.asarray(rate), None)
        fire, stay = log_firing(
            system, values, driven, ages=problem.ages[0], population=problem.population
        )
    fire, stay = np.asarray(fire), np.asarray(stay)
    spikes, silences = problem.fired[0], problem.stayed[0]
    expected = np.where(spikes > 0, spikes * fire, 0) + np.where(silences > 0, silences * stay, 0)
    assert float(found.log_likelihood) == pytest.approx(float(expected.sum()), rel=5e-4)


def test_spikes_without_a_connection_choose_nothing():
    """Unconnected neurons say nothing of the strength; all particles explain them alike."""
    alone = Network(
        {"E": Population(60, 0.02, 14.4, 9.0), "I": Population(40, 0.02, 14.4, 9.0)},
        {"E": {"I": Free(0.0, 1e-6)}},
    )
    system, problem = prepared(alone, recorded())
    rng = np.random.default_rng(0)
    found = one_pass(system, problem, rng.normal(size=(200, 1)), 0.0, key=KEY)
    assert abs(found["center"][0]) < 0.3 and 0.8 < found["spread"][0] < 1.2


def test_selection_follows_the_weights():
    weights = np.array([0.5, 0.0, 0.3, 0.2])
    chosen = narrowing._systematic(weights, 1000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(chosen, minlength=4) / 1000, weights, atol=2e-3)


def test_a_pass_that_lost_track_has_no_weight():
    assert share_of_passes(np.array([-202.0, -500.0, -200.0])).tolist() == [0.5, 0.0, 0.5]


# ---- example 5.1 ---------------------------------------------------------------------------------

CLUSTERS = NeuLVM(
    cluster_network(free=True),
    stepping=Stepping("euler", "refined", max_age=0.2),
    estimation=Estimation(method="particles", n_particles=400, n_passes=6, n_draws=40),
)


@pytest.fixture(scope="module", autouse=True)
def fast():
    """A swarm computes more than it compiles, unlike most of what is tested."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def volleys():
    run = lif_network(
        cluster_network(61.0), 0.6, seed=1, time_step=0.001, membrane="euler",
        start=Asynchronous(20),
    )  # fmt: skip
    return run.record(6, 0.001, seed=1)


@pytest.fixture(scope="module")
def fitted(volleys):
    return fit(CLUSTERS, volleys, options=RunOptions(show=False), key=KEY)


def r_of(activity, data):
    return np.corrcoef(activity[0, :, 0], data.truth["population_counts"][0, :, 0])[0, 1]


def test_the_strength_and_the_volleys_are_found(fitted, volleys):
    [found] = CLUSTERS.parameters(fitted.params).values()
    print(found, r_of(fitted.params["training_counts"], volleys))
    assert found["value"] == pytest.approx(61.0, abs=0.5)
    assert found["low"] < found["value"] < found["high"] and found["sd"] < 0.3
    assert r_of(fitted.params["training_counts"], volleys) > 0.85


def test_inference_follows_the_volleys_with_a_spread(fitted, volleys):
    found = fitted.infer(volleys, n_samples=20, key=KEY)
    assert r_of(found.population_activity, volleys) > 0.85
    assert np.isfinite(found.population_activity_std).all()
    assert found.population_activity_std.max() > 0


def test_a_fit_of_several_trials_goes_on_where_it_was_stopped(tmp_path, volleys):
    two = SpikeData(np.concatenate([volleys.counts[:, :200], volleys.counts[:, 200:400]]), 0.001)
    model = NeuLVM(
        CLUSTERS.network,
        stepping=Stepping("euler", "refined", max_age=0.05),
        estimation=Estimation(method="particles", n_particles=20, n_passes=3, n_draws=4),
    )
    straight = fit(model, two, options=RunOptions(tmp_path / "a", show=False), key=KEY)

    def stop(_, step):
        if step == 1:
            raise KeyboardInterrupt
        return {}

    stopped = RunOptions(tmp_path / "b", show=False, monitor=stop)
    with pytest.raises(KeyboardInterrupt):
        fit(model, two, options=stopped, key=KEY)
    resumed = fit(model, two, options=RunOptions(tmp_path / "b", show=False, resume=True), key=KEY)
    for name in ("draws", "training_counts", "start_values"):
        np.testing.assert_array_equal(resumed.params[name], straight.params[name])


def test_a_network_that_is_known_is_only_followed():
    data = recorded(missing=True)
    members = {"E": data.neuron_ids[:3].tolist(), "I": data.neuron_ids[3:].tolist()}
    model = NeuLVM(
        network(5.0),
        neurons=members,
        stepping=Stepping(max_age=0.06),
        estimation=Estimation(method="particles", n_particles=30, n_passes=2, n_draws=4),
    )
    fitted = fit(model, data, options=RunOptions(show=False), key=KEY)
    assert model.parameters(fitted.params) == {} and model.warnings(fitted.params) == []
    found = fitted.infer(data, n_samples=4, key=KEY)
    assert found.population_activity.shape == (1, 80, 2)
    assert np.all(found.population_activity >= 0) and found.population_activity.max() > 0


def test_a_swarm_that_lost_track_says_so():
    kept = {"start_values": np.array([-300.0, -210, -201, -200])}
    lost = {"start_values": np.array([-300.0, -200, -290, -280])}
    assert narrowing.remarks(kept) == []
    [said] = narrowing.remarks(lost)
    assert "2 of the last 2 passes" in said and "n_particles" in said


def test_parameters_stay_in_their_boxes(volleys):
    system = Mesoscopic.of(CLUSTERS.network, 0.001, CLUSTERS.stepping)
    problem = make_problem(CLUSTERS.network, system, {}, volleys)
    assert to_parameters(problem, np.array([[-99.0], [0.0], [99.0]])).ravel().tolist() == [
        10.0, 60.0, 110.0,
    ]  # fmt: skip


@pytest.mark.parametrize("lag", [1, 3, 4, 20])
def test_activity_is_that_of_the_lines_left_a_little_later(rng, lag):
    """Against lines that are followed one by one, from the end of the next block of bins."""
    n_bins, n = 11, 6
    counts = rng.random((n_bins, 2, n)).astype(np.float32)
    parents = rng.integers(n, size=(n_bins, n))
    weights = rng.random((n_bins, n)).astype(np.float32)
    weights /= weights.sum(1, keepdims=True)
    bins = particles._Bin(*map(jnp.asarray, (counts, parents, weights)))
    mean, squares = particles._moments(bins, lag)
    for t in range(n_bins):
        end = min((t // lag + 2) * lag, n_bins) - 1
        place = np.arange(n)
        for later in range(end, t - 1, -1):
            place = parents[later][place]
        np.testing.assert_allclose(mean[t], counts[t][:, place] @ weights[end], rtol=1e-5)
        np.testing.assert_allclose(squares[t], counts[t][:, place] ** 2 @ weights[end], rtol=1e-5)
