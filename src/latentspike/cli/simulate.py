"""``latentspike simulate``: a recording with a known answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro import conf

from latentspike.cli.options import Common
from latentspike.cli.outcome import Report, UsageError

World = Literal["chaotic-rnn", "linear-factors", "lorenz"]


@dataclass(frozen=True, kw_only=True)
class Simulate(Common):
    """Simulate a recording whose rates are known, and write it.

    An .h5 file has the layout of LFADS with 80 % of the trials for training and 20 % for
    validation, and carries the true rates; .npz carries them too, .nwb cannot. Sizes that are not
    given are those of the world.

    Example: latentspike simulate lorenz --out recording.h5 --conditions 30 --seed 1
    """

    world: Annotated[World, conf.Positional, conf.arg(metavar="WORLD")]
    """chaotic-rnn (input-driven network), linear-factors or lorenz."""
    out: Annotated[str, conf.arg(metavar="FILE")]
    """File to write, ending in .h5, .npz or .nwb."""
    seed: int = 0
    """The same seed gives the same file."""
    conditions: int | None = None
    """Number of conditions."""
    trials: int | None = None
    """Trials per condition."""
    neurons: int | None = None
    """Number of neurons."""
    duration: float | None = None
    """Length of a trial in seconds."""
    bin_width: float | None = None
    """Width of a bin in seconds."""
    mean_rate: float | None = None
    """Hz: mean rate of a neuron (for chaotic-rnn the largest rate)."""
    speed: float | None = None
    """lorenz: how fast the system runs, in Lorenz time units per second."""


OPTIONS = Simulate
_NAMES = {
    "conditions": "n_conditions",
    "trials": "n_trials_per_condition",
    "neurons": "n_neurons",
    "duration": "duration",
    "bin_width": "bin_width",
    "mean_rate": "mean_rate",
    "speed": "speed",
}


def run(options: Simulate) -> Report:
    """Simulate and write; see `Simulate`."""
    from latentspike import simulate
    from latentspike.spikes import split_trials

    write = _writer(options.out)
    changes = _changes(options)
    if options.seed < 0:
        raise UsageError(f"--seed must be 0 or more, got {options.seed}")
    data = getattr(simulate, options.world.replace("-", "_"))(seed=options.seed, **changes)
    split = split_trials(data, validation_fraction=0.2, seed=options.seed)
    write(options.out, data, split)
    document = {
        "file": options.out,
        "world": options.world,
        "seed": options.seed,
        "n_trials": data.n_trials,
        "n_bins": data.n_bins,
        "n_neurons": data.n_neurons,
        "bin_width": data.bin_width,
        "mean_rate": data.mean_rate,
    }
    return Report(document, f"{options.out}: {data}")


def _changes(options: Simulate) -> dict[str, Any]:
    changes = {field: getattr(options, name) for name, field in _NAMES.items()}
    if options.speed is not None and options.world != "lorenz":
        raise UsageError(f"--speed belongs to lorenz; {options.world} has none")
    if options.world == "chaotic-rnn":
        changes["max_rate"] = changes.pop("mean_rate")
    for name in ("conditions", "trials", "neurons"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, got {value}")
    if options.world == "chaotic-rnn" and options.bin_width is not None:
        changes["dt"] = min(0.01, options.bin_width)
    return {name: value for name, value in changes.items() if value is not None}


def _writer(path: str) -> Any:
    from latentspike.io import write_hdf5, write_npz, write_nwb

    writers = {
        ".h5": write_hdf5,
        ".hdf5": write_hdf5,
        ".npz": lambda path, data, _: write_npz(path, data),
        ".nwb": lambda path, data, _: write_nwb(path, data),
    }
    suffix = Path(path).suffix.lower()
    if suffix not in writers:
        raise UsageError(f"--out {path}: the name must end in .h5, .npz or .nwb")
    return writers[suffix]
