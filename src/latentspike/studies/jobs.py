"""Many fits side by side: a process of one core for each, and one file for each that has ended."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentspike.files import write_json

_RESULT = "result.json"
_JOB = "job.json"
_LOG = "log.txt"
_POLL = 0.2  # s
# a pool per process as wide as the machine would make the processes wait for each other
_ONE_CORE = {
    "NPROC": "1",  # of XLA's thread pool
    "JAX_NUM_CPU_DEVICES": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_XLA_FLAG = "--xla_cpu_multi_thread_eigen=false"


def fit_arguments(parser: argparse.ArgumentParser, parts: Sequence[str]) -> None:
    """Options of a study that fits neuLVM to many recordings."""
    from latentspike.models.neulvm import Estimation  # JAX: not for the processes of other jobs

    defaults = Estimation()
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time, one core each")
    parser.add_argument("--method", choices=("sampling", "hard"), default="sampling")
    parser.add_argument("--starts", type=int, default=defaults.n_starts, help="of a fit")
    parser.add_argument("--warmup", type=int, default=defaults.n_warmup, help="samples")
    parser.add_argument("--draws", type=int, default=defaults.n_draws, help="samples")


@dataclass(frozen=True)
class Job:
    """A call that leaves a file.

    Parameters
    ----------
    folder : of this job alone
    function : ``"module:name"``; called with ``settings`` and ``folder``, returns a dict for JSON
    settings : for JSON
    """

    folder: Path
    function: str
    settings: dict[str, Any]

    @property
    def document(self) -> dict[str, Any]:
        """What is run, in plain values."""
        return json.loads(json.dumps({"function": self.function, "settings": self.settings}))

    def result(self) -> dict[str, Any] | None:
        """What an earlier run has left, or None.

        Raises
        ------
        ValueError : if it was left by a job with other settings.
        """
        path = self.folder / _RESULT
        if not path.exists():
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["job"] != self.document:
            raise ValueError(
                f"{path} was made with other settings ({found['job']['settings']}): name another "
                "folder with --out, or remove it"
            )
        return found["result"]


class JobError(RuntimeError):
    """Some jobs have failed; the others have left their results."""


def run_jobs(
    jobs: Sequence[Job],
    *,
    n_processes: int,
    say: Callable[[str], None] = lambda text: print(text, flush=True),
) -> list[dict[str, Any]]:
    """Results of all jobs, in order; those that ended in an earlier run are read, not repeated.

    Parameters
    ----------
    jobs : each with a folder of its own
    n_processes : at a time
    say : told of every job that ends

    Raises
    ------
    JobError : naming the jobs that failed and their log files, after all others have ended.
    ValueError : if a folder holds a result of other settings.
    """
    if n_processes < 1:
        raise ValueError(f"at least one process is needed, got {n_processes}")
    waiting = [job for job in jobs if job.result() is None]
    if len(waiting) < len(jobs):
        say(f"  {len(jobs) - len(waiting)} of {len(jobs)} were done before")
    running: dict[subprocess.Popen[bytes], tuple[Job, float]] = {}
    n_left, failed = len(waiting), []
    try:
        while waiting or running:
            while waiting and len(running) < n_processes:
                job = waiting.pop(0)
                running[_start(job)] = job, time.monotonic()
            time.sleep(_POLL)
            for process in [p for p in running if p.poll() is not None]:
                job, start = running.pop(process)
                n_left -= 1
                if job.result() is None:
                    failed.append(job)
                outcome = "failed" if job.result() is None else "done"
                seconds = time.monotonic() - start
                say(f"  {job.folder.name} {outcome} ({seconds:.0f} s); {n_left} left")
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
    if failed:
        logs = ", ".join(str(job.folder / _LOG) for job in failed)
        raise JobError(f"{len(failed)} of {len(jobs)} jobs failed; see {logs}")
    return [job.result() or {} for job in jobs]


def _start(job: Job) -> subprocess.Popen[bytes]:
    job.folder.mkdir(parents=True, exist_ok=True)
    write_json(job.folder / _JOB, job.document)
    flags = f"{os.environ.get('XLA_FLAGS', '')} {_XLA_FLAG}".strip()
    with open(job.folder / _LOG, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", __name__, str(job.folder)],
            env=os.environ | _ONE_CORE | {"XLA_FLAGS": flags},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def run_here(folder: Path) -> None:
    """Run the job that a folder describes, in this process, and write its result."""
    document = json.loads((folder / _JOB).read_text(encoding="utf-8"))
    module, _, name = document["function"].partition(":")
    start = time.monotonic()
    result = getattr(importlib.import_module(module), name)(document["settings"], folder)
    written = {"job": document, "result": result, "seconds": time.monotonic() - start}
    write_json(folder / _RESULT, written)


if __name__ == "__main__":
    run_here(Path(sys.argv[1]))
