"""Fig. 3 of the 2019 paper: a linear autoencoder with and without coordinated dropout.

python -m latentspike.studies.linear_autoencoder
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

from latentspike.models import Fitted
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.plot import autoencoder_weights, save
from latentspike.simulate import noisy_linear_samples
from latentspike.spikes import Split
from latentspike.studies.common import arguments, keep, print_table, tabulated
from latentspike.training import RunOptions, TrainingSettings, fit

N_TRAIN, N_VALIDATION = 1000, 200
KEEP_RATIOS = {"without": 1.0, "with": 0.8}


def run_once(keep_ratio: float, *, seed: int, n_epochs: int) -> Fitted:
    """Train once; the history has squared errors per neuron against noisy and true values.

    Parameters
    ----------
    keep_ratio : of coordinated dropout; 1 switches it off
    seed : of data and training
    n_epochs : passes over the 1000 samples
    """
    data = noisy_linear_samples(n_samples=N_TRAIN + N_VALIDATION, seed=seed)
    split = Split(np.arange(N_TRAIN), np.arange(N_TRAIN, N_TRAIN + N_VALIDATION))
    noisy = data.counts[split.validation, 0]
    true = data.truth["rates"][split.validation, 0]

    def monitor(params: Any, epoch: int) -> dict[str, float]:
        found = noisy @ np.asarray(params["weights"])
        return {
            "loss_recon": float(np.mean((found - noisy) ** 2)),
            "loss_true": float(np.mean((found - true) ** 2)),
        }

    return fit(
        LinearAutoencoder(),
        data,
        split=split,
        hyperparams={"keep_ratio": keep_ratio, "learning_rate": 2e-3},
        settings=TrainingSettings(
            max_epochs=n_epochs, batch_size=50, ramp_epochs=0, patience=n_epochs
        ),
        options=RunOptions(show=False, monitor=monitor),
        key=jax.random.key(seed),
    )


def draw(runs: dict[str, Fitted], weights: dict[str, np.ndarray], path: Path) -> None:
    """The four panels: losses and weights, without and with coordinated dropout."""
    figure, axes = plt.subplots(2, 2, figsize=(8, 7), constrained_layout=True)
    for row, (name, fitted) in zip(axes, runs.items(), strict=True):
        epochs = [entry["epoch"] for entry in fitted.history]
        for column, colour in (("loss_recon", "tab:red"), ("loss_true", "tab:blue")):
            row[0].plot(epochs, [h[column] for h in fitted.history], color=colour, label=column)
        row[0].set(xlabel="epoch", ylabel="mean squared error", ylim=(0, 2))
        row[0].set_title(f"{name} coordinated dropout")
        row[0].legend()
        autoencoder_weights(weights[name].T, ax=row[1])  # rows are outputs
    save(figure, path)
    plt.close(figure)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "linear_autoencoder")
    parser.add_argument("--epochs", type=int, default=300)
    options = parser.parse_args(argv)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in KEEP_RATIOS}
    for seed in range(options.seeds):
        runs = {
            name: run_once(ratio, seed=seed, n_epochs=options.epochs)
            for name, ratio in KEEP_RATIOS.items()
        }
        last = {name: run.history[-1] for name, run in runs.items()}
        for name, row in last.items():
            found[name].append({k: row[k] for k in ("loss_recon", "loss_true")})
        if seed == 0:
            weights = {name: np.asarray(run.params["weights"]) for name, run in runs.items()}
            draw(runs, weights, options.out / "fig3.png")
    rows = {
        f"{column}, {name} coordinated dropout": [entry[column] for entry in found[name]]
        for column in ("loss_true", "loss_recon")
        for name in KEEP_RATIOS
    }
    ratio = [
        a["loss_true"] / b["loss_true"]
        for a, b in zip(found["with"], found["without"], strict=True)
    ]
    rows["true loss with / without"] = ratio
    with tabulated(options.out):
        print_table(
            "Linear autoencoder, last epoch, mean squared error on 200 validation samples", rows
        )
    keep(options.out, {"last_epoch": found, "true_loss_ratio": ratio, "epochs": options.epochs})
    return {"true_loss_ratio": ratio, **found}


if __name__ == "__main__":
    main()
