"""One time step of integrate-and-fire populations: its constants, its state, its compiled loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics import Network

Membrane = Literal["exact", "euler"]
Pair = tuple[int, int]
"""Positions of a sender and a receiver among the populations."""

_HIGHEST_EXPONENT = 30.0  # e^30 Hz fires in any step; beyond e^88 float32 overflows
_LONGEST_SPARE = 64  # steps for which one spare threshold per neuron is drawn at most


def steps_of(what: str, seconds: float, time_step: float) -> int:
    """A time as a whole number of steps, 0 or more; ValueError where it is none."""
    steps = round(seconds / time_step)
    if abs(steps * time_step - seconds) > 1e-6 * time_step:
        raise ValueError(
            f"{what} of {seconds} s is not a whole number of time steps of {time_step} s: "
            "change one of the two"
        )
    return steps


@dataclass(frozen=True)
class StepConstants:
    """What one step multiplies and adds, float64; K populations.

    Parameters
    ----------
    names, sizes : of the populations
    time_step : s
    leak : [K], of the voltage that remains after a step
    resting, threshold : [K], mV
    refractory, delay : [K], whole steps
    synapse_decay : [K source], of the synaptic activity that remains after a step
    synapse_gain : [K source], Hz that a volley of all its neurons adds to it
    response : [K target, K source], s: voltage per strength and synaptic activity in one step
    strength : [K target, K source], mV
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    time_step: float
    leak: np.ndarray
    resting: np.ndarray
    threshold: np.ndarray
    refractory: np.ndarray
    delay: np.ndarray
    synapse_decay: np.ndarray
    synapse_gain: np.ndarray
    response: np.ndarray
    strength: np.ndarray

    @classmethod
    def of(cls, network: Network, time_step: float, membrane: Membrane) -> StepConstants:
        """The constants of a network.

        The synaptic activity after a volley of all neurons of a population is
        ``exp(−t / synapse_time) / synapse_time``. Its effect on the exact membrane over a step is
        integrated exactly; the Euler membrane takes its mean over the step.

        Raises
        ------
        ValueError : for a time that does not fit the step, naming the population.
        """
        values = network.values()
        whole: dict[str, list[int]] = {"refractory": [], "delay": []}
        for name, population in network.populations.items():
            for kind, steps in whole.items():
                seconds = getattr(population, kind)
                steps.append(steps_of(f"{name}.{kind}", seconds, time_step))
        membrane_steps = time_step / np.asarray(values.membrane_time, float)
        synapse_steps = time_step / np.asarray(values.synapse_time, float)
        decay = np.exp(-synapse_steps)
        if membrane == "euler":
            _check_euler(network.names, membrane_steps)
            leak = 1 - membrane_steps
            gain = -np.expm1(-synapse_steps) / time_step
            response = np.full((len(leak), len(leak)), time_step)
        else:
            leak = np.exp(-membrane_steps)
            gain = synapse_steps / time_step
            response = time_step * _two_exponentials(membrane_steps, synapse_steps)
        return cls(
            names=network.names,
            sizes=network.sizes.astype(int),
            time_step=time_step,
            leak=leak,
            resting=np.asarray(values.resting, float),
            threshold=np.asarray(values.threshold, float),
            refractory=np.array(whole["refractory"]),
            delay=np.array(whole["delay"]),
            synapse_decay=decay,
            synapse_gain=gain,
            response=response,
            strength=np.asarray(values.strength, float),
        )

    @property
    def ring(self) -> int:
        """Steps of past spikes to be kept."""
        return int(self.delay.max()) + 1


def _check_euler(names: tuple[str, ...], membrane_steps: np.ndarray) -> None:
    for name, ratio in zip(names, membrane_steps, strict=True):
        if ratio >= 1:
            raise ValueError(
                f"{name}: a time step of {ratio:.3g} membrane times overshoots with Euler's rule: "
                "shorten time_step or use membrane='exact'"
            )


