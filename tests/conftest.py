"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from latentspike.spikes import Posterior, SpikeData

# Set before anything imports matplotlib: no test may need a screen.
os.environ["MPLBACKEND"] = "Agg"

# Machines differ in speed and a red test must be red again: no deadline, the same examples.
settings.register_profile("latentspike", deadline=None, derandomize=True)
settings.load_profile("latentspike")

# Compiled programs are written in place: no process may read what another one is writing.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    cache = Path(__file__).parents[1] / ".pytest_cache" / "xla" / worker
    os.environ.setdefault("LATENTSPIKE_CACHE", str(cache))


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs() -> Iterator[None]:
    """Every compiled program keeps memory mapped; thousands of them end in a segmentation fault.

    (Linux allows 65530 maps for a process, a file of tests leaves some 2500.)
    """
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
        gc.collect()


def _computes_long(path: Path) -> bool:
    """Recovery, and simulations of spiking networks."""
    names = ("perturb", "lif_network", "winner_take_all", "nest_network", "nest_mesoscopic")
    return path.parent.name == "recovery" or path.stem.removeprefix("test_") in names


@pytest.fixture(scope="module", autouse=True)
def _compiled_as_users_do(request: pytest.FixtureRequest) -> Iterator[None]:
    """For tests that compute longer than they compile, whatever `make test` chose for the rest."""
    variable = "JAX_DISABLE_MOST_OPTIMIZATIONS"
    if variable not in os.environ or not _computes_long(request.path):
        yield
        return
    import jax

    chosen = os.environ.pop(variable)  # the processes that a test starts inherit it
    jax.config.update(variable.lower(), False)
    yield
    jax.config.update(variable.lower(), True)
    os.environ[variable] = chosen


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


@pytest.fixture(scope="session")
def recording() -> SpikeData:
    """Small recording with conditions, behavior, a held-out neuron, forward bins and truth."""
    rng = np.random.default_rng(1)
    times = np.linspace(0, 3, 40)
    phase = np.array([0.0, 0.0, 0.0, 1.5, 1.5, 1.5])[:, None, None] + np.arange(5)
    true_rates = 60 + 50 * np.sin(times[:, None] + phase)
    return SpikeData(
        rng.poisson(true_rates * 0.01),
        bin_width=0.01,
        t_start=-0.1,
        heldout=np.arange(5) == 4,
        n_forward_bins=5,
        behavior={"hand": np.cumsum(rng.normal(size=(6, 40, 2)), axis=1)},
        conditions=np.repeat(["left", "right"], 3),
        truth={"rates": true_rates},
    )


@pytest.fixture(scope="session")
def inference(recording: SpikeData) -> Posterior:
    """Posterior of `recording` with every array that a plot can draw."""
    rng = np.random.default_rng(2)
    true_rates = recording.truth["rates"]
    return Posterior(
        rates=true_rates + rng.normal(size=true_rates.shape),
        rates_std=np.full(true_rates.shape, 3.0),
        factors=rng.normal(size=(6, 40, 4)),
        factors_std=np.full((6, 40, 4), 0.1),
        inferred_inputs=rng.normal(size=(6, 40, 2)),
        inferred_inputs_std=np.full((6, 40, 2), 0.2),
        bin_width=recording.bin_width,
        t_start=recording.t_start,
        trial_ids=recording.trial_ids,
        neuron_ids=recording.neuron_ids,
    )
