"""Where a fit begins."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from latentspike import SpikeData
from latentspike.models.linear_dynamics import PLDS
from latentspike.models.linear_dynamics.spectral_start import _root, spectral_start
from latentspike.models.protocol import DataSpec


def test_it_finds_the_system_in_much_data(linear_recording):
    data = linear_recording(400, 100, 20, loading=0.3, seed=3)
    A, C, d = spectral_start(data.counts, data.observed, 2)
    log_rates = np.log(data.truth["rates"] * data.bin_width)
    truth = np.linalg.lstsq(
        data.truth["factors"].reshape(-1, 2), log_rates.reshape(-1, 20) - np.log(0.5), rcond=None
    )[0].T
    assert np.degrees(subspace_angles(C, truth).max()) < 5
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(A)), 0.95, atol=0.02)
    np.testing.assert_allclose(np.abs(np.angle(np.linalg.eigvals(A))), 0.2, atol=0.02)
    np.testing.assert_allclose(C @ C.T, truth @ truth.T, atol=0.15)
    np.testing.assert_allclose(d, np.log(0.5), atol=0.1)


@pytest.mark.parametrize("n_bins", [2, 3, 4, 9])
@pytest.mark.parametrize("n_latents", [1, 3])
def test_short_trials_and_silent_neurons_give_a_valid_start(rng, n_bins, n_latents):
    counts = rng.poisson(1.0, (5, n_bins, 3))
    counts[:, :, 0] = 0
    seen = rng.random(counts.shape) > 0.3
    A, C, d = spectral_start(counts, seen, n_latents)
    assert np.linalg.norm(A, 2) < 1
    assert np.isfinite(C).all() and np.isfinite(d).all()
    assert d[0] < d[1:].min()


def test_hidden_counts_are_not_read(rng, linear_recording):
    data = linear_recording(10)
    seen = rng.random(data.counts.shape) > 0.3
    spoiled = np.where(seen, data.counts, 99)
    found, other = (spectral_start(c, seen, 2) for c in (data.counts, spoiled))
    for a, b in zip(found, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_root_of_dynamics_makes_them_again_and_is_real():
    turn = 0.8 * np.array([[np.cos(1.2), -np.sin(1.2)], [np.sin(1.2), np.cos(1.2)]])
    root = _root(turn, 4)
    np.testing.assert_allclose(np.linalg.matrix_power(root, 4), turn, atol=1e-12)
    # what has no memory over a wide bin, or alternates, is taken for the shortest memory
    np.testing.assert_allclose(
        _root(np.diag([-0.5, 0.0]), 2), np.sqrt(0.05) * np.eye(2), atol=1e-12
    )


def test_slow_latents_behind_rare_spikes_are_found():
    """0.04 spikes per bin, a latent that lasts 400 bins; from narrow bins alone it was lost."""
    rng, x = np.random.default_rng(3), np.zeros(2500)
    for t in range(1, len(x)):
        x[t] = x[t - 1] * np.exp(-1 / 400) + rng.normal() * np.sqrt(2 / 400)
    counts = rng.poisson(0.04 * np.exp(x[:, None] * np.where(np.arange(9) < 4, 0.5, -0.5)))
    data = SpikeData(counts[None], 0.004)
    model = PLDS(n_latents=3, n_iterations=30)
    params, prepared = model.init(DataSpec.of(data)), model.prepare(data)
    state = model.begin(params, prepared)
    while not model.is_finished(state):
        state, _ = model.advance(state, prepared)
    rates = model.infer(model.finish(params, state, prepared), data).rates[0]
    assert np.corrcoef(np.log(rates[:, 0]), x)[0, 1] > 0.7
