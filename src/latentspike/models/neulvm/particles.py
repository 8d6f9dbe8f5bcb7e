"""A swarm of networks that run freely and are selected by the recorded spikes: a particle filter.

Each particle is a whole mesoscopic network with its own past and its own parameters, which may
walk. Where populations fire in volleys the activities that suit a few spikes lie on separate
islands, between which no chain moves; a swarm follows all of them until the spikes decide.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics.bin_by_bin import State, start
from latentspike.dynamics.drive import Reset, reset
from latentspike.dynamics.free_run import Random, next_bin, once
from latentspike.dynamics.mesoscopic import log_expected
from latentspike.dynamics.parts import Values
from latentspike.dynamics.single_neurons import of_age
from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.metric import to_free
from latentspike.models.neulvm.problem import Problem

_SURPRISE = 1e-5  # probability of anything in a bin, so that a swarm that is lost can be found
_CLUMPS = 6.0  # volleys that hold the neurons of a swarm whose past is unknown, about
_MEMORIES = 2  # of the model: spikes so much later still tell of a bin
_RATE_SPREAD = 0.4  # of the log-rate before a trial, which few spikes tell


class Found(NamedTuple):
    """What a swarm has seen of one trial."""

    log_likelihood: jax.Array  # of the recorded spikes, nats
    counts: jax.Array  # [bins, K], spikes of the populations, mean over lines
    squares: jax.Array  # [bins, K], mean of their squares
    logits: jax.Array  # [particles, free], parameters of each particle at the end
    line_mean: jax.Array  # [particles, free], of the logits along the line of each, over the trial
    line_std: jax.Array  # [particles, free]
    weights: jax.Array  # [particles], of the particles at the end; they add up to 1


class _Bin(NamedTuple):
    """What is kept of every bin."""

    counts: jax.Array  # [K, particles]
    parents: jax.Array  # int [particles], whom each of the next bin's particles comes from
    weights: jax.Array  # [particles], after the bin's spikes and the selection


class _Swarm(NamedTuple):
    """Particles are the last axis of everything."""

    networks: State
    logits: jax.Array  # [free, particles]
    total: jax.Array  # [free, particles], of the logits of a line
    squares: jax.Array


@partial(jax.jit, static_argnums=0)
def follow(
    system: Mesoscopic, trial: Problem, logits: jax.Array, walk: jax.Array, *, key: jax.Array
) -> Found:
    """Run a swarm through one trial.

    Parameters
    ----------
    system : network; its stepping
    trial : recording of one trial, without the axis of trials
    logits : [particles, free], parameters as logits of their shares of the prior boxes
    walk : how far the logits move in a trial, standard deviation
    key : PRNG key

    References
    ----------
    Gordon, Salmond & Smith (1993); parameters that walk: Kitagawa (1998), Ionides et al. (2015).
    """
    n_particles, k = logits.shape[0], system.n_populations
    n_bins = trial.spikes.shape[0]
    step = walk / np.sqrt(n_bins)
    first = min(system.n_ages, n_bins)
    # parameters say little about the first bins, whose past is unknown
    n_unjudged = min(system.n_ages // 2, n_bins // 4)
    spikes, seen = (jnp.sum(x[:first], 0) for x in (trial.spikes, trial.seen))
    rate = (spikes + 0.5) / (seen + 1.0) / system.bin_width
    key_rate, key_bins = jax.random.split(key)
    spread = _RATE_SPREAD * jax.random.normal(key_rate, (k, n_particles))
    rates = rate[:, None] * jnp.exp(spread)

    def values_of(logits: jax.Array) -> Values:
        one = lambda logit: trial.table.fill(to_free(trial, logit), k)  # noqa: E731
        return jax.vmap(one, in_axes=-1, out_axes=-1)(logits)

    def one_bin(carry: tuple[_Swarm, jax.Array], now: tuple[Any, ...]) -> tuple[Any, Any]:
        swarm, log_weights = carry
        number, data = now[0], now[1:]
        keys = jax.random.split(jax.random.fold_in(key_bins, number), 3)
        moved = swarm.logits + step * jax.random.normal(keys[0], swarm.logits.shape)
        values = Values(*once(*values_of(moved)))
        current = jnp.zeros((k, n_particles))
        for i in range(trial.inputs.shape[-1]):
            current = current + values.input_gain[:, i] * data[3][i]
        random = Random.draw((k, n_particles), key=keys[1])
        networks, counts = next_bin(system, values, swarm.networks, current, random)
        seen = log_seen(
            system, values, networks.last_potential, swarm.networks.pull, trial.population, data
        )
        judged = number >= n_unjudged
        swarm = _Swarm(
            networks,
            moved,
            swarm.total + judged * moved,
            swarm.squares + judged * moved**2,
        )
        log_weights = log_weights + seen
        gain = jax.nn.logsumexp(log_weights)
        log_weights = log_weights - gain
        weights = jnp.exp(log_weights)
        is_poor = jnp.sum(weights**2) * n_particles > 2.0
        swarm, log_weights, parents = jax.lax.cond(
            is_poor, _select, _keep, swarm, log_weights, keys[2]
        )
        return (swarm, log_weights), (gain, _Bin(counts, parents, jnp.exp(log_weights)))

    logits = logits.T
    zeros = jnp.zeros_like(logits)
    networks = start(system, values_of(logits), rates)
    if system.stepping.start == "free":
        networks = _clumped(networks, key=jax.random.fold_in(key_rate, 1))
    carry = (
        _Swarm(networks, logits, zeros, zeros),
        jnp.full(n_particles, -np.log(n_particles), logits.dtype),
    )
    data = (jnp.arange(n_bins), trial.fired, trial.stayed, trial.ages, trial.inputs)
    (swarm, log_weights), (gain, bins) = jax.lax.scan(one_bin, carry, data)
    mean, squares = _moments(bins, _MEMORIES * system.n_ages)
    n_judged = n_bins - n_unjudged
    line_mean = swarm.total / n_judged
    line_std = jnp.sqrt(jnp.maximum(swarm.squares / n_judged - line_mean**2, 0.0))
    of_particles = (swarm.logits.T, line_mean.T, line_std.T, jnp.exp(log_weights))
    return Found(jnp.sum(gain), mean, squares, *of_particles)


def log_seen(
    system: Mesoscopic,
    values: Values,
    potential: jax.Array,
    pull: jax.Array,
    population: jax.Array,
    now: tuple[jax.Array, ...],
) -> jax.Array:
    """Log-probability of what the recorded neurons do in one bin.

    Parameters
    ----------
    potential : [K, particles], mV, in the bin
    pull : [K, ages, particles], mV, of the last spike on neurons of each age, in the bin
    population : int [groups]
    now : ``fired``, ``stayed`` and ``ages`` of the bin, [groups], as in `Problem`. Who is older
        than the memory feels what is left of the oldest class's pull.

    Returns
    -------
    [particles]
    """
    fired, stayed, ages = (x[:, None] for x in now[:3])
    refractory = jnp.asarray(np.array(system.refractory_bins))[population][:, None]
    oldest = system.n_ages - 1
    own_reset = Reset(*[x[population] for x in reset(system, values)])
    own_pull = pull[population, jnp.clip(now[2], 0, oldest)]
    own_pull = own_pull * own_reset.decay ** jnp.maximum(ages - oldest, 0)
    own_pull = jnp.where(ages < 0, 0.0, own_pull)
    threshold = jnp.asarray(values.threshold)[population]
    log_x = log_expected(system, threshold, potential[population], own_pull, own_reset.per_bin)
    log_fire, log_stay = of_age(system, log_x, ages, refractory=refractory, threshold=threshold)
    fire, stay = (jnp.log(jnp.exp(x) + _SURPRISE) for x in (log_fire, log_stay))
    (each,) = once(fired * fire + stayed * stay)
    return jnp.sum(each, 0)


def _clumped(networks: State, *, key: jax.Array) -> State:
    """The same neurons, but in a few volleys: nothing is known of when they fired last.

    Half of the particles stay as they are; the others draw the shares of their classes from a
    Dirichlet distribution around them, worth `_CLUMPS` volleys.
    """
    mass = networks.mass
    drawn = jax.random.gamma(key, _CLUMPS * mass + 1e-4, dtype=mass.dtype)
    drawn = drawn / jnp.sum(drawn, 1, keepdims=True)
    is_drawn = jnp.arange(mass.shape[-1]) % 2 == 1
    mass = jnp.where(is_drawn, drawn, mass)
    doubt = networks.doubtful / jnp.maximum(networks.mass, 1e-12)
    return networks._replace(mass=mass, doubtful=jnp.where(is_drawn, 0.0, doubt) * mass)


def _select(
    swarm: _Swarm, log_weights: jax.Array, key: jax.Array
) -> tuple[_Swarm, jax.Array, jax.Array]:
    """Particles in numbers that follow their weights (systematic resampling)."""
    n = log_weights.size
    places = (jnp.arange(n) + jax.random.uniform(key, dtype=log_weights.dtype)) / n
    parents = jnp.searchsorted(jnp.cumsum(jnp.exp(log_weights)), places)
    parents = jnp.minimum(parents, n - 1)

    def chosen_of(x: jax.Array) -> jax.Array:
        # row by row: XLA would turn all arrays round, in every bin, for a gather at their end
        rows = x.reshape(-1, n)
        return jax.lax.map(lambda row: row[parents], rows).reshape(x.shape)

    chosen = jax.tree.map(chosen_of, swarm)
    return chosen, jnp.full_like(log_weights, -np.log(n)), parents


def _keep(
    swarm: _Swarm, log_weights: jax.Array, _: jax.Array
) -> tuple[_Swarm, jax.Array, jax.Array]:
    return swarm, log_weights, jnp.arange(log_weights.size)


def _moments(bins: _Bin, lag: int) -> tuple[jax.Array, jax.Array]:
    """Mean and mean square of the counts, [bins, K], given the spikes up to ``lag`` bins later.

    Along the lines that are left then, or a little later. Given all spikes there would be few lines
    in the past, as they meet: what hardly any spike tells of would be one line's chance.
    """
    n_bins, _, n = bins.counts.shape
    n_blocks = -(-n_bins // lag)
    behind = (n_blocks + 1) * lag - n_bins
    own = jnp.broadcast_to(jnp.arange(n), (behind, n))
    last = jnp.broadcast_to(bins.weights[-1], (behind, n))
    parents = jnp.concatenate([bins.parents, own]).reshape(n_blocks + 1, lag, n)
    weights = jnp.concatenate([bins.weights, last])[2 * lag - 1 :: lag]
    counts = jnp.concatenate([bins.counts, jnp.zeros((behind, *bins.counts.shape[1:]))])
    counts = counts.reshape(n_blocks + 1, lag, *bins.counts.shape[1:])

    def one_block(_: None, now: tuple[jax.Array, ...]) -> tuple[None, tuple[jax.Array, jax.Array]]:
        counts, parents, later, weights = now
        line, _ = jax.lax.scan(lambda line, p: (p[line], None), jnp.arange(n), later, reverse=True)

        def earlier(line: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, Any]:
            counts, parents = now
            line = parents[line]
            found = counts[:, line]
            return line, (found @ weights, found**2 @ weights)

        return None, jax.lax.scan(earlier, line, (counts, parents), reverse=True)[1]

    blocks = (counts[:-1], parents[:-1], parents[1:], weights)
    found = jax.lax.scan(one_block, None, blocks)[1]
    mean, squares = (x.reshape(n_blocks * lag, -1)[:n_bins] for x in found)
    return mean, squares


def of_trial(problem: Problem, trial: int) -> Problem:
    """One trial of a recording, in single precision, which is enough for a swarm."""
    names = ("spikes", "seen", "fired", "stayed", "ages", "inputs")
    one = problem._replace(**{name: getattr(problem, name)[trial] for name in names})
    return jax.tree.map(_single, one)


def _single(x: Any) -> np.ndarray:
    x = np.asarray(x)
    return x.astype(np.int32 if x.dtype.kind == "i" else np.float32)
