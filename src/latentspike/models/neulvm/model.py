"""`NeuLVM`: the model as the rest of the library sees it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from latentspike.dynamics import Network
from latentspike.dynamics.stepping import Mesoscopic, Stepping
from latentspike.models.neulvm.estimate import METHODS, Method
from latentspike.models.neulvm.inference import infer_posterior
from latentspike.models.neulvm.problem import (
    Problem,
    as_members,
    make_problem,
    own_scale,
    populations_of,
)
from latentspike.models.neulvm.recorded import simulate_fitted
from latentspike.models.neulvm.settings import Estimation
from latentspike.models.neulvm.uncertainty import (
    Identifiability,
    identifiability,
    warnings_for,
    warnings_without_posterior,
)
from latentspike.models.protocol import DataSpec, State
from latentspike.spikes import Posterior, SpikeData

Params = dict[str, Any]

_UNFITTED_RATE = 5.0  # Hz, where no activity has been inferred yet


class Prepared(NamedTuple):
    """A recording as the estimation reads it, in double precision."""

    system: Mesoscopic
    problem: Problem
    data: SpikeData


@dataclass(frozen=True)
class NeuLVM:
    """Neural latent variable model of few recorded neurons of a network of populations.

    The latent variables are the spike counts of whole populations, recorded neurons or not. A
    mesoscopic model says how they drive each other, and each recorded neuron is one of the neurons
    that it describes. Parameters that the network leaves free are estimated together with the
    activity; everything runs in double precision.

    Parameters
    ----------
    network : populations and connections; numbers are known, free in a box, or shared by name
    neurons : neuron ids of each population, held-out neurons included; may be left out where there
        is a single population
    stepping : how a bin is computed
    estimation : how parameters and activity are found
    own_rates : whether inferred rates of a neuron are scaled to its own mean rate in the trials
        that were fitted, as real neurons of a population differ; the model itself has them alike

    Raises
    ------
    ValueError : if ``neurons`` names no population, or a neuron twice.

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), "Mesoscopic modeling of hidden spiking neurons".

    Examples
    --------
    >>> from latentspike.dynamics import Free, Population
    >>> network = Network({"E": Population(600, 0.1, 26.0, 49.7)}, {"E": {"E": Free(50, 70)}})
    >>> NeuLVM(network, neurons={"E": ["E-017", "E-203"]}).neurons
    {'E': ('E-017', 'E-203')}
    """

    network: Network
    neurons: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    stepping: Stepping = field(default_factory=Stepping)
    estimation: Estimation = field(default_factory=Estimation)
    own_rates: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "neurons", as_members(self.neurons, self.network))

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_config()))

    def to_config(self) -> dict[str, Any]:
        """Plain values for JSON and TOML, which has no null."""
        stepping = dataclasses.asdict(self.stepping)
        return {
            "network": self.network.to_config(),
            "neurons": {name: list(ids) for name, ids in self.neurons.items()},
            "stepping": {name: value for name, value in stepping.items() if value is not None},
            "estimation": dataclasses.asdict(self.estimation),
            "own_rates": self.own_rates,
        }

    # ---- estimation in steps (`SteppedModel`) ------------------------------------------------

    def init(self, spec: DataSpec, *, key: jax.Array | None = None) -> Params:
        """Parameters before any fit: the starts of the boxes. ``key`` is not used.

        Returns
        -------
        ``free`` [free]; ``rate`` [K], Hz, that a simulation begins with; ``n_recorded`` [K];
        ``scale`` [neurons], of rates
        """
        recorded = [len(ids) for ids in self.neurons.values()] or [spec.n_neurons]
        return {
            "free": self.network.start,
            "rate": np.full(len(self.network.names), _UNFITTED_RATE),
            "n_recorded": np.array(recorded),
            "scale": np.ones(spec.n_neurons),
        }

    @property
    def _method(self) -> Method:
        return METHODS[self.estimation.method]

    @property
    def n_steps(self) -> int:
        """Steps of a whole fit; "hard" may converge before."""
        return self._method.n_steps(self.estimation)

    def prepare(self, data: SpikeData) -> Prepared:
        """Arrays of a recording.

        Raises
        ------
        ValueError : naming a neuron that belongs to no population, a population without a recorded
            neuron, or a bin with several spikes of a neuron.
        """
        system = Mesoscopic.of(self.network, data.bin_width, self.stepping)
        return Prepared(system, make_problem(self.network, system, self.neurons, data), data)

    def begin(self, params: Params, prepared: Prepared, *, key: jax.Array) -> State:
        """Smoothed activity, and the best parameters for it from several starts."""
        with jax.enable_x64(True):
            return self._method.begin(*prepared[:2], self.estimation, params["free"], key)

    def advance(self, state: State, prepared: Prepared) -> tuple[State, dict[str, float]]:
        """One step of the estimation; its row has the log-joint in nats."""
        with jax.enable_x64(True):
            return self._method.advance(*prepared[:2], self.estimation, state)

    def is_finished(self, state: State) -> bool:
        """Whether no step is left."""
        return bool(state["is_finished"])

    def finish(self, params: Params, state: State, prepared: Prepared) -> Params:
        """Parameters found, as `init` gives them, with what the estimation has to tell.

        Returns
        -------
        ``free`` [free]; ``draws`` [n_draws, free], of their posterior, and of "sampling"
        ``n_chains``, whose draws stand one after the other; ``warmup``, ``starts`` and
        ``start_values`` of the estimation; ``training_counts`` and ``training_counts_std``
        [trials, bins, K], spikes of each population per bin; ``is_followed`` [trials], whether
        swarms told them (of method "sampling"); ``scale`` [neurons], mean rate of
        each neuron over that of its population; ``rate`` and ``n_recorded``
        """
        found = self._method.summary(self.estimation, state)
        share = found["training_counts"] / self.network.sizes
        scale = own_scale(share, populations_of(self.network, self.neurons, prepared.data),
                          prepared.data)  # fmt: skip
        rate = share.mean((0, 1)) / prepared.system.bin_width
        return params | found | {"scale": scale, "rate": rate}

    # ---- uses --------------------------------------------------------------------------------

    def infer(
        self, params: Params, data: SpikeData, *, n_samples: int = 50, key: jax.Array
    ) -> Posterior:
        """Activity of every population and rates of every neuron, in Hz.

        Each trial is inferred on its own. The rate of a neuron, recorded or held out, is that of
        its population, or with ``own_rates`` in proportion to it.

        Parameters
        ----------
        params : fitted
        data : any recording of the same neurons
        n_samples : draws of the activity for each trial: swarms of ``estimation.n_particles``
            networks at so many posterior draws, six at most, or as many samples of a chain
            where swarms lose track of the spikes. 0 gives the most probable activity, which is
            smoother than any that the model would make
        key : PRNG key
        """
        return infer_posterior(self, params, data, n_samples=n_samples, key=key)

    def simulate(
        self,
        params: Params,
        *,
        n_trials: int,
        n_bins: int,
        bin_width: float,
        key: jax.Array,
        current: Any = None,
    ) -> SpikeData:
        """Free run of the fitted network, and spikes of as many neurons as were recorded.

        Parameters
        ----------
        params : fitted
        n_trials, n_bins : size
        bin_width : seconds; that of the fit is the safest
        key : PRNG key
        current : [bins, K] or [trials, bins, K], mV; resistance × external current. Measured inputs
            of the network are 0.

        Returns
        -------
        SpikeData
            With ``truth``: ``population_counts`` and ``population_rate`` (Hz), [trials, bins, K],
            and ``rates``: for each neuron that of its population.
        """
        return simulate_fitted(
            self, params, (n_trials, n_bins), bin_width=bin_width, current=current, key=key
        )

    def fitted_network(self, params: Params) -> Network:
        """The network with the fitted numbers in place of the free parameters."""
        return self.network.with_values(params["free"])

    def parameters(self, params: Params) -> dict[str, dict[str, float]]:
        """Free parameters by name: value and, with posterior draws, how well it is known.

        Returns
        -------
        By name ``value``; after several starts ``restart_sd``, the spread of where they led
        (of "sampling": before their chains); and where there are draws ``sd``, ``low`` and
        ``high`` (90 % interval), ``share`` (of the prior's spread that is left), ``r_hat`` and
        ``n_effective``.
        """
        names = self.network.free_names
        table = {n: {"value": float(v)} for n, v in zip(names, params["free"], strict=True)}
        starts = np.asarray(params.get("starts", ()), float)
        for i, name in enumerate(names if len(starts) > 1 else ()):
            table[name]["restart_sd"] = float(starts[:, i].std(ddof=1))
        if not np.size(params.get("draws", ())):
            return table
        found = self.identifiability(params)
        low, high = found.interval
        columns = {
            "sd": found.sd,
            "low": low,
            "high": high,
            "share": found.share,
            "r_hat": found.r_hat,
            "n_effective": found.n_effective,
        }
        for i, name in enumerate(names):
            table[name] |= {column: float(values[i]) for column, values in columns.items()}
        return table

    def identifiability(self, params: Params) -> Identifiability:
        """Posterior of the free parameters against their prior boxes.

        Raises
        ------
        ValueError : without posterior draws, as of method "hard".
        """
        draws = np.asarray(params.get("draws", np.zeros((0, 0))))
        n_chains = int(params.get("n_chains", 1))
        names = self.network.free_names
        return identifiability(names, *self.network.bounds, draws, n_chains=n_chains)

    def warnings(self, params: Params) -> list[str]:
        """What a reader of the fitted values must know, in plain language.

        Parameters that the data do not identify, or only together; values at the edge of their
        boxes; chains that have not converged; swarms that lost track of the spikes; and fits that
        have no posterior.
        """
        if np.size(params.get("draws", ())):
            is_swarm = self.estimation.method == "particles"
            said = warnings_for(self.identifiability(params), is_swarm=is_swarm)
            return self._method.remarks(params) + said
        names, free = self.network.free_names, np.asarray(params["free"], float)
        return warnings_without_posterior(names, *self.network.bounds, free)
