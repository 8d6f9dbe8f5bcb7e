"""A search whose disk is full, whose files are damaged: nothing is lost but the generation."""

import errno

import jax
import numpy as np
import pytest

from latentspike import SpikeData, files
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.search import PBT, SearchOptions, SearchSettings, Space, tune
from latentspike.spikes import Split
from latentspike.training import TrainingSettings

SPACE = Space().updated({"learning_rate": {"low": 1e-4, "high": 0.1, "scale": "log"}})


def search(folder, *, generations=4, resume=False):
    values = np.random.default_rng(0).normal(size=(30, 3, 5))
    return tune(
        LinearAutoencoder(),
        SpikeData(values, 0.1, kind="continuous"),
        split=Split(np.arange(24), np.arange(24, 30)),
        space=SPACE,
        search=SearchSettings(PBT(generations, fraction=0.5), 4, 2),
        settings=TrainingSettings(batch_size=12),
        options=SearchOptions(folder, resume=resume, show=False),
        key=jax.random.key(0),
    )


@pytest.fixture
def whole(tmp_path):
    return search(tmp_path / "whole")


def full_disk_after(n_writes, monkeypatch):
    """Every write after the first few fails, as on a full disk."""
    write, done = files.atomic_path, []

    def atomic_path(path):
        done.append(path)
        if len(done) > n_writes:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path)

    monkeypatch.setattr(files, "atomic_path", atomic_path)
    return done


# a generation writes 4 members, scores, lineage, manifest
@pytest.mark.parametrize("n_writes", [0, 2, 4, 5, 6, 9, 13, 24, 27])
def test_a_full_disk_costs_one_generation_at_most(tmp_path, whole, monkeypatch, n_writes):
    with monkeypatch.context() as patched:
        done = full_disk_after(n_writes, patched)
        with pytest.raises(OSError, match="No space left"):
            search(tmp_path / "full")
        assert len(done) == n_writes + 1
    again = search(tmp_path / "full", resume=True)
    assert again.lineage == whole.lineage
    np.testing.assert_array_equal(again.best.params["weights"], whole.best.params["weights"])


def test_a_member_whose_file_is_damaged_is_named(tmp_path):
    search(tmp_path, generations=2)
    path = tmp_path / "weights" / "0001" / "member-0002.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"member-0002\.npz is damaged"):
        search(tmp_path, generations=4, resume=True)


def test_missing_weights_are_named(tmp_path):
    search(tmp_path, generations=2)
    (tmp_path / "weights" / "0001" / "member-0001.npz").unlink()
    with pytest.raises(FileNotFoundError, match="member-0001"):
        search(tmp_path, generations=4, resume=True)
