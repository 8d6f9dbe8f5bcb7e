"""``latentspike study run all``: every study that can be run here and has not finished yet."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentspike.cli import study_record
from latentspike.cli.outcome import Report, note

if TYPE_CHECKING:
    from latentspike.cli.study import StudyOptions
    from latentspike.studies.study import Scale, Study


def lacks(study: Study) -> str:
    """What a study needs and this machine has not; empty if it can be run."""
    from latentspike.studies.catalog import MC_MAZE, RECORDINGS
    from latentspike.studies.recordings import mc_maze_file

    if RECORDINGS in study.needs and not os.environ.get(RECORDINGS):
        return (
            f"{study.name} needs real recordings: set {RECORDINGS} to their folder "
            "(docs/studies.md says which)"
        )
    if MC_MAZE in study.needs:
        try:
            mc_maze_file()
        except FileNotFoundError as error:
            return f"{study.name} needs a recording: {error}"
    return ""


def run_all(options: StudyOptions, *, run_one: Callable[[StudyOptions], Report]) -> Report:
    """One study after the other; one that fails is told, and the others go on.

    Parameters
    ----------
    options : with "all" for a name
    run_one : runs the study that its options name

    Raises
    ------
    Exception : of the first study that failed, after all others.
    """
    from latentspike.studies.catalog import STUDIES

    here = [study for study in STUDIES if study.steps and not lacks(study)]
    left = [study for study in here if not _is_finished(options, study)]
    note(_plan([study for study in STUDIES if study.steps], here, left, options.scale))
    reports: dict[str, Report] = {}
    failed: dict[str, Exception] = {}
    for study in left:
        try:
            reports[study.name] = run_one(replace(options, name=study.name))
        except Exception as error:
            failed[study.name] = error
            note(f"{study.name} failed: {error}")
    if failed:
        note(f"{len(failed)} of {len(left)} failed: {', '.join(failed)}; the same command goes on")
        raise next(iter(failed.values()))
    text = "\n\n".join(f"{name}\n{report.text}" for name, report in reports.items())
    document: dict[str, Any] = {name: report.document for name, report in reports.items()}
    return Report({"studies": document, "out": options.out}, text or "all have finished before")


def _plan(built: list[Study], here: list[Study], left: list[Study], scale: Scale) -> str:
    """What will be run and what it costs, before anything is."""
    known = [m for study in left if (m := study.cost(scale).minutes) is not None]
    parts = [f"{len(left)} to run, {scale}: about {sum(known):.0f} min on 2 cores"]
    if len(known) < len(left):
        parts.append(f"and {len(left) - len(known)} whose cost is not measured")
    if len(left) < len(here):
        parts.append(f"{len(here) - len(left)} have finished before")
    names = [study.name for study in built if study not in here]
    parts += [f"{', '.join(names)} left out: no real recordings"] if names else []
    return "; ".join(parts)


def _is_finished(options: StudyOptions, study: Study) -> bool:
    path = Path(options.out) / study.name / options.scale / study_record.RECORD
    return path.exists() and study_record.read(path)["status"] == "finished"
