"""SLDS: one state is PLDS, several are found, a fit resumes in any stage."""

import itertools

import jax
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.models.linear_dynamics import PLDS, SLDS, states
from latentspike.models.linear_dynamics.segments import clusters
from latentspike.models.linear_dynamics.stages import Plan
from latentspike.models.protocol import DataSpec

KEY = jax.random.key(0)


def steps_of(model, data):
    """Every state of a fit and every bound."""
    params, prepared = model.init(DataSpec.of(data)), model.prepare(data)
    found, bounds = [model.begin(params, prepared, key=KEY)], []
    while not model.is_finished(found[-1]):
        state, figures = model.advance(found[-1], prepared)
        found.append(state)
        bounds.append(figures["bound_per_spike"])
    return found, np.array(bounds), model.finish(params, found[-1], prepared)


@pytest.fixture(scope="module")
def switching():
    """Two states: the latent decays to one side or the other; labels and a recording."""
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(0, 2, (12, 4)), 20, axis=1)
    x, path = np.zeros((12, 1)), []
    for time in range(80):
        goal = np.where(labels[:, time, None] == 1, 2.0, -2.0)
        x = 0.7 * x + 0.3 * goal + 0.15 * rng.normal(size=x.shape)
        path.append(x)
    rates = 0.5 * np.exp(np.stack(path, 1) @ (0.6 * rng.normal(size=(1, 12))))
    return labels, SpikeData(rng.poisson(rates), 0.02)


def test_one_state_is_plds_number_for_number(linear_recording):
    data = linear_recording(6, 30)
    mine = steps_of(SLDS(n_latents=2, n_states=1, n_iterations=5), data)
    plain = steps_of(PLDS(n_latents=2, n_iterations=5), data)
    np.testing.assert_array_equal(mine[1], plain[1])
    for name, value in plain[2]["dynamics"].items():
        np.testing.assert_array_equal(mine[2]["dynamics"][name][0], value)
    for name, value in plain[2]["readout"].items():
        np.testing.assert_array_equal(mine[2]["readout"][name], value)
    model = SLDS(n_latents=2, n_states=1)
    rates = model.infer(mine[2], data).rates
    np.testing.assert_array_equal(rates, PLDS(n_latents=2).infer(plain[2], data).rates)


def test_states_are_found_and_every_stage_climbs_and_resumes(switching):
    labels, data = switching
    model = SLDS(n_latents=1, n_states=2, n_iterations=24, n_starts=2, tolerance=0.0)
    found, bounds, params = steps_of(model, data)
    plan = Plan.of(24, 2)
    assert plan == Plan(n_linear=4, n_each=4, n_starts=2, n_iterations=24)
    ends = [0, 4, 8, 12, 24]
    for begin, end in itertools.pairwise(ends):
        assert (np.diff(bounds[begin:end]) > -1e-6).all(), (begin, end)
    # the best start goes on, and beats the linear dynamics
    assert bounds[12] > max(bounds[7], bounds[11]) - 1e-9
    assert bounds[-1] > bounds[3]
    probabilities = states(model, params, data)
    assert probabilities.shape == (12, 80, 2)
    np.testing.assert_allclose(probabilities.sum(2), 1)
    right = ((probabilities[..., 1] > 0.5) == labels).mean()
    assert max(right, 1 - right) > 0.9
    prepared = model.prepare(data)
    for step in (3, 7, 11, 12):
        kept = {name: np.array(value) for name, value in found[step].items()}
        again, _ = model.advance(kept, prepared)
        assert again.keys() == found[step + 1].keys()
        for name, value in again.items():
            np.testing.assert_array_equal(value, found[step + 1][name])


def test_simulations_switch_as_often_as_they_should():
    model = SLDS(n_latents=1, n_states=2)
    spec = DataSpec.of(SpikeData(np.ones((2, 5, 3), int), 0.02))
    params = model.init(spec)
    params["switching"] = {"P": np.array([[0.9, 0.1], [0.3, 0.7]]), "first": np.array([1.0, 0.0])}
    params["dynamics"]["b"] = np.array([[-1.0], [2.0]])
    found = model.simulate(params, n_trials=2000, n_bins=12, bin_width=0.02, key=KEY)
    labels, x = found.truth["states"][..., 0], found.truth["factors"][..., 0]
    assert (labels[:, 0] == 0).all()
    np.testing.assert_allclose((labels[:, 1:][labels[:, :-1] == 0]).mean(), 0.1, atol=0.01)
    np.testing.assert_allclose((labels[:, 1:][labels[:, :-1] == 1]).mean(), 0.7, atol=0.02)
    pushed = (x[:, 1:] - 0.9 * x[:, :-1])[labels[:, 1:] == 1]
    np.testing.assert_allclose(pushed.mean(), 2.0, atol=0.05)


@pytest.mark.parametrize("start", range(4))
def test_clusters_are_probabilities_that_tell_places_apart(rng, start):
    place = np.repeat([[-5.0, 5.0]], 30, axis=1)[..., None] * np.ones(2)
    found = clusters(place + rng.normal(size=(3, 60, 2)), 2, start=start, seed=1)
    assert found.shape == (3, 60, 2)
    np.testing.assert_allclose(found.sum(2), 1)
    if start in (0, 3):
        assert (found[:, :30].argmax(2) == found[0, 0].argmax()).all()
        assert (found[:, 30:].argmax(2) != found[0, 0].argmax()).all()


def test_what_does_not_suit_is_named(linear_recording):
    with pytest.raises(ValueError, match="n_iterations = 4 are too few for n_starts = 3"):
        SLDS(n_iterations=4)
    SLDS(n_iterations=5)
    with pytest.raises(ValueError, match="n_states"):
        SLDS(n_states=0)
    data = linear_recording(2, 10)
    params = SLDS(n_states=2).init(DataSpec.of(data))
    with pytest.raises(ValueError, match="for 2 states, the model has 3"):
        states(SLDS(n_states=3), params, data)
