"""What a model is: a frozen configuration with pure functions over a separate pytree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from latentspike.spikes import Posterior, SpikeData

Params = Any
Hyperparams = dict[str, Any]


class Batch(NamedTuple):
    """Trials as a model sees them; made by `latentspike.training`, never by hand.

    ``read`` holds what may be read, already masked and rescaled, and only held-in neurons and
    encoded bins. ``counts``, ``observed`` and ``graded`` cover every neuron and bin.
    """

    read: jax.Array  # [trials, read bins, read neurons]
    counts: jax.Array  # [trials, bins, neurons]
    observed: jax.Array  # bool [trials, bins, neurons]; False: not in the loss at all
    graded: jax.Array  # bool [trials, bins, neurons]; False: in the loss, but passes no gradient
    inputs: jax.Array  # [trials, bins, n_inputs]; n_inputs may be 0


@dataclass(frozen=True, eq=False)
class DataSpec:
    """What a model must know of a recording before it can make parameters.

    Parameters
    ----------
    n_read_neurons, n_read_bins : held-in neurons and encoded bins
    n_neurons, n_bins : all of them
    n_inputs : dimensions of the external input
    mean_counts : float [neurons]; mean count per bin, to start readouts at
    """

    n_read_neurons: int
    n_read_bins: int
    n_neurons: int
    n_bins: int
    n_inputs: int
    mean_counts: np.ndarray

    @classmethod
    def of(cls, data: SpikeData) -> DataSpec:
        """The specification of a recording."""
        total = np.sum(data.counts, axis=(0, 1), where=data.observed, dtype=np.float64)
        seen = np.maximum(data.observed.sum(axis=(0, 1)), 1)
        return cls(
            n_read_neurons=int((~data.heldout).sum()),
            n_read_bins=data.n_read_bins,
            n_neurons=data.n_neurons,
            n_bins=data.n_bins,
            n_inputs=data.n_inputs,
            mean_counts=total / seen,
        )


@runtime_checkable
class Model(Protocol):
    """Common to every model."""

    def init(self, spec: DataSpec, *, key: jax.Array) -> Params:
        """Fresh parameters."""
        ...

    def infer(
        self, params: Params, data: SpikeData, *, n_samples: int, key: jax.Array
    ) -> Posterior:
        """What the model believes about each trial."""
        ...


@runtime_checkable
class GradientModel(Model, Protocol):
    """A model learned by gradient; `latentspike.training.fit` trains it."""

    def default_hyperparams(self) -> dict[str, float]:
        """Scalars that `loss` reads and a search may vary, with their defaults."""
        ...

    def loss(
        self,
        params: Params,
        batch: Batch,
        hyperparams: Hyperparams,
        *,
        key: jax.Array | None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Objective in nats per trial and its terms; ``key=None`` means no sampling noise."""
        ...


@runtime_checkable
class EstimatedModel(Model, Protocol):
    """A model with its own estimation procedure (closed form, EM)."""

    def estimate(self, params: Params, data: SpikeData, *, key: jax.Array) -> Params:
        """Parameters fitted to a recording."""
        ...
