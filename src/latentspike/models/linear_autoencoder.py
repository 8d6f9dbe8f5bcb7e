"""The linear autoencoder of the 2019 paper (section 3.2): one weight matrix, bin by bin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.models.observations import (
    Observation,
    masked_sums,
    negative_log_likelihood,
)
from latentspike.models.protocol import Batch, DataSpec, Hyperparams
from latentspike.models.reading import padded_chunks, readable_counts
from latentspike.spikes import Posterior, SpikeData


@dataclass(frozen=True)
class LinearAutoencoder:
    """``ŷ = U y``: neurons predicted linearly from all neurons of the same bin.

    Parameters
    ----------
    initial_scale : standard deviation of the initial weights times ``sqrt(neurons)``

    References
    ----------
    Keshtkaran & Pandarinath (2019), section 3.2 and Fig. 3.

    Examples
    --------
    >>> import numpy as np
    >>> spec = DataSpec(3, 1, 3, 1, 0, np.zeros(3))
    >>> LinearAutoencoder().init(spec, key=jax.random.key(0))["weights"].shape
    (3, 3)
    """

    initial_scale: float = 0.1

    @property
    def observation(self) -> Observation:
        """Observation model: "gaussian"."""
        return "gaussian"

    def default_hyperparams(self) -> dict[str, float]:
        """None of its own."""
        return {}

    def init(self, spec: DataSpec, *, key: jax.Array) -> dict[str, jax.Array]:
        """Random weights [read neurons, neurons]; row ``i`` is what neuron ``i`` contributes."""
        shape = (spec.n_read_neurons, spec.n_neurons)
        scale = self.initial_scale / np.sqrt(spec.n_read_neurons)
        return {"weights": scale * jax.random.normal(key, shape)}

    def loss(
        self,
        params: dict[str, jax.Array],
        batch: Batch,
        hyperparams: Hyperparams,
        *,
        key: jax.Array | None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Half the squared error summed over neurons and bins, mean over trials."""
        prediction = jnp.swapaxes(self._predict(params, batch.read, batch.counts.shape[1]), 0, 1)
        time_first = lambda mask: None if mask is None else jnp.swapaxes(mask, 0, 1)  # noqa: E731
        entries = negative_log_likelihood(prediction, jnp.swapaxes(batch.counts, 0, 1), "gaussian")
        recon, graded = masked_sums(entries, time_first(batch.observed), time_first(batch.graded))
        total = jnp.sum(batch.weight * recon)
        return total, {
            "loss": total,
            "recon": total,
            "recon_graded": jnp.sum(batch.weight * graded),
        }

    def infer(
        self, params: dict[str, Any], data: SpikeData, *, n_samples: int = 0, key: jax.Array
    ) -> Posterior:
        """Reconstruction of each trial; deterministic, whatever ``n_samples`` and ``key``.

        In Hz for counts (where it may be negative, as any linear map), else in the data's unit.

        Raises
        ------
        ValueError : if the recording has other neurons than the one fitted to.
        """
        given = int((~data.heldout).sum()), data.n_neurons
        if given != params["weights"].shape:
            n_read, n_neurons = params["weights"].shape
            raise ValueError(
                f"the model reads {n_read} and predicts {n_neurons} neurons, but the recording "
                f"has {given[0]} held-in of {given[1]} neurons"
            )
        rates = np.empty(data.counts.shape, np.float32)
        for trials, valid in padded_chunks(data.n_trials, 256):
            read, _ = readable_counts(data, trials)
            rates[valid] = np.asarray(self._predict(params, read, data.n_bins))[: valid.size]
        if data.kind == "counts":
            rates /= data.bin_width
        return Posterior(
            rates=rates,
            bin_width=data.bin_width,
            t_start=data.t_start,
            trial_ids=data.trial_ids,
            neuron_ids=data.neuron_ids,
        )

    def _predict(self, params: dict[str, jax.Array], read: jax.Array, n_bins: int) -> jax.Array:
        """Bins that were not read are predicted as 0."""
        prediction = read @ params["weights"]
        return jnp.pad(prediction, ((0, 0), (0, n_bins - read.shape[1]), (0, 0)))
