"""Integrate-and-fire populations step by step: the state of a network and its compiled loop."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.simulate.lif_constants import StepConstants

Weights = Mapping[tuple[int, int], np.ndarray]
"""By positions of sender and receiver among the populations: [N receiver, N sender], mV."""

_HIGHEST_EXPONENT = 30.0  # e^30 Hz fires in any step; beyond e^88 float32 overflows
_FEW_SPIKES = 16  # of a population in a step: below, weights are added spike by spike
_LONGEST_SPARE = 64  # steps for which one spare threshold per neuron is drawn at most


def senders_with(weights: Weights) -> tuple[int, ...]:
    """Positions of the populations that have weights, in order."""
    return tuple(sorted({sender for sender, _ in weights}))


class Coefficients(NamedTuple):
    """`StepConstants` as the compiled loop reads them: float32, populations padded to N neurons."""

    time_step: Any
    leak: Any  # [K, 1]
    toward: Any  # [K], 1 − leak
    resting: Any  # [K], mV
    threshold: Any  # [K, N], mV; infinite where there is no neuron
    refractory: Any  # [K, 1]
    delay: Any  # [K]
    synapse_decay: Any  # [K]
    synapse_gain: Any  # [K]
    coupling: Any  # [K target, K source], mV s
    sizes: Any  # [K]
    weights: tuple[Any, ...]  # [N, K, N receiver] per sender that has weights, mV s

    @classmethod
    def of(cls, constants: StepConstants, weights: Weights) -> Coefficients:
        """For a network in which ``weights`` replace some connections."""
        width, n_populations = int(constants.sizes.max()), len(constants.sizes)
        is_neuron = np.arange(width) < constants.sizes[:, None]
        coupling = constants.response * constants.strength
        shape = (width, n_populations, width)
        padded = {sender: np.zeros(shape, np.float32) for sender in senders_with(weights)}
        for (sender, receiver), matrix in weights.items():
            coupling[receiver, sender] = 0.0
            n_receivers, n_senders = matrix.shape
            effect = matrix.T * constants.response[receiver, sender]
            padded[sender][:n_senders, receiver, :n_receivers] = effect
        return jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float32 if np.asarray(x).dtype.kind == "f" else jnp.int32),
            cls(
                time_step=constants.time_step,
                leak=constants.leak[:, None],
                toward=1 - constants.leak,
                resting=constants.resting,
                threshold=np.where(is_neuron, constants.threshold[:, None], np.inf),
                refractory=constants.refractory[:, None],
                delay=constants.delay,
                synapse_decay=constants.synapse_decay,
                synapse_gain=constants.synapse_gain,
                coupling=coupling,
                sizes=constants.sizes.astype(float),
                weights=tuple(padded.values()),
            ),
        )


class State(NamedTuple):
    """Of a network between two steps; T trials, K populations padded to N neurons."""

    potential: Any  # [T, K, N], mV
    clamped: Any  # [T, K, N], steps for which the voltage is still held at reset
    remaining: Any  # [T, K, N], hazard that each neuron still survives
    synapse: Any  # [T, K], synaptic activity of each sender, Hz
    fraction: Any  # [T, ring, K], of the population that fired in each of the last steps
    own_synapse: tuple[Any, ...]  # [T, K, N receiver] per sender that has weights, mV
    fired: Any  # [T, ring, K, N], who fired in each of the last steps; empty without weights


def spare_steps(constants: StepConstants) -> int:
    """Steps in which no neuron can fire twice, so that one spare threshold each is enough."""
    return int(min(constants.refractory.min() + 1, _LONGEST_SPARE))


@partial(jax.jit, static_argnames=("senders",))
def advance(
    state: State,
    coefficients: Coefficients,
    keys: jax.Array,
    first: jax.Array,
    current: jax.Array,
    *,
    senders: tuple[int, ...],
) -> tuple[State, jax.Array]:
    """Run a block of steps.

    A neuron fires when its hazard, summed since its last spike, reaches a threshold drawn from an
    exponential distribution. This is the same as firing in every step with probability
    ``1 − exp(−λ Δ)``, but asks for one random number per spike. They are drawn ahead: one per
    neuron for every few steps in which it can fire only once.

    Parameters
    ----------
    state : before the block
    keys : [trials], one stream per trial
    first : step at which the block starts, counted over the whole run
    current : [blocks of spare thresholds, steps each, trials or 1, K], mV
    senders : positions of the populations that have weights

    Returns
    -------
    The state after the block, and who fired, bool [steps, trials, K, N].
    """
    n_draws, n_steps = current.shape[:2]
    shape = state.potential.shape[1:]

    def few_steps(state: State, block: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        start, current = block
        draw = lambda key: jax.random.exponential(  # noqa: E731
            jax.random.fold_in(key, start), shape, jnp.float32
        )
        spare = jax.vmap(draw)(keys)
        one = partial(_one_step, coefficients=coefficients, spare=spare, senders=senders)
        return jax.lax.scan(one, state, (start + jnp.arange(n_steps, dtype=jnp.int32), current))

    starts = first + n_steps * jnp.arange(n_draws, dtype=jnp.int32)
    state, fired = jax.lax.scan(few_steps, state, (starts, current))
    return state, fired.reshape(-1, *fired.shape[2:])


def _one_step(
    state: State,
    now: tuple[jax.Array, jax.Array],
    *,
    coefficients: Coefficients,
    spare: jax.Array,
    senders: tuple[int, ...],
) -> tuple[State, jax.Array]:
    step, current = now
    c, ring = coefficients, state.fraction.shape[1]
    slot = jnp.mod(step - 1 - c.delay, ring)
    arriving = state.fraction[:, slot, jnp.arange(slot.size)]
    synapse = c.synapse_decay * state.synapse + c.synapse_gain * arriving
    drive = c.toward * (c.resting + current) + synapse @ c.coupling.T
    own_synapse, own_drive = _through_weights(state, slot, c, senders)
    is_free = state.clamped == 0
    potential = c.leak * state.potential + drive[..., None] + own_drive
    potential = jnp.where(is_free, potential, 0.0)
    hazard = jnp.exp(jnp.minimum(potential - c.threshold, _HIGHEST_EXPONENT))
    remaining = state.remaining - jnp.where(is_free, hazard * c.time_step, 0.0)
    fires = remaining < 0
    place = jnp.mod(step, ring)
    fraction = state.fraction.at[:, place].set(fires.sum(-1, dtype=jnp.float32) / c.sizes)
    return State(
        potential=jnp.where(fires, 0.0, potential),
        clamped=jnp.where(fires, c.refractory, jnp.maximum(state.clamped - 1, 0)),
        remaining=jnp.where(fires, spare, remaining),
        synapse=synapse,
        fraction=fraction,
        own_synapse=own_synapse,
        fired=state.fired.at[:, place].set(fires) if senders else state.fired,
    ), fires


def _through_weights(
    state: State, slot: jax.Array, c: Coefficients, senders: tuple[int, ...]
) -> tuple[tuple[jax.Array, ...], jax.Array | float]:
    """Synapses with weights, per sender, and their drive in all, [T, K, N]."""
    synapses = []
    for sender, before, weights in zip(senders, state.own_synapse, c.weights, strict=True):
        fired = state.fired[:, slot[sender], sender]
        is_few = fired.sum(-1).max() <= _FEW_SPIKES
        arriving = jax.lax.cond(is_few, _spike_by_spike, _all_at_once, fired, weights)
        synapses.append(c.synapse_decay[sender] * before + c.synapse_gain[sender] * arriving)
    return tuple(synapses), sum(synapses, 0.0)


def _all_at_once(fired: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.einsum("tj,jki->tki", fired.astype(jnp.float32), weights)


def _spike_by_spike(fired: jax.Array, weights: jax.Array) -> jax.Array:
    """The same, reading the weights of those neurons only that fired."""
    trials = jnp.arange(len(fired))

    def add(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        left, total = carry
        neuron = left.argmax(-1)
        is_spike = left[trials, neuron][:, None, None]
        total = total + jnp.where(is_spike, weights[neuron], 0.0)
        return left.at[trials, neuron].set(False), total

    start = jnp.zeros((len(fired), *weights.shape[1:]), jnp.float32)
    return jax.lax.while_loop(lambda carry: carry[0].any(), add, (fired, start))[1]