def _two_exponentials(membrane_steps: np.ndarray, synapse_steps: np.ndarray) -> np.ndarray:
    """∫₀¹ exp(−a (1−u)) exp(−b u) du, [target a, source b]; finite also where a = b."""
    a, b = membrane_steps[:, None], synapse_steps[None, :]
    small = np.minimum(a, b)
    gap = np.abs(a - b)
    mean = np.where(gap > 0, -np.expm1(-gap) / np.where(gap > 0, gap, 1.0), 1.0)
    return np.exp(-small) * mean


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
    weights: tuple[Any, ...]  # [N sender, N receiver] per pair, mV s

    @classmethod
    def of(cls, constants: StepConstants, weights: Mapping[Pair, np.ndarray]) -> Coefficients:
        """For a network whose pairs in ``weights`` have a connection of their own per neuron."""
        width = int(constants.sizes.max())
        is_neuron = np.arange(width) < constants.sizes[:, None]
        coupling = constants.response * constants.strength
        padded = []
        for (sender, receiver), matrix in weights.items():
            coupling[receiver, sender] = 0.0
            block = np.zeros((width, width), np.float32)
            block[: matrix.shape[1], : matrix.shape[0]] = matrix.T
            padded.append(block * np.float32(constants.response[receiver, sender]))
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
                weights=tuple(padded),
            ),
        )


class State(NamedTuple):
    """Of a network between two steps; T trials, K populations padded to N neurons."""

    potential: Any  # [T, K, N], mV
    clamped: Any  # [T, K, N], steps for which the voltage is still held at reset
    remaining: Any  # [T, K, N], hazard that each neuron still survives
    synapse: Any  # [T, K], synaptic activity of each sender, Hz
    fraction: Any  # [T, ring, K], of the population that fired in each of the last steps
    own_synapse: tuple[Any, ...]  # [T, N receiver] per pair, mV s × Hz
    fired: Any  # [T, ring, K, N], who fired in each of the last steps; empty without pairs


def spare_steps(constants: StepConstants) -> int:
    """Steps in which no neuron can fire twice, so that one spare threshold each is enough."""
    return int(min(constants.refractory.min() + 1, _LONGEST_SPARE))


@partial(jax.jit, static_argnames=("pairs",))
def advance(
    state: State,
    coefficients: Coefficients,
    keys: jax.Array,
    first: jax.Array,
    current: jax.Array,
    *,
    pairs: tuple[Pair, ...],
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
        one = partial(_one_step, coefficients=coefficients, spare=spare, pairs=pairs)
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
    pairs: tuple[Pair, ...],
) -> tuple[State, jax.Array]:
    step, current = now
    c, ring = coefficients, state.fraction.shape[1]
    slot = jnp.mod(step - 1 - c.delay, ring)
    arriving = state.fraction[:, slot, jnp.arange(slot.size)]
    synapse = c.synapse_decay * state.synapse + c.synapse_gain * arriving
    drive = c.toward * (c.resting + current) + synapse @ c.coupling.T
    own_synapse, own_drive = _through_weights(state, slot, c, pairs)
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
        fired=state.fired.at[:, place].set(fires) if pairs else state.fired,
    ), fires


def _through_weights(
    state: State, slot: jax.Array, c: Coefficients, pairs: tuple[Pair, ...]
) -> tuple[tuple[jax.Array, ...], jax.Array | float]:
    """Synaptic drive of the pairs with a weight for every two neurons, [T, K, N] in all."""
    if not pairs:
        return (), 0.0
    synapses, drive = [], jnp.zeros_like(state.potential)
    for (sender, receiver), before, weights in zip(
        pairs, state.own_synapse, c.weights, strict=True
    ):
        arriving = state.fired[:, slot[sender], sender].astype(jnp.float32) @ weights
        synapse = c.synapse_decay[sender] * before + c.synapse_gain[sender] * arriving
        synapses.append(synapse)
        drive = drive.at[:, receiver].add(synapse)
    return tuple(synapses), drive
