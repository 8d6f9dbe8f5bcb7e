"""Opening files that may be missing, truncated or something else entirely."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from latentspike.spikes import SpikeData


def check_file(path: str | os.PathLike[str], expected: str) -> Path:
    """Path of an existing regular file that can be opened.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError
        With the path and what was expected there.
    """
    target = Path(path)
    try:
        with open(target, "rb"):
            return target
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(error.errno, f"{reason}; expected {expected}", str(target)) from error


@contextmanager
def open_hdf5(path: str | os.PathLike[str], expected: str) -> Iterator[h5py.File]:
    """Open HDF5 file for reading.

    Raises
    ------
    OSError
        If it cannot be opened at all.
    ValueError
        If it is truncated or not HDF5, here or while it is being read.
    """
    target = check_file(path, expected)
    try:
        with h5py.File(target, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, TypeError, UnicodeError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # the system's own complaint (a full disk, say), not HDF5's
        raise ValueError(
            f"{target} is truncated or is not HDF5; expected {expected} ({error})"
        ) from error


def list_members(names: Iterable[Any]) -> str:
    """Names found in a file, for an error message; damaged files have names that are no text."""
    return ", ".join(sorted(map(str, names))) or "nothing"


def read_numbers(file: h5py.Group, name: str) -> np.ndarray:
    """Numeric dataset in memory; raises ValueError for anything but numbers."""
    return np.asarray(numeric_dataset(file, name)[()])


def numeric_dataset(file: h5py.Group, name: str) -> h5py.Dataset:
    """Numeric dataset, not yet read.

    Raises
    ------
    ValueError
        If ``name`` is a group, or holds text, objects or raw bytes (pickles, for example).
    """
    item = file[name]
    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"{file.file.filename}: {name} is a group; expected an array of numbers")
    if item.dtype.kind not in "biuf":
        raise ValueError(
            f"{file.file.filename}: {name} has dtype {item.dtype}; expected numbers (objects are "
            "never unpickled)"
        )
    return item


def read_labels(file: h5py.Group, name: str) -> np.ndarray:
    """Vector of numbers or text in memory."""
    item = file[name]
    if isinstance(item, h5py.Dataset) and h5py.check_string_dtype(item.dtype) is not None:
        return np.asarray(item.asstr()[()]).astype(str)
    return read_numbers(file, name)


def number_attribute(file: h5py.File, name: str, default: float | None) -> Any:
    """Attribute of the file that is one number; raises ValueError for anything else."""
    if name not in file.attrs:
        return default
    value = np.asarray(file.attrs[name])
    if value.size != 1 or value.dtype.kind not in "biuf":
        raise ValueError(f"{file.filename}: attribute {name} must be one number, got {value!r}")
    return value.reshape(()).item()


def text_attribute(file: h5py.File, name: str, allowed: tuple[str, ...], default: str) -> str:
    """Attribute of the file that is one of the allowed words."""
    value = file.attrs.get(name, default)
    text = value.decode() if isinstance(value, bytes) else str(value)
    if text not in allowed:
        raise ValueError(
            f"{file.filename}: attribute {name} is {text!r}; it must be one of {', '.join(allowed)}"
        )
    return text


def write_labels(file: h5py.Group, name: str, labels: np.ndarray) -> None:
    """Write a vector of numbers or text; text as variable-length UTF-8."""
    if labels.dtype.kind in "US":
        # h5py takes text from Python objects only; nothing but str objects is in this array.
        file.create_dataset(name, data=labels.astype(object), dtype=h5py.string_dtype())
    else:
        file.create_dataset(name, data=labels)


def read_members(path: str | os.PathLike[str], expected: str) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz`` file; never unpickles.

    Raises
    ------
    OSError
        If it cannot be opened at all.
    ValueError
        If it is truncated, not npz, or holds pickled objects.
    """
    target = check_file(path, expected)
    try:
        # Opened here because numpy leaves a file open that turns out not to be a zip archive.
        with open(target, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise ValueError("it holds one bare array (.npy)")
            return {name: file[name] for name in file.files}
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        NotImplementedError,
        TypeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(
            f"{target} is truncated, is not npz, or holds pickled objects (which are never "
            f"loaded); expected {expected} ({error})"
        ) from error


def build(path: str | os.PathLike[str], **fields: Any) -> SpikeData:
    """`SpikeData` whose validation errors name the file."""
    try:
        return SpikeData(**fields)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
