"""Exit codes and plain JSON values."""

import json
import zipfile

import numpy as np
import pytest

from latentspike.cli.outcome import (
    EXIT_CODES,
    FileProblem,
    Interrupted,
    UsageError,
    exit_code,
    jsonable,
    message_of,
)
from latentspike.training import NonFiniteLossError


def damaged() -> ValueError:
    error = ValueError("session.npz cannot be read")
    error.__cause__ = zipfile.BadZipFile("no end")
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no"), 2),
        (ValueError("rates are negative"), 2),
        (ImportError("pip install"), 2),
        (damaged(), 3),
        (FileProblem("gone"), 3),
        (PermissionError(13, "Permission denied", "a.h5"), 3),
        (OSError(28, "No space left on device", "a.h5"), 3),
        (NonFiniteLossError("training loss is not finite"), 4),
        (Interrupted("go on"), 130),
        (KeyboardInterrupt(), 130),
        (RuntimeError("odd"), 1),
        (ZeroDivisionError("odd"), 1),
    ],
)
def test_exit_codes(error, code):
    assert exit_code(error) == code
    assert code in EXIT_CODES
    assert message_of(error).strip()
    assert "\n" not in message_of(error)


def test_messages_name_the_file():
    assert message_of(OSError(28, "No space left on device", "a.h5")).startswith("a.h5: No space")


def test_json_holds_no_nan_and_no_numpy():
    value = {
        1: np.float32("nan"),
        "inf": [np.inf, -np.inf, np.float64(2)],
        "array": np.array([[1.0, np.nan]]),
        "whole": np.int64(3),
        "other": (None, True, {"deep": float("nan")}),
    }
    text = json.dumps(jsonable(value), allow_nan=False)
    assert json.loads(text) == {
        "1": None,
        "inf": [None, None, 2.0],
        "array": [[1.0, None]],
        "whole": 3,
        "other": [None, True, {"deep": None}],
    }
