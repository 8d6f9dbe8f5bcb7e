"""What a fit of the mesoscopic model needs of a recording, as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from latentspike.dynamics import Network
from latentspike.dynamics.parts import Table
from latentspike.dynamics.stepping import Mesoscopic
from latentspike.spikes import SpikeData

Members = Mapping[str, Sequence[Any]]
_ALONE = 32  # neurons of a population that are not grouped by age


class Problem(NamedTuple):
    """A recording of a network; every array may change without compiling again."""

    table: Table
    low: Any  # [free]
    high: Any  # [free]
    spikes: Any  # [trials, bins, K], of all neurons that were recorded and may be read
    seen: Any  # [trials, bins, K], number of these neurons
    fired: Any  # [trials, bins, groups], how many neurons of one age fired
    stayed: Any  # same shape, how many did not; neurons of unknown age count in neither
    ages: Any  # int, same shape; bins since the last spike, −1 where none was seen
    population: Any  # int [groups]
    inputs: Any  # [trials, bins, inputs]

    def at(self, free: np.ndarray) -> Problem:
        """The same recording with known parameters; nothing is free any more."""
        none = np.zeros(0)
        return self._replace(table=self.table.at(np.asarray(free)), low=none, high=none)


def as_members(neurons: Any, network: Network) -> dict[str, tuple[Any, ...]]:
    """Neuron ids as plain values, by population in the network's order.

    Raises
    ------
    ValueError : naming the population or neuron that does not suit.
    """
    if not isinstance(neurons, Mapping):
        raise ValueError(f"neurons must be a table of neuron ids by population, got {neurons!r}")
    if unknown := set(neurons) - set(network.names):
        known = ", ".join(network.names)
        raise ValueError(f"neurons names {sorted(unknown)[0]!r}; populations: {known}")
    found: dict[str, tuple[Any, ...]] = {}
    for name in network.names:
        if not neurons:
            break
        if name not in neurons or isinstance(neurons[name], str) or not len(neurons[name]):
            raise ValueError(f"neurons.{name} must list the recorded neurons of the population")
        found[name] = tuple(np.asarray(neurons[name]).tolist())
    ids = [neuron for members in found.values() for neuron in members]
    if twice := [neuron for neuron in ids if ids.count(neuron) > 1]:
        raise ValueError(f"neurons names {twice[0]!r} twice")
    return found


def populations_of(network: Network, members: Members, data: SpikeData) -> np.ndarray:
    """Population of each neuron of a recording, int [neurons].

    Raises
    ------
    ValueError : naming the neuron or population that is wrong.
    """
    if not members:
        if len(network.names) == 1:
            return np.zeros(data.n_neurons, int)
        raise ValueError(
            f"{len(network.names)} populations ({', '.join(network.names)}): say in `neurons` "
            "which neuron ids belong to each (`latentspike populations` finds them)"
        )
    if unknown := set(members) - set(network.names):
        raise ValueError(
            f"neurons names {sorted(unknown)[0]!r}; populations: {', '.join(network.names)}"
        )
    place = {neuron: i for i, neuron in enumerate(data.neuron_ids.tolist())}
    found = np.full(data.n_neurons, -1)
    for name, ids in members.items():
        for neuron in ids:
            if neuron not in place:
                raise ValueError(f"neurons.{name}: the recording has no neuron {neuron!r}")
            if found[place[neuron]] >= 0:
                raise ValueError(f"neuron {neuron!r} belongs to two populations")
            found[place[neuron]] = network.names.index(name)
    if (found < 0).any():
        neuron = data.neuron_ids.tolist()[np.argmax(found < 0)]
        raise ValueError(
            f"neuron {neuron!r} belongs to no population; list it in `neurons`, or leave it out "
            "of the recording"
        )
    return found


def own_scale(share: np.ndarray, population: np.ndarray, data: SpikeData) -> np.ndarray:
    """Each neuron's mean rate over that of its population in the trials that were fitted.

    Parameters
    ----------
    share : [trials, bins, K], of each population that fires in a bin
    population : int [neurons]
    data : recording, with the spikes of held-out neurons; one without a spike counts half a one

    Returns
    -------
    float [neurons]
    """
    n_neurons = data.n_neurons
    expected = np.array(
        [share[..., population[i]][data.observed[..., i]].sum() for i in range(n_neurons)]
    )
    spikes = np.where(data.observed, data.counts, 0).sum((0, 1))
    return np.maximum(spikes, 0.5) / np.maximum(expected, 1e-9)


def make_problem(
    network: Network, system: Mesoscopic, members: Members, data: SpikeData
) -> Problem:
    """Arrays of a recording; held-out neurons and forward bins are not read.

    Raises
    ------
    ValueError : naming the trial, bin and neuron that do not suit.
    """
    population = populations_of(network, members, data)
    check_counts(data)
    n_inputs = len(network.inputs)
    if n_inputs != data.n_inputs and n_inputs:
        raise ValueError(
            f"the network has {n_inputs} inputs ({', '.join(network.inputs)}), the recording "
            f"{data.n_inputs}"
        )
    read = ~data.heldout
    for k, name in enumerate(network.names):
        if not (population[read] == k).any():
            raise ValueError(f"no recorded neuron belongs to population {name!r}")
    spikes = np.asarray(data.counts)[:, :, read]
    observed = np.array(data.observed)[:, :, read]
    observed[:, data.n_read_bins :] = False
    ages = ages_of(spikes * observed, observed)
    shape = (data.n_trials, data.n_bins, n_inputs)
    low, high = network.bounds
    scored = observed & is_age_known(ages, observed, system.n_ages)
    member = (population[read][:, None] == np.arange(system.n_populations)).astype(float)
    groups = [
        by_age(*(x[..., population[read] == k] for x in (ages, spikes > 0, scored)))
        for k in range(system.n_populations)
    ]
    fired, stayed, ages = (np.concatenate(x, -1) for x in zip(*groups, strict=True))
    return Problem(
        table=network.table,
        low=low,
        high=high,
        spikes=(spikes * observed) @ member,
        seen=observed @ member,
        fired=fired,
        stayed=stayed,
        ages=np.where(ages > 2 * system.n_ages, -1, ages),
        population=np.repeat(np.arange(system.n_populations), [x.shape[-1] for x, *_ in groups]),
        inputs=np.asarray(data.inputs, float) if n_inputs else np.zeros(shape),
    )


def by_age(
    ages: np.ndarray, fires: np.ndarray, scored: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neurons of one population that last fired together are alike: what they do, counted.

    Parameters
    ----------
    ages : int [trials, bins, neurons]
    fires, scored : bool, same shape; neurons that are not scored are not counted

    Returns
    -------
    Number that fired, number that did not, and age, [trials, bins, groups] each. Up to 32 neurons
    are a group each, so that recordings of as many neurons have one shape.
    """
    n_neurons = ages.shape[-1]
    if n_neurons <= _ALONE:
        return (scored & fires).astype(float), (scored & ~fires).astype(float), ages
    order = np.argsort(ages, -1, kind="stable")
    ages, fires, scored = (np.take_along_axis(x, order, -1) for x in (ages, fires, scored))
    is_next = np.concatenate([np.zeros((*ages.shape[:-1], 1), int), np.diff(ages) > 0], -1)
    group = np.cumsum(is_next, -1)
    n_groups = min(n_neurons, 2 ** math.ceil(math.log2(max(int(group.max()) + 1, _ALONE))))
    place = (*np.indices(ages.shape)[:2], group)
    fired, stayed = np.zeros((2, *ages.shape[:-1], n_groups))
    np.add.at(fired, place, scored & fires)
    np.add.at(stayed, place, scored & ~fires)
    of_group = np.full(fired.shape, -1)
    of_group[place] = ages
    return fired, stayed, of_group


