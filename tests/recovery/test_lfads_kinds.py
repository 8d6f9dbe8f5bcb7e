"""The kinds of LFADS that no study uses: measured external inputs, Gaussian observations."""

import jax
import numpy as np

from latentspike import SpikeData
from latentspike.models import LFADS, Architecture
from latentspike.training import RunOptions, TrainingSettings, fit

SIZES = {
    "generator_size": 24, "n_factors": 4, "ic_encoder_size": 12, "ic_size": 8,
    "n_inferred_inputs": 0,
}  # fmt: skip
SETTINGS = TrainingSettings(max_epochs=40, batch_size=32, ramp_epochs=5)
HYPERPARAMS = {"learning_rate": 0.01, "keep_ratio": 1.0, "l2_gen": 1.0, "dropout": 0.0}
KEY = jax.random.key(0)
QUIET = RunOptions(show=False)


def driven_recording():
    """Rates follow a leaky integral of an input that is drawn anew in every bin."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((160, 24, 1))
    state = np.zeros((160, 1))
    log_rates = np.empty((160, 24, 10))
    loading = np.linspace(-1, 1, 10)
    for t in range(24):
        state = 0.7 * state + 0.7 * inputs[:, t]
        log_rates[:, t] = np.log(1.0) + state * loading
    rates = np.exp(log_rates)
    return SpikeData(
        rng.poisson(rates), 0.02, inputs=inputs, n_forward_bins=10, truth={"rates": rates / 0.02}
    )


def test_external_inputs_predict_bins_that_were_not_read():
    data = driven_recording()
    test = data.select_trials(slice(120, None))

    def forward_r2(recording, unseen):
        model = LFADS(Architecture(**SIZES))
        fitted = fit(
            model, recording, hyperparams=HYPERPARAMS, settings=SETTINGS, options=QUIET, key=KEY
        )
        found = fitted.infer(unseen, n_samples=0, key=KEY).rates[:, data.n_read_bins :]
        true = test.truth["rates"][:, data.n_read_bins :]
        return 1 - np.sum((found - true) ** 2) / np.sum((true - true.mean((0, 1))) ** 2)

    train = data.select_trials(slice(0, 120))
    with_inputs = forward_r2(train, test)
    without = forward_r2(train.replace(inputs=None), test.replace(inputs=None))
    assert with_inputs > 0.5
    assert without < 0.2  # the input of those bins is nowhere in the spikes before them


def test_gaussian_observations_are_denoised():
    rng = np.random.default_rng(1)
    time = np.arange(30) * 0.02
    phase = rng.uniform(0, 2 * np.pi, 160)[:, None]
    factors = np.stack([np.sin(8 * time + phase), np.cos(8 * time + phase)], axis=2)
    true = 1.5 * factors @ rng.standard_normal((2, 12))
    noisy = true + rng.standard_normal(true.shape)
    data = SpikeData(noisy, 0.02, kind="continuous", truth={"rates": true})
    train, test = data.select_trials(slice(0, 120)), data.select_trials(slice(120, None))
    model = LFADS(Architecture(**SIZES, observation="gaussian"))
    fitted = fit(model, train, hyperparams=HYPERPARAMS, settings=SETTINGS, options=QUIET, key=KEY)
    found = fitted.infer(test, n_samples=10, key=KEY)
    error = np.mean((found.rates - test.truth["rates"]) ** 2)
    assert error < 0.25  # the noise has variance 1
    assert fitted.history[-1]["valid_loss"] < fitted.history[0]["valid_loss"]
