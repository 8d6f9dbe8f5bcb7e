"""Terms of the LFADS objective, in nats per trial (spec section 2)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from latentspike.models.gru import kernel_penalty
from latentspike.models.lfads.config import Architecture


def kl_initial_condition(mean: jax.Array, std: jax.Array, prior: dict[str, jax.Array]) -> jax.Array:
    """KL of each trial's Gaussian initial condition from its prior: [trials].

    Parameters
    ----------
    mean, std : posterior [trials, ic_size]
    prior : ``mean`` (learned) and ``log_variance`` (fixed), [ic_size]
    """
    variance = lax.stop_gradient(jnp.exp(prior["log_variance"]))
    square = std**2 + (mean - prior["mean"]) ** 2
    return jnp.sum(_gaussian_kl(square, std, variance), axis=-1)


def kl_inferred_inputs(
    mean: jax.Array, std: jax.Array, prior: dict[str, jax.Array], draw: jax.Array | None = None
) -> jax.Array:
    """KL of each trial's inferred inputs from the learned AR(1) prior, in closed form: [trials].

    Given the sampled path, the expectation over ``u_t`` is exact for each bin; without a draw,
    the expectation is over ``u_{t−1}`` too (``draw`` None: means pass through).

    Parameters
    ----------
    mean, std : posterior [bins, trials, n_inferred_inputs]
    prior : ``log_time_constant`` (bins) and ``log_variance`` of the innovations
    draw : the sampled path, same shape
    """
    noise_variance = jnp.exp(prior["log_variance"])
    alpha = jnp.exp(-jnp.exp(-prior["log_time_constant"]))
    stationary = noise_variance / (1 - alpha**2)
    first = _gaussian_kl(mean[0] ** 2 + std[0] ** 2, std[0], stationary)
    if draw is None:
        before, spread = mean[:-1], (alpha * std[:-1]) ** 2
    else:
        before, spread = draw[:-1], 0.0
    square = (mean[1:] - alpha * before) ** 2 + std[1:] ** 2 + spread
    rest = _gaussian_kl(square, std[1:], noise_variance)
    return jnp.sum(first, axis=-1) + jnp.sum(rest, axis=(0, -1))


def _gaussian_kl(expected_square: jax.Array, std: jax.Array, variance: jax.Array) -> jax.Array:
    return 0.5 * (jnp.log(variance) - 2 * jnp.log(std) - 1 + expected_square / variance)


def l2_terms(architecture: Architecture, params: dict[str, Any]) -> dict[str, jax.Array]:
    """``‖U‖² / (2 size)`` of each recurrent network, by the name of its hyperparameter."""
    terms = {
        "l2_gen": kernel_penalty(params["generator"]),
        "l2_ic_encoder": _encoder_penalty(params["ic_encoder"]),
    }
    if architecture.has_controller:
        terms["l2_con"] = kernel_penalty(params["controller"])
        terms["l2_ci_encoder"] = _encoder_penalty(params["ci_encoder"])
    return terms


def _encoder_penalty(encoder: dict[str, Any]) -> jax.Array:
    return 0.5 * (kernel_penalty(encoder["forward"]) + kernel_penalty(encoder["backward"]))
