import numpy as np
import pytest

from latentspike.io import memory
from latentspike.io.memory import Shelf, available_memory, trial_chunks


def test_the_limit_counts_everything_on_the_shelf():
    shelf = Shelf(limit_bytes=100)
    kinds = [isinstance(shelf.zeros((60,), np.uint8), np.memmap) for _ in range(3)]
    assert kinds == [False, True, True]


def test_arrays_on_disk_start_as_zeros_and_can_be_written():
    array = Shelf(limit_bytes=0).zeros((3, 4), np.float32)
    assert array.dtype == np.float32 and not array.any()
    array[1] = 2.0
    assert array.sum() == 8.0


def test_a_full_disk_raises_and_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(memory.os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        Shelf(limit_bytes=0).zeros((10,), np.uint8)
    assert list(tmp_path.iterdir()) == []


def test_available_memory_is_plausible():
    assert 1 << 20 < available_memory() < 1 << 50


def test_chunks_cover_every_trial_once(monkeypatch):
    monkeypatch.setattr(memory, "CHUNK_BYTES", 100)
    chunks = list(trial_chunks(7, 40))
    assert [(chunk.start, chunk.stop) for chunk in chunks] == [(0, 2), (2, 4), (4, 6), (6, 7)]
    assert [chunk.stop for chunk in trial_chunks(2, 10**9)] == [1, 2]
