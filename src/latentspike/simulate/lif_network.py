"""Populations of integrate-and-fire neurons with escape noise, neuron by neuron."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics import Network
from latentspike.simulate.lif_activity import LIFActivity
from latentspike.simulate.lif_constants import Membrane, StepConstants
from latentspike.simulate.lif_current import Currents
from latentspike.simulate.lif_start import Asynchronous, Start, first_state
from latentspike.simulate.lif_step import (
    Coefficients,
    State,
    Weights,
    advance,
    senders_with,
    spare_steps,
)
from latentspike.simulate.observe import check_positive, random_streams, whole_steps
from latentspike.spikes.validate import as_whole, steps_of

_BLOCK_STEPS = 1024  # run in one call
_BLOCK_BYTES = 2**22  # of spikes handed over by one call


def lif_network(  # noqa: PLR0913  (one call says everything about a run; only three are required)
    network: Network,
    duration: float,
    *,
    seed: int,
    time_step: float = 0.0002,
    n_trials: int = 1,
    membrane: Membrane = "exact",
    start: Start | None = None,
    current: Mapping[str, Any] | None = None,
    weights: Mapping[tuple[str, str], Any] | None = None,
) -> LIFActivity:
    """Simulate every neuron of a network.

    Between spikes the voltage follows ``τ dV/dt = resting + R·I − V + τ Σ J (ε * n) / N``; it is
    held at 0 through the refractory period after each spike. A neuron fires in a step with
    probability ``1 − exp(−λ Δ)``, ``λ = exp(V − threshold)`` in 1/s, at the step's end; its spikes
    act from the next step on (after the delay, if there is one). ``ε`` is an exponential of unit
    area.

    Memory grows with the spikes only. Trials run side by side and differ in nothing but their
    random numbers (and their currents); trial ``i`` does not depend on how many there are. Other
    numbers in the same network do not compile again. `Network.inputs` take no part: give ``R·I``.

    Parameters
    ----------
    network : without free parameters
    duration : s per trial, a whole number of steps
    seed : runs of one network with the same seed draw the same random numbers, so that they are
        equal up to the first effect of another current or parameter
    time_step : s; refractory periods and delays must be whole multiples of it
    n_trials : independent trials
    membrane : "exact" (exponential decay, synaptic currents integrated exactly over a step) or
        "euler" (as in the paper)
    start : `Asynchronous` or `Clusters`; by default asynchronous at 5 Hz, then one second that is
        not recorded
    current : by population, R·I in mV: an array [steps] or [trials, steps], or a list of `Pulse`
    weights : by (sender, receiver), [N receiver, N sender] in mV: how far a spike of one neuron
        moves the voltage of another; replaces the connection of this pair, in which all these are
        ``strength / N sender``

    Returns
    -------
    LIFActivity

    Raises
    ------
    ValueError : if the network has free parameters, a time is no whole number of steps, or a
        current or weight does not fit; names the population.

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), Appendix A.

    Examples
    --------
    >>> from latentspike.dynamics import Network, Population
    >>> network = Network({"E": Population(100, 0.02, resting=14.4, threshold=8.0)})
    >>> activity = lif_network(network, 1.0, seed=0)
    >>> bool(abs(activity.rates[0, 0] - 24.6) < 3)
    True
    """
    constants, shape = _checked(network, duration, time_step, n_trials, membrane)
    dense = _dense(weights or {}, network)
    start = Asynchronous(warm_up=1.0) if start is None else start
    n_unrecorded = steps_of("start.warm_up", start.warm_up, time_step)
    streams = random_streams(seed, "history", "thresholds", "spikes")
    history = start.history(constants, n_trials, streams["history"], who=bool(dense))
    state = first_state(history, constants, dense, streams["thresholds"])
    currents = Currents(current, network.names, shape, time_step)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(
        jax.random.key(int(streams["spikes"].integers(2**32))), jnp.arange(n_trials)
    )
    run = _Run(constants, dense, currents, n_unrecorded, shape)
    steps, neurons = run.spikes(state, keys)
    sizes = {name: p.size for name, p in network.populations.items()}
    return LIFActivity(sizes, time_step, shape[1], steps, neurons)


def _checked(
    network: Network, duration: float, time_step: float, n_trials: int, membrane: Membrane
) -> tuple[StepConstants, tuple[int, int]]:
    """Constants of a step, and (trials, steps)."""
    if network.free_names:
        raise ValueError(
            f"the network has free parameters ({', '.join(network.free_names)}): "
            "fix them with network.with_values(…)"
        )
    if membrane not in ("exact", "euler"):
        raise ValueError(f"membrane must be 'exact' or 'euler', got {membrane!r}")
    check_positive(time_step=time_step)
    n_steps = whole_steps("duration in time steps", duration, time_step)
    constants = StepConstants.of(network, time_step, membrane)
    return constants, (as_whole("n_trials", n_trials, 1), n_steps)


def _dense(weights: Mapping[tuple[str, str], Any], network: Network) -> Weights:
    """Weights by position of sender and receiver."""
    found: dict[tuple[int, int], np.ndarray] = {}
    for (sender, receiver), matrix in weights.items():
        for name in (sender, receiver):
            if name not in network.names:
                raise ValueError(
                    f"weights of {sender} → {receiver}: populations: {', '.join(network.names)}"
                )
        shape = (network.populations[receiver].size, network.populations[sender].size)
        matrix = np.asarray(matrix, float)
        if matrix.shape != shape:
            raise ValueError(
                f"weights of {sender} → {receiver} must be [{shape[0]} receivers, {shape[1]} "
                f"senders], got {matrix.shape}"
            )
        if not np.isfinite(matrix).all():
            raise ValueError(f"weights of {sender} → {receiver} are not all finite")
        found[network.names.index(sender), network.names.index(receiver)] = matrix
    return found


class _Run:
    """The blocks of a run: the next is computed while the spikes of the last are listed."""

    def __init__(
        self,
        constants: StepConstants,
        dense: Weights,
        currents: Currents,
        n_unrecorded: int,
        shape: tuple[int, int],
    ) -> None:
        self._coefficients = Coefficients.of(constants, dense)
        self._senders = senders_with(dense)
        self._currents = currents
        self._unrecorded = n_unrecorded
        self._n_trials, self._n_steps = shape
        self._width = int(constants.sizes.max())
        bytes_per_step = self._n_trials * len(constants.sizes) * self._width
        self._per_draw = spare_steps(constants)
        block = min(_BLOCK_STEPS, max(1, _BLOCK_BYTES // bytes_per_step))
        self._draws = max(1, block // self._per_draw)
        edges = np.concatenate([[0], np.cumsum(constants.sizes)])
        self._neuron = (edges[:-1, None] + np.arange(self._width)).ravel()
        self._dtype = np.uint16 if edges[-1] <= 2**16 else np.uint32

    def spikes(
        self, state: State, keys: jax.Array
    ) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """Steps and neurons of all recorded spikes, each a tuple over trials."""
        if not self._senders:  # how many spikes to add would have to be agreed on in every step
            state, keys = _spread((state, keys), self._n_trials)
        length = self._draws * self._per_draw
        found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(self._n_trials)]
        waiting: tuple[int, jax.Array] | None = None
        for first in range(0, self._unrecorded + self._n_steps, length):
            current = self._currents.block(first - self._unrecorded, length)
            state, fired = advance(
                state,
                self._coefficients,
                keys,
                np.int32(first),
                current.reshape(self._draws, self._per_draw, *current.shape[1:]),
                senders=self._senders,
            )
            if waiting is not None:
                self._list(*waiting, found)
            waiting = first, fired
        if waiting is not None:
            self._list(*waiting, found)
        joined = [tuple(np.concatenate(parts) for parts in zip(*t, strict=True)) for t in found]
        return tuple(j[0] for j in joined), tuple(j[1] for j in joined)

    def _list(
        self, first: int, fired: jax.Array, found: list[list[tuple[np.ndarray, np.ndarray]]]
    ) -> None:
        """Append the spikes of a block, trial by trial."""
        low = max(0, self._unrecorded - first)
        block = np.asarray(fired)[low : self._unrecorded + self._n_steps - first]
        flat = np.flatnonzero(block)
        rows, place = np.divmod(flat, len(self._neuron))
        step, trial = np.divmod(rows, self._n_trials)
        step = (step + max(first - self._unrecorded, 0)).astype(np.uint32)
        neuron = self._neuron[place].astype(self._dtype)
        order = np.argsort(trial.astype(np.uint32), kind="stable")
        cuts = np.searchsorted(trial[order], np.arange(1, self._n_trials))
        for parts, own in zip(found, np.split(order, cuts), strict=True):
            parts.append((step[own], neuron[own]))


def _spread(arrays: Any, n_trials: int) -> Any:
    """Share the trials among the devices, if they share evenly."""
    devices = jax.local_devices()
    if len(devices) == 1 or n_trials % len(devices):
        return arrays
    mesh = jax.sharding.Mesh(np.array(devices), ("trials",))
    spec = jax.sharding.PartitionSpec("trials")
    return jax.device_put(arrays, jax.sharding.NamedSharding(mesh, spec))
