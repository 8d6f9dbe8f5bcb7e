"""A small recording with everything that a loss must heed, and a network that fits it quickly."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from latentspike import SpikeData, devices
from latentspike.models.lfads import LFADS, Architecture
from latentspike.spikes import Split
from latentspike.training import RunOptions, TrainingSettings, fit

devices.prepare()

N_TRIALS, N_BINS, N_NEURONS = 30, 10, 6
SPLIT = Split(np.arange(24), np.arange(24, 30))
LFADS_SMALL = LFADS(
    Architecture(
        generator_size=6,
        n_factors=3,
        ic_encoder_size=5,
        ic_size=3,
        n_inferred_inputs=2,
        ci_encoder_size=5,
        controller_size=5,
    )
)


@pytest.fixture(scope="session")
def spikes():
    """Counts with a held-out neuron, forward bins and missing bins."""
    rng = np.random.default_rng(4)
    phase = rng.uniform(0, 6, (N_TRIALS, 1, 1)) + np.arange(N_NEURONS)
    expected = 1.5 + np.sin(np.linspace(0, 4, N_BINS)[:, None] + phase)
    observed = rng.random(expected.shape) > 0.1
    return SpikeData(
        rng.poisson(expected),
        bin_width=0.02,
        observed=observed,
        heldout=np.arange(N_NEURONS) == 5,
        n_forward_bins=2,
    )


@pytest.fixture(scope="session")
def continuous():
    """Values for the linear autoencoder, whose epochs compile in a moment."""
    rng = np.random.default_rng(5)
    latent = rng.normal(size=(N_TRIALS, 3, 2))
    values = latent @ rng.normal(size=(2, 5)) + 0.5 * rng.normal(size=(N_TRIALS, 3, 5))
    return SpikeData(values, 0.1, kind="continuous")


@pytest.fixture
def lfads():
    return LFADS_SMALL


@pytest.fixture
def train():
    """`fit` on the fixed split: quiet, one device, two steps of 12 trials per epoch."""

    def run(model, data, *, seed=0, hyperparams=None, folder=None, settings=None, **options):
        chosen = {"max_epochs": 3, "batch_size": 16, "ramp_epochs": 2} | (settings or {})
        return fit(
            model,
            data,
            split=SPLIT,
            hyperparams=hyperparams,
            settings=TrainingSettings(**chosen),
            options=RunOptions(**{"folder": folder, "show": False, "n_devices": 1} | options),
            key=jax.random.key(seed),
        )

    return run


@pytest.fixture
def same():
    """Trees are equal bit for bit."""

    def check(a, b):
        assert jax.tree.structure(a) == jax.tree.structure(b)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_array_equal(x, y)
            assert np.asarray(x).dtype == np.asarray(y).dtype

    return check
