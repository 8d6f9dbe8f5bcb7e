"""``latentspike compare``: many models on the same trials, in one table."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro import conf

from latentspike.cli.options import Common
from latentspike.cli.outcome import Interrupted, Report, UsageError, note

if TYPE_CHECKING:
    from latentspike.cli.configuration import DataSettings
    from latentspike.spikes import SpikeData, Split

TEST_FRACTION = 0.2
HELDOUT_SHARE = 0.1  # of the neurons, where nothing is said
FEWEST_NEURONS = 10  # below, none is held out unasked
FILES = ("results.json", "table.csv", "table.tex", "comparison.png")


@dataclass(frozen=True, kw_only=True)
class Compare(Common):
    """Fit models to the same trials of a recording, score them on the same others, in one table.

    The test trials are seen by no fit and no choice of a setting; models that are learned by
    gradient set aside validation trials of the others. Held-out neurons and the decoder are the
    same for all. Each fit, a model with a seed, is a process on one core: seconds and memory are
    its own, and one that fails or is killed is a row with the reason. The same command goes on
    after an interruption, tries again what failed, and takes more models or seeds.

    Settings come from a TOML file (--config) with the table [data] as for `latentspike fit` and,
    by model, [NAME.model], [NAME.hyperparams], [NAME.training], NAME.samples (posterior draws) and
    NAME.trials (training trials read at most); --set changes single ones. Where nothing is said,
    sizes follow from the recording. A second version of a model is a table with another NAME and
    its model.name.

    Writes DIR/results.json, table.csv, table.tex and comparison.png. See docs/compare.md.

    Examples:
      latentspike compare recording.h5 --models lfads,plds,gpfa,smoothing --out rivals
      latentspike compare recording.h5 --models lfads,small --out rivals --seeds 5 --jobs 2
          --set small.model.name=lfads --set small.model.architecture.generator_size=32
    """

    file: Annotated[str | None, conf.Positional, conf.arg(metavar="FILE")] = None
    """Recording ending in .h5, .npz or .nwb; overrides data.path."""
    models: Annotated[str | None, conf.arg(metavar="NAME,NAME")] = None
    """Models to compare, with commas between them; by default those with a table in --config."""
    out: Annotated[str, conf.arg(metavar="DIR")]
    """Folder of the comparison; one that has begun goes on."""
    seeds: int = 3
    """Fits of each model; one of models in which nothing is drawn."""
    heldout_neurons: Annotated[int | None, conf.arg(metavar="INT")] = None
    """Neurons that models predict but never read; by default those that the file marks, or else a
    tenth of 10 neurons or more. 0 holds out none."""
    test_fraction: Annotated[float | None, conf.arg(metavar="FLOAT")] = None
    """Share of the trials to test on, drawn always alike; by default the validation trials of the
    file, or else 0.2."""
    config: Annotated[str | None, conf.arg(metavar="FILE.toml")] = None
    """Settings of the data and of the models."""
    set: Annotated[conf.UseAppendAction[tuple[str, ...]], conf.arg(metavar="KEY=VALUE")] = ()
    """Change one setting, as in lfads.training.max_epochs=50."""
    lag: float = 0.0
    """Seconds by which neural activity leads behavior, for decoding; a whole number of bins."""
    jobs: int = 1
    """Fits at a time, each on one core."""


OPTIONS = Compare


def run(options: Compare) -> Report:
    """Compare and tell; see `Compare`."""
    from latentspike.compare import compare, format_results
    from latentspike.compare.settings import check_models

    settings, tables = _configure(options)
    check_models(tables)  # before a long recording is read
    data, split = _prepare(settings, options.test_fraction)
    n_heldout = int(data.heldout.sum())
    note(
        f"comparing {', '.join(tables)} on {data}: {split.train.size} training trials, "
        f"{split.validation.size} test trials, {n_heldout} held-out neurons"
    )
    try:
        results = compare(
            data,
            tables,
            folder=options.out,
            seeds=options.seeds,
            split=split,
            lag=options.lag,
            n_processes=options.jobs,
            say=note,
        )
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"interrupted; fits that have ended are kept in {options.out}. The same command goes on"
        ) from error
    width = shutil.get_terminal_size((120, 24)).columns
    paths = [str(path) for name in FILES if (path := Path(options.out) / name).exists()]
    text = f"{format_results(results, width=width)}\n\nwritten: {', '.join(paths)}"
    return Report({"run": options.out, "files": paths, **results}, text)


def _configure(options: Compare) -> tuple[DataSettings, dict[str, Any]]:
    """Settings of the data, and the tables of each model by label."""
    from latentspike.cli.configuration import DataSettings, read_configuration, read_table
    from latentspike.models.registry import MODELS

    document = read_configuration(options.config, options.set)
    values = document.pop("data", {})
    for name, value in {"data": values, **document}.items():
        if not isinstance(value, dict):
            raise ValueError(f"{name} must be a table, got {value!r}")
    if options.heldout_neurons is not None:
        values["heldout_neurons"] = options.heldout_neurons
    settings = read_table(DataSettings, values, "data")
    path = options.file or settings.path
    if path is None:
        raise UsageError("no recording was named: give FILE, or data.path in the configuration")
    words = document if options.models is None else options.models.split(",")
    names = [name for word in words if (name := word.strip())]
    if not names:
        raise UsageError(f"no model was named: give --models; known: {', '.join(MODELS)}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--models names {twice[0]} twice")
    for label in document:
        if label not in names:
            raise UsageError(f"there are settings of {label}, which --models does not name")
    tables = {name: document.get(name, {}) for name in names}
    return dataclasses.replace(settings, path=path), tables


def _prepare(settings: DataSettings, fraction: float | None) -> tuple[SpikeData, Split]:
    """The recording with its hold-outs, in trials or in windows that share no bin; the split."""
    from latentspike.cli import recording
    from latentspike.spikes import hold_out_neurons

    if settings.chop_overlap is None:
        settings = dataclasses.replace(settings, chop_overlap=0)
    prepared = recording.prepare(settings, seed=0)
    if fraction is not None:
        prepared = dataclasses.replace(prepared, file_split=None)
    split = recording.choose_split(prepared, TEST_FRACTION if fraction is None else fraction, 0)
    data = prepared.data
    is_unsaid = settings.heldout_neurons is None and not data.heldout.any()
    if is_unsaid and data.kind == "counts" and data.n_neurons >= FEWEST_NEURONS:
        n = round(HELDOUT_SHARE * data.n_neurons)
        note(f"note: {n} of {data.n_neurons} neurons are held out; choose with --heldout-neurons N")
        data = hold_out_neurons(data, n, seed=0)
    return data, split
