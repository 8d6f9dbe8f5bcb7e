"""``latentspike study``: the figures and tables of the two papers, redone and held against them."""

from __future__ import annotations

import importlib
import json
import shlex
import shutil
import textwrap
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro import conf

from latentspike.cli import study_record
from latentspike.cli.options import Common
from latentspike.cli.outcome import FileProblem, Interrupted, Report, UsageError, note
from latentspike.cli.study_all import lacks, run_all

if TYPE_CHECKING:
    from latentspike.studies.catalog import Scale, Study


@dataclass(frozen=True, kw_only=True)
class StudyOptions(Common):
    """Redo figures and tables of the two papers, claim by claim.

    list shows every figure and table with its cost, and what has been run. run redoes one: it
    leaves the study's results, table and figures and study.json in DIR/NAME/SCALE and says of each
    claim of the paper whether it held. An interrupted run goes on with the same command; fits and
    searches that have ended are not repeated. run all redoes all that have not finished. page makes
    one Markdown page of all that was run.

    Examples:
      latentspike study list
      latentspike study run keshtkaran-2019/fig3
      latentspike study run all
      latentspike study page --page papers.md
    """

    action: Annotated[
        Literal["list", "run", "page"], conf.Positional, conf.arg(metavar="list|run|page")
    ]
    """What to do."""
    name: Annotated[str | None, conf.Positional, conf.arg(metavar="NAME")] = None
    """run: a name that list shows, as wang-2022/table-s3, or all."""
    scale: Literal["laptop", "full", "tiny"] = "laptop"
    """run: laptop takes under 20 minutes on 2 cores, full is of the paper's size; tiny is for tests
    (its verdicts mean nothing; list and page leave it out)."""
    out: Annotated[str, conf.arg(metavar="DIR")] = "runs/studies"
    """Folder of all studies."""
    jobs: int | None = None
    """run: fits at a time, each on one core, in studies that have many; by default 2."""
    executor: Literal["local", "ray"] = "local"
    """run: who trains the models of a search, this machine or a Ray cluster (needs the extra
    ray)."""
    ray_address: Annotated[str | None, conf.arg(metavar="ADDRESS")] = None
    """run: Ray cluster, as auto or host:port; by default one is started on this machine."""
    page: Annotated[str | None, conf.arg(metavar="FILE.md")] = None
    """page: file to write, by default DIR/page.md. Figures from elsewhere are copied, smaller, to a
    folder of the page's name beside it."""


OPTIONS = StudyOptions


def run(options: StudyOptions) -> Report:
    """List, run or show; see `StudyOptions`."""
    if options.action == "run" and options.name == "all":
        return run_all(options, run_one=_run)
    if options.action == "run":
        return _run(options)
    if options.name is not None:
        raise UsageError(f"`study {options.action}` takes no name, got {options.name!r}")
    return _list(options) if options.action == "list" else _page(options)


def _list(options: StudyOptions) -> Report:
    from latentspike.studies.catalog import SCALES, STUDIES

    rows = []
    for study in STUDIES:
        results = {scale: _status(_folder(options, study, scale)) for scale in SCALES}
        rows.append(
            {
                "name": study.name,
                "also": list(study.names[1:]),
                "title": study.title,
                "paper": study.paper,
                "built": bool(study.steps),
                "missing": study.missing,
                "cost": {scale: asdict(study.cost(scale)) for scale in SCALES},
                "needs": list(study.needs),
                "results": results,
            }
        )
    n = sum(any(row["results"].values()) for row in rows)
    text = "\n".join(line for study, row in zip(STUDIES, rows, strict=True)
                     for line in _lines(study, row))  # fmt: skip
    head = f"{'name':32s}{'laptop':>14s}{'full':>14s}   (on 2 cores)"
    found = f"{n} of {len(rows)} have results in {options.out}"
    return Report(
        {"studies": rows, "out": options.out, "n_with_results": n}, f"{head}\n{text}\n\n{found}"
    )


def _lines(study: Study, row: dict[str, Any]) -> list[str]:
    """A study in a list: name and costs, then title, needs and results, indented."""
    width = shutil.get_terminal_size((100, 24)).columns
    costs = f"{study.laptop.text:>14s}{study.full.text:>14s}" if study.steps else ""
    texts = [study.title]
    if study.also:
        texts.append(f"also redoes {', '.join(study.names[1:])}")
    if study.missing:
        texts.append(f"not built yet: {study.missing}")
    if study.needs:
        texts.append(f"needs {', '.join(study.needs)}")
    texts += [f"{scale}: {state}" for scale, state in row["results"].items() if state]
    wrapped = [textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    ")
               for text in texts]  # fmt: skip
    return [f"{study.name:32s}{costs}".rstrip(), *wrapped]


def _folder(options: StudyOptions, study: Study, scale: Scale) -> Path:
    return Path(options.out) / study.name / scale


def _status(folder: Path) -> str | None:
    """What was run there, if anything."""
    from latentspike.studies.page import counted

    if not (folder / study_record.RECORD).exists():
        return None
    record = study_record.read(folder / study_record.RECORD)
    if record["status"] != "finished":
        return f"{record['status']}, begun {record['started'][:10]}"
    return f"finished {record['ended'][:10]}: {counted(record['claims'])}"


