"""`PLDS`: a Poisson linear dynamical system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from latentspike.models.linear_dynamics import estimation
from latentspike.models.linear_dynamics.free_run import simulate_freely
from latentspike.models.linear_dynamics.inference import infer_posterior
from latentspike.models.linear_dynamics.recording import Prepared, prepare
from latentspike.models.protocol import DataSpec, State
from latentspike.spikes import Posterior, SpikeData
from latentspike.spikes.validate import as_whole

Params = dict[str, Any]


@dataclass(frozen=True)
class PLDS:
    """Spikes of a population that follows linear dynamics with Gaussian noise.

    x_1 ~ N(start, spread), x_t = A x_{t-1} + B u_t + w_t with w_t ~ N(0, Q), and counts per bin
    y_t ~ Poisson(exp(C x_t + d)). Fitted by variational expectation maximization: the posterior of
    a trial is the best Gaussian over whole paths, and one step of the fit is one iteration over all
    trials, which never lowers the evidence bound (but for weak priors on neurons with a handful of
    spikes, and on the first bin). Latents are known up to an invertible linear map. Everything runs
    in double precision.

    Parameters
    ----------
    n_latents : dimension of x, at most the number of neurons. The default can hold a rotation
        beside a drift and suits a handful of neurons; take more for large populations, by the
        score of held-out neurons
    n_iterations : at most
    tolerance : gain of the bound in nats per spike, of one iteration, below which the fit has
        converged; 0 never stops early

    Raises
    ------
    ValueError : naming the setting that is out of range.

    References
    ----------
    Macke, Buesing, Cunningham, Yu, Shenoy & Sahani (2011), "Empirical models of spiking in neural
    populations"; the Gaussian posterior is that of Opper & Archambeau (2009).

    Examples
    --------
    >>> from latentspike.models.protocol import DataSpec
    >>> from latentspike.simulate import linear_factors
    >>> data = linear_factors(n_conditions=2, n_trials_per_condition=2, n_neurons=8, seed=0)
    >>> model, key = PLDS(n_latents=2, n_iterations=2), jax.random.key(0)
    >>> params, prepared = model.init(DataSpec.of(data)), model.prepare(data)
    >>> state = model.begin(params, prepared)
    >>> while not model.is_finished(state):
    ...     state, figures = model.advance(state, prepared)
    >>> params = model.finish(params, state, prepared)
    >>> params["dynamics"]["A"].shape, model.infer(params, data).rates.shape
    ((2, 2), (4, 100, 8))
    """

    n_latents: int = 3
    n_iterations: int = 100
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        as_whole("n_latents", self.n_latents, 1)
        as_whole("n_iterations", self.n_iterations, 1)
        if not (np.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance must not be negative, got {self.tolerance}")

    # ---- estimation in steps (`SteppedModel`) ------------------------------------------------

    def init(self, spec: DataSpec, *, key: jax.Array | None = None) -> Params:
        """Parameters before any fit: every neuron at its mean. ``key`` is not used.

        Returns
        -------
        ``dynamics``: ``A`` and ``Q`` [latents, latents], ``B`` [latents, inputs], ``start``
        [latents], ``spread`` [latents, latents]; ``readout``: ``C`` [neurons, latents] and ``d``
        [neurons], log counts per bin
        """
        return _one_state(estimation.unfitted(spec, self.n_latents))

    @property
    def n_steps(self) -> int:
        """Iterations of a whole fit; it may converge before."""
        return self.n_iterations

    def prepare(self, data: SpikeData) -> Prepared:
        """Arrays of a recording.

        Raises
        ------
        ValueError : if there are no counts, fewer neurons than latents, fewer than two bins, or a
            neuron without an observed bin.
        """
        with jax.enable_x64(True):
            return prepare(data, self.n_latents)

    def begin(self, params: Params, prepared: Prepared, *, key: jax.Array | None = None) -> State:
        """Dynamics and readout from moments of the counts; ``key`` is not used."""
        with jax.enable_x64(True):
            return estimation.first_state(prepared, self.n_latents)

    def advance(self, state: State, prepared: Prepared) -> tuple[State, dict[str, float]]:
        """One iteration; its row has the evidence bound of what it began from."""
        with jax.enable_x64(True):
            after, bound = estimation.iterate(state, prepared)
        return after, {"bound_per_spike": bound}

    def is_finished(self, state: State) -> bool:
        """Whether every iteration is done, or the last one gained next to nothing."""
        return estimation.is_finished(state, self.n_iterations, self.tolerance)

    def finish(self, params: Params, state: State, prepared: Prepared) -> Params:
        """Parameters found, as `init` gives them."""
        return _one_state(estimation.found(state))

    # ---- uses --------------------------------------------------------------------------------

    def infer(
        self,
        params: Params,
        data: SpikeData,
        *,
        n_samples: int = 0,
        key: jax.Array | None = None,
    ) -> Posterior:
        """Rates of every neuron in Hz, E exp(Cx + d) / bin width, and latents as ``factors``.

        Held-out neurons, forward bins and missing entries are predicted from what was read. Means
        and spreads have closed forms: ``n_samples`` and ``key`` are part of the protocol and change
        nothing here. Factors are known up to a linear map only.

        Parameters
        ----------
        params : fitted; they count per bin, so that bins should be as wide as in the fit
        data : any recording of the same neurons
        """
        return infer_posterior(with_states(params), data)

    def simulate(
        self,
        params: Params,
        *,
        n_trials: int,
        n_bins: int,
        bin_width: float,
        key: jax.Array,
        inputs: Any = None,
    ) -> SpikeData:
        """Free run of the fitted dynamics, and Poisson spikes.

        Parameters
        ----------
        params : fitted
        n_trials, n_bins : size
        bin_width : seconds, that of the fit
        key : PRNG key
        inputs : [bins, inputs] or [trials, bins, inputs]; 0 by default

        Returns
        -------
        SpikeData
            With ``truth``: ``rates`` (Hz) and ``factors``.

        Raises
        ------
        ValueError : if unstable dynamics run away within these bins.
        """
        found = simulate_freely(
            with_states(params), (n_trials, n_bins), bin_width=bin_width, inputs=inputs, key=key
        )
        return found.replace(truth={k: v for k, v in found.truth.items() if k != "states"})


def with_states(params: Params) -> Params:
    """Parameters of a `PLDS` with the axis of states that the family computes with."""
    dynamics = {name: np.asarray(x)[None] for name, x in params["dynamics"].items()}
    dynamics["b"] = np.zeros_like(dynamics["start"])
    switching = {"P": np.ones((1, 1)), "first": np.ones(1)}
    return {"dynamics": dynamics, "readout": params["readout"], "switching": switching}


def _one_state(tree: Params) -> Params:
    dynamics = {name: x[0] for name, x in tree["dynamics"].items() if name != "b"}
    return {"dynamics": dynamics, "readout": tree["readout"]}
