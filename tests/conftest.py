"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Set before anything imports matplotlib: no test may need a screen.
os.environ["MPLBACKEND"] = "Agg"

# Machines differ in speed and a red test must be red again: no deadline, the same examples.
settings.register_profile("latentspike", deadline=None, derandomize=True)
settings.load_profile("latentspike")


def _folder(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: no {what} on this machine")
    folder = Path(value)
    if not folder.is_dir():
        # Set but wrong is a mistake, not an absence: skipping would hide it.
        pytest.fail(f"{variable}={value} is not a folder")
    return folder


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real recordings (environment variable LATENTSPIKE_TEST_DATA)."""
    return _folder("LATENTSPIKE_TEST_DATA", "real recordings")


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of reference outputs (environment variable LATENTSPIKE_GOLDEN)."""
    return _folder("LATENTSPIKE_GOLDEN", "reference outputs")


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers in every test and every run."""
    return np.random.default_rng(20_180_917)
