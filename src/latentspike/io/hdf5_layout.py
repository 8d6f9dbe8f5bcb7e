"""How the HDF5 files that LFADS users already have lay out one recording."""

from __future__ import annotations

from dataclasses import dataclass

import h5py
import numpy as np

from latentspike.io.memory import trial_chunks
from latentspike.io.opening import list_members, numeric_dataset

LFADS_NAMES = ("encod_data", "recon_data", "data")
NLB_BLOCKS = (  # suffix, is held-out, is forward
    ("spikes_heldin", False, False),
    ("spikes_heldout", True, False),
    ("spikes_heldin_forward", False, True),
    ("spikes_heldout_forward", True, True),
)


@dataclass(frozen=True)
class Tile:
    """One dataset [trials, bins, neurons] and where its corner lies on the canvas."""

    dataset: h5py.Dataset
    first_bin: int = 0
    first_neuron: int = 0

    @property
    def name(self) -> str:
        """Name of the dataset in the file."""
        return str(self.dataset.name).lstrip("/")

    @property
    def area(self) -> int:
        """Bins × neurons."""
        return int(self.dataset.shape[1] * self.dataset.shape[2])

    def chunks(self) -> list[slice]:
        """Slices of trials of moderate size."""
        return list(trial_chunks(self.dataset.shape[0], self.area * self.dataset.dtype.itemsize))


@dataclass(frozen=True)
class Part:
    """Training or validation trials, with the mask of recorded bins if the file has one."""

    prefix: str
    tiles: tuple[Tile, ...]
    mask: h5py.Dataset | None = None

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return int(self.tiles[0].dataset.shape[0])


@dataclass(frozen=True)
class Layout:
    """Every part of a file on one canvas of bins and neurons.

    Models may read the first ``n_read_bins`` bins of the first ``n_read_neurons`` columns.
    """

    parts: tuple[Part, ...]
    n_bins: int
    n_neurons: int
    n_read_bins: int
    n_read_neurons: int

    @property
    def prefixes(self) -> list[str]:
        """What the names of each part's datasets begin with."""
        return [part.prefix for part in self.parts]

    @property
    def sizes(self) -> list[int]:
        """Trials in each part."""
        return [part.n_trials for part in self.parts]

    @property
    def n_trials(self) -> int:
        """Trials in all parts."""
        return sum(self.sizes)

    @property
    def is_covered(self) -> bool:
        """Whether the tiles of every part cover its whole canvas."""
        whole = self.n_bins * self.n_neurons
        return all(sum(tile.area for tile in part.tiles) == whole for part in self.parts)


def find_layout(file: h5py.File) -> Layout:
    """Recognize the layout of an open file.

    Raises
    ------
    ValueError
        If it is none of the known ones, or its datasets disagree.
    """
    if "train_spikes_heldin" in file:
        return _nlb_layout(file)
    if any(f"train_{name}" in file for name in LFADS_NAMES):
        return _lfads_layout(file)
    found = list_members(file)
    raise ValueError(
        f"{file.filename} holds {found}; expected train_encod_data and train_recon_data (LFADS), "
        "train_data (older LFADS) or train_spikes_heldin (Neural Latents Benchmark)"
    )


def _lfads_layout(file: h5py.File) -> Layout:
    parts, corners = [], []
    for prefix in ("train", "valid"):
        found = [f"{prefix}_{name}" for name in LFADS_NAMES if f"{prefix}_{name}" in file]
        if not found:
            continue
        encod, *rest = (_cube(file, name) for name in found)
        recon = rest[0] if rest else encod
        parts.append(Part(prefix, (recon,), _mask(file, prefix, recon)))
        corners.append((encod, recon))
    for corner in corners[1:]:
        for tile, reference in zip(corner, corners[0], strict=True):
            _check_same(tile, reference, axes=(1, 2))
    for encod, recon in corners:
        if recon is not encod:
            _check_corner(encod, recon)
    encod, recon = corners[0]
    return Layout(tuple(parts), *recon.dataset.shape[1:], *encod.dataset.shape[1:])


