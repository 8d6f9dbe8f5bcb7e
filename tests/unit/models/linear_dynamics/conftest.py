"""Double precision, as the family computes, and a simulated system."""

import jax
import numpy as np
import pytest

from latentspike import SpikeData


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def linear_recording():
    """Function that makes a recording of a rotating system (eigenvalues 0.95 exp(± 0.2 i))."""

    def make(n_trials=20, n_bins=60, n_neurons=12, *, loading=0.6, seed=0, **changes):
        rng = np.random.default_rng(seed)
        A = 0.95 * np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])
        C = rng.normal(size=(n_neurons, 2)) * loading
        x, path = rng.normal(size=(n_trials, 2)), []
        for _ in range(n_bins):
            path.append(x)
            x = x @ A.T + np.sqrt(1 - 0.95**2) * rng.normal(size=x.shape)
        factors = np.stack(path, 1)
        expected = 0.5 * np.exp(factors @ C.T)
        truth = {"rates": expected / 0.02, "factors": factors}
        return SpikeData(rng.poisson(expected), 0.02, truth=truth, **changes)

    return make
