import jax
import numpy as np

from latentspike import SpikeData
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.protocol import DataSpec
from latentspike.training import RunOptions, TrainingSettings, fit

KEY = jax.random.key(0)
MODEL = LinearAutoencoder()


def test_forward_bins_are_predicted_as_zero_and_counts_in_hz():
    counts = np.random.default_rng(0).poisson(2.0, (4, 5, 6))
    data = SpikeData(counts, 0.02, heldout=np.arange(6) == 1, n_forward_bins=2)
    params = MODEL.init(DataSpec.of(data), key=KEY)
    assert params["weights"].shape == (5, 6)
    rates = MODEL.infer(params, data, key=KEY).rates
    by_hand = counts[:, :3][:, :, ~data.heldout] @ np.asarray(params["weights"]) / 0.02
    np.testing.assert_allclose(rates[:, :3], by_hand, rtol=1e-4, atol=1e-4)
    assert not rates[:, 3:].any()


def test_coordinated_dropout_keeps_it_from_the_identity():
    """Paper 3.2: without it, the weights become the identity, and that is copying."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(30, 20, 2))
    values = latent @ rng.normal(size=(2, 8)) + rng.normal(size=(30, 20, 8))
    data = SpikeData(values, 1.0, kind="continuous")

    def diagonal(keep_ratio):
        fitted = fit(
            MODEL, data, key=KEY,
            hyperparams={"keep_ratio": keep_ratio, "learning_rate": 0.02},
            settings=TrainingSettings(max_epochs=100, batch_size=30, patience=100),
            options=RunOptions(show=False, n_devices=1),
        )  # fmt: skip
        return np.diag(fitted.params["weights"]).mean()

    assert diagonal(1.0) > 0.9
    assert diagonal(0.8) < 0.7
