"""Posterior sampling: streamed means, permuted trials, padded chunks, constant memory."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.models.lfads import LFADS, Architecture, inference
from latentspike.models.lfads.network import _encode_for_controller, draw_noise, run_network
from latentspike.models.protocol import DataSpec

KEY = jax.random.key(7)
N_TRIALS, N_BINS, N_NEURONS = 5, 8, 6
MODEL = LFADS(
    Architecture(
        generator_size=6, n_factors=3, ic_encoder_size=5, ic_size=3, n_inferred_inputs=2,
        ci_encoder_size=5, controller_size=5,
    )
)  # fmt: skip


def recording(n_trials=N_TRIALS):
    counts = np.random.default_rng(0).poisson(1.0, (n_trials, N_BINS, N_NEURONS))
    return SpikeData(counts, 0.02, heldout=np.arange(N_NEURONS) == 2, n_forward_bins=1)


@pytest.fixture(scope="module")
def params():
    return MODEL.init(DataSpec.of(recording()), key=jax.random.key(0))


def test_streamed_moments_are_those_of_the_same_draws(params):
    data, n_samples = recording(), 6
    found = MODEL.infer(params, data, n_samples=n_samples, key=KEY)
    read = np.swapaxes(data.counts[:, : data.n_read_bins, ~data.heldout], 0, 1).astype(np.float32)
    external = jnp.zeros((N_BINS, N_TRIALS, 0))
    trial_keys = [jax.random.fold_in(KEY, trial) for trial in range(N_TRIALS)]

    @jax.jit
    def draw(keys):
        noise = draw_noise(MODEL.architecture, keys, N_BINS, read.dtype)
        return run_network(MODEL.architecture, params, read, external, noise=noise)

    draws = [
        draw(jnp.stack([jax.random.fold_in(key, sample) for key in trial_keys]))
        for sample in range(n_samples)
    ]
    values = {
        "rates": [np.exp(d.predictor) / data.bin_width for d in draws],
        "factors": [d.factors for d in draws],
        "inferred_inputs": [d.inferred_inputs for d in draws],
    }
    for name, each in values.items():
        stacked = np.swapaxes(np.stack(each), 1, 2)
        np.testing.assert_allclose(getattr(found, name), stacked.mean(0), rtol=2e-5, atol=1e-5)
        std = getattr(found, f"{name}_std")
        np.testing.assert_allclose(std, stacked.std(0, ddof=1), rtol=2e-3, atol=1e-4)
        assert std.min() > 0
    np.testing.assert_allclose(found.initial_condition, draws[0].ic_mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.initial_condition_std, draws[0].ic_std, rtol=1e-5)
    assert found.n_samples == n_samples


def test_one_draw_has_no_spread_of_draws(params):
    found = MODEL.infer(params, recording(), n_samples=1, key=KEY)
    assert found.rates_std is None and found.factors_std is None


def test_keys_matter_to_draws_and_not_to_means(params):
    data = recording()
    of = lambda n, key: MODEL.infer(params, data, n_samples=n, key=key).rates  # noqa: E731
    other = jax.random.key(8)
    np.testing.assert_array_equal(of(6, KEY), of(6, KEY))
    assert not np.array_equal(of(6, KEY), of(6, other))
    np.testing.assert_array_equal(of(0, KEY), of(0, other))


def test_permuting_trials_permutes_inference(params):
    data = recording()
    order = np.array([3, 0, 4, 1, 2])
    straight = MODEL.infer(params, data, n_samples=0, key=KEY)
    permuted = MODEL.infer(params, data.select_trials(order), n_samples=0, key=KEY)
    np.testing.assert_array_equal(permuted.trial_ids, order)
    assert {"rates", "factors", "inferred_inputs_std"} <= set(straight.arrays())
    for name, value in straight.arrays().items():
        np.testing.assert_allclose(permuted.arrays()[name], value[order], rtol=1e-5, atol=1e-6)


def test_chunks_are_padded_and_change_nothing(params, monkeypatch):
    data = recording(7)
    whole = MODEL.infer(params, data, n_samples=3, key=KEY)
    monkeypatch.setattr(inference, "_TRIALS_AT_ONCE", 3)  # three chunks of 3, 3 and 1
    chunked = MODEL.infer(params, data, n_samples=3, key=KEY)
    for name, value in whole.arrays().items():
        np.testing.assert_allclose(chunked.arrays()[name], value, rtol=1e-4, atol=1e-5)


def test_memory_does_not_grow_with_the_number_of_draws(params):
    def temporary_bytes(n_samples):
        compiled = inference._infer_chunk.lower(
            MODEL.architecture, n_samples, params, jnp.zeros((64, 7, 5)),
            jnp.zeros((64, N_BINS, 0)), jax.random.split(KEY, 64),
        ).compile()  # fmt: skip
        analysis = compiled.memory_analysis()
        if analysis is None:
            pytest.skip("this backend does not say how much memory it takes")
        return analysis.temp_size_in_bytes

    few, many = temporary_bytes(2), temporary_bytes(50)
    one_draw_of_rates = 64 * N_BINS * N_NEURONS * 4
    assert few > one_draw_of_rates  # the figure means something
    assert many - few < one_draw_of_rates


def test_what_may_not_be_read_is_not(params):
    data = recording()
    counts = data.counts.copy()
    counts[:, :, 2] += 9
    counts[:, -1] += 9
    observed = np.ones(counts.shape, bool)
    observed[1, 3, 4] = False
    counts_missing = counts.copy()
    counts_missing[1, 3, 4] += 9
    rates = lambda d: MODEL.infer(params, d, n_samples=0, key=KEY).rates  # noqa: E731
    np.testing.assert_array_equal(rates(data), rates(data.replace(counts=counts)))
    missing = data.replace(observed=observed)
    spoiled = missing.replace(counts=counts_missing)
    np.testing.assert_array_equal(rates(missing), rates(spoiled))


@pytest.mark.parametrize("lag", [1, 2])
def test_with_a_lag_the_controller_never_sees_its_own_bin(lag, params):
    architecture = dataclasses.replace(MODEL.architecture, ci_lag=lag)

    def encoding(read):
        return _encode_for_controller(architecture, params, read, N_BINS, None, 0.0)[:, 0]

    sensitivity = jax.jit(jax.jacobian(encoding))(jnp.ones((7, 1, 5)))
    reach = np.abs(np.asarray(sensitivity)).sum(axis=(1, 3, 4))  # [bins, read bins]
    t, s = np.indices(reach.shape)
    seen = ((s <= t - lag) | (s >= t + lag)) & (t < 7)  # forward bins are encoded as zeros
    np.testing.assert_array_equal(reach > 0, seen)
