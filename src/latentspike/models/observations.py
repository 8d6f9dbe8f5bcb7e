"""How an expected value becomes an observation: Poisson counts or Gaussian values."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy.special import gammaln

Observation = Literal["poisson", "gaussian"]


def negative_log_likelihood(
    predictor: jax.Array, values: jax.Array, observation: Observation
) -> jax.Array:
    """Per entry, in nats, without the part that depends on the values alone (`constant`).

    Parameters
    ----------
    predictor : natural parameter; log expected count per bin (Poisson) or mean (Gaussian)
    values : same shape; counts or real numbers
    observation : "poisson" or "gaussian" (unit variance)
    """
    if observation == "poisson":
        return jnp.exp(predictor) - values * predictor
    return 0.5 * (values - predictor) ** 2


def constant(values: np.ndarray, observation: Observation) -> np.ndarray:
    """The rest of the negative log-likelihood: ``log x!`` (exact) or ``½ log 2π``; same shape."""
    if observation == "poisson":
        table = gammaln(np.arange(int(values.max(initial=0)) + 1) + 1.0)
        return table[values.astype(np.int64)]
    return np.full(values.shape, 0.5 * np.log(2 * np.pi))


def expected(predictor: jax.Array, observation: Observation) -> jax.Array:
    """Expected count per bin (Poisson) or mean (Gaussian)."""
    return jnp.exp(predictor) if observation == "poisson" else predictor


def masked_sums(
    loss: jax.Array, observed: jax.Array | None, graded: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Sums over bins and neurons of all observed entries, and of those that are graded too.

    The first passes gradients only through graded entries.

    Parameters
    ----------
    loss : [bins, trials, neurons]
    observed, graded : bool, same shape, or None where True everywhere

    Returns
    -------
    Two arrays [trials].
    """
    if observed is not None:
        loss = jnp.where(observed, loss, 0.0)
    if graded is None:
        total = jnp.sum(loss, axis=(0, 2))
        return total, lax.stop_gradient(total)
    passing = jnp.where(graded, loss, 0.0)
    graded_sum = jnp.sum(passing, axis=(0, 2))
    blocked = jnp.sum(lax.stop_gradient(jnp.where(graded, 0.0, loss)), axis=(0, 2))
    return graded_sum + blocked, lax.stop_gradient(graded_sum)
