"""The GLM against nemos used by itself: its basis, its convolution, its fit."""

import jax
import numpy as np
import pytest

from latentspike import SpikeData, devices
from latentspike.models.glm import GLM, lag_basis
from latentspike.models.protocol import DataSpec

nemos = pytest.importorskip("nemos")
devices.prepare()  # compiled programs are kept: those of nemos take seconds each
KEY = jax.random.key(0)
RIDGE, N_BASIS, N_LAGS = 3.0, 3, 8


@pytest.fixture(scope="module")
def recorded():
    rng = np.random.default_rng(5)
    rates = rng.uniform(0.1, 0.6, 4) * np.exp(0.5 * np.sin(np.arange(50) / 5))[:, None]
    return SpikeData(rng.poisson(rates, (20, 50, 4)), bin_width=0.02)


@pytest.fixture
def in_double():
    with jax.enable_x64(True):
        yield


def _coefficients(data, **options):
    model = GLM(history=N_LAGS * 0.02, n_basis=N_BASIS, ridge=RIDGE, **options)
    params = model.estimate(model.init(DataSpec.of(data), key=KEY), data, key=KEY)
    return params["weights"].swapaxes(0, 1).reshape(-1, 4), params["intercept"]


def _nemos_design(counts):
    """Each trial through nemos' own convolution, after bins without spikes."""
    basis = nemos.basis.RaisedCosineLogConv(
        N_BASIS, window_size=N_LAGS, time_scaling=(N_LAGS - 1) / N_BASIS
    )
    padded = np.pad(counts.astype(float), ((0, 0), (N_LAGS, 0), (0, 0)))
    trials = [np.asarray(basis.compute_features(trial))[N_LAGS:] for trial in padded]
    return np.concatenate(trials)


def _nemos_fit(kind, design, targets, strength, **options):
    model = kind(
        regularizer="Ridge",
        regularizer_strength=strength,
        solver_name="LBFGS",
        solver_kwargs={"tol": 1e-9, "maxiter": 3000},
        **options,
    )
    model.fit(design, targets)
    return np.asarray(model.coef_), np.asarray(model.intercept_)


@pytest.mark.parametrize(("n_lags", "n_basis"), [(8, 3), (40, 6), (200, 5)])
def test_the_basis_is_nemos(n_lags, n_basis, in_double):
    basis = nemos.basis.RaisedCosineLogEval(n_basis, time_scaling=(n_lags - 1) / n_basis)
    _, values = basis.evaluate_on_grid(n_lags)
    np.testing.assert_allclose(lag_basis(n_lags, n_basis), values, atol=1e-12)


def test_coefficients_are_nemos(recorded, in_double):
    design = _nemos_design(recorded.counts)
    targets = recorded.counts.reshape(-1, 4).astype(float)
    expected = _nemos_fit(nemos.glm.PopulationGLM, design, targets, RIDGE / len(design))
    found = _coefficients(recorded)
    np.testing.assert_allclose(found[0], expected[0], atol=2e-5)
    np.testing.assert_allclose(found[1], expected[1], atol=2e-5)
    assert np.abs(expected[0]).max() > 0.1


def test_missing_entries_are_rows_that_nemos_does_not_see(recorded, in_double):
    observed = np.random.default_rng(1).random(recorded.counts.shape) > 0.2
    mean = DataSpec.of(recorded.replace(observed=observed)).mean_counts
    design = _nemos_design(np.where(observed, recorded.counts, mean))
    found = _coefficients(recorded.replace(observed=observed), is_coupled=False)
    rows, own = observed[:, :, 3].ravel(), slice(3 * N_BASIS, 4 * N_BASIS)
    targets = recorded.counts[:, :, 3].ravel().astype(float)
    # ours divides the ridge by all rows, as it divides the likelihood
    strength = RIDGE / rows.sum()
    expected = _nemos_fit(nemos.glm.GLM, design[rows, own], targets[rows], strength)
    np.testing.assert_allclose(found[0][own, 3], expected[0], atol=2e-5)
    np.testing.assert_allclose(found[1][3], expected[1].item(), atol=2e-5)
    uncoupled = np.kron(np.eye(4), np.ones((N_BASIS, 1))) == 0
    assert not found[0][uncoupled].any() and found[0][~uncoupled].all()
