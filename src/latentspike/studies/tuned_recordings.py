"""`latentspike tune` with no options on real recordings: rat motor cortex and monkey M1.

    LATENTSPIKE_TEST_DATA=… python -m latentspike.studies.tuned_recordings [--only rat|monkey]

The training trials are written to a file, `latentspike tune FILE` searches on it, the best model
is applied to test trials that it has never seen: bits per spike of held-out neurons (rat), hand
velocity in five folds (monkey).
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from latentspike.evaluate import co_smoothing_bits
from latentspike.io import write_hdf5
from latentspike.models import Fitted
from latentspike.spikes import SpikeData, k_folds
from latentspike.studies.common import arguments, keep, print_table, recordings_folder
from latentspike.studies.monkey_m1 import N_FOLDS, N_HISTORY, velocity_r2
from latentspike.studies.recordings import monkey_m1, rat_motor_cortex


def tuned(data: SpikeData, folder: Path, *, seed: int) -> tuple[Fitted, float]:
    """The best model of ``latentspike tune FILE``, and the seconds that it took."""
    file = folder / f"{folder.name}.h5"
    run = folder / "tuned"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_hdf5(file, data)
    start = time.monotonic()
    words = ["tune", "--out", str(run), "--seed", str(seed)]
    words += ["--resume"] if run.exists() else [str(file)]
    subprocess.run([sys.executable, "-m", "latentspike.cli.main", *words], check=True)
    return Fitted.load(run), time.monotonic() - start


def rat(folder: Path, *, seed: int, draw: int) -> dict[str, float]:
    """Bits per spike of held-out neurons on the 254 test trials."""
    data, split = rat_motor_cortex(recordings_folder(), draw=draw)
    train, test = split.select(data)
    fitted, seconds = tuned(train, folder / f"rat-{seed}", seed=seed)
    posterior = fitted.infer(test, n_samples=50, key=jax.random.key(seed))
    bits = co_smoothing_bits(test, posterior)
    print(f"  seed {seed}: {bits.value:.4f} ± {bits.standard_error:.4f}, {seconds:.0f} s")
    return {"bits_per_spike": bits.value, "seconds": seconds}


def monkey(folder: Path, *, seed: int) -> dict[str, float]:
    """R² of hand velocity; model and decoder are blind to the test fold."""
    data = monkey_m1(recordings_folder())
    folds = k_folds(data, N_FOLDS)
    features, total = [], 0.0
    for number, fold in enumerate(folds):
        known = data.select_trials(fold.train).replace(behavior={})
        fitted, seconds = tuned(known, folder / f"monkey-{seed}-{number}", seed=seed)
        total += seconds
        posterior = fitted.infer(data, n_samples=30, key=jax.random.key(seed))
        features.append(np.log(posterior.rates + 1e-3))
    r2 = velocity_r2(features, data, folds, N_HISTORY)
    print(f"  seed {seed}: {r2:.4f}, {total:.0f} s for {N_FOLDS} folds")
    return {"velocity_r2": r2, "seconds": total}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "tuned_recordings", seeds=1)
    parser.add_argument("--only", choices=["rat", "monkey"], default=None)
    parser.add_argument("--draw", type=int, default=1, help="which neurons of the rat are held out")
    options = parser.parse_args(argv)
    document: dict[str, Any] = {}
    for name in ("rat", "monkey"):
        if options.only in (None, name):
            print(name, flush=True)
            document[name] = [_run(name, seed, options) for seed in range(options.seeds)]
            unit = "bits_per_spike" if name == "rat" else "velocity_r2"
            print_table(name, {unit: [row[unit] for row in document[name]]})
    keep(options.out, document)
    return document


def _run(name: str, seed: int, options: Any) -> dict[str, float]:
    if name == "rat":
        return rat(options.out, seed=seed, draw=options.draw)
    return monkey(options.out, seed=seed)


if __name__ == "__main__":
    main()
