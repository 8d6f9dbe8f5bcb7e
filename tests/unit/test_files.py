import json
import os
import pickle
import stat

import numpy as np
import pytest

from latentspike import files
from latentspike.files import (
    HEADER,
    atomic_path,
    load_arrays,
    save_arrays,
    write_json,
    write_text,
)


def test_arrays_and_header_come_back(tmp_path):
    arrays = {
        "weights": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32),
        "mask": np.array([True, False]),
        "words": np.array(["a", "bc"]),
        "file": np.array(3),  # np.savez could not take this name
        "group/sub": np.empty((0, 2)),
    }
    save_arrays(tmp_path / "x.npz", arrays, {"format": 1, "note": "µ"})
    got, header = load_arrays(tmp_path / "x.npz")
    assert header == {"format": 1, "note": "µ"} and list(got) == list(arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(got[name], value)
        assert got[name].dtype == value.dtype


def test_objects_are_never_written(tmp_path):
    with pytest.raises(ValueError, match="'bad' holds Python objects"):
        save_arrays(tmp_path / "x.npz", {"bad": np.array([{}, None])}, {})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="taken by the header"):
        save_arrays(tmp_path / "x.npz", {HEADER: np.ones(1)}, {})


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("bomb-went-off",))


@pytest.mark.parametrize("form", ["npz", "npy", "pickle"])
def test_pickles_are_never_read(tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    bad = np.array([Bomb()], dtype=object)
    with open("x.npz", "wb") as file:
        if form == "npz":
            np.savez(file, **{HEADER: bad})
        elif form == "npy":
            np.save(file, bad)
        else:
            pickle.dump(Bomb(), file)
    with pytest.raises(ValueError, match=r"x\.npz is damaged"):
        load_arrays("x.npz")
    assert not os.path.exists("bomb-went-off")


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    for write in (
        lambda: np.savez(path, a=np.ones(2)),
        lambda: path.write_text("hello"),
        lambda: path.write_bytes(b""),
        lambda: np.savez(path, **{HEADER: np.frombuffer(b"[1]", np.uint8)}),
    ):
        write()
        with pytest.raises(ValueError, match="damaged or was not written by latentspike"):
            load_arrays(path)
    with open(path, "wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(ValueError, match="single array"):
        load_arrays(path)


def test_truncated_and_flipped_files_raise_value_errors_or_load_right(tmp_path):
    path = tmp_path / "x.npz"
    arrays = {"a": np.arange(20.0), "b": np.array(["word"])}
    save_arrays(path, arrays, {"k": 1})
    raw, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for round_number in range(300):
        broken = bytearray(raw)
        if round_number % 2:
            broken = broken[: rng.integers(len(raw))]
        else:
            broken[rng.integers(len(raw))] ^= 1 << rng.integers(8)
        path.write_bytes(broken)
        try:
            got, header = load_arrays(path)
        except ValueError:
            refused += 1
            continue
        # A flip in a date stamp harms nothing; what loads must be what was saved.
        assert header == {"k": 1}
        for name in set(got) & set(arrays):
            np.testing.assert_array_equal(got[name], arrays[name])
    assert refused > 200


def test_a_missing_file_is_called_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_arrays(tmp_path / "none.npz")
    with pytest.raises(IsADirectoryError):
        load_arrays(tmp_path)


def test_an_error_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "x.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="disk"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("disk full")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["x.txt"]


def test_a_failing_sync_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json(path, {"version": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"version": 2})
    assert json.loads(path.read_text()) == {"version": 1} and os.listdir(tmp_path) == ["x.json"]


def test_missing_folders_are_made_and_permissions_are_ordinary(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_text(path, "µ")
    assert path.read_text(encoding="utf-8") == "µ"
    (tmp_path / "plain").write_text("")
    plain = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == plain
