"""``latentspike tune``: search the hyperparameters of a model on a recording."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro import conf

from latentspike.cli.options import Common, Flag
from latentspike.cli.outcome import Interrupted, Report, UsageError, note

if TYPE_CHECKING:
    from latentspike.cli.search_plan import Plan
    from latentspike.search import SearchResult
    from latentspike.search.tune import MakeExecutor


@dataclass(frozen=True, kw_only=True)
class Tune(Common):
    """Search the hyperparameters of a model on a recording; the best model goes to the folder RUN.

    Works with no other option than FILE: the size of LFADS and of the batches are chosen for the
    recording, the number of models that compete for the machine, and as many generations as fit
    into --minutes by two measured epochs, but at least 6; the search stops early when nothing
    improves. What was chosen is printed, with the reason, and kept in RUN/search.toml.

    Settings come from a TOML file (--config) with the tables [data], [model] and [training] of
    `latentspike fit`, [search] and [space]; --set changes single ones. [space] starts from Table 1
    of Keshtkaran & Pandarinath (2019): `keep_ratio = 0.7` fixes a hyperparameter, a table
    [space.kl_ic] with low, high, scale, start and perturbation adds or narrows one. `--dry-run`
    prints all settings and trains nothing; what it prints is a valid --config file.

    RUN is a run folder like that of fit: infer, evaluate and plot take it. plot also draws the
    search.

    Examples:
      latentspike tune session.nwb
      latentspike tune session.nwb --out run --minutes 120 --set search.n_members=20
      latentspike tune recording.h5 --out run --set space.keep_ratio=0.7 --set space.kl_ic.high=1
      latentspike tune recording.h5 --out run --set search.algorithm=random
      latentspike tune --resume --out run

    Algorithms (search.algorithm): pbt, random. The algorithm's own settings stand in [search] too:
    max_generations, selection, fraction, smoothing, patience (in generations), min_improvement,
    warmup; for random max_generations, quasi.
    """

    file: Annotated[str | None, conf.Positional, conf.arg(metavar="FILE")] = None
    """Recording ending in .h5, .npz or .nwb; overrides data.path."""
    out: Annotated[str | None, conf.arg(metavar="RUN")] = None
    """Run folder to make; by default the recording's name with -tuned, in the current folder."""
    config: Annotated[str | None, conf.arg(metavar="FILE.toml")] = None
    """Settings; with --resume those of the search, which may not differ."""
    set: Annotated[conf.UseAppendAction[tuple[str, ...]], conf.arg(metavar="KEY=VALUE")] = ()
    """Change one setting, as in search.n_members=20."""
    seed: Annotated[int | None, conf.arg(metavar="INT")] = None
    """Seed of hold-outs, split, weights and all draws; overrides the configuration."""
    minutes: Annotated[float | None, conf.arg(metavar="MINUTES")] = None
    """Choose as many generations (search.max_generations) as fit into this time on this machine,
    from 6 to 24; 40 by default."""
    resume: Flag = False
    """Continue an interrupted search, to the same result as without the interruption. Only
    search.max_generations and search.patience may change."""
    overwrite: Flag = False
    """Replace the search in the folder."""
    dry_run: Flag = False
    """Print the resolved settings as TOML and the estimated memory; write and train nothing."""
    executor: Literal["local", "ray"] = "local"
    """Who trains: all devices of this machine, or a Ray cluster (needs the extra ray)."""
    ray_address: Annotated[str | None, conf.arg(metavar="ADDRESS")] = None
    """Ray cluster, as auto or host:port; by default that of the environment variable RAY_ADDRESS,
    else one is started on this machine."""
    ray_cpus: Annotated[float | None, conf.arg(metavar="NUMBER")] = None
    """CPU cores of each block of members; 1 by default."""
    ray_blocks: Annotated[int | None, conf.arg(metavar="INT")] = None
    """Blocks of members, each a process; by default as many as the cluster has room for."""


OPTIONS = Tune


def run(options: Tune) -> Report:
    """Configure, choose what was left open, and search; see `Tune`."""
    if options.executor == "ray":
        # this process trains little: leave the memory of a GPU to the blocks
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from latentspike.cli.search_plan import dry_run, make_plan

    if options.resume and options.overwrite:
        raise UsageError("--resume continues the search, --overwrite replaces it: choose one")
    document, folder = _settings(options)
    plan = make_plan(document)
    _say(plan.chosen)
    if options.dry_run:
        return dry_run(plan)
    return _tune(options, folder, plan)


def _settings(options: Tune) -> tuple[dict[str, Any], Path]:
    """Plain settings with a path, and the folder to make."""
    from latentspike.cli import run_folder, search_folder
    from latentspike.cli.configuration import read_configuration
    from latentspike.cli.search_configuration import merged
    from latentspike.cli.search_plan import require_path

    document = read_configuration(options.config, options.set)
    if options.seed is not None:
        document["seed"] = options.seed
    if options.minutes is not None:
        _add_minutes(document, options.minutes)
    folder = None if options.out is None else Path(options.out)
    if options.resume:
        folder = folder or _usual_folder(options, document)
        if (folder / run_folder.SEARCH).exists() or options.file is None:
            before = search_folder.open_search(folder)
            search_folder.check_changes(folder, before, document)
            document = merged(before, document)
    require_path(document, options.file)
    return document, folder or _usual_folder(options, document)


def _add_minutes(document: dict[str, Any], minutes: float) -> None:
    search = document.setdefault("search", {})
    if isinstance(search, dict):
        if "max_generations" in search:
            raise UsageError("--minutes chooses search.max_generations: give one of them")
        search["minutes"] = minutes


