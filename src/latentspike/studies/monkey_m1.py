"""Hand velocity from monkey M1: LFADS and decoder blind to the test fold, beside smoothing.

LATENTSPIKE_TEST_DATA=… python -m latentspike.studies.monkey_m1
"""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np

from latentspike.evaluate import decode_blind, smooth
from latentspike.models import LFADS, Architecture
from latentspike.spikes import SpikeData, Split, k_folds
from latentspike.studies.common import (
    arguments,
    keep,
    print_table,
    recordings_folder,
    tabulated,
)
from latentspike.studies.recordings import MONKEY_BIN_WIDTH, monkey_m1
from latentspike.studies.table_figure import draw_table
from latentspike.training import RunOptions, TrainingSettings, fit

ARCHITECTURE = Architecture(
    generator_size=64, n_factors=16, ic_encoder_size=48, ic_size=32, n_inferred_inputs=4,
    ci_encoder_size=48, controller_size=48,
)  # fmt: skip
VARIANTS: dict[str, dict[str, float]] = {
    "LFADS with coordinated dropout": {"keep_ratio": 0.7},
    "LFADS without coordinated dropout": {"keep_ratio": 1.0},
}
COMMON = {
    "learning_rate": 4e-3, "dropout": 0.3, "kl_ic": 0.1, "kl_co": 0.1, "l2_gen": 500.0,
    "l2_con": 500.0,
}  # fmt: skip
N_FOLDS, N_HISTORY, N_SELECTION = 5, 10, 8
SMOOTHING_BINS = (1.0, 2.0, 3.0, 4.0)


def fold_rates(
    data: SpikeData, fold: Split, hyperparams: dict[str, float], *, seed: int, n_epochs: int
) -> np.ndarray:
    """Log rates of all trials from a model that saw only the training trials of the fold.

    Its last training trials (every tenth or so) choose the epoch.
    """
    known = data.select_trials(fold.train).replace(behavior={})
    picks = np.linspace(0, known.n_trials - 1, N_SELECTION + 2)[1:-1].astype(int)
    rest = np.setdiff1d(np.arange(known.n_trials), picks)
    # equal shapes in all folds: one compiled program serves them
    inner = Split(rest[: int(0.8 * data.n_trials) - N_SELECTION], picks)
    fitted = fit(
        LFADS(ARCHITECTURE),
        known,
        split=inner,
        hyperparams=COMMON | hyperparams,
        settings=TrainingSettings(
            max_epochs=n_epochs, batch_size=40, ramp_epochs=30, patience=n_epochs
        ),
        options=RunOptions(show=False),
        key=jax.random.key(1000 * seed + int(fold.validation[0])),
    )
    posterior = fitted.infer(data, n_samples=30, key=jax.random.key(seed))
    return np.log(posterior.rates + 1e-3)


def velocity_r2(
    features: list[np.ndarray], data: SpikeData, folds: list[Split], history: Any
) -> float:
    """R² of hand velocity (mean of x and y), ridge with penalties chosen inside training folds."""
    found = decode_blind(
        features, data.behavior["velocity"], folds, bin_width=MONKEY_BIN_WIDTH, method="ridge",
        n_history_bins=history,
    )  # fmt: skip
    return float(found.mean)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "monkey_m1")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--widths", type=float, nargs="+", default=SMOOTHING_BINS, help="bins")
    options = parser.parse_args(argv)
    data = monkey_m1(recordings_folder())
    print(data)
    folds = k_folds(data, N_FOLDS)
    rows: dict[str, list[float]] = {}
    for width in options.widths:
        smoothed, _ = smooth(data.counts, data.observed, width_bins=width)
        for name, history in ((f"last {N_HISTORY} bins", N_HISTORY), ("whole trial", "trial")):
            r2 = velocity_r2([smoothed] * N_FOLDS, data, folds, history)
            rows[f"spikes smoothed with {width:g} bins, {name}"] = [r2]
    for variant, hyperparams in VARIANTS.items():
        start = time.monotonic()
        for seed in range(options.seeds):
            features = [
                fold_rates(data, fold, hyperparams, seed=seed, n_epochs=options.epochs)
                for fold in folds
            ]
            for name, history in ((f"last {N_HISTORY} bins", N_HISTORY), ("whole trial", "trial")):
                r2 = velocity_r2(features, data, folds, history)
                rows.setdefault(f"{variant}, {name}", []).append(r2)
            print(f"  {variant}, seed {seed}: {rows[f'{variant}, last {N_HISTORY} bins'][-1]:.3f}"
                  f" ({time.monotonic() - start:.0f} s)", flush=True)  # fmt: skip
    with tabulated(options.out):
        print_table("Hand velocity R² (mean of x and y), 5 folds of contiguous trials", rows)
    draw_table(
        {"5 folds of contiguous trials": rows}, "velocity R²", options.out / "velocity_r2.png"
    )
    keep(options.out, {"velocity_r2": rows, "epochs": options.epochs})
    return {"velocity_r2": rows}


if __name__ == "__main__":
    main()
