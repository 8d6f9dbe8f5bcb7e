"""Sample validation: single entries held out for the whole run (paper 3.1)."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.files import load_arrays, save_arrays
from latentspike.spikes import SpikeData

NAME = "sample_mask.npz"


def draw_sample_mask(data: SpikeData, fraction: float, *, seed: int) -> np.ndarray:
    """Entries of ``[trials, bins, neurons]`` to hold out, drawn once per run.

    Only what a model could read is held out: observed entries of held-in neurons, no forward bins.

    Parameters
    ----------
    data : recording
    fraction : share of readable entries, in [0, 1)
    seed : of the run; the same seed gives the same mask

    Returns
    -------
    bool [trials, bins, neurons]; True where held out.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"sample_validation must lie in [0, 1), got {fraction}")
    draws = np.random.default_rng(seed).random(data.counts.shape, dtype=np.float32)
    return (draws < fraction) & data.readable[None] & data.observed


def sample_validation(
    values: jax.Array, held_out: jax.Array | np.ndarray, fraction: float
) -> tuple[jax.Array, jax.Array]:
    """Zero the held-out entries, rescale the rest, and grade only what is not held out.

    Parameters
    ----------
    values : [trials, bins, neurons]
    held_out : bool, same shape
    fraction : share that is held out; the rest is divided by ``1 − fraction``

    Returns
    -------
    read : [trials, bins, neurons]
    graded : bool, same shape; held-out entries pass no gradient
    """
    held_out = jnp.asarray(held_out)
    return jnp.where(held_out, 0.0, values / (1 - fraction)), ~held_out


def save_sample_mask(folder: Path, mask: np.ndarray) -> None:
    """Write ``sample_mask.npz`` into a run folder, atomically."""
    save_arrays(folder / NAME, {"bits": np.packbits(mask)}, {"shape": list(mask.shape)})


def load_sample_mask(folder: Path) -> np.ndarray:
    """The mask [trials, bins, neurons] that `save_sample_mask` wrote.

    Raises
    ------
    FileNotFoundError : if the run had no sample validation.
    ValueError : if the file is damaged.
    """
    arrays, header = load_arrays(folder / NAME)
    if "bits" not in arrays or "shape" not in header:
        raise ValueError(f"{folder / NAME} holds no sample-validation mask")
    shape = tuple(header["shape"])
    size = int(np.prod(shape))
    if arrays["bits"].size != -(-size // 8):
        raise ValueError(f"{folder / NAME} is damaged: too few bits for shape {shape}")
    return np.unpackbits(arrays["bits"], count=size).astype(bool).reshape(shape)
