"""What the family reads of a recording."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from latentspike.models.linear_dynamics.em import Recording
from latentspike.models.linear_dynamics.path import Spikes
from latentspike.models.observations import constant
from latentspike.spikes import SpikeData


class Prepared(NamedTuple):
    """A recording that a fit reads, in double precision.

    Parameters
    ----------
    recording : trials
    counts : [trials, bins, neurons], as in the `SpikeData`
    seen : bool, same shape
    constant : nats; the part of the log-likelihood that depends on the counts alone
    """

    recording: Recording
    counts: np.ndarray
    seen: np.ndarray
    constant: float

    @property
    def n_spikes(self) -> float:
        """Spikes that were observed."""
        return float(np.sum(self.counts, where=self.seen, dtype=float))


def prepare(data: SpikeData, n_latents: int) -> Prepared:
    """Every observed entry, held-out neurons and forward bins included: a fit learns from them.

    Raises
    ------
    ValueError : if there are no counts, fewer neurons than latents, fewer than two bins, or a
        neuron without an observed bin.
    """
    _check_kind(data)
    if n_latents > data.n_neurons:
        raise ValueError(
            f"n_latents = {n_latents}, but the recording has {data.n_neurons} neurons; "
            "choose at most as many latents as neurons"
        )
    if data.n_bins < 2:
        raise ValueError("trials have one bin: dynamics need at least two")
    unseen = ~data.observed.any((0, 1))
    if unseen.any():
        neuron = data.neuron_ids[np.flatnonzero(unseen)[0]]
        raise ValueError(f"neuron {neuron} was never observed; leave it out (`select_neurons`)")
    seen = data.observed
    if not np.any(data.counts, where=seen):
        raise ValueError("there is not a single observed spike in this recording")
    rest = -float(np.sum(constant(data.counts, "poisson"), where=seen))
    return Prepared(as_read(data, seen), data.counts, seen, rest)


def as_read(data: SpikeData, seen: np.ndarray) -> Recording:
    """Trials with the entries that may be read; ``seen`` bool [trials, bins, neurons]."""
    shape = (data.n_trials, data.n_bins, 0)
    inputs = np.zeros(shape) if data.inputs is None else np.asarray(data.inputs, float)
    counts = jnp.asarray(np.where(seen, data.counts, 0).astype(float))
    return Recording(Spikes(counts, jnp.asarray(seen)), jnp.asarray(inputs))


def check_match(params: dict[str, Any], data: SpikeData) -> None:
    """Raise ValueError unless the recording has the neurons and inputs that were fitted."""
    _check_kind(data)
    n_neurons, n_inputs = len(params["readout"]["d"]), params["dynamics"]["B"].shape[-1]
    if (n_neurons, n_inputs) != (data.n_neurons, data.n_inputs):
        raise ValueError(
            f"parameters are for {n_neurons} neurons and {n_inputs} inputs, the data has "
            f"{data.n_neurons} and {data.n_inputs}"
        )


def _check_kind(data: SpikeData) -> None:
    if data.kind != "counts":
        raise ValueError("linear dynamics with Poisson spikes need counts; this data is continuous")
