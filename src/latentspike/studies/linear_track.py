"""A continuous, sparse recording: chop, fit, merge, and decode position beside smoothing.

    LATENTSPIKE_TEST_DATA=… python -m latentspike.studies.linear_track

LFADS sees all spikes and no position; the decoder is blind to the minutes that it is scored on.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from latentspike.evaluate import decode, smooth
from latentspike.models import LFADS, Architecture
from latentspike.spikes import SpikeData, chop
from latentspike.studies.common import arguments, keep, print_table, recordings_folder
from latentspike.studies.recordings import linear_track
from latentspike.training import RunOptions, TrainingSettings, fit

ARCHITECTURE = Architecture(
    generator_size=64,
    n_factors=20,
    ic_encoder_size=32,
    ic_size=32,
    n_inferred_inputs=4,
    ci_encoder_size=32,
    controller_size=32,
)
HYPERPARAMS = {
    "keep_ratio": 0.7,
    "kl_ic": 0.03,
    "kl_co": 0.03,
    "l2_gen": 100.0,
    "l2_con": 100.0,
    "dropout": 0.1,
}
# place changes over seconds and a unit fires every other second: wide bins, long windows
BIN_SECONDS, N_WINDOW, N_OVERLAP = 0.2, 64, 24
SMOOTHING_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
BLOCK_SECONDS = 60.0


def in_blocks(values: np.ndarray, bin_width: float) -> np.ndarray:
    """[bins, dims] cut into whole blocks [blocks, bins, dims], the units of cross-validation."""
    n_bins = round(BLOCK_SECONDS / bin_width)
    n_blocks = values.shape[0] // n_bins
    return values[: n_blocks * n_bins].reshape(n_blocks, n_bins, -1)


def position_r2(features: np.ndarray, data: SpikeData) -> float:
    """R² of position (mean of both axes), ridge on the last 10 bins, 5 folds over minutes."""
    found = decode(
        in_blocks(features, data.bin_width),
        in_blocks(data.behavior["position"][0], data.bin_width),
        bin_width=data.bin_width,
        method="ridge",
        n_history_bins=10,
    )
    return float(found.mean)


def both_scales(rates: np.ndarray) -> dict[str, np.ndarray]:
    """Rates in Hz and their logarithms: the decoder is linear, and tuning to a place is not."""
    return {"rates": rates, "log rates": np.log(rates + 1e-2)}


def merged_rates(data: SpikeData, *, seed: int, n_epochs: int) -> np.ndarray:
    """Rates [bins, neurons] in Hz from LFADS fitted to overlapping windows and merged."""
    windows, chopping = chop(
        data.replace(behavior={}), n_window_bins=N_WINDOW, n_overlap_bins=N_OVERLAP
    )
    fitted = fit(
        LFADS(ARCHITECTURE),
        windows,
        hyperparams=HYPERPARAMS,
        settings=TrainingSettings(max_epochs=n_epochs, batch_size=32, ramp_epochs=20, patience=40),
        options=RunOptions(show=False),
        key=jax.random.key(seed),
    )
    posterior = fitted.infer(windows, n_samples=20, key=jax.random.key(seed))
    return chopping.merge_posterior(posterior).rates[0]


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "linear_track")
    parser.add_argument("--epochs", type=int, default=200)
    options = parser.parse_args(argv)
    data = linear_track(recordings_folder(), bin_width=BIN_SECONDS)
    print(data)
    rows: dict[str, list[float]] = {}
    for width in SMOOTHING_SECONDS:
        width_bins = width / data.bin_width
        smoothed, _ = smooth(data.counts, data.observed, width_bins=width_bins)
        for name, features in both_scales(smoothed[0] / data.bin_width).items():
            rows[f"spikes smoothed, σ = {width:g} s, {name}"] = [position_r2(features, data)]
    for seed in range(options.seeds):
        rates = merged_rates(data, seed=seed, n_epochs=options.epochs)
        for name, features in both_scales(rates).items():
            rows.setdefault(f"LFADS, {name}", []).append(position_r2(features, data))
        print(f"  seed {seed}: {rows['LFADS, log rates'][-1]:.3f}", flush=True)
    print_table("Position R² (mean of both axes), 5 folds over minutes", rows)
    keep(options.out, {"position_r2": rows, "epochs": options.epochs})
    return {"position_r2": rows}


if __name__ == "__main__":
    main()
