"""Many fits side by side: a process of one core for each, and one file for each that has ended."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentspike.files import write_json

_RESULT = "result.json"
_ERROR = "error.json"
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
# the first process on a GPU would take most of its memory from the others
_SHARED_GPU = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
_XLA_FLAG = "--xla_cpu_multi_thread_eigen=false"
_RUN = f"import sys; from {__name__} import run_here; run_here(sys.argv[1])"


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
        ValueError : if it was left by a job with other settings, naming what differs.
        """
        path = self.folder / _RESULT
        if not path.exists():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            before, result = found["job"], found["result"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error}): remove it to run the job again") from (
                error
            )
        if before != self.document:
            raise ValueError(
                f"{path} was made with other settings ({differences(before, self.document)}): name "
                "another folder with --out, or remove it"
            )
        return result


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Parameters
    ----------
    result : what its function returned; None if it failed
    reason : why it failed
    """

    result: dict[str, Any] | None
    reason: str = ""


class JobError(RuntimeError):
    """Some jobs have failed; the others have left their results."""


def differences(before: Any, after: Any) -> str:
    """What differs between two nested documents, by dotted name; the first three.

    Examples
    --------
    >>> differences({"seed": 1, "model": {"width": 0.1}}, {"seed": 1, "model": {"width": 0.2}})
    'model.width = 0.1 before, 0.2 now'
    """
    old, new = dict(_flat(before)), dict(_flat(after))
    texts = [
        f"{name} = {_shown(old, name)} before, {_shown(new, name)} now"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return "; ".join(texts[:3]) + more


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield prefix.removesuffix("."), value
        return
    for name, item in value.items():
        yield from _flat(item, f"{prefix}{name}.")


def _shown(values: dict[str, Any], name: str) -> str:
    text = repr(values[name]) if name in values else "not given"
    return text if len(text) <= 60 else f"{text[:57]}…"


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
    ended = end_jobs(jobs, n_processes=n_processes, say=say)
    failed = [job for job, end in zip(jobs, ended, strict=True) if end.result is None]
    if failed:
        logs = ", ".join(str(job.folder / _LOG) for job in failed)
        raise JobError(f"{len(failed)} of {len(jobs)} jobs failed; see {logs}")
    return [end.result or {} for end in ended]


def end_jobs(
    jobs: Sequence[Job],
    *,
    n_processes: int,
    say: Callable[[str], None] = lambda text: print(text, flush=True),
) -> list[Ended]:
    """As `run_jobs`, but a job that fails is told with its reason, and the others go on.

    Jobs that failed in an earlier run are tried again.

    Parameters
    ----------
    jobs, n_processes, say : as for `run_jobs`

    Raises
    ------
    ValueError : if a folder holds a result of other settings.
    """
    if n_processes < 1:
        raise ValueError(f"at least one process is needed, got {n_processes}")
    ended = {job.folder: Ended(found) for job in jobs if (found := job.result()) is not None}
    if ended:
        say(f"  {len(ended)} of {len(jobs)} were done before")
    waiting = [job for job in jobs if job.folder not in ended]
    running: dict[subprocess.Popen[bytes], tuple[Job, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < n_processes:
                job = waiting.pop(0)
                running[_start(job)] = job, time.monotonic()
            time.sleep(_POLL)
            for process in [p for p in running if p.poll() is not None]:
                job, start = running.pop(process)
                ended[job.folder] = end = _end(job, process.returncode)
                outcome = "done" if end.result is not None else "failed"
                why = f": {end.reason}" if end.reason else ""
                seconds = time.monotonic() - start
                n_left = len(waiting) + len(running)
                say(f"  {job.folder.name} {outcome} ({seconds:.0f} s){why}; {n_left} left")
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
    return [ended[job.folder] for job in jobs]


def _start(job: Job) -> subprocess.Popen[bytes]:
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / _ERROR).unlink(missing_ok=True)
    write_json(job.folder / _JOB, job.document)
    flags = f"{os.environ.get('XLA_FLAGS', '')} {_XLA_FLAG}".strip()
    with open(job.folder / _LOG, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", _RUN, str(job.folder)],
            env=_SHARED_GPU | os.environ | _ONE_CORE | {"XLA_FLAGS": flags},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _end(job: Job, code: int) -> Ended:
    """How a job ended whose process has gone with an exit code."""
    result = job.result()
    if result is not None:
        return Ended(result)
    path = job.folder / _ERROR
    if path.exists():
        return Ended(None, json.loads(path.read_text(encoding="utf-8"))["error"])
    return Ended(None, _gone(code))


def _gone(code: int) -> str:
    """What an exit code says of a process that left neither result nor error."""
    if code >= 0:
        return f"ended with exit code {code} and no result"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    hint = ", as the system does when memory runs out" if -code == 9 else ""
    return f"killed by signal {-code}{name}{hint}"


def run_here(folder: str | Path) -> None:
    """Run the job that a folder describes, in this process, and write its result or its error."""
    folder = Path(folder)
    document = json.loads((folder / _JOB).read_text(encoding="utf-8"))
    module, _, name = document["function"].partition(":")
    start = time.monotonic()
    try:
        result = getattr(importlib.import_module(module), name)(document["settings"], folder)
    except Exception as error:
        write_json(folder / _ERROR, {"error": why(error), "type": type(error).__name__})
        raise  # the log has the traceback
    written = {"job": document, "result": result, "seconds": time.monotonic() - start}
    write_json(folder / _RESULT, written)


def why(error: Exception) -> str:
    """One line that says what went wrong.

    Examples
    --------
    >>> why(ValueError("bins are too long")), why(KeyError("x")), why(MemoryError())
    ('bins are too long', "KeyError: 'x'", 'out of memory')
    """
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text:
        return f"out of memory{': ' if text else ''}{text}"
    if text and isinstance(error, ValueError | ImportError | ArithmeticError):
        return text
    return f"{type(error).__name__}{': ' if text else ''}{text}"