def _nlb_layout(file: h5py.File) -> Layout:
    found = {
        prefix: {
            (out, forward): _cube(file, f"{prefix}_{suffix}")
            for suffix, out, forward in NLB_BLOCKS
            if f"{prefix}_{suffix}" in file
        }
        for prefix in ("train", "eval")
    }
    blocks = [(key, tile) for part in found.values() for key, tile in part.items()]
    sizes: dict[tuple[str, bool], Tile] = {}
    for (out, forward), tile in blocks:
        _check_same(tile, sizes.setdefault(("bins", forward), tile), axes=(1,))
        _check_same(tile, sizes.setdefault(("neurons", out), tile), axes=(2,))

    def size(axis: str, extra: bool) -> int:
        tile = sizes.get((axis, extra))
        return 0 if tile is None else tile.dataset.shape[1 if axis == "bins" else 2]

    read_bins, read_neurons = size("bins", False), size("neurons", False)
    parts = []
    for prefix, tiles in found.items():
        placed = [
            Tile(tile.dataset, read_bins * forward, read_neurons * out)
            for (out, forward), tile in tiles.items()
        ]
        for tile in placed[1:]:
            _check_same(tile, placed[0], axes=(0,))
        parts += [Part(prefix, tuple(placed))] if placed else []
    return Layout(
        tuple(parts),
        read_bins + size("bins", True),
        read_neurons + size("neurons", True),
        read_bins,
        read_neurons,
    )


def _cube(file: h5py.File, name: str) -> Tile:
    dataset = numeric_dataset(file, name)
    if dataset.ndim != 3 or 0 in dataset.shape:
        raise ValueError(
            f"{file.filename}: {name} must have shape [trials, bins, neurons] with at least one of "
            f"each, got {dataset.shape}"
        )
    return Tile(dataset)


def _mask(file: h5py.File, prefix: str, recon: Tile) -> h5py.Dataset | None:
    """``{part}_observed``, our own addition to the layout."""
    if f"{prefix}_observed" not in file:
        return None
    mask = numeric_dataset(file, f"{prefix}_observed")
    if mask.dtype != bool or mask.shape != recon.dataset.shape:
        raise ValueError(
            f"{file.filename}: {prefix}_observed must be a bool mask of shape "
            f"{recon.dataset.shape}, got {mask.dtype} of shape {mask.shape}"
        )
    return mask


def _check_same(tile: Tile, reference: Tile, *, axes: tuple[int, ...]) -> None:
    for axis in axes:
        have, want = tile.dataset.shape[axis], reference.dataset.shape[axis]
        if have != want:
            raise ValueError(
                f"{tile.dataset.file.filename}: {tile.name} has {have} "
                f"{('trials', 'bins', 'neurons')[axis]} but {reference.name} has {want}"
            )


def _check_corner(encod: Tile, recon: Tile) -> None:
    """The encoded data must be the leading corner of the reconstructed data."""
    path = encod.dataset.file.filename
    _check_same(encod, recon, axes=(0,))
    _, bins, neurons = encod.dataset.shape
    if bins > recon.dataset.shape[1] or neurons > recon.dataset.shape[2]:
        raise ValueError(
            f"{path}: {encod.name} {encod.dataset.shape} is larger than {recon.name} "
            f"{recon.dataset.shape}; it must be its leading bins and neurons"
        )
    for chunk in recon.chunks():
        read, whole = encod.dataset[chunk], recon.dataset[chunk, :bins, :neurons]
        same = (read == whole) | ((read != read) & (whole != whole))  # NaN equals NaN here
        if not same.all():
            trial, time_bin, neuron = (int(i) for i in np.argwhere(~same)[0])
            raise ValueError(
                f"{path}: {encod.name}[trial {chunk.start + trial}, bin {time_bin}, neuron "
                f"{neuron}] = {read[trial, time_bin, neuron]} but {recon.name} has "
                f"{whole[trial, time_bin, neuron]} there; the encoded data must be the leading "
                "corner of the reconstructed data"
            )