def check_counts(data: SpikeData) -> None:
    """Bins must hold at most one spike of a neuron."""
    if data.kind != "counts":
        raise ValueError("neuLVM explains spikes; this recording holds continuous values")
    several = (np.asarray(data.counts) > 1) & data.observed
    if several.any():
        trial, time, neuron = (int(i) for i in np.argwhere(several)[0])
        raise ValueError(
            f"{int(several.sum())} bins hold more than one spike of a neuron, the first is trial "
            f"{data.trial_ids[trial]}, bin {time}, neuron {data.neuron_ids.tolist()[neuron]!r} "
            f"({data.counts[trial, time, neuron]} spikes); neuLVM needs shorter bins than "
            f"{1e3 * data.bin_width:g} ms"
        )


def ages_of(spikes: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Bins since the last spike, int [trials, bins, neurons]; 0 right after it.

    −1 where no spike has been seen since the start of the trial or since a missing bin.
    """
    ages = np.empty(spikes.shape, int)
    age = np.full(spikes.shape[::2], -1)
    for t in range(spikes.shape[1]):
        ages[:, t] = age
        age = np.where(spikes[:, t] > 0, 0, np.where(age >= 0, age + 1, -1))
        age = np.where(observed[:, t], age, -1)
    return ages


def is_age_known(ages: np.ndarray, observed: np.ndarray, n_ages: int) -> np.ndarray:
    """Whether a last spike was seen, or none for as long as the model remembers."""
    watched = np.empty(ages.shape, int)
    since = np.zeros(ages.shape[::2], int)
    for t in range(ages.shape[1]):
        watched[:, t] = since
        since = np.where(observed[:, t], since + 1, 0)
    return (ages >= 0) | (watched >= n_ages)
