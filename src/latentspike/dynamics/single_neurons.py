"""What single neurons do, given the potential of their population and when they fired last."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics.drive import Drive
from latentspike.dynamics.escape import expected_spikes, log_fire
from latentspike.dynamics.mesoscopic import log_expected
from latentspike.dynamics.parts import Values
from latentspike.dynamics.stepping import Mesoscopic


def log_spikes(
    system: Mesoscopic,
    values: Values,
    driven: Drive,
    *,
    spikes: jax.Array,
    ages: jax.Array,
    population: np.ndarray,
) -> jax.Array:
    """Log-probability of what each observed neuron did in each bin.

    Parameters
    ----------
    driven : free potentials
    spikes : [..., bins, neurons], 0 or 1
    ages, population : as in `log_firing`

    Returns
    -------
    [..., bins, neurons]; a spike within the refractory period has the hazard at reset.
    """
    fire, stay = log_firing(system, values, driven, ages=ages, population=population)
    return jnp.where(spikes > 0, fire, stay)


def log_firing(
    system: Mesoscopic, values: Values, driven: Drive, *, ages: jax.Array, population: np.ndarray
) -> tuple[jax.Array, jax.Array]:
    """Log-probabilities that neurons of given ages fire in a bin, and that they do not.

    Parameters
    ----------
    driven : free potentials
    ages : int [..., bins, neurons]; bins since the last spike (0: the bin before), −1 where there
        was none yet: such a neuron counts as recovered
    population : int [neurons], which population each belongs to

    Returns
    -------
    Two arrays like ``ages``
    """
    ages = jnp.swapaxes(ages, -1, -2)
    of = lambda x: jnp.asarray(x)[..., population, None]  # noqa: E731
    refractory = of(np.array(system.refractory_bins))
    potential = driven.potential[..., population, :]
    release = jnp.arange(potential.shape[-1]) - 1 - ages + refractory
    last = potential.shape[-1] - 1
    at_release = jnp.take_along_axis(potential, jnp.clip(release, 0, last), -1)
    at_release = jnp.where(release >= 0, at_release, of(driven.initial))
    reset = type(driven.reset)(*[of(x) for x in driven.reset])
    pull = reset.pull(jnp.maximum(ages - refractory, 0)) * at_release
    pull = jnp.where(ages < 0, 0.0, pull)
    threshold = of(values.threshold)
    log_x = log_expected(system, threshold, potential, pull, reset.per_bin)
    fire, stay = of_age(system, log_x, ages, refractory=refractory, threshold=threshold)
    return jnp.swapaxes(fire, -1, -2), jnp.swapaxes(stay, -1, -2)


def of_age(
    system: Mesoscopic,
    log_x: jax.Array,
    ages: jax.Array,
    *,
    refractory: jax.Array,
    threshold: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """`log_firing` from the log of hazard × bin width; arrays like ``ages``, or wide like them.

    A neuron in its refractory period is at reset, and silent for sure.
    """
    is_clamped = (ages >= 0) & (ages < refractory)
    at_reset = np.log(system.bin_width) - threshold
    fire = log_fire(jnp.where(is_clamped, at_reset, log_x))
    return fire, -jnp.where(is_clamped, 0.0, expected_spikes(log_x))
