"""Arrays that may be larger than memory: in memory while they fit, memory-mapped beyond."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np

CHUNK_BYTES = 1 << 23
_FALLBACK_BYTES = 4 << 30


def available_memory() -> int:
    """Bytes of memory that can be had without swapping; 4 GiB where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return _FALLBACK_BYTES


class Shelf:
    """Hands out zero-filled arrays, on disk once their total would exceed a limit.

    An array on disk is a memory-mapped ``.npy`` file in the temporary folder (``TMPDIR``); the
    file is removed when the last array that looks into it is garbage collected, or at exit.

    Parameters
    ----------
    limit_bytes : int, optional
        Half of the available memory by default.

    Examples
    --------
    >>> shelf = Shelf(limit_bytes=10)
    >>> type(shelf.zeros((2, 2), "uint8")).__name__, type(shelf.zeros((3, 3), "uint8")).__name__
    ('ndarray', 'memmap')
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._left = available_memory() // 2 if limit_bytes is None else limit_bytes

    def zeros(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
        """Zero-filled array of the given shape."""
        n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        if n_bytes > self._left:
            return _mapped(shape, dtype)
        self._left -= n_bytes
        return np.zeros(shape, dtype)


def _mapped(shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
    folder = tempfile.mkdtemp(prefix="latentspike-")
    file = Path(folder) / "array.npy"
    try:
        array = np.lib.format.open_memmap(file, mode="w+", dtype=np.dtype(dtype), shape=shape)
        _reserve(file)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # Views keep this array alive as their base, so it dies with the last of them.
    weakref.finalize(array, shutil.rmtree, folder, ignore_errors=True)
    return array


def _reserve(file: Path) -> None:
    """Claim the blocks now: a full disk then raises here instead of crashing a later write."""
    if hasattr(os, "posix_fallocate"):
        with open(file, "rb+") as handle:
            os.posix_fallocate(handle.fileno(), 0, file.stat().st_size)


def trial_chunks(n_trials: int, bytes_per_trial: int) -> Iterator[slice]:
    """Slices of trials that each hold about ``CHUNK_BYTES``."""
    step = max(1, CHUNK_BYTES // max(1, bytes_per_trial))
    for start in range(0, n_trials, step):
        yield slice(start, min(start + step, n_trials))
