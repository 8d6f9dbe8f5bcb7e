"""The two networks of the neuLVM paper."""

from __future__ import annotations

from latentspike.dynamics import Free, Network, Population
from latentspike.dynamics.parts import Value

_BOX = (0.4, 2.0)  # of the true value; Appendix F


def cluster_network(strength: float = 60.32, *, free: bool = False) -> Network:
    """One population ``E`` that splits into clusters; how many depends on ``strength``.

    Simulate it with steps of 1 ms. The refractory period is that of the published code (one step);
    with the paper's 0 the network runs away to 100–200 Hz.

    Parameters
    ----------
    strength : mV; the paper studies 58 to 65
    free : leave the strength to be fitted, between the outermost starts of the paper's fits

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), section 5.1, Appendix E and Table S2.

    Examples
    --------
    >>> cluster_network(free=True).free
    {'E → E': Free(low=10.0, high=110.0, start=None)}
    """
    population = Population(
        size=600,
        membrane_time=0.1,
        resting=26.0,
        threshold=49.7,
        refractory=0.001,
        synapse_time=0.004,
        delay=0.01,
    )
    value = Free(10.0, 110.0) if free else strength
    return Network({"E": population}, {"E": {"E": value}})


def winner_take_all(*, free: bool = False) -> Network:
    """Excitatory populations ``E1`` and ``E2`` that compete through the inhibitory ``I``.

    The membrane time (20 ms, in the paper's table 50 ms) and the synaptic time of ``I`` (6 ms, in
    the table 3 ms) are those of the published code: only with them does the network switch.

    Parameters
    ----------
    free : leave the 12 parameters of the paper's fits free, each between 0.4 and 2 times its true
        value: membrane time, resting voltage and threshold of each population, and one strength
        per sender, which its receivers share

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), section 5.2, Appendix F and Table S2.

    Examples
    --------
    >>> len(winner_take_all(free=True).free_names), winner_take_all().names
    (12, ('E1', 'E2', 'I'))
    """
    number = _box if free else float

    def population(size: int, synapse_time: float) -> Population:
        return Population(
            size=size,
            membrane_time=number(0.02),
            resting=number(14.4),
            threshold=number(3.7),
            refractory=0.004,
            synapse_time=synapse_time,
        )

    strength = {"E1": 9.984, "E2": 9.984, "I": -19.968}
    receivers = {"E1": ("E1", "I"), "E2": ("E2", "I"), "I": ("E1", "E2", "I")}
    shared = {f"strength_{sender}": _box(value) for sender, value in strength.items()}
    connections: dict[str, dict[str, Value]] = {
        sender: {
            receiver: f"strength_{sender}" if free else strength[sender]
            for receiver in receivers[sender]
        }
        for sender in strength
    }
    return Network(
        {"E1": population(400, 0.003), "E2": population(400, 0.003), "I": population(200, 0.006)},
        connections,
        shared if free else {},
    )


def _box(true: float) -> Free:
    low, high = sorted(factor * true for factor in _BOX)
    return Free(low, high)