def _run(options: StudyOptions) -> Report:
    from latentspike.studies.common import TABLE

    study = _chosen(options)
    folder = _folder(options, study, options.scale)
    cost = study.cost(options.scale)
    minutes = "cost" if cost.minutes is None else "about"
    note(f"{study.name}, {options.scale}: {minutes} {cost.text} on 2 cores ({cost.source})")
    record = study_record.begin(folder, _description(options, study, folder))
    start = time.monotonic()
    before = record["seconds"] or 0.0
    try:
        for step, words in _steps(options, study, folder):
            note(f"python -m latentspike.studies.{step} {shlex.join(words)}")
            importlib.import_module(f"latentspike.studies.{step}").main(words)
    except KeyboardInterrupt as error:
        study_record.end(folder, record, "interrupted", seconds=before + time.monotonic() - start)
        raise Interrupted(f"interrupted; {folder} is kept. The same command goes on") from error
    except Exception:
        study_record.end(folder, record, "failed", seconds=before + time.monotonic() - start)
        raise
    claims = _judged(study, folder)
    seconds = before + time.monotonic() - start
    left = {"figures": _left(study, folder, "*.png"), "tables": _left(study, folder, TABLE)}
    document = study_record.end(folder, record, "finished", seconds=seconds, claims=claims, **left)
    lines = [_sentence(claim) for claim in claims]
    text = "\n".join([*lines, f"\nwritten: {folder / study_record.RECORD}"])
    return Report({"run": str(folder), **document}, text)


def _chosen(options: StudyOptions) -> Study:
    """The study that is named, if it can be run here."""
    from latentspike.studies.catalog import find

    if options.name is None:
        raise UsageError("name a study: `latentspike study run NAME`; `study list` shows all")
    try:
        study = find(options.name)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if study.missing:
        raise UsageError(f"{study.name} is not built yet: {study.missing}")
    if options.jobs is not None and options.jobs < 1:
        raise UsageError(f"--jobs must be 1 or more, got {options.jobs}")
    if missing := lacks(study):
        raise UsageError(missing)
    if options.jobs is not None and not any(step.has_jobs for step in study.steps):
        note("note: this study is one process; --jobs changes nothing")
    if options.ray_address is not None and options.executor != "ray":
        raise UsageError("--ray-address needs --executor ray")
    if options.executor == "ray" and not any(step.has_searches for step in study.steps):
        note("note: this study has no search; --executor changes nothing")
    return study


def _steps(options: StudyOptions, study: Study, folder: Path) -> list[tuple[str, list[str]]]:
    """Modules to call, and their arguments."""
    ray = (options.ray_address or "") if options.executor == "ray" else None
    return [
        (
            step.module,
            step.words(
                options.scale,
                folder,
                out=study.folder_of(step, folder),
                jobs=options.jobs,
                ray=ray,
            ),
        )
        for step in study.steps
    ]


def _description(options: StudyOptions, study: Study, folder: Path) -> dict[str, Any]:
    """What is run, for the record."""
    more = [] if options.jobs is None else ["--jobs", str(options.jobs)]
    if options.executor == "ray":
        more += ["--executor", "ray"]
        more += ["--ray-address", options.ray_address] if options.ray_address else []
    words = ["latentspike", "study", "run", study.name, "--scale", options.scale]
    steps = _steps(options, study, folder)
    return {
        "study": study.name,
        "title": study.title,
        "paper": study.paper,
        "scale": options.scale,
        "command": shlex.join([*words, "--out", options.out, *more]),
        "configuration": {
            "steps": [{"module": name, "arguments": arguments} for name, arguments in steps],
            "estimated_cost": asdict(study.cost(options.scale)),
        },
    }


def _judged(study: Study, folder: Path) -> list[dict[str, Any]]:
    """Claims with our numbers and verdicts."""
    results = {}
    for step in study.steps:
        path = study.folder_of(step, folder) / "results.json"
        if path.exists():
            results[step.module] = json.loads(path.read_text(encoding="utf-8"))
    return [
        {"where": claim.where, "sentence": claim.sentence, "paper": claim.paper, "why": claim.why}
        | asdict(claim.of(results))
        for claim in study.claims
    ]


def _sentence(claim: dict[str, Any]) -> str:
    from latentspike.studies.page import reason_of

    reason = reason_of(claim)
    reason = f" ({reason})" if reason else ""
    return (
        f"{claim['where']}: {claim['sentence']} {claim['verdict'].capitalize()}{reason}: ours "
        f"{claim['ours']} [{claim['sample']}], paper {claim['paper']}."
    )


def _left(study: Study, folder: Path, pattern: str) -> list[str]:
    """Files that the steps have left, relative to the study's folder."""
    folders = [study.folder_of(step, folder) for step in study.steps]
    found = [path for each in dict.fromkeys(folders) for path in sorted(each.glob(pattern))]
    return [path.relative_to(folder).as_posix() for path in found]


def _page(options: StudyOptions) -> Report:
    from latentspike.files import write_text
    from latentspike.studies.page import page, remove_unlinked
    from latentspike.studies.study import SCALES

    out = Path(options.out)
    path = Path(options.page) if options.page else out / "page.md"
    if path.suffix.lower() != ".md":
        raise UsageError(f"--page {path} must end in .md")
    found = {
        record.parent: study_record.read(record)
        for record in sorted(out.glob(f"*/*/*/{study_record.RECORD}"))
        if record.parent.name in SCALES
    }
    if not found:
        raise FileProblem(
            f"{out}: no {study_record.RECORD} in it; `latentspike study run NAME` leaves one"
        )
    text = page(found, path)
    write_text(path, text)
    remove_unlinked(text, path)
    document = {"file": str(path), "n_studies": len(found)}
    return Report(document, f"{path}: {len(found)} studies")
