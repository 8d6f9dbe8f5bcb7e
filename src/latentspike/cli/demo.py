"""``latentspike demo``: from spikes to figures on a recording with a known answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro import conf

from latentspike.cli.options import Common
from latentspike.cli.outcome import Report, note

# A Lorenz system seen through few, noisy spikes: dynamics pay, and a minute is enough.
SIMULATION = {"conditions": 20, "trials": 30, "bin_width": 0.02, "mean_rate": 20.0, "speed": 2.0}
SETTINGS = (
    "data.heldout_neurons=6",
    "model.architecture.n_inferred_inputs=0",
    "model.architecture.generator_size=64",
    "model.architecture.n_factors=8",
    "model.architecture.ic_encoder_size=32",
    "model.architecture.ic_size=32",
    "hyperparams.learning_rate=0.01",
    "training.max_epochs=100",
    "training.ramp_epochs=5",
)
SAMPLES = 20


@dataclass(frozen=True, kw_only=True)
class Demo(Common):
    """Simulate a small recording, train LFADS, infer, evaluate and draw; about a minute.

    Ends with the scores beside those of Gaussian smoothing, and the paths of the pictures.
    Needs no network and no display. A second demo in the same folder replaces the first.
    """

    out: Annotated[str, conf.arg(metavar="FOLDER")] = "latentspike-demo"
    """Folder for the recording and the run."""
    epochs: int | None = None
    """Epochs of training; fewer are faster and worse."""


OPTIONS = Demo


def run(options: Demo) -> Report:
    """The other commands, one after the other; see `Demo`."""
    from latentspike.cli import evaluate, fit, infer, plot, simulate

    started = time.monotonic()
    folder = Path(options.out)
    recording, run_folder = str(folder / "recording.h5"), str(folder / "run")
    settings = SETTINGS
    if options.epochs is not None:
        settings = (*SETTINGS, f"training.max_epochs={options.epochs}")
    note("1/5 simulating")
    simulated = simulate.run(simulate.Simulate(world="lorenz", out=recording, **SIMULATION))
    note(f"    {simulated.text}\n2/5 training LFADS")
    fitted = fit.run(fit.Fit(file=recording, out=run_folder, set=settings, overwrite=True))
    note("3/5 inferring")
    infer.run(infer.Infer(run=run_folder, samples=SAMPLES))
    note("4/5 evaluating")
    scores = evaluate.run(evaluate.Evaluate(run=run_folder))
    note("5/5 drawing")
    figures = plot.run(plot.Plot(run=run_folder))
    seconds = time.monotonic() - started
    document = {
        "recording": recording,
        "run": run_folder,
        "n_epochs": fitted.document["n_epochs"],
        "seconds": seconds,
        "scores": scores.document,
        "figures": figures.document["figures"],
    }
    text = f"{scores.text}\n\npictures:\n{figures.text}\n\ndone in {seconds:.0f} s: {run_folder}"
    return Report(document, text)
