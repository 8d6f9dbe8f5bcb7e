"""Escape noise: from voltages to probabilities, without overflow and without dead gradients."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

# expected spikes per bin above which a hazard grows linearly: exp(−40) is below any rounding
_LOG_CAP = math.log(40.0)
_SMALL = -12.0  # log expected spikes below which log(1 − exp(−x)) is taken from its series


def expected_spikes(log_expected: jax.Array) -> jax.Array:
    """``exp``, continued linearly above 40 spikes per bin; hazard × bin width from its log."""
    above = jnp.maximum(log_expected - _LOG_CAP, 0.0)
    return jnp.exp(jnp.minimum(log_expected, _LOG_CAP)) * (1.0 + above)


def log_fire(log_expected: jax.Array) -> jax.Array:
    """Log-probability of a spike in the bin, ``log(1 − exp(−x))`` from ``log x``."""
    is_small = log_expected < _SMALL
    x = expected_spikes(jnp.where(is_small, _SMALL, log_expected))
    series = log_expected - jnp.exp(jnp.minimum(log_expected, _SMALL)) / 2
    return jnp.where(is_small, series, jnp.log(-jnp.expm1(-x)))
