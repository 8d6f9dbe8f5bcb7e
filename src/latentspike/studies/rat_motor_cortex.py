"""Co-smoothing on rat motor cortex: LFADS with and without coordinated dropout, and baselines.

    LATENTSPIKE_TEST_DATA=… python -m latentspike.studies.rat_motor_cortex

A tenth of the training trials chooses the epoch; the 254 test trials are seen by no fit.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np

from latentspike.evaluate import (
    co_smoothing_bits,
    multi_lag_glm,
    psth_rates,
    smoothed_plus_psth,
)
from latentspike.models import LFADS, Architecture, GaussianSmoothing
from latentspike.spikes import SpikeData, Split, split_trials
from latentspike.studies.common import arguments, keep, print_table, recordings_folder
from latentspike.studies.recordings import rat_motor_cortex
from latentspike.training import RunOptions, TrainingSettings, fit

ARCHITECTURE = Architecture(
    generator_size=64, n_factors=16, ic_encoder_size=48, ic_size=32, n_inferred_inputs=4,
    ci_encoder_size=48, controller_size=48,
)  # fmt: skip
VARIANTS: dict[str, dict[str, float]] = {
    "LFADS without coordinated dropout": {"keep_ratio": 1.0, "kl_ic": 0.5, "kl_co": 0.5},
    "LFADS with coordinated dropout": {"keep_ratio": 0.6, "kl_ic": 0.1, "kl_co": 0.1},
}
COMMON = {"learning_rate": 4e-3, "dropout": 0.2, "l2_gen": 100.0, "l2_con": 100.0}


def baselines(data: SpikeData, split: Split) -> dict[str, float]:
    """Bits per spike of held-out neurons for the models without latent dynamics."""
    train, test = data.select_trials(split.train), data.select_trials(split.validation)
    smoothing = GaussianSmoothing(0.06)
    key = jax.random.key(0)
    fitted = fit(smoothing, data, split=split, options=RunOptions(show=False), key=key)
    found = {
        "PSTH": psth_rates(train, test),
        "smoothing + Poisson ridge": fitted.infer(test, key=key),
        "smoothing + Poisson ridge + log-PSTH": smoothed_plus_psth(train, test, width=0.06),
        "±120 ms multi-lag GLM + log-PSTH": multi_lag_glm(train, test, max_lag=0.12),
        "±500 ms multi-lag GLM + log-PSTH": multi_lag_glm(train, test, max_lag=0.5),
    }
    return {name: co_smoothing_bits(test, rates).value for name, rates in found.items()}


def run_once(
    data: SpikeData, split: Split, hyperparams: dict[str, float], *, seed: int, n_epochs: int
) -> tuple[float, float]:
    """Co-smoothing bits per spike on the test trials, and its standard error over trials."""
    train = data.select_trials(split.train)
    inner = split_trials(train, validation_fraction=0.1, seed=seed)
    fitted = fit(
        LFADS(ARCHITECTURE),
        train,
        split=inner,
        hyperparams=COMMON | hyperparams,
        settings=TrainingSettings(max_epochs=n_epochs, batch_size=64, ramp_epochs=20, patience=50),
        options=RunOptions(show=False),
        key=jax.random.key(seed),
    )
    test = data.select_trials(split.validation)
    posterior = fitted.infer(test, n_samples=50, key=jax.random.key(seed))
    bits = co_smoothing_bits(test, posterior)
    print(
        f"    seed {seed}: {bits.value:.4f} ± {bits.standard_error:.4f}, best epoch "
        f"{fitted.about['best_epoch'] + 1} of {len(fitted.history)}",
        flush=True,
    )
    return bits.value, bits.standard_error


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "rat_motor_cortex")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--draw", type=int, default=1, help="which neurons are held out")
    parser.add_argument("--skip-baselines", action="store_true")
    options = parser.parse_args(argv)
    data, split = rat_motor_cortex(recordings_folder(), draw=options.draw)
    print(data)
    rows: dict[str, list[float]] = {}
    if not options.skip_baselines:
        rows |= {name: [value] for name, value in baselines(data, split).items()}
    errors: dict[str, list[float]] = {}
    for name, hyperparams in VARIANTS.items():
        print(f"  {name}")
        start = time.monotonic()
        found = [
            run_once(data, split, hyperparams, seed=seed, n_epochs=options.epochs)
            for seed in range(options.seeds)
        ]
        rows[name] = [value for value, _ in found]
        errors[name] = [error for _, error in found]
        print(f"    {time.monotonic() - start:.0f} s")
    print_table("Held-out neurons, bits per spike on 254 test trials", rows)
    held_out = np.flatnonzero(data.heldout).tolist()
    document = {"bits_per_spike": rows, "standard_error": errors, "heldout_neurons": held_out}
    keep(options.out, {**document, "epochs": options.epochs, "draw": options.draw})
    return document


if __name__ == "__main__":
    main()
