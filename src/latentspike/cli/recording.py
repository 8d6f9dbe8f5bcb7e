"""From a file to what a model sees, and back to what it is graded on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from latentspike.cli.configuration import Configuration, DataSettings
from latentspike.cli.outcome import UsageError, note
from latentspike.io import read_split
from latentspike.spikes import (
    Chopping,
    Posterior,
    SpikeData,
    Split,
    chop,
    hold_out_forward,
    hold_out_neurons,
    rebin,
    split_trials,
)

DEFAULT_WINDOW = 1.0  # seconds, for recordings of a single trial
DEFAULT_SHARED = 0.2  # of a window


@dataclass(frozen=True, eq=False)
class Prepared:
    """A recording as a fit uses it.

    Parameters
    ----------
    whole : all trials, binned and with hold-outs marked
    data : the same cut into windows, if it was cut
    file_split : split that the file carries, of ``whole``
    chopping : how ``whole`` was cut; None if it was not
    """

    whole: SpikeData
    data: SpikeData
    file_split: Split | None = None
    chopping: Chopping | None = None


def prepare(
    settings: DataSettings,
    *,
    seed: int,
    heldout: np.ndarray | None = None,
    keeps_whole: bool = False,
) -> Prepared:
    """Read, rebin, hold out neurons and bins, and chop, as the table ``[data]`` says.

    Parameters
    ----------
    settings : table ``[data]``, with a path
    seed : chooses the held-out neurons
    heldout : bool [neurons]; those that an earlier fit held out, instead of choosing
    keeps_whole : a recording of one trial is not cut unless the settings say so

    Raises
    ------
    ValueError, OSError
        From the reader, or naming the setting that does not suit the recording.
    """
    if settings.path is None:
        raise UsageError("no recording was named: give FILE, or data.path in the configuration")
    data, split = read_split(settings.path, settings)
    if settings.rebin > 1:
        if left_over := data.n_bins % settings.rebin:
            note(f"note: the last {left_over} bins do not fill a bin of {settings.rebin}; dropped")
        data = rebin(data, settings.rebin, drop_last=True)
    data = _hold_out(data, settings, seed, heldout)
    if keeps_whole and settings.chop_window is None:
        settings = dataclasses.replace(settings, chop_window=0)
    window, overlap = _chop_sizes(settings, data)
    if not window:
        if settings.forward_bins is not None:
            data = hold_out_forward(data, settings.forward_bins)
        return Prepared(data, data, split)
    if settings.forward_bins:
        raise ValueError("data.forward_bins and data.chop_window exclude each other")
    windows, chopping = chop(data, n_window_bins=window, n_overlap_bins=overlap)
    return Prepared(data, windows, split, chopping)


def _hold_out(
    data: SpikeData, settings: DataSettings, seed: int, heldout: np.ndarray | None
) -> SpikeData:
    if heldout is not None:
        if heldout.size != data.n_neurons:
            raise ValueError(
                f"{settings.path} has {data.n_neurons} neurons, but the model was fitted to "
                f"{heldout.size}"
            )
        return data.replace(heldout=heldout)
    if settings.heldout_neurons is None:
        return data
    if settings.heldout_neurons == 0:
        return data.replace(heldout=None)
    return hold_out_neurons(data, settings.heldout_neurons, seed=seed)


def _chop_sizes(settings: DataSettings, data: SpikeData) -> tuple[int, int]:
    """Bins per window (0: do not cut) and bins that windows share."""
    window = settings.chop_window
    if window is None:
        window = _default_window(data) if data.n_trials == 1 else 0
        if window:
            note(
                f"note: the recording is one trial of {data.n_bins} bins; it is cut into windows "
                f"of {window} bins ({window * data.bin_width:g} s); choose with --set "
                "data.chop_window=N"
            )
    overlap = settings.chop_overlap
    return window, int(DEFAULT_SHARED * window) if overlap is None else overlap


def _default_window(data: SpikeData) -> int:
    # at least about five windows, or there is nothing to validate on
    window = min(round(DEFAULT_WINDOW / data.bin_width), data.n_bins // 5)
    return window if window >= 2 else 0


def resolved(configuration: Configuration, prepared: Prepared) -> Configuration:
    """The configuration with what was decided from the recording, so that it alone repeats it."""
    chopping = prepared.chopping
    data = dataclasses.replace(
        configuration.data,
        chop_window=chopping.n_window_bins if chopping else 0,
        chop_overlap=chopping.n_overlap_bins if chopping else 0,
    )
    return dataclasses.replace(configuration, data=data)


def choose_split(prepared: Prepared, fraction: float, seed: int) -> Split:
    """Training and validation trials (or windows) of ``prepared.data``.

    The file's own split is used if it has one. Windows of one long trial are not drawn at random,
    because neighbors share bins: the end of the recording validates, and windows that reach into
    it are left out of both.
    """
    chopping = prepared.chopping
    if chopping is None:
        return prepared.file_split or _draw(prepared.data, fraction, seed)
    if chopping.n_trials == 1:
        return _split_in_time(chopping, fraction)
    trials = prepared.file_split or _draw(prepared.whole, fraction, seed)
    owner = np.repeat(np.arange(chopping.n_trials), chopping.starts.size)
    return Split(
        train=np.flatnonzero(np.isin(owner, trials.train)),
        validation=np.flatnonzero(np.isin(owner, trials.validation)),
    )


def _draw(data: SpikeData, fraction: float, seed: int) -> Split:
    if data.n_trials < 2:
        raise ValueError(
            "the recording has one trial, but fitting needs trials to train and to validate on; "
            "cut it with --set data.chop_window=N"
        )
    return split_trials(data, validation_fraction=fraction, seed=seed)


def _split_in_time(chopping: Chopping, fraction: float) -> Split:
    starts, n_windows = chopping.starts, chopping.n_windows
    n_validation = min(max(1, round(fraction * n_windows)), n_windows - 1)
    first = n_windows - n_validation
    train = np.flatnonzero(starts + chopping.n_window_bins <= starts[first])
    if not train.size:
        raise ValueError(
            f"{n_windows} windows of {chopping.n_window_bins} bins are too few to train and to "
            "validate on; use a smaller data.chop_window"
        )
    return Split(train=train, validation=np.arange(first, n_windows))


def whole_split(prepared: Prepared, split: Split | None) -> Split | None:
    """The split in whole trials, or None where it divides a single one or there is none."""
    chopping = prepared.chopping
    if chopping is None or split is None:
        return split
    if chopping.n_trials == 1:
        return None
    per_trial = chopping.starts.size
    return Split(np.unique(split.train // per_trial), np.unique(split.validation // per_trial))


def graded(
    prepared: Prepared, split: Split | None
) -> tuple[SpikeData, Callable[[Posterior], Posterior]]:
    """What validates, and a function that picks the same out of a posterior of ``whole``.

    Of one long trial, the end that validates is cut into windows without overlap. Without a split
    all of ``whole`` is graded.
    """
    chopping, whole = prepared.chopping, prepared.whole
    if split is None:
        return whole, lambda posterior: posterior
    trials = whole_split(prepared, split)
    if trials is not None:
        chosen = trials.validation
        return whole.select_trials(chosen), lambda posterior: select_trials(posterior, chosen)
    assert chopping is not None
    start = int(chopping.starts[split.validation[0]])
    size = min(chopping.n_window_bins, whole.n_bins - start)
    n_windows = (whole.n_bins - start) // size
    stop = start + n_windows * size
    windows, _ = chop(whole.select_bins(start, stop), n_window_bins=size, n_overlap_bins=0)

    def pick(posterior: Posterior) -> Posterior:
        arrays = {
            name: None
            if name.startswith("initial_condition")
            else value[0, start:stop].reshape(n_windows, size, -1)
            for name, value in posterior.arrays().items()
        }
        return dataclasses.replace(
            posterior, trial_ids=windows.trial_ids, t_start=windows.t_start, **arrays
        )

    return windows, pick


def select_trials(posterior: Posterior, trials: np.ndarray) -> Posterior:
    """The posterior of some of its trials."""
    arrays = {name: value[trials] for name, value in posterior.arrays().items()}
    return dataclasses.replace(
        posterior, trial_ids=np.asarray(posterior.trial_ids)[trials], **arrays
    )
