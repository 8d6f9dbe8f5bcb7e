"""`LFADS`: the model as the rest of the library sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from latentspike.models.lfads.config import HYPERPARAMS, Architecture
from latentspike.models.lfads.inference import infer_posterior
from latentspike.models.lfads.network import Outputs, draw_noise, run_network
from latentspike.models.lfads.objective import (
    kl_inferred_inputs,
    kl_initial_condition,
    l2_terms,
)
from latentspike.models.lfads.parameters import init_params
from latentspike.models.lfads.prior_simulation import simulate_from_prior
from latentspike.models.observations import Observation, masked_sums, negative_log_likelihood
from latentspike.models.protocol import Batch, DataSpec, Hyperparams
from latentspike.spikes import Posterior, SpikeData


@dataclass(frozen=True)
class LFADS:
    """Latent factor analysis via dynamical systems: a sequential autoencoder of spike trains.

    Parameters
    ----------
    architecture : sizes of the network; ``Architecture(n_inferred_inputs=0)`` is the autonomous
        model, any other the input-driven one

    References
    ----------
    Keshtkaran & Pandarinath (2019), Fig. 1a; Pandarinath et al. (2018).

    Examples
    --------
    >>> from latentspike.models.lfads import LFADS, Architecture
    >>> LFADS(Architecture(n_inferred_inputs=0)).architecture.has_controller
    False
    """

    architecture: Architecture = field(default_factory=Architecture)

    @property
    def observation(self) -> Observation:
        """Observation model: "poisson" or "gaussian"."""
        return self.architecture.observation

    def default_hyperparams(self) -> dict[str, float]:
        """Dropout, KL and L2 scales."""
        return dict(HYPERPARAMS)

    def init(self, spec: DataSpec, *, key: jax.Array) -> dict[str, Any]:
        """Fresh parameters; see `latentspike.models.lfads.parameters.init_params`."""
        return init_params(self.architecture, spec, key=key)

    def loss(
        self,
        params: dict[str, Any],
        batch: Batch,
        hyperparams: Hyperparams,
        *,
        key: jax.Array | None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Negative evidence lower bound with penalties, in nats per trial (spec section 2)."""
        h = {**HYPERPARAMS, **hyperparams}
        outputs = self._forward(params, batch, h["dropout"], key)
        counts = jnp.swapaxes(batch.counts, 0, 1).astype(outputs.predictor.dtype)
        entries = negative_log_likelihood(outputs.predictor, counts, self.architecture.observation)
        recon, recon_graded = masked_sums(
            entries, _time_first(batch.observed), _time_first(batch.graded)
        )
        terms = {"recon": recon, "recon_graded": recon_graded}
        terms |= self._kl(params, outputs, sampled=key is not None)
        mean = {name: jnp.sum(batch.weight * value) for name, value in terms.items()}
        share = jnp.sum(batch.weight)
        l2 = {name: h[name] * value for name, value in l2_terms(self.architecture, params).items()}
        mean["l2"] = share * sum(l2.values())
        penalty = h["kl_ic"] * mean["kl_ic"] + mean["l2"]
        if self.architecture.has_controller:
            penalty += h["kl_co"] * mean["kl_co"]
            mean |= _input_statistics(outputs, batch.weight)
        total = mean["recon"] + h.get("ramp", 1.0) * penalty
        return total, {"loss": total, **mean}

    def infer(
        self,
        params: dict[str, Any],
        data: SpikeData,
        *,
        n_samples: int = 50,
        key: jax.Array,
    ) -> Posterior:
        """Rates, factors, initial conditions and inferred inputs of each trial.

        Parameters
        ----------
        params : fitted parameters
        data : recording with the neurons and bins that the model was fitted to
        n_samples : posterior draws to average; 0 passes the posterior means through
        key : PRNG key

        Returns
        -------
        Posterior
            Rates in Hz. Draws are streamed: memory does not grow with ``n_samples``.
        """
        return infer_posterior(self.architecture, params, data, n_samples=n_samples, key=key)

    def simulate(
        self,
        params: dict[str, Any],
        *,
        n_trials: int,
        n_bins: int,
        bin_width: float,
        key: jax.Array,
    ) -> SpikeData:
        """New trials from the priors of initial condition and inferred inputs."""
        return simulate_from_prior(
            self.architecture,
            params,
            n_trials=n_trials,
            n_bins=n_bins,
            bin_width=bin_width,
            key=key,
        )

    def _forward(
        self, params: dict[str, Any], batch: Batch, rate: Any, key: jax.Array | None
    ) -> Outputs:
        a = self.architecture
        read = jnp.swapaxes(batch.read, 0, 1)
        external = jnp.swapaxes(batch.inputs, 0, 1)
        noise = None if key is None else draw_noise(a, key, external.shape[0], read.dtype)
        return run_network(
            a, params, read, external, noise=noise, dropout_keys=key, dropout_rate=rate
        )

    def _kl(self, params: dict[str, Any], outputs: Outputs, *, sampled: bool) -> dict[str, Any]:
        terms = {"kl_ic": kl_initial_condition(outputs.ic_mean, outputs.ic_std, params["ic_prior"])}
        if outputs.input_mean is not None and outputs.input_std is not None:
            draw = outputs.inferred_inputs if sampled else None
            terms["kl_co"] = kl_inferred_inputs(
                outputs.input_mean, outputs.input_std, params["input_prior"], draw
            )
        return terms


def _time_first(mask: jax.Array | None) -> jax.Array | None:
    return None if mask is None else jnp.swapaxes(mask, 0, 1)


def _input_statistics(outputs: Outputs, weight: jax.Array) -> dict[str, jax.Array]:
    """Variance of the inferred inputs' means, and their posterior variance (collapse check)."""
    assert outputs.input_mean is not None and outputs.input_std is not None
    mean, std = (jax.lax.stop_gradient(v) for v in (outputs.input_mean, outputs.input_std))
    centred = mean - jnp.mean(mean, axis=0)
    return {
        "input_variance": jnp.sum(weight * jnp.mean(centred**2, axis=(0, 2))),
        "input_posterior_variance": jnp.sum(weight * jnp.mean(std**2, axis=(0, 2))),
    }
