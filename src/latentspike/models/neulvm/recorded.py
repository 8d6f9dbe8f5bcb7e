"""New recordings from a fitted network: populations run freely, single neurons spike with them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics.drive import Drive, drive
from latentspike.dynamics.escape import expected_spikes
from latentspike.dynamics.free_run import free_run
from latentspike.dynamics.mesoscopic import log_expected
from latentspike.dynamics.parts import Values
from latentspike.dynamics.stepping import Mesoscopic
from latentspike.spikes import SpikeData
from latentspike.spikes.validate import as_whole, check_bin_width

if TYPE_CHECKING:
    from latentspike.models.neulvm.model import NeuLVM


def simulate_fitted(
    model: NeuLVM,
    params: dict[str, Any],
    shape: tuple[int, int],
    *,
    bin_width: float,
    current: Any,
    key: jax.Array,
) -> SpikeData:
    """See `NeuLVM.simulate`; ``shape`` is (trials, bins)."""
    n_trials, n_bins = (
        as_whole(n, v, 1) for n, v in zip(("n_trials", "n_bins"), shape, strict=True)
    )
    system = Mesoscopic.of(model.network, check_bin_width(bin_width), model.stepping)
    n_recorded = np.asarray(params["n_recorded"])
    population = np.repeat(np.arange(n_recorded.size), n_recorded)
    external = _current(current, (n_trials, n_bins, system.n_populations))
    with jax.enable_x64(True):
        values = model.network.values(np.asarray(params["free"], float))
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(n_trials))
        rate = jnp.asarray(params["rate"], float)
        found = _run(system, n_bins, values, rate, external, population, keys)
        counts, spikes = (np.asarray(x) for x in found)
    rate = counts / (model.network.sizes * system.bin_width)
    truth = {"population_counts": counts, "population_rate": rate, "rates": rate[..., population]}
    ids = np.array(_ids(model, n_recorded))
    return SpikeData(spikes.astype(int), system.bin_width, neuron_ids=ids, truth=truth)


def _current(current: Any, shape: tuple[int, int, int]) -> np.ndarray:
    if current is None:
        return np.zeros(shape)
    found = np.asarray(current, float)
    if found.shape not in (shape, shape[1:]):
        raise ValueError(
            f"current must be [bins, K] or [trials, bins, K] of {shape}, got {found.shape}"
        )
    if not np.isfinite(found).all():
        raise ValueError("current must be finite")
    return np.broadcast_to(found, shape)


def _ids(model: NeuLVM, n_recorded: np.ndarray) -> list[Any]:
    if model.neurons:
        return [neuron for ids in model.neurons.values() for neuron in ids]
    return [
        f"{name}-{i:0{len(str(n - 1))}d}"
        for name, n in zip(model.network.names, n_recorded.tolist(), strict=True)
        for i in range(n)
    ]


@partial(jax.jit, static_argnums=(0, 1))
def _run(
    system: Mesoscopic,
    n_bins: int,
    values: Values,
    rate: jax.Array,
    current: jax.Array,
    population: jax.Array,
    keys: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Counts [trials, bins, K] and spikes [trials, bins, neurons]."""

    def one_trial(key: jax.Array, current: jax.Array) -> tuple[jax.Array, jax.Array]:
        key_populations, key_neurons = jax.random.split(key)
        counts = free_run(system, values, rate, n_bins, current, key=key_populations)
        driven = drive(system, values, (counts / np.array(system.sizes)).T, rate, current.T)
        return counts, draw_spikes(system, values, driven, population, key=key_neurons)

    return jax.vmap(one_trial)(keys, current)


def draw_spikes(
    system: Mesoscopic, values: Values, driven: Drive, population: jax.Array, *, key: jax.Array
) -> jax.Array:
    """Spikes of single neurons that the populations drive, bin by bin.

    The rule is that of `latentspike.dynamics.single_neurons.log_spikes`. Before the first bin the
    neurons run for as long as the model remembers, at the stationary potential.

    Parameters
    ----------
    system, values : of the network
    driven : free potentials of one trial, [K, bins]
    population : int [neurons]
    key : PRNG key

    Returns
    -------
    [bins, neurons], 0 or 1
    """
    before = jnp.broadcast_to(driven.initial[:, None], (*driven.initial.shape, system.n_ages))
    potential = jnp.concatenate([before, driven.potential], -1)[population].T
    refractory = jnp.asarray(system.refractory_bins)[population]
    reset = type(driven.reset)(*[jnp.asarray(x)[population] for x in driven.reset])
    threshold = jnp.asarray(values.threshold)[population]

    def one_bin(carry: Any, now: Any) -> tuple[Any, jax.Array]:
        age, at_release, last = carry
        potential, key = now
        at_release = jnp.where(age == refractory, last, at_release)
        pull = reset.pull(jnp.maximum(age - refractory, 0)) * at_release
        pull = jnp.where(age < 0, 0.0, pull)
        log_x = log_expected(system, threshold, potential, pull, reset.per_bin)
        expected = expected_spikes(log_x)
        is_clamped = (age >= 0) & (age < refractory)
        chance = jnp.where(is_clamped, 0.0, -jnp.expm1(-expected))
        fires = jax.random.uniform(key, chance.shape) < chance
        age = jnp.where(fires, 0, jnp.where(age >= 0, age + 1, -1))
        return (age, at_release, potential), fires

    start = (jnp.full(population.shape, -1), potential[0], potential[0])
    keys = jax.random.split(key, len(potential))
    fires = jax.lax.scan(one_bin, start, (potential, keys))[1]
    return fires[system.n_ages :]
