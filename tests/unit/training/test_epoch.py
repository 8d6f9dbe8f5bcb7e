"""Every training trial exactly once per epoch, whatever the sizes; the arithmetic of one step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from latentspike import SpikeData, devices
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.protocol import DataSpec
from latentspike.training.epoch import Program, _layout, train_epoch
from latentspike.training.trials import Reading, put_trials

devices.prepare()
SIZES = [*range(1, 71), 340, 715]
BATCHES = [1, 2, 5, 7, 16, 17, 33, 64, 65]
DEVICES = [1, 2, 3, 8]


def layouts():
    for n_trials in SIZES:
        for batch_size in BATCHES:
            for n_devices in DEVICES:
                if n_devices == 1 or min(batch_size, n_trials) // 8 >= n_devices:  # as `fit` does
                    yield n_trials, batch_size, n_devices


def test_every_trial_is_used_once_and_padding_weighs_nothing():
    for n_trials, batch_size, n_devices in layouts():
        rows, n_real = _layout(n_trials, batch_size, n_devices)
        real = np.arange(rows.shape[1]) < np.asarray(n_real)[:, None]
        where = f"{n_trials} trials, batch {batch_size}, {n_devices} devices"
        np.testing.assert_array_equal(np.sort(rows[real]), np.arange(n_trials), err_msg=where)
        assert rows.shape[1] % n_devices == 0, where
        assert rows.max() < n_trials, where


def test_no_step_is_empty_and_no_batch_too_large():
    for n_trials, batch_size, n_devices in layouts():
        _, n_real = _layout(n_trials, batch_size, n_devices)
        where = f"{n_trials} trials, batch {batch_size}, {n_devices} devices: {n_real}"
        assert np.min(n_real) >= 1, where
        assert np.max(n_real) <= batch_size, where
        assert len(n_real) == -(-n_trials // batch_size), where


def test_batches_do_not_depend_on_the_number_of_devices():
    for n_trials, batch_size, n_devices in layouts():
        where = f"{n_trials} trials, batch {batch_size}, {n_devices} devices"
        one, many = (_layout(n_trials, batch_size, n)[1] for n in (1, n_devices))
        np.testing.assert_array_equal(one, many, err_msg=where)


def setup(n_trials, n_devices=1, batch_size=64, clip_norm=1e9):
    values = np.random.default_rng(0).normal(size=(n_trials + 3, 2, 4))
    data = SpikeData(values, 1.0, kind="continuous")
    train, validation = data.select_trials(slice(0, n_trials)), data.select_trials(slice(-3, None))
    model = LinearAutoencoder()
    program = Program(model, Reading.of(train, 0.0), batch_size, clip_norm, n_devices)
    params = model.init(DataSpec.of(train), key=jax.random.key(0))
    trials = put_trials(train), put_trials(validation)
    return program, params, trials, train


def run(program, params, trials, **hyperparams):
    values = {"learning_rate": 0.1, "keep_ratio": 1.0, "ramp": 1.0} | hyperparams
    traced = {name: jnp.float32(value) for name, value in values.items()}
    state = program.start(params)
    return train_epoch(program, state, trials, traced, jnp.asarray(0), key=jax.random.key(1))


@pytest.mark.parametrize("clip_norm", [1e9, 0.5])
def test_one_step_is_clipped_adam(clip_norm):
    """A single full batch is the same whatever the order: written out with optax by hand."""
    program, params, trials, train = setup(16, clip_norm=clip_norm)
    state, result = run(program, params, trials)

    def loss(weights):
        error = train.counts - train.counts @ weights
        return 0.5 * jnp.sum(error**2) / train.n_trials

    value, gradient = jax.value_and_grad(loss)(params["weights"])
    norm = jnp.linalg.norm(gradient)
    clipped = gradient * jnp.minimum(1.0, clip_norm / norm)
    adam = optax.adam(0.1)
    update, _ = adam.update(clipped, adam.init(params["weights"]))
    np.testing.assert_allclose(result.steps["loss"][0], value, rtol=1e-5)
    np.testing.assert_allclose(result.steps["gradient_norm"][0], norm, rtol=1e-5)
    np.testing.assert_allclose(
        state.params["weights"], params["weights"] + update, rtol=1e-4, atol=1e-5
    )


def test_a_learning_rate_of_nearly_zero_leaves_the_mean_over_all_trials():
    """Uneven batches: the mean of the steps, weighted by their trials, is that over the trials."""
    program, params, trials, train = setup(23, batch_size=8)
    _, result = run(program, params, trials, learning_rate=1e-30)
    losses = 0.5 * ((train.counts - train.counts @ params["weights"]) ** 2).sum((1, 2))
    share = np.asarray(result.n_trials) / 23
    assert len(share) == 3
    np.testing.assert_allclose((share * result.steps["loss"]).sum(), losses.mean(), rtol=1e-5)


def test_a_step_that_is_not_finite_changes_nothing():
    program, params, trials, _ = setup(16)
    spoiled = trials[0]._replace(counts=trials[0].counts.at[3, 0, 0].set(1e30))
    state, result = run(program, params, (spoiled, trials[1]))
    assert not np.isfinite(result.steps["loss"]).all()
    before = program.start(params)
    jax.tree.map(np.testing.assert_array_equal, state, before)


@pytest.mark.skipif(len(jax.local_devices()) < 2, reason="JAX has one device here")
@pytest.mark.parametrize("n_trials", [24, 22])  # 2 × 12, and 2 × 11
def test_two_devices_do_what_one_does(n_trials):
    results = []
    for n_devices in (1, 2):
        program, params, trials, _ = setup(n_trials, n_devices=n_devices, batch_size=16)
        results.append(run(program, params, trials, keep_ratio=0.6))
    (one, report), (two, other) = results
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # noqa: E731
    jax.tree.map(close, one, two)
    jax.tree.map(close, report, other)
