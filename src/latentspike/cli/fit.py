"""``latentspike fit``: train a model on a recording."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro import conf

from latentspike.cli.options import Common, Flag
from latentspike.cli.outcome import Interrupted, Report, UsageError, note

if TYPE_CHECKING:
    from latentspike.cli.configuration import Configuration
    from latentspike.cli.recording import Prepared
    from latentspike.models.fitted import Fitted
    from latentspike.spikes import Split


@dataclass(frozen=True, kw_only=True)
class Fit(Common):
    """Train a model on a recording; everything about the run goes to the folder RUN.

    Settings come from a TOML file (--config) with the tables [data], [model], [hyperparams] and
    [training] and the number seed; --set changes single ones. `--dry-run` prints all of them with
    their values and trains nothing; the printed text is a valid --config file. RUN/config.toml
    holds the resolved settings and alone repeats the run.

    Examples:
      latentspike fit recording.h5 --out run --set training.max_epochs=100
      latentspike fit recording.h5 --out run --set model.architecture.n_inferred_inputs=0
      latentspike fit session.nwb --out run --set data.bin_width=0.01
          --set data.align_to=go_cue_time --set "data.window=[-0.2, 0.5]"
      latentspike fit --resume --out run

    Units: data.bin_width, data.window, data.max_gap, training.checkpoint_seconds and smoothing's
    model.width are seconds; data.chop_window, data.chop_overlap, data.forward_bins and
    model.architecture.input_prior_time_constant are bins; training.max_epochs, ramp_epochs,
    patience and decay_patience are epochs. In neulvm's tables times are seconds and voltages mV.

    Models (model.name): lfads, linear_autoencoder, neulvm, smoothing. neulvm needs --config, with
    the tables [model.network] and [model.neurons]; `latentspike simulate --fit-config` writes an
    example. It fits all trials and takes nothing from [hyperparams] and [training].
    """

    file: Annotated[str | None, conf.Positional, conf.arg(metavar="FILE")] = None
    """Recording ending in .h5, .npz or .nwb; overrides data.path."""
    out: Annotated[str, conf.arg(metavar="RUN")]
    """Run folder to make."""
    config: Annotated[str | None, conf.arg(metavar="FILE.toml")] = None
    """Settings; with --resume those of the run by default."""
    set: Annotated[conf.UseAppendAction[tuple[str, ...]], conf.arg(metavar="KEY=VALUE")] = ()
    """Change one setting, as in training.max_epochs=50."""
    seed: Annotated[int | None, conf.arg(metavar="INT")] = None
    """Seed of hold-outs, split, weights and noise; overrides the configuration."""
    resume: Flag = False
    """Continue an interrupted run, to the same result as without the interruption."""
    overwrite: Flag = False
    """Replace the run in the folder."""
    dry_run: Flag = False
    """Print the resolved settings as TOML and the estimated memory; write and train nothing."""
    devices: Annotated[int | None, conf.arg(metavar="INT")] = None
    """Number of JAX devices (CPU cores or GPUs) that share each batch; by default what suits it."""


OPTIONS = Fit


def run(options: Fit) -> Report:
    """Configure, prepare and fit; see `Fit`."""
    from latentspike.cli import recording

    folder = Path(options.out)
    if options.resume and options.overwrite:
        raise UsageError("--resume continues the run, --overwrite replaces it: choose one")
    configuration = _configure(options, folder)
    fits_all = _fits_all_trials(configuration.model)
    seed = configuration.seed
    prepared = recording.prepare(configuration.data, seed=seed, keeps_whole=fits_all)
    configuration = recording.resolved(configuration, prepared)
    fraction = configuration.training.validation_fraction
    split = None if fits_all else recording.choose_split(prepared, fraction, seed)
    if options.dry_run:
        return _dry_run(configuration, prepared, options.devices)
    return _fit(options, folder, configuration, prepared, split)


def _fits_all_trials(model: Any) -> bool:
    from latentspike.models.protocol import SteppedModel

    return isinstance(model, SteppedModel)


def _configure(options: Fit, folder: Path) -> Configuration:
    from latentspike.cli.configuration import Configuration, read_configuration

    path = options.config
    if path is None and options.resume and (folder / "config.toml").exists():
        path = str(folder / "config.toml")
    document = read_configuration(path, options.set)
    if options.seed is not None:
        document["seed"] = options.seed
    configuration = Configuration.from_dict(document)
    given = options.file or configuration.data.path
    if given is None:
        raise UsageError("no recording was named: give FILE, or data.path in the configuration")
    data = dataclasses.replace(configuration.data, path=str(Path(given).resolve()))
    return dataclasses.replace(configuration, data=data)


def _dry_run(configuration: Configuration, prepared: Prepared, n_devices: int | None) -> Report:
    from latentspike.cli.toml import to_toml
    from latentspike.training.memory import estimate_memory

    data, devices = prepared.data, _n_devices(n_devices)
    memory = estimate_memory(configuration.model, data, configuration.training, devices)
    sizes = dataclasses.asdict(memory)
    lines = [f"# recording: {data}", "# estimated memory:"]
    lines += [
        f"#   {name.removesuffix('_bytes'):<10}{size / 2**20:10.1f} MiB"
        for name, size in sizes.items()
    ]
    document = {"configuration": configuration.to_dict(), "memory": sizes, "devices": devices}
    return Report(document, "\n".join([*lines, to_toml(configuration.to_dict())]).rstrip())


def _n_devices(wanted: int | None) -> int:
    import jax

    import latentspike.training.fit  # noqa: F401  (asks for one CPU device per core)
    from latentspike.devices import sharing_a_batch

    available = len(jax.local_devices())
    if wanted is not None and not 1 <= wanted <= available:
        raise UsageError(f"--devices must be from 1 to {available}, got {wanted}")
    return wanted or sharing_a_batch()


def _fit(
    options: Fit,
    folder: Path,
    configuration: Configuration,
    prepared: Prepared,
    split: Split | None,
) -> Report:
    from latentspike.cli import run_folder as files
    from latentspike.cli import run_record as record
    from latentspike.training.fit import check_fittable, data_hash

    data = prepared.data
    try:
        check_fittable(configuration.model, data)
    except ValueError as error:
        raise ValueError(f"{configuration.data.path}: {error}") from error
    devices = _n_devices(options.devices)
    digest = data_hash(data)
    files.make_room(folder, resume=options.resume, overwrite=options.overwrite)
    if options.resume:
        files.check_resumable(folder, configuration, split, digest)
    files.save_split(folder, split, data.heldout)
    files.write_configuration(folder, configuration)
    document = record.begin(folder, configuration, digest, devices)
    started = time.monotonic()
    try:
        fitted = _train(options, folder, configuration, data, split, devices)
    except KeyboardInterrupt as error:
        record.end(folder, document, "interrupted")
        has_checkpoint = (folder / files.CHECKPOINT).exists()
        done = "a checkpoint was written" if has_checkpoint else "there is no checkpoint yet"
        raise Interrupted(
            f"interrupted; {done}. Continue with: latentspike fit --resume --out {folder}"
        ) from error
    except Exception as error:
        record.end(folder, document, "failed", error=str(error))
        raise
    # what was inferred with an earlier state of the model no longer belongs to it
    files.forget(folder, (files.POSTERIOR, files.SCORES), (files.FIGURES,))
    record.end(folder, document, "finished")
    return _report(folder, fitted, time.monotonic() - started)


def _train(
    options: Fit,
    folder: Path,
    configuration: Configuration,
    data: Any,
    split: Split | None,
    devices: int,
) -> Fitted:
    import jax

    from latentspike.training.fit import RunOptions, fit

    note(f"training {configuration.model.__class__.__name__} on {data}")
    return fit(
        configuration.model,
        data,
        split=split,
        hyperparams=configuration.hyperparams or None,
        settings=configuration.training,
        options=RunOptions(folder=folder, resume=options.resume, n_devices=devices),
        key=jax.random.key(configuration.seed),
    )


def _report(folder: Path, fitted: Fitted, seconds: float) -> Report:
    about = fitted.about
    document = {
        "run": str(folder),
        "model": type(fitted.model).__name__,
        "n_epochs": about.get("n_epochs"),
        "best_epoch": about.get("best_epoch"),
        "best_selection_loss": about.get("best_selection_loss"),
        "stopped": about.get("stopped"),
        "last_epoch": fitted.history[-1] if fitted.history else {},
        "seconds": seconds,
    }
    lines = [f"{folder}: fitted in {seconds:.0f} s"]
    if "n_steps" in about:
        parameters = fitted.model.parameters(fitted.params)
        remarks = fitted.model.warnings(fitted.params)
        document |= {"n_steps": about["n_steps"], "parameters": parameters, "remarks": remarks}
        lines[0] += f", {about['stopped']}"
        lines += parameter_lines(parameters) + [f"warning: {remark}" for remark in remarks]
    elif fitted.history:
        lines[0] += f", {about['n_epochs']} epochs ({about['stopped']})"
        lines.append(
            f"best epoch {about['best_epoch'] + 1}: selection loss "
            f"{about['best_selection_loss']:.2f} nats"
        )
    lines.append(f"next: latentspike infer {folder}")
    return Report(document, "\n".join(lines))


def parameter_lines(parameters: dict[str, dict[str, float]]) -> list[str]:
    """A table of what was estimated and, where there are draws, how well it is known."""
    rows = [["", "value"]]
    if any("low" in found for found in parameters.values()):
        rows[0] += ["90 % interval", "of prior", "R-hat", "draws"]
    if any("restart_sd" in found for found in parameters.values()):
        rows[0].append("restarts")
    for name, found in parameters.items():
        row = [name, f"{found['value']:.4g}"]
        if "low" in found:
            row += [
                f"{found['low']:.4g} to {found['high']:.4g}",
                f"{100 * found['share']:.0f} %",
                f"{found['r_hat']:.2f}",
                f"{found['n_effective']:.0f}",
            ]
        if "restart_sd" in found:
            row.append(f"± {found['restart_sd']:.2g}")
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    if "draws" in rows[0]:
        lines.append("(of prior: spread left of the prior box; draws: independent ones)")
    if "restarts" in rows[0]:
        lines.append("(restarts: standard deviation over the starts, or the passes of a swarm)")
    return lines if parameters else []
