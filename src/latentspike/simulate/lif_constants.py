"""Constants of a time step of integrate-and-fire populations, from a `Network`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from latentspike.dynamics import Network
from latentspike.spikes.validate import steps_of

Membrane = Literal["exact", "euler"]


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
