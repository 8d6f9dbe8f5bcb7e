"""Inner products of filtered spike trains, from van Rossum distances."""

from __future__ import annotations

import warnings
from typing import Literal, NamedTuple, get_args

import numpy as np

from latentspike.spikes import SpikeData

Normalize = Literal["none", "rate"]

_GAP = 40.0  # time constants between trials put in sequence: exp(−40) is nothing
_BLOCK = 5.0  # least length, in time constants, of a block of time that is resampled
_N_BLOCKS = 10  # blocks aimed at


class InnerProducts(NamedTuple):
    """Inner products of filtered trains, and how to normalise them."""

    whole: np.ndarray  # [neurons, neurons]
    blocks: np.ndarray  # [blocks, neurons, neurons]
    spikes: np.ndarray  # [blocks, neurons]
    normalize: Normalize

    def gram(self, blocks: np.ndarray | None = None) -> np.ndarray:
        """Inner products over some blocks, or of the whole recording."""
        inner = self.whole if blocks is None else self.blocks[blocks].sum(axis=0)
        if self.normalize == "none":
            return inner
        # A neuron that is silent in these blocks stays at the origin.
        number = (self.spikes if blocks is None else self.spikes[blocks]).sum(axis=0)
        return inner / np.maximum(np.outer(number, number), 1)


def inner_products(data: SpikeData, time_constant: float, normalize: Normalize) -> InnerProducts:
    """Inner products of the filtered trains of a recording, whole and in blocks of time.

    Raises
    ------
    ImportError
        Without elephant.
    ValueError
        Naming silent neurons; or if a setting does not fit, or there are no two blocks.
    """
    if not (np.isfinite(time_constant) and time_constant > 0):
        raise ValueError(f"the time constant must be positive seconds, got {time_constant}")
    if normalize not in get_args(Normalize):
        raise ValueError(f"normalize must be one of {get_args(Normalize)}, got {normalize!r}")
    counts = _common_counts(data)
    pieces = _cut(counts, _block_bins(data, time_constant))
    blocks = np.stack([_inner(piece[None], data.bin_width, time_constant) for piece in pieces])
    spikes = np.stack([piece.sum(axis=0, dtype=np.float64) for piece in pieces])
    return InnerProducts(_inner(counts, data.bin_width, time_constant), blocks, spikes, normalize)


def _common_counts(data: SpikeData) -> np.ndarray:
    """Counts in bins that models may read and in which every neuron was observed."""
    if data.kind != "counts":
        raise ValueError("finding populations needs spike counts, but this data is continuous")
    bins = slice(0, data.n_read_bins)
    everyone = data.observed[:, bins].all(axis=2, keepdims=True)
    counts = np.where(everyone, data.counts[:, bins], 0)
    silent = counts.sum(axis=(0, 1)) == 0
    if silent.any():
        names = ", ".join(str(neuron) for neuron in data.neuron_ids[silent])
        raise ValueError(
            f"neurons without a spike belong to no population: {names} (in bins where every neuron "
            "was observed); leave them out with data.select_neurons"
        )
    return counts


def _block_bins(data: SpikeData, time_constant: float) -> int:
    total = data.n_trials * data.n_read_bins
    least = int(np.ceil(_BLOCK * time_constant / data.bin_width))
    # Trials shorter than the least length are blocks of their own.
    return min(max(least, total // _N_BLOCKS), data.n_read_bins)


def _cut(counts: np.ndarray, n_bins: int) -> list[np.ndarray]:
    """Blocks [bins, neurons] of about ``n_bins`` bins, never across trials."""
    per_trial = max(1, counts.shape[1] // n_bins)
    pieces = [piece for trial in counts for piece in np.array_split(trial, per_trial)]
    if len(pieces) < 2:
        raise ValueError(
            "the recording is too short to split it into halves of five time constants or more: "
            "choose a shorter time constant, or record longer"
        )
    return pieces


def _inner(counts: np.ndarray, bin_width: float, time_constant: float) -> np.ndarray:
    """Inner products of filtered trains [neurons, neurons]; a lone spike has 1 with itself."""
    n_trials, n_bins, n_neurons = counts.shape
    period = n_bins * bin_width + _GAP * time_constant
    centers = np.arange(n_trials)[:, None] * period + (np.arange(n_bins) + 0.5) * bin_width
    trains = [np.repeat(centers.ravel(), counts[:, :, i].ravel()) for i in range(n_neurons)]
    # The distance from an empty train is the length of a filtered train.
    squared = _van_rossum([*trains, np.empty(0)], time_constant) ** 2
    length = squared[-1, :-1]
    return (length[:, None] + length - squared[:-1, :-1]) / 2


def _van_rossum(trains: list[np.ndarray], time_constant: float) -> np.ndarray:
    """Distances between sorted spike times in seconds."""
    try:
        import quantities
        from elephant.spike_train_dissimilarity import van_rossum_distance
    except ImportError as error:
        raise ImportError(
            "finding populations needs elephant: pip install 'latentspike[populations]'"
        ) from error
    second = quantities.s
    with warnings.catch_warnings():
        # Rounding may bring the distance of equal trains below zero; elephant sets it to zero.
        warnings.filterwarnings("ignore", "van_rossum_distance: very small", RuntimeWarning)
        return np.asarray(
            van_rossum_distance([t * second for t in trains], time_constant * second, sort=False)
        )
