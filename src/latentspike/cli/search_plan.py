"""From what a user asked for to everything that a search needs; what was left open is chosen."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from latentspike.cli import recording
from latentspike.cli.configuration import Configuration
from latentspike.cli.outcome import Report, UsageError, note
from latentspike.cli.recording import Prepared
from latentspike.cli.search_configuration import (
    DEFAULT_MINUTES,
    SearchConfiguration,
    SearchTable,
    check_tables,
    fit_tables,
    idle_limits,
    make_space,
    merged,
)
from latentspike.cli.toml import to_toml
from latentspike.models.lfads import LFADS
from latentspike.models.protocol import DataSpec
from latentspike.models.registry import model_to_config
from latentspike.search import defaults
from latentspike.search.local import LocalExecutor
from latentspike.spikes import SpikeData, Split
from latentspike.training.fit import check_fittable, make_task
from latentspike.training.memory import estimate_step_bytes, estimate_trials_bytes
from latentspike.training.task import Task

NWB_BIN_WIDTH = 0.01  # seconds


@dataclass(frozen=True, eq=False)
class Plan:
    """A search that could begin.

    Parameters
    ----------
    configuration : every setting; a few of ``[search]`` may be left to choose
    prepared : recording
    split : training and validation trials (or windows)
    chosen : what was chosen for this recording and machine, by key, and why
    """

    configuration: SearchConfiguration
    prepared: Prepared
    split: Split
    chosen: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> jax.Array:
        """PRNG key of the search."""
        return jax.random.key(self.configuration.base.seed)

    @property
    def task(self) -> Task:
        """What every member learns."""
        base = self.configuration.base
        data = self.prepared.data
        return make_task(base.model, data, self.split, base.training, key=self.key)[0]


def make_plan(document: dict[str, Any]) -> Plan:
    """Check the settings, read the recording, choose a model and batches where none are given.

    Parameters
    ----------
    document : plain tables, with ``data.path``

    Raises
    ------
    ValueError, OSError
        From the reader, or naming the key that is unknown or out of range.
    """
    check_tables(document)
    search = SearchTable.from_dict(document.get("search", {}))
    training = dict(document.get("training", {}))
    for name in idle_limits(search.algorithm):
        if training.pop(name, None) is not None:
            note(f"note: training.{name} has no effect on this search; see search.max_generations")
    tables = fit_tables(document) | {"training": training}
    base = Configuration.from_dict(tables)  # before a long file is read
    chosen: dict[str, str] = {}
    prepared, base = _prepare(base, chosen)
    base = _choose_model(base, prepared.data, document.get("model", {}), chosen)
    check_fittable(base.model, prepared.data)
    space = make_space(base.model, document.get("space", {}))
    split = recording.choose_split(prepared, base.training.validation_fraction, base.seed)
    base = _choose_training(base, split, training, chosen)
    search = _choose_sizes(search, split.train.size, base.training.batch_size, chosen)
    if "warmup" in document.get("search", {}) or search.algorithm != "pbt":
        return Plan(SearchConfiguration(base, search, space), prepared, split, chosen)
    search = _choose_warmup(search, base.training.ramp_epochs, chosen)
    return Plan(SearchConfiguration(base, search, space), prepared, split, chosen)


def _prepare(base: Configuration, chosen: dict[str, str]) -> tuple[Prepared, Configuration]:
    data = base.data
    if data.bin_width is None and Path(str(data.path)).suffix.lower() == ".nwb":
        chosen["data.bin_width"] = f"{NWB_BIN_WIDTH:g} s, because NWB holds spike times"
        base = dataclasses.replace(base, data=dataclasses.replace(data, bin_width=NWB_BIN_WIDTH))
    prepared = recording.prepare(base.data, seed=base.seed)
    return prepared, recording.resolved(base, prepared)


def _choose_model(
    base: Configuration, data: SpikeData, given: dict[str, Any], chosen: dict[str, str]
) -> Configuration:
    """LFADS of a size that suits the recording, with the fields that were given."""
    if not isinstance(base.model, LFADS):
        return base
    usual = model_to_config(defaults.choose_model(data))
    model = Configuration.from_dict({"model": merged(usual, given)}).model
    if "generator_size" not in given.get("architecture", {}):
        sizes = model.architecture
        chosen["model"] = (
            f"LFADS for {data.n_neurons} neurons and {data.n_trials} trials: "
            f"{sizes.generator_size} units in the generator, {sizes.n_factors} factors, "
            f"{sizes.n_inferred_inputs} inferred inputs"
        )
    return dataclasses.replace(base, model=model)


def _choose_training(
    base: Configuration, split: Split, given: dict[str, Any], chosen: dict[str, str]
) -> Configuration:
    """Batches and decay of the learning rate, where they are not given."""
    usual = defaults.choose_training(split.train.size, base.training)
    why = {
        "batch_size": f"{usual.batch_size}, of {split.train.size} training trials",
        "decay_factor": f"{usual.decay_factor:g}, after epochs without improvement",
        "decay_patience": f"{usual.decay_patience} epochs",
    }
    left = {name: getattr(usual, name) for name in why if name not in given}
    chosen |= {f"training.{name}": why[name] for name in left}
    return dataclasses.replace(base, training=dataclasses.replace(base.training, **left))


def _choose_sizes(
    search: SearchTable, n_train: int, batch_size: int, chosen: dict[str, str]
) -> SearchTable:
    """Members and epochs where they are not given; neither needs a measurement."""
    if search.n_members is None:
        devices = jax.local_devices()
        n_members = defaults.choose_n_members()
        search = dataclasses.replace(search, n_members=n_members)
        many = f"{len(devices)} {devices[0].platform.upper()} device"
        chosen["search.n_members"] = f"{n_members}, for {many}{'s' * (len(devices) > 1)}"
    if search.epochs_per_generation is None:
        n_epochs = defaults.choose_epochs(n_train, batch_size)
        search = dataclasses.replace(search, epochs_per_generation=n_epochs)
        n_steps = n_epochs * -(-n_train // batch_size)
        chosen["search.epochs_per_generation"] = f"{n_epochs}, that is {n_steps} steps"
    if search.max_generations is None and search.minutes is None:
        search = dataclasses.replace(search, minutes=DEFAULT_MINUTES)
    return search


def _choose_warmup(search: SearchTable, ramp_epochs: int, chosen: dict[str, str]) -> SearchTable:
    """Generations of PBT without exploit; bounded by the shortest search if that is open."""
    assert search.epochs_per_generation
    longest = search.max_generations or defaults.FEWEST_GENERATIONS
    warmup = defaults.choose_warmup(ramp_epochs, search.epochs_per_generation, longest)
    chosen["search.warmup"] = f"{warmup}, while the penalties rise"
    return dataclasses.replace(search, fields=search.fields | {"warmup": warmup})


def completed(plan: Plan) -> Plan:
    """The plan with as many generations as fit into its minutes, by a measurement."""
    search = plan.configuration.search
    if search.max_generations is not None:
        return plan
    assert search.n_members and search.epochs_per_generation and search.minutes
    note("measuring two epochs …")
    n_generations, seconds = defaults.choose_generations(
        plan.task, search.n_members, search.epochs_per_generation, minutes=search.minutes
    )
    minutes = seconds / 60
    text = (
        f"{n_generations}, of about {_duration(minutes)} each: at most "
        f"{_duration(n_generations * minutes)}; early stop may end it sooner"
    )
    if n_generations * minutes > search.minutes:
        text += f" (more than {search.minutes:g} min: fewer would be no search)"
    search = dataclasses.replace(search, max_generations=n_generations)
    configuration = dataclasses.replace(plan.configuration, search=search)
    chosen = plan.chosen | {"search.max_generations": text}
    return dataclasses.replace(plan, configuration=configuration, chosen=chosen)


def _duration(minutes: float) -> str:
    return f"{minutes:.1f} min" if minutes >= 1 else f"{60 * minutes:.1f} s"


def estimate_memory(plan: Plan) -> tuple[str, dict[str, int]]:
    """How members are laid out on this machine, and bytes by what they are for."""
    n_members = plan.configuration.search.n_members
    assert n_members
    task = plan.task
    executor = LocalExecutor(task, key=plan.key, n_members=n_members)
    layout = executor.layout
    params = jax.eval_shape(lambda key: task.model.init(DataSpec.of(task.train), key=key), plan.key)
    size = sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
    # parameters, two moments of the optimizer and the best parameters; before and after an epoch
    member = 2 * 4 * size
    side_by_side = layout.n_slots if layout.kind == "vmap" else layout.n_devices
    sizes = {
        "data_bytes": layout.n_devices * estimate_trials_bytes(task.train, task.settings),
        "members_bytes": member * (n_members + layout.n_slots),
        "step_bytes": side_by_side * estimate_step_bytes(task.model, task.train, task.settings),
    }
    return executor.describe(), sizes | {"total_bytes": sum(sizes.values())}


def dry_run(plan: Plan) -> Report:
    """All settings as TOML, with the layout of the members and the memory that they need."""
    layout, sizes = estimate_memory(plan)
    values = plan.configuration.to_dict()
    lines = [f"# recording: {plan.prepared.data}", f"# members on {layout}", "# estimated memory:"]
    lines += [
        f"#   {name.removesuffix('_bytes'):<10}{size / 2**20:10.1f} MiB"
        for name, size in sizes.items()
    ]
    search = plan.configuration.search
    if search.max_generations is None:
        lines.append(f"# max_generations is chosen at the start, for {search.minutes:g} minutes")
    document = {
        "configuration": values,
        "chosen": plan.chosen,
        "layout": layout,
        "memory": sizes,
    }
    return Report(document, "\n".join([*lines, to_toml(values)]).rstrip())


def require_path(document: dict[str, Any], given: str | None) -> None:
    """Put the recording's full path into the table ``[data]``.

    Raises
    ------
    UsageError : if none was named.
    """
    data = document.setdefault("data", {})
    if not isinstance(data, dict):
        raise UsageError(f"data must be a table, got {data!r}")
    path = given or data.get("path")
    if path is None:
        raise UsageError("no recording was named: give FILE, or data.path in the configuration")
    data["path"] = str(Path(str(path)).resolve())
