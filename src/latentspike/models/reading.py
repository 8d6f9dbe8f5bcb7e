"""What of a recording a model may read, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.spikes import SpikeData


def padded_chunks(n_trials: int, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Trial indices in chunks of one size, so that one program serves all of them.

    Yields
    ------
    ``(trials, valid)``: ``trials`` [size] repeats the last trial as padding; ``valid`` holds the
    real ones.
    """
    n_chunks = max(1, -(-n_trials // size))
    size = -(-n_trials // n_chunks)
    for start in range(0, n_trials, size):
        valid = np.arange(start, min(start + size, n_trials))
        yield np.pad(valid, (0, size - valid.size), mode="edge"), valid


def readable_counts(data: SpikeData, trials: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Readable counts [trials, read bins, read neurons] (0 where missing) and inputs."""
    dtype = jnp.zeros(()).dtype
    seen = np.where(data.observed[trials], data.counts[trials], 0)
    read = seen[:, : data.n_read_bins, :][:, :, ~data.heldout]
    if data.inputs is None:
        external = np.zeros((trials.size, data.n_bins, 0))
    else:
        external = data.inputs[trials]
    return jnp.asarray(read, dtype), jnp.asarray(external, dtype)
