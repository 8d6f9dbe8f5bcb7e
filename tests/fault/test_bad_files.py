"""Files that are missing, damaged or foreign, and disks that are full."""

import errno
import pickle

import h5py
import numpy as np
import pytest

from latentspike import files
from latentspike.io import (
    ReadOptions,
    read,
    read_results_hdf5,
    write_hdf5,
    write_npz,
    write_nwb,
    write_results_hdf5,
    write_results_nwb,
)
from latentspike.spikes import Posterior, SpikeData

SUFFIXES = [".h5", ".hdf5", ".npz", ".nwb"]
OPTIONS = ReadOptions(bin_width=0.01)
WRITERS = {".h5": write_hdf5, ".hdf5": write_hdf5, ".npz": write_npz, ".nwb": write_nwb}


def some_data():
    return SpikeData(np.random.default_rng(0).poisson(1.0, (3, 6, 4)), 0.01)


def some_posterior(value=1.0):
    names = {"trial_ids": np.arange(3), "neuron_ids": np.arange(4)}
    return Posterior(np.full((3, 6, 4), value), 0.01, **names)


def write_results(path, _):
    write_results_hdf5(path, some_posterior())


def write_new_nwb(path, _):
    write_results_nwb(None, some_posterior(), path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file_says_what_was_expected(suffix, tmp_path):
    path = tmp_path / f"nowhere{suffix}"
    with pytest.raises(FileNotFoundError, match=r"expected an? .* file") as caught:
        read(path, OPTIONS)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_is_not_a_file(suffix, tmp_path):
    path = tmp_path / f"folder{suffix}"
    path.mkdir()
    with pytest.raises(IsADirectoryError, match="expected") as caught:
        read(path, OPTIONS)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_path_below_a_file_is_not_there(suffix, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="expected"):
        read(tmp_path / "file" / f"a{suffix}", OPTIONS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_permission_to_read(suffix, tmp_path, monkeypatch):
    # Tests may run as root, whom no mode bit stops.
    path = tmp_path / f"a{suffix}"
    WRITERS[suffix](path, some_data())

    def deny(file, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(file))

    monkeypatch.setattr("builtins.open", deny)
    with pytest.raises(PermissionError, match="Permission denied; expected") as caught:
        read(path, OPTIONS)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PK\x03\x04 no", b"\x89HDF\r\n\x1a\n no"])
def test_a_foreign_file_is_recognized(suffix, content, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="expected") as caught:
        read(path, OPTIONS)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_recognized(suffix, kept, tmp_path):
    path = tmp_path / f"a{suffix}"
    WRITERS[suffix](path, some_data())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match="expected") as caught:
        read(path, OPTIONS)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_damage_inside_never_passes_silently_as_another_kind_of_error(suffix, tmp_path):
    """Every overwritten stretch either leaves the recording intact or raises ValueError."""
    path = tmp_path / f"a{suffix}"
    data = some_data()
    WRITERS[suffix](path, data)
    whole = path.read_bytes()
    refused = 0
    for start in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:start] + b"\xff" * 16 + whole[start + 16 :])
        try:
            read(path, OPTIONS)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused


@pytest.mark.parametrize("suffix", [".h5", ".nwb"])
def test_another_programs_hdf5_lists_its_members(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    with h5py.File(path, "w") as file:
        file["weights"] = np.ones(3)
    with pytest.raises(ValueError, match="holds weights"):
        read(path, OPTIONS)


def test_an_hdf5_that_claims_to_be_nwb(tmp_path):
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.8.0"
    with pytest.raises(ValueError, match=r"a\.nwb"):
        read(tmp_path / "a.nwb", OPTIONS)


def test_a_truncated_file_of_results_is_recognized(tmp_path):
    path = tmp_path / "a.h5"
    write_results(path, None)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="truncated"):
        read_results_hdf5(path)


class Trap:
    """Unpickling it would leave a trace."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return (open, (self.trace, "w"))


@pytest.mark.parametrize("member", ["counts", "conditions", "behavior_x", "unrelated"])
def test_pickled_objects_in_npz_are_refused(member, tmp_path):
    trace = tmp_path / "trace"
    trap = np.empty(1, object)
    trap[0] = Trap(trace)
    members = {"counts": np.ones((1, 2, 3), int), "bin_width": 0.01, member: trap}
    np.savez(tmp_path / "a.npz", **members)
    with pytest.raises(ValueError, match="pickled objects"):
        read(tmp_path / "a.npz")
    assert not trace.exists()


def test_a_bare_pickle_named_npz_is_refused(tmp_path):
    trace = tmp_path / "trace"
    (tmp_path / "a.npz").write_bytes(pickle.dumps(Trap(trace)))
    with pytest.raises(ValueError, match="is not npz"):
        read(tmp_path / "a.npz")
    assert not trace.exists()


@pytest.mark.parametrize("form", ["opaque", "bytes", "ragged"])
def test_pickled_objects_in_hdf5_are_refused(form, tmp_path):
    trace = tmp_path / "trace"
    payload = pickle.dumps(Trap(trace))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train_data"] = np.ones((1, 2, 3))
        if form == "opaque":
            file["train_behavior"] = np.full((1, 2), np.void(payload))
        elif form == "bytes":
            file["train_behavior"] = np.full((1, 2), payload)
        else:
            ragged = file.create_dataset("train_behavior", (1, 2), h5py.vlen_dtype(np.uint8))
            ragged[0, 0] = np.frombuffer(payload, np.uint8)
    with pytest.raises(ValueError, match=r"train_behavior has dtype .* never unpickled"):
        read(tmp_path / "a.h5", OPTIONS)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("suffix", "writer"),
    [
        (".h5", write_hdf5),
        (".npz", write_npz),
        (".nwb", write_nwb),
        (".h5", write_results),
        (".nwb", write_new_nwb),
    ],
)
@pytest.mark.parametrize(
    "trouble", [OSError(errno.ENOSPC, "No space left"), PermissionError(errno.EACCES, "Denied")]
)
def test_the_old_file_survives_a_failed_write(suffix, writer, trouble, tmp_path, monkeypatch):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"the old file")

    def fail(*_):
        raise trouble

    monkeypatch.setattr(files.os, "fsync" if trouble.errno == errno.ENOSPC else "replace", fail)
    with pytest.raises(type(trouble), match=trouble.strerror):
        writer(path, some_data())
    assert path.read_bytes() == b"the old file"
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_a_disk_that_fills_up_midway_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    write_hdf5(path, some_data())
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(OSError, match="No space left"):
        write_hdf5(path, some_data())
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_while_reading_is_not_blamed_on_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    write_hdf5(path, some_data())

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("latentspike.io.memory._reserve", full)
    with pytest.raises(OSError, match="No space left") as caught:
        read(path, ReadOptions(memory_limit_bytes=0))
    assert caught.value.errno == errno.ENOSPC
