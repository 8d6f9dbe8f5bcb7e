"""Sample validation: single entries held out for the whole run (paper 3.1)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.spikes import SpikeData


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
