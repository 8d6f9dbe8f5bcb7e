"""What all models of a comparison share: the recording, its training and its test trials."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentspike.compare.jobs import differences
from latentspike.files import load_arrays, save_arrays, write_json
from latentspike.io import read_npz, write_npz
from latentspike.spikes import SpikeData, Split, split_trials

PROTOCOL, RECORDING, TRIALS, JOBS = "protocol.json", "recording.npz", "trials.npz", "jobs"
RESULTS = "results.json"
FORMAT = 1
_DRAW = 0  # of the test trials: they are no matter of a fit's seed


@dataclass(frozen=True, eq=False)
class Protocol:
    """The recording and how it is divided.

    Parameters
    ----------
    data : every trial, held-out neurons and forward bins marked
    split : ``train`` is all that a model may learn or choose from; ``validation`` are the test
        trials
    lag : seconds by which neural activity leads behavior, for decoding
    """

    data: SpikeData
    split: Split
    lag: float = 0.0

    @property
    def train(self) -> SpikeData:
        """Training trials with all that is known of them."""
        return self.data.select_trials(self.split.train)

    @property
    def test(self) -> SpikeData:
        """Test trials with all that is known of them."""
        return self.data.select_trials(self.split.validation)

    def document(self) -> dict[str, Any]:
        """What tells it from another, in plain values: digests of arrays, numbers of trials."""
        data = self.data
        return {
            "format": FORMAT,
            "kind": "comparison",
            "recording": {
                "n_trials": data.n_trials,
                "n_bins": data.n_bins,
                "n_neurons": data.n_neurons,
                "bin_width": data.bin_width,
                "t_start": data.t_start,
                "n_forward_bins": data.n_forward_bins,
                "unit": data.kind,
                **_digests(data),
            },
            "heldout_neurons": data.neuron_ids[data.heldout].tolist(),
            "test_trials": self.split.validation.tolist(),
            "training_trials": self.split.train.tolist(),
            "lag": self.lag,
        }


def choose_trials(data: SpikeData, split: Split | float) -> Split:
    """Training and test trials; a fraction draws them, always the same for a recording.

    Raises
    ------
    ValueError : if there are too few trials, or a trial that does not exist.
    """
    if isinstance(split, Split):
        last = max(int(split.train[-1]), int(split.validation[-1]))
        first = min(int(split.train[0]), int(split.validation[0]))
        if last >= data.n_trials or first < 0:
            raise ValueError(f"the split names trials {first} … {last} of {data.n_trials}")
        return split
    return split_trials(data, validation_fraction=split, seed=_DRAW)


def _digests(data: SpikeData) -> dict[str, str]:
    arrays: dict[str, Any] = {
        name: getattr(data, name)
        for name in ("counts", "observed", "inputs", "conditions", "trial_ids", "neuron_ids")
    }
    for group in ("behavior", "truth"):
        arrays |= {f"{group}.{name}": value for name, value in getattr(data, group).items()}
    return {name: _digest(value) for name, value in arrays.items() if value is not None}


def _digest(array: np.ndarray) -> str:
    digest = hashlib.sha256(repr(array.shape).encode())
    if array.dtype.kind in "biuf":
        for row in array:  # one trial at a time: a copy of the whole may not fit
            digest.update(np.ascontiguousarray(row, "<f8").tobytes())
    else:
        digest.update(json.dumps(array.tolist()).encode())
    return digest.hexdigest()[:16]


def open_folder(folder: Path, protocol: Protocol) -> str:
    """Make the folder of a comparison, or go on with one of the same protocol.

    Returns
    -------
    Digest of the protocol.

    Raises
    ------
    ValueError : if the folder holds something else, naming what differs.
    """
    path = folder / PROTOCOL
    document = json.loads(json.dumps(protocol.document()))
    if path.exists():
        before = _read(path)
        if before != document:
            raise ValueError(
                f"{folder} compares models on another recording or other trials "
                f"({differences(before, document)}); name another folder"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not _is_unfinished(folder):
            raise ValueError(f"{folder} is not empty and holds no comparison; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / RECORDING).exists():
        write_npz(folder / RECORDING, protocol.data)
    if not (folder / TRIALS).exists():
        split = protocol.split
        arrays = {"train": split.train, "test": split.validation}
        save_arrays(folder / TRIALS, arrays, {"format": FORMAT, "lag": protocol.lag})
    write_json(path, document)  # last: with it, the folder is complete
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def _is_unfinished(folder: Path) -> bool:
    """Whether nothing is there but what a killed start has left."""
    ours = (RECORDING, TRIALS, PROTOCOL)
    if not folder.is_dir():
        return False
    found = list(folder.iterdir())
    for each in found:
        if not any(each.name == name or each.name.startswith(f".{name}.") for name in ours):
            return False
    for each in found:
        each.unlink()
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); name another folder") from error


def read_protocol(folder: Path) -> Protocol:
    """What `open_folder` has left, for the process of a fit."""
    arrays, header = load_arrays(folder / TRIALS)
    split = Split(arrays["train"], arrays["test"])
    return Protocol(read_npz(folder / RECORDING), split, header["lag"])
