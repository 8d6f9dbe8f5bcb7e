"""Atomic writes and pickle-free array files, shared by every room that touches the disk."""

from __future__ import annotations

import json
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

HEADER = "__header__"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Temporary file beside ``path``, moved onto it when the block ends without an error.

    A reader sees the old file or the new one, never half of it; after an error (a full disk,
    say) the old file stays and the temporary one is removed.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON document atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def save_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]
) -> None:
    """Write named arrays and a JSON header as an ``.npz`` file, atomically.

    Parameters
    ----------
    path : path
        File to write, or to replace.
    arrays : mapping of name to array
        Numbers, bools or strings.
    header : mapping
        Anything that JSON can hold.

    Raises
    ------
    ValueError : if an array holds Python objects (they would need pickle) or a name is taken.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "weights.npz"
    >>> save_arrays(file, {"weights": np.arange(3)}, {"format": 1})
    >>> load_arrays(file)
    ({'weights': array([0, 1, 2])}, {'format': 1})
    """
    if HEADER in arrays:
        raise ValueError(f"the array name {HEADER!r} is taken by the header")
    members = {name: np.asarray(value) for name, value in arrays.items()}
    for name, value in members.items():
        if value.dtype.hasobject:
            raise ValueError(f"array {name!r} holds Python objects; convert it to numbers or text")
    members[HEADER] = np.frombuffer(json.dumps(dict(header)).encode(), np.uint8)
    # Not np.savez: it would pickle objects and takes some array names for its own arguments.
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, value in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, value, allow_pickle=False)


def load_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_arrays` wrote; never unpickles.

    Returns
    -------
    arrays : the named arrays.
    header : the JSON header.

    Raises
    ------
    FileNotFoundError : if there is no such file.
    ValueError : if the file is truncated, foreign, or holds pickled objects.
    """
    try:
        # Opened here: np.load leaves the file open when it is not the archive it claims to be.
        with open(path, "rb") as file:
            arrays, header = _read_archive(file)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except _DAMAGE as error:
        raise ValueError(
            f"{path} is damaged or was not written by latentspike: {error!r}"
        ) from error
    return arrays, header


def _read_archive(file: BinaryIO) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    loaded = np.load(file, allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ValueError("it holds a single array")
    with loaded as archive:
        arrays = {name: archive[name] for name in archive.files}
    if foreign := [name for name, value in arrays.items() if not isinstance(value, np.ndarray)]:
        raise ValueError(f"{foreign[0]!r} in it is not an array")
    header = json.loads(arrays.pop(HEADER).tobytes().decode())
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    return arrays, header


# What numpy and zipfile raise on truncated, bit-flipped or foreign files.
_DAMAGE = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    RuntimeError,  # NotImplementedError included: an unknown compression
    AttributeError,  # a zip member that is not an array comes back as bytes
    OverflowError,
    MemoryError,  # a damaged length field
    SyntaxError,  # a damaged array header
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
