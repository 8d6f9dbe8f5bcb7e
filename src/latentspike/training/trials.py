"""A recording on the device, and the batches that are cut from it inside compiled code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.models.observations import Observation, constant
from latentspike.models.protocol import Batch
from latentspike.spikes import SpikeData
from latentspike.training.coordinated_dropout import coordinated_dropout
from latentspike.training.sample_validation import sample_validation


class Trials(NamedTuple):
    """Arrays of a recording; stored once on the device, shared by everything that trains on it."""

    counts: jax.Array  # [trials, bins, neurons], smallest type
    inputs: jax.Array  # [trials, bins, n_inputs]
    observed: jax.Array | None  # bool [trials, bins, neurons]; None: all
    sample_mask: jax.Array | None  # bool [trials, bins, neurons]; None: no sample validation


@dataclass(frozen=True)
class Reading:
    """Which entries a model may read; hashable, fixed at compile time.

    Parameters
    ----------
    n_bins : leading bins that are read
    neurons : indices of held-in neurons, or None for all of them
    sample_fraction : share held out by sample validation
    """

    n_bins: int
    neurons: tuple[int, ...] | None
    sample_fraction: float

    @classmethod
    def of(cls, data: SpikeData, sample_fraction: float) -> Reading:
        """What may be read of a recording."""
        held_in = tuple(int(i) for i in np.flatnonzero(~data.heldout))
        neurons = None if len(held_in) == data.n_neurons else held_in
        return cls(data.n_read_bins, neurons, sample_fraction)

    def mask(self, n_bins: int, n_neurons: int) -> np.ndarray:
        """Bool [bins, neurons]: what may be read."""
        neurons = np.ones(n_neurons, bool)
        if self.neurons is not None:
            neurons[:] = False
            neurons[list(self.neurons)] = True
        return (np.arange(n_bins) < self.n_bins)[:, None] & neurons

    def compact(self, read: jax.Array) -> jax.Array:
        """Only held-in neurons and read bins, as models take them."""
        read = read[:, : self.n_bins]
        return read if self.neurons is None else read[:, :, np.asarray(self.neurons)]


def put_trials(data: SpikeData, sample_mask: np.ndarray | None = None) -> Trials:
    """Copy a recording to the device."""
    dtype = jnp.zeros(()).dtype
    counts = data.counts if data.kind == "counts" else data.counts.astype(dtype)
    inputs = data.inputs
    if inputs is None:
        inputs = np.zeros((data.n_trials, data.n_bins, 0))
    return Trials(
        counts=jnp.asarray(counts),
        inputs=jnp.asarray(inputs, dtype),
        observed=None if data.observed.all() else jnp.asarray(data.observed),
        sample_mask=None if sample_mask is None else jnp.asarray(sample_mask),
    )


def training_batch(
    trials: Trials,
    reading: Reading,
    index: jax.Array,
    weight: jax.Array,
    keep_ratio: jax.Array,
    keys: jax.Array,
) -> Batch:
    """Trials ``index`` under sample validation (first) and coordinated dropout (among the rest)."""
    values, observed, read, readable = _gather(trials, reading, index)
    if trials.sample_mask is not None:
        held_out = trials.sample_mask[index]
        read, not_held_out = sample_validation(read, held_out, reading.sample_fraction)
        readable &= not_held_out
        observed = not_held_out if observed is None else observed & not_held_out
    read, graded = coordinated_dropout(read, readable, keep_ratio, keys)
    return Batch(reading.compact(read), values, observed, graded, trials.inputs[index], weight)


def validation_batch(
    trials: Trials, reading: Reading, index: jax.Array, weight: jax.Array
) -> Batch:
    """Trials ``index`` as they are; ``graded`` marks what models never read."""
    values, observed, read, readable = _gather(trials, reading, index)
    read = jnp.where(readable, read, 0.0)
    graded = jnp.broadcast_to(~jnp.asarray(reading.mask(*values.shape[1:])), values.shape)
    return Batch(reading.compact(read), values, observed, graded, trials.inputs[index], weight)


def sample_batch(trials: Trials, reading: Reading, index: jax.Array, weight: jax.Array) -> Batch:
    """Trials ``index`` with the sample-validation entries hidden, and only those in the loss."""
    assert trials.sample_mask is not None
    values, _, read, readable = _gather(trials, reading, index)
    held_out = trials.sample_mask[index]
    read, _ = sample_validation(jnp.where(readable, read, 0.0), held_out, reading.sample_fraction)
    return Batch(reading.compact(read), values, held_out, None, trials.inputs[index], weight)


def _gather(
    trials: Trials, reading: Reading, index: jax.Array
) -> tuple[jax.Array, jax.Array | None, jax.Array, jax.Array]:
    values = trials.counts[index].astype(trials.inputs.dtype)
    readable = jnp.broadcast_to(jnp.asarray(reading.mask(*values.shape[1:])), values.shape)
    observed = None if trials.observed is None else trials.observed[index]
    if observed is not None:
        readable &= observed
    return values, observed, values, readable


@dataclass(frozen=True)
class Constants:
    """Nats per trial (or per held-out entry) that depend on the counts alone, added on the host."""

    all_entries: float
    never_read: float
    sample_entries: float
    n_sample_entries: int

    @classmethod
    def of(
        cls, data: SpikeData, sample_mask: np.ndarray | None, observation: Observation
    ) -> Constants:
        """Sum ``log x!`` (or ``½ log 2π``) over the entries that each loss covers."""
        totals = np.zeros(3)
        n_entries = 0
        for start in range(0, data.n_trials, 64):
            rows = slice(start, start + 64)
            entries = np.where(data.observed[rows], constant(data.counts[rows], observation), 0.0)
            held_out = np.zeros(entries.shape, bool) if sample_mask is None else sample_mask[rows]
            totals += (
                np.sum(entries, where=~held_out),
                np.sum(entries, where=~data.readable),
                np.sum(entries, where=held_out),
            )
            n_entries += int(held_out.sum())
        return cls(
            all_entries=totals[0] / data.n_trials,
            never_read=totals[1] / data.n_trials,
            sample_entries=totals[2] / data.n_trials,
            n_sample_entries=n_entries,
        )
