"""What a model is: a frozen configuration with pure functions over a separate pytree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from latentspike.models.observations import Observation
from latentspike.spikes import Posterior, SpikeData

Params = Any
Hyperparams = dict[str, Any]
State = dict[str, np.ndarray]
"""What an estimation in steps carries from one to the next: all that an exact resume needs."""


class Batch(NamedTuple):
    """Trials as a model sees them; made by `latentspike.training`, never by hand.

    ``read`` holds what may be read, already masked and rescaled, and only held-in neurons and
    encoded bins. The other arrays cover every neuron and bin.
    """

    read: jax.Array  # [trials, read bins, read neurons]
    counts: jax.Array  # [trials, bins, neurons]
    observed: (
        jax.Array | None
    )  # bool [trials, bins, neurons]; False: not in the loss; None: all True
    graded: jax.Array | None  # bool, same shape; False: passes no gradient; None: all True
    inputs: jax.Array  # [trials, bins, n_inputs]; n_inputs may be 0
    weight: jax.Array  # [trials]; share of each trial in the mean; 0 for padding


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

    @property
    def observation(self) -> Observation:
        """How an expected value becomes an observation."""
        ...

    def default_hyperparams(self) -> dict[str, float]:
        """Scalars that `loss` reads and a search may vary, with their defaults."""
        ...

    def loss(
        self, params: Params, batch: Batch, hyperparams: Hyperparams, *, key: jax.Array | None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Objective in nats per trial (weighted mean over the batch) and its terms.

        ``key`` holds one PRNG key per trial, so that placing trials on other devices or in other
        batches changes no draw; None means no sampling noise and no dropout. ``hyperparams``
        has the model's own scalars and ``ramp``, the share of the penalties in force. The terms
        include ``recon`` (all observed entries) and ``recon_graded``, both without the part of
        the negative log-likelihood that depends on the counts alone.
        """
        ...


@runtime_checkable
class EstimatedModel(Model, Protocol):
    """A model with its own estimation procedure (closed form, EM)."""

    def estimate(self, params: Params, data: SpikeData, *, key: jax.Array) -> Params:
        """Parameters fitted to a recording."""
        ...


@runtime_checkable
class SteppedModel(Model, Protocol):
    """A model estimated in steps that take long enough to be watched, stopped and resumed.

    It needs no validation trials: a fit uses every trial that it is given.
    """

    @property
    def n_steps(self) -> int:
        """Steps of a whole estimation at most."""
        ...

    def prepare(self, data: SpikeData) -> Any:
        """What the steps read of a recording; made once per fit.

        Raises
        ------
        ValueError : naming what in the recording does not suit the model.
        """
        ...

    def begin(self, params: Params, prepared: Any, *, key: jax.Array) -> State:
        """State before the first step, from fresh parameters."""
        ...

    def advance(self, state: State, prepared: Any) -> tuple[State, dict[str, float]]:
        """One step, and figures of it for the history; a given state always moves alike."""
        ...

    def is_finished(self, state: State) -> bool:
        """Whether no step is left."""
        ...

    def finish(self, params: Params, state: State, prepared: Any) -> Params:
        """Parameters found."""
        ...
