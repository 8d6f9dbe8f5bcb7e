"""``latentspike inspect``: what is in a recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro import conf

from latentspike.cli.options import Common
from latentspike.cli.outcome import Report, note

DEFAULT_BIN_WIDTH = 0.01


@dataclass(frozen=True, kw_only=True)
class Inspect(Common):
    """Say what is in a recording: size, rates, split, and what looks wrong with it, first of all.

    NWB files hold spike times: without --bin-width they are described in bins of 10 ms, and
    without --align-to as one continuous trial; the columns of the trials table and the time
    series that can be named are listed.

    Example: latentspike inspect session.nwb --align-to go_cue_time --window -0.2 0.5
    """

    file: Annotated[str, conf.Positional, conf.arg(metavar="FILE")]
    """Recording ending in .h5, .npz or .nwb."""
    bin_width: float | None = None
    """Seconds. Needed where the file does not state it."""
    align_to: str | None = None
    """NWB: trials column with the time (seconds) of the event that trials are aligned to."""
    window: tuple[float, float] | None = None
    """NWB: start and end of a trial in seconds relative to that event, as in -0.2 0.5; without
    --align-to the stretch of session time to read."""
    condition: str | None = None
    """NWB: trials column that names the condition of each trial."""
    behavior: tuple[str, ...] = field(default=())
    """NWB: names of time series to bring onto the bins."""
    inputs: str | None = None
    """NWB: name of the time series that is the measured external input."""
    drop_missing_events: conf.FlagCreatePairsOff[bool] = False
    """NWB: leave out trials whose event is missing."""


OPTIONS = Inspect


def run(options: Inspect) -> Report:
    """Describe a recording; see `Inspect`."""
    from latentspike.io import ReadOptions, read_split
    from latentspike.spikes import describe

    is_nwb = Path(options.file).suffix.lower() == ".nwb"
    names = ("align_to", "window", "condition", "behavior", "inputs", "drop_missing_events")
    width = options.bin_width
    contents = _nwb_contents(options.file) if is_nwb else {}
    if is_nwb and width is None:
        width = DEFAULT_BIN_WIDTH
        note(f"note: described in bins of {1e3 * width:g} ms; --bin-width chooses others")
    read = ReadOptions(bin_width=width, **{name: getattr(options, name) for name in names})
    data, split = read_split(options.file, read)
    description = describe(data)
    about: dict[str, Any] = {
        "file": options.file,
        "format": Path(options.file).suffix.lower().removeprefix("."),
        "n_train_trials": None if split is None else len(split.train),
        "n_validation_trials": None if split is None else len(split.validation),
        "n_heldout_neurons": int(data.heldout.sum()),
        "n_forward_bins": data.n_forward_bins,
        "n_inputs": data.n_inputs,
        "conditions": None if data.conditions is None else len(set(data.conditions.tolist())),
        "behavior": list(data.behavior),
        "truth": list(data.truth),
        **contents,
    }
    return Report({**about, **description.to_dict()}, _text(about, description))


def _nwb_contents(path: str) -> dict[str, Any]:
    from latentspike.io.nwb import list_series
    from latentspike.io.nwb_file import open_nwb

    with open_nwb(path) as (nwb, _):
        columns = [] if nwb.trials is None else list(nwb.trials.colnames)
        return {"trials_columns": columns, "time_series": sorted(list_series(nwb))}


def _text(about: dict[str, Any], description: Any) -> str:
    lines = str(description).splitlines()
    alarms = [line for line in lines if line.startswith("warning:")]
    facts = [line for line in lines if not line.startswith("warning:")]
    split = "none in the file"
    if about["n_train_trials"] is not None:
        split = f"{about['n_train_trials']} training, {about['n_validation_trials']} validation"
    rows = {
        "file": about["file"],
        "format": about["format"],
        "split": split,
        "held out": f"{about['n_heldout_neurons']} neurons, {about['n_forward_bins']} forward bins",
        "external inputs": str(about["n_inputs"]),
        "conditions": "none" if about["conditions"] is None else str(about["conditions"]),
        "behavior": ", ".join(about["behavior"]) or "none",
        "known truth": ", ".join(about["truth"]) or "none",
    }
    for name in ("trials_columns", "time_series"):
        if name in about:
            rows[name.replace("_", " ")] = ", ".join(about[name]) or "none"
    return "\n".join(alarms + [f"{name:<24}{value}" for name, value in rows.items()] + facts)
