"""The program ``latentspike``: finds the command, calls it, prints what it found.

Nothing heavy is imported here: ``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import io
import json
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import latentspike
from latentspike.cli.outcome import (
    EXIT_CODES,
    Report,
    UsageError,
    exit_code,
    jsonable,
    message_of,
    note,
)

COMMANDS = {
    "simulate": "make a recording with a known answer",
    "inspect": "say what is in a recording and what looks wrong with it",
    "populations": "find out which recorded neurons belong together",
    "fit": "train a model on a recording; leaves a run folder",
    "tune": "search the hyperparameters: many models compete, the best one is kept",
    "infer": "infer rates, factors and inputs with a fitted model",
    "evaluate": "score the inference against Gaussian smoothing",
    "plot": "draw every figure that applies",
    "compare": "many models on the same trials, in one table",
    "study": "redo the figures and tables of the two papers, claim by claim",
    "demo": "all of the above on a small simulated recording, in about a minute",
}

EXIT_TEXT = "\n".join(f"  {code:<4}{meaning}" for code, meaning in EXIT_CODES.items())

USAGE = f"""usage: latentspike [-h] [--version] COMMAND ...

Single-trial latent population dynamics from spike trains.

commands:
{chr(10).join(f"  {name:<12}{text}" for name, text in COMMANDS.items())}

options:
  -h, --help  show this text; `latentspike COMMAND --help` shows the options of a command
  --version   show the version
  --json      one JSON document on standard output (every command)
  --debug     show the traceback of an error (every command)

A first session:
  latentspike simulate lorenz --out recording.h5
  latentspike fit recording.h5 --out run
  latentspike infer run
  latentspike evaluate run
  latentspike plot run

exit codes:
{EXIT_TEXT}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code.

    Parameters
    ----------
    arguments : without the program's name; those of the process by default

    Examples
    --------
    >>> main(["--version"])
    latentspike 0.1.0
    0
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    wants_json = "--json" in words
    found: list[str] = []
    try:
        with _quiet_output(wants_json), _collected_warnings(found):
            report = _call(words)
        document = report.document | ({"warnings": found} if found else {})
        _print(report, document, wants_json)
    except BrokenPipeError:
        # the reader of our output has gone (`| head`): let nothing flush into the closed pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        return _fail(error, wants_json, debug="--debug" in words)
    return 0


def _call(words: list[str]) -> Report:
    before = [word for word in words if word not in ("--json", "--debug")]
    if not before or before[0] in ("-h", "--help"):
        if not before:
            raise UsageError("no command was given\n\n" + USAGE)
        return Report({"help": USAGE}, USAGE.rstrip())
    if before[0] == "--version":
        version = latentspike.__version__
        return Report({"version": version}, f"latentspike {version}")
    name = before[0]
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"unknown command {name!r}; {hint}commands: {', '.join(COMMANDS)}")
    rest = words.copy()
    rest.remove(name)
    module = importlib.import_module(f"latentspike.cli.{name}")
    options = _parse(module, name, rest)
    return options if isinstance(options, Report) else module.run(options)


def _parse(module: Any, name: str, words: list[str]) -> Any:
    """The command's options, or a report with its help."""
    import tyro

    output, errors = io.StringIO(), io.StringIO()
    text = f"{inspect.cleandoc(module.OPTIONS.__doc__)}\n\nexit codes:\n{EXIT_TEXT}\n"
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            return tyro.cli(
                module.OPTIONS, args=words, prog=f"latentspike {name}", description=text
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            return Report({"help": output.getvalue()}, output.getvalue().rstrip())
        raise UsageError(_plain(errors.getvalue())) from None


def _plain(box: str) -> str:
    """The words of tyro's framed message."""
    lines = [
        line.strip("│╭╮╰╯─-+| \t") if not line.strip("│ ").startswith("--") else line.strip("│ \t")
        for line in box.splitlines()
    ]
    return "; ".join(line for line in lines if line.strip("-─ "))


@contextlib.contextmanager
def _quiet_output(wants_json: bool) -> Iterator[None]:
    """With ``--json`` nothing but the document may reach standard output."""
    with contextlib.redirect_stdout(sys.stderr) if wants_json else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def _collected_warnings(found: list[str]) -> Iterator[None]:
    """Warnings meant for users, one line each; those of other libraries stay silent."""

    def show(
        message: Warning | str, category: type[Warning], file: str, *_: Any, **__: Any
    ) -> None:
        if category.__module__.startswith("latentspike") or (
            category is UserWarning and "latentspike" in Path(file).parts
        ):
            text = " ".join(str(message).split())
            found.append(text)
            note(f"warning: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield


def _print(report: Report, document: dict[str, Any], wants_json: bool) -> None:
    if wants_json:
        print(json.dumps(jsonable(document), ensure_ascii=False, allow_nan=False), flush=True)
    elif report.text:
        print(report.text, flush=True)


def _fail(error: BaseException, wants_json: bool, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    code = exit_code(error)
    text = str(error).rstrip() if isinstance(error, UsageError) else message_of(error)
    note(f"latentspike: {text}")
    if wants_json:
        document = {"error": message_of(error), "exit_code": code}
        print(json.dumps(document, ensure_ascii=False, allow_nan=False), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