def _usual_folder(options: Tune, document: dict[str, Any]) -> Path:
    path = options.file or document.get("data", {}).get("path")
    if path is None:
        raise UsageError("no run folder was named: give --out RUN")
    return Path(f"{Path(str(path)).stem}-tuned")


def _say(chosen: dict[str, str]) -> None:
    for name, text in chosen.items():
        note(f"chosen: {name} = {text}")


def _executor(options: Tune) -> MakeExecutor:
    if options.executor == "local":
        from latentspike.search.tune import local_executor

        for name in ("ray_address", "ray_cpus", "ray_blocks"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} needs --executor ray")
        return local_executor
    from latentspike.search.ray_executor import RayOptions, on_ray

    given = {
        "address": options.ray_address,
        "cpus_per_block": options.ray_cpus,
        "n_blocks": options.ray_blocks,
    }
    # now, and not after two measured epochs: Ray may be missing
    return on_ray(RayOptions(**{name: value for name, value in given.items() if value is not None}))


def _tune(options: Tune, folder: Path, plan: Plan) -> Report:
    from latentspike.cli import run_folder as files
    from latentspike.cli import run_record as record

    make_executor = _executor(options)
    document = _begin(options, folder, plan)
    started = time.monotonic()
    try:
        plan, result = _search(options, folder, plan, make_executor)
    except KeyboardInterrupt as error:
        record.end(folder, document, "interrupted")
        raise Interrupted(_how_to_continue(options, folder)) from error
    except Exception as error:
        record.end(folder, document, "failed", error=str(error))
        raise
    # what was inferred with an earlier best model no longer belongs to it
    files.forget(folder, (files.POSTERIOR, files.SCORES), (files.FIGURES,))
    record.end(folder, document, "finished")
    return _report(folder, plan, result, time.monotonic() - started)


def _begin(options: Tune, folder: Path, plan: Plan) -> dict[str, Any]:
    """Write everything that a resumed search needs; ``search.toml`` last, for it says so."""
    import jax

    from latentspike.cli import run_folder as files
    from latentspike.cli import run_record as record
    from latentspike.cli import search_folder
    from latentspike.training.fit import data_hash

    files.make_room(folder, resume=options.resume, overwrite=options.overwrite, kind="tune")
    is_begun = (folder / files.SEARCH).exists()
    if is_begun:
        search_folder.check_resumable(folder, plan)
    data, configuration = plan.prepared.data, plan.configuration
    n_devices = len(jax.local_devices())
    document = record.begin(folder, configuration.base, data_hash(data), n_devices)
    if not is_begun:
        files.save_split(folder, plan.split, data.heldout)
        search_folder.write_best(folder, configuration, {})
    search_folder.write_search(folder, configuration)
    if options.out is None:
        note(f"run folder: {folder}")
    return document


def _search(
    options: Tune, folder: Path, plan: Plan, make_executor: MakeExecutor
) -> tuple[Plan, SearchResult]:
    from latentspike.cli import search_folder
    from latentspike.cli.search_plan import completed
    from latentspike.search import SearchOptions, tune

    known = set(plan.chosen)
    plan = completed(plan)
    _say({name: text for name, text in plan.chosen.items() if name not in known})
    base, search = plan.configuration.base, plan.configuration.search
    search_folder.write_search(folder, plan.configuration)
    note(f"searching {', '.join(plan.configuration.space.ranges)} of {type(base.model).__name__}")
    result = tune(
        base.model,
        plan.prepared.data,
        split=plan.split,
        space=plan.configuration.space,
        search=search.settings(),
        settings=base.training,
        options=SearchOptions(folder=folder, resume=options.resume, executor=make_executor),
        key=plan.key,
    )
    search_folder.write_best(folder, plan.configuration, result.best.about["hyperparams"])
    return plan, result


def _how_to_continue(options: Tune, folder: Path) -> str:
    from latentspike.cli import run_folder as files

    manifest = folder / files.MANIFEST
    n_done = files.read_json(manifest)["generation"] + 1 if manifest.exists() else 0
    kept = f"{n_done} generation{'s' * (n_done != 1)} kept" if n_done else "no generation was kept"
    given = {"executor": options.executor, "ray-address": options.ray_address}
    given |= {"ray-cpus": options.ray_cpus, "ray-blocks": options.ray_blocks}
    more = [f" --{name} {value}" for name, value in given.items() if value not in (None, "local")]
    return (
        f"interrupted; {kept}. Continue with: latentspike tune --resume --out {folder}"
        f"{''.join(more)}"
    )


def _report(folder: Path, plan: Plan, result: SearchResult, seconds: float) -> Report:
    about, search = result.best.about, plan.configuration.search
    n_generations, member = about["search"]["generations"], about["search"]["member"]
    values = about["hyperparams"]
    document = {
        "run": str(folder),
        "model": type(result.best.model).__name__,
        "algorithm": search.algorithm,
        "n_members": search.n_members,
        "epochs_per_generation": search.epochs_per_generation,
        "n_generations": n_generations,
        "stopped": result.stopped,
        "best": {
            "member": member,
            "score": about["best_selection_loss"],
            "epoch": about["best_epoch"],
            "hyperparams": values,
        },
        "chosen": plan.chosen,
        "seconds": seconds,
    }
    width = max(map(len, values))
    lines = [
        f"{folder}: searched in {seconds:.0f} s, {n_generations} generations of "
        f"{search.n_members} members ({result.stopped})",
        f"best: member {member}, epoch {about['best_epoch'] + 1}, selection loss "
        f"{about['best_selection_loss']:.2f} nats, with",
        *(f"  {name:<{width}}  {value:.4g}" for name, value in values.items()),
        f"next: latentspike infer {folder}",
    ]
    return Report(document, "\n".join(lines))
