"""``latentspike infer``: rates, factors and inputs of every trial."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro import conf

from latentspike.cli.options import Common, RunFolder
from latentspike.cli.outcome import Report, UsageError

if TYPE_CHECKING:
    from latentspike.cli.configuration import Configuration
    from latentspike.cli.recording import Prepared
    from latentspike.spikes import Posterior, Split


@dataclass(frozen=True, kw_only=True)
class Infer(Common):
    """Infer what the model knows of every trial.

    Rates (Hz) and, where the model has them, factors, initial conditions, inferred inputs and the
    activity of whole populations (Hz).

    Writes RUN/posterior.h5, which evaluate and plot read. A recording that was cut into windows
    is merged again. Another recording of the same neurons (--data) goes to a file of its own.
    """

    run: RunFolder
    """Run folder that fit made."""
    data: Annotated[str | None, conf.arg(metavar="FILE")] = None
    """Another recording with the same neurons, read with the run's [data] settings."""
    samples: int = 50
    """Posterior draws to average for each trial; 0 passes the posterior means through."""
    out: Annotated[str | None, conf.arg(metavar="FILE")] = None
    """Write the results here as well, as .h5 or .nwb (beside the recording's own contents where
    that is NWB)."""
    seed: Annotated[int | None, conf.arg(metavar="INT")] = None
    """Seed of the draws; that of the run by default."""


OPTIONS = Infer


def run(options: Infer) -> Report:
    """Infer and write; see `Infer`."""
    from latentspike.cli import run_folder as files

    if options.samples < 0:
        raise UsageError(f"--samples must be 0 or more, got {options.samples}")
    if options.out is not None and Path(options.out).suffix.lower() not in (".h5", ".hdf5", ".nwb"):
        raise UsageError(f"--out {options.out}: the name must end in .h5 or .nwb")
    folder = Path(options.run)
    configuration = files.open_configuration(folder)
    fitted = files.open_fitted(folder)
    configuration, prepared, split = _recording(options, folder, configuration)
    posterior = _infer(options, configuration, fitted, prepared)
    paths = _write(options, folder, configuration, prepared, split, posterior)
    document = {
        "run": str(folder),
        "files": [str(path) for path in paths],
        "n_trials": posterior.rates.shape[0],
        "n_bins": posterior.rates.shape[1],
        "n_neurons": posterior.rates.shape[2],
        "n_samples": posterior.n_samples,
        "arrays": sorted(posterior.arrays()),
    }
    text = "\n".join([repr(posterior), *(f"wrote {path}" for path in paths)])
    if options.data is None:
        text += f"\nnext: latentspike evaluate {folder}"
    return Report(document, text)


def _recording(
    options: Infer, folder: Path, configuration: Configuration
) -> tuple[Configuration, Prepared, Split | None]:
    from latentspike.cli import recording
    from latentspike.cli import run_folder as files

    if options.data is None:
        configuration, prepared, split = files.open_run(folder)
        return configuration, prepared, recording.whole_split(prepared, split)
    _, heldout = files.open_split(folder)
    data = dataclasses.replace(configuration.data, path=options.data)
    prepared = recording.prepare(data, seed=configuration.seed, heldout=heldout)
    return dataclasses.replace(configuration, data=data), prepared, None


def _infer(
    options: Infer, configuration: Configuration, fitted: Any, prepared: Prepared
) -> Posterior:
    import jax

    seed = configuration.seed if options.seed is None else options.seed
    key = jax.random.fold_in(jax.random.key(seed), 1)  # apart from the draws of training
    try:
        posterior = fitted.infer(prepared.data, n_samples=options.samples, key=key)
    except ValueError as error:
        raise ValueError(f"{configuration.data.path}: {error}") from error
    if prepared.chopping is None:
        return posterior
    return prepared.chopping.merge_posterior(posterior)


def _write(
    options: Infer,
    folder: Path,
    configuration: Configuration,
    prepared: Prepared,
    split: Split | None,
    posterior: Posterior,
) -> list[Path]:
    from latentspike.cli import run_folder as files
    from latentspike.io import write_results_hdf5, write_results_nwb

    kind = prepared.whole.kind
    paths = []
    if options.data is None:
        paths.append(folder / files.POSTERIOR)
        files.forget(folder, (files.SCORES,))
    elif options.out is None:
        paths.append(folder / f"posterior_{Path(options.data).stem}.h5")
    if options.out is not None:
        paths.append(Path(options.out))
    for path in paths:
        if path.suffix.lower() == ".nwb":
            source = str(configuration.data.path)
            is_nwb = Path(source).suffix.lower() == ".nwb"
            align_to = configuration.data.align_to if is_nwb else None
            write_results_nwb(source if is_nwb else None, posterior, path, align_to=align_to)
        else:
            write_results_hdf5(path, posterior, split=split, kind=kind)
    return paths
