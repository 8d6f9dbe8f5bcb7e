"""PLDS as a model: fit in steps, exact resume, inputs, inference, and what it refuses."""

import jax
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.evaluate.bits import co_smoothing_bits, forward_bits
from latentspike.models.linear_dynamics import PLDS
from latentspike.models.protocol import DataSpec, SteppedModel

KEY = jax.random.key(0)


def estimated(model, data):
    """Fitted parameters and the bound after each iteration."""
    params, prepared = model.init(DataSpec.of(data)), model.prepare(data)
    state, bounds = model.begin(params, prepared), []
    while not model.is_finished(state):
        state, figures = model.advance(state, prepared)
        bounds.append(figures["bound_per_spike"])
    return model.finish(params, state, prepared), np.array(bounds)


def test_the_bound_never_falls_and_the_fit_ends_once_converged(linear_recording):
    model = PLDS(n_latents=2, n_iterations=60, tolerance=3e-5)
    assert isinstance(model, SteppedModel) and model.n_steps == 60
    _, bounds = estimated(model, linear_recording())
    assert 3 < len(bounds) < 60
    assert (np.diff(bounds) > -1e-6).all()
    assert bounds[-1] - bounds[-2] < 3e-5
    assert (np.diff(bounds)[:-1] >= 3e-5).all()


def test_a_fit_goes_on_exactly_where_it_stopped(linear_recording):
    data, model = linear_recording(4, 30), PLDS(n_latents=2, n_iterations=6, tolerance=0.0)
    params, prepared = model.init(DataSpec.of(data)), model.prepare(data)
    states = [model.begin(params, prepared)]
    for _ in range(4):
        states.append(model.advance(states[-1], prepared)[0])
    kept = {name: np.array(value) for name, value in states[2].items()}
    again = model.advance(model.advance(kept, prepared)[0], prepared)[0]
    assert again.keys() == states[4].keys()
    for name, value in again.items():
        np.testing.assert_array_equal(value, states[4][name])


def test_held_out_neurons_and_bins_are_predicted_better_than_by_their_means(linear_recording):
    everything = linear_recording(60, 40, heldout=np.arange(12) >= 9, n_forward_bins=4)
    train, test = everything.select_trials(slice(40)), everything.select_trials(slice(40, None))
    model = PLDS(n_latents=2, n_iterations=10)
    params, _ = estimated(model, train)
    found = model.infer(params, test)
    true = np.log(test.truth["rates"])
    assert co_smoothing_bits(test, found).value > 0.1
    assert forward_bits(test, found).value > 0.02
    assert np.corrcoef(np.log(found.rates).ravel(), true.ravel())[0, 1] > 0.8
    assert found.factors.shape == (20, 40, 2)
    # spreads tell how far off the rates are: 90 % of errors within two of them, more or less
    is_near = np.abs(found.rates - test.truth["rates"]) < 2 * found.rates_std
    assert 0.85 < is_near[:, :36].mean() < 0.99
    # forward bins are known less and less
    assert (np.diff(found.factors_std[:, 36:].mean((0, 2))) > 0).all()


def test_inputs_drive_the_latents(rng):
    inputs = (rng.random((60, 40, 1)) < 0.1).astype(float)
    x, path = np.zeros((60, 1)), []
    for t in range(40):
        x = 0.9 * x + inputs[:, t] + 0.05 * rng.normal(size=x.shape)
        path.append(x)
    rates = np.exp(np.stack(path, 1) @ rng.uniform(0.5, 1.0, (1, 6)) - 1)
    data = SpikeData(rng.poisson(rates), 0.02, inputs=inputs)
    model = PLDS(n_latents=1, n_iterations=40)
    params, _ = estimated(model, data)
    push = params["readout"]["C"] @ params["dynamics"]["B"]
    assert push.shape == (6, 1) and 0.4 < push.min() and push.max() < 1.2
    np.testing.assert_allclose(params["dynamics"]["A"], 0.9, atol=0.05)
    pulse = np.zeros((30, 1))
    pulse[5] = 1.0
    found = model.simulate(params, n_trials=200, n_bins=30, bin_width=0.02, inputs=pulse, key=KEY)
    assert found.counts[:, 5:8].mean() > 1.5 * found.counts[:, 1:5].mean()
    np.testing.assert_array_equal(found.inputs[3], pulse)


def test_simulations_follow_the_equations(linear_recording):
    params, _ = estimated(PLDS(n_latents=2, n_iterations=2), linear_recording())
    found = PLDS(n_latents=2).simulate(params, n_trials=3000, n_bins=3, bin_width=0.02, key=KEY)
    x = found.truth["factors"]
    dynamics, readout = params["dynamics"], params["readout"]
    np.testing.assert_allclose(x[:, 0].mean(0), dynamics["start"], atol=0.1)
    np.testing.assert_allclose(np.cov(x[:, 0].T), dynamics["spread"], rtol=0.15, atol=0.1)
    noise = x[:, 1:] - x[:, :-1] @ dynamics["A"].T
    np.testing.assert_allclose(np.cov(noise.reshape(-1, 2).T), dynamics["Q"], rtol=0.15, atol=0.02)
    expected = np.exp(x @ readout["C"].T + readout["d"])
    np.testing.assert_allclose(found.truth["rates"] * 0.02, expected)
    assert set(found.truth) == {"rates", "factors"}


def test_dynamics_that_run_away_are_named(linear_recording):
    params, _ = estimated(PLDS(n_latents=2, n_iterations=1), linear_recording(4, 10))
    params["dynamics"]["A"] = 3 * np.eye(2)
    with pytest.raises(ValueError, match=r"eigenvalue of 3\); simulate fewer bins"):
        PLDS(n_latents=2).simulate(params, n_trials=2, n_bins=90, bin_width=0.02, key=KEY)


def test_recordings_that_do_not_suit_are_refused(linear_recording):
    data = linear_recording(2, 10)
    with pytest.raises(ValueError, match="n_latents = 20, but the recording has 12 neurons"):
        PLDS(n_latents=20).prepare(data)
    with pytest.raises(ValueError, match="one bin"):
        PLDS().prepare(data.select_bins(0, 1))
    hidden = data.replace(observed=np.broadcast_to(np.arange(12) != 3, data.counts.shape))
    with pytest.raises(ValueError, match="neuron 3 was never observed"):
        PLDS().prepare(hidden)
    continuous = data.replace(kind="continuous", counts=data.counts + 0.5)
    with pytest.raises(ValueError, match="need counts"):
        PLDS().prepare(continuous)
    params = PLDS().init(DataSpec.of(data))
    with pytest.raises(ValueError, match="for 12 neurons and 0 inputs, the data has 11 and 0"):
        PLDS().infer(params, data.select_neurons(slice(11)))
    with pytest.raises(ValueError, match="for 12 neurons and 0 inputs, the data has 12 and 2"):
        PLDS().infer(params, data.replace(inputs=np.zeros((2, 10, 2))))


@pytest.mark.parametrize(
    "setting", [{"n_latents": 0}, {"n_iterations": 1.5}, {"tolerance": -1.0}, {"tolerance": np.nan}]
)
def test_settings_out_of_range_are_named(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        PLDS(**setting)
