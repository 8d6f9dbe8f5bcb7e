"""`SLDS`: Poisson linear dynamics that switch between states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from latentspike.models.linear_dynamics import estimation, stages
from latentspike.models.linear_dynamics.free_run import simulate_freely
from latentspike.models.linear_dynamics.inference import infer_posterior, infer_trials
from latentspike.models.linear_dynamics.recording import Prepared, prepare
from latentspike.models.protocol import DataSpec, State
from latentspike.spikes import Posterior, SpikeData
from latentspike.spikes.validate import as_whole

Params = dict[str, Any]


@dataclass(frozen=True)
class SLDS:
    """Spikes of a population that follows one of several linear dynamics at a time.

    A Markov chain of states z_t with transition matrix P chooses among them: x_1 ~ N(start_z,
    spread_z), x_t = A_z x_{t-1} + b_z + B_z u_t + w_t with w_t ~ N(0, Q_z), and counts per bin
    y_t ~ Poisson(exp(C x_t + d)). The posterior is q(x) q(z), a Gaussian over paths and a Markov
    chain, each the best given the other; one step of the fit is one iteration over all trials. The
    first fifth of the iterations fits a `PLDS`; its paths are cut into states in several ways
    (k-means, then an autoregressive hidden Markov model), each is improved for a while, and the one
    with the highest bound is kept. With one state this is `PLDS`, number for number.

    Parameters
    ----------
    n_latents : dimension of x, at most the number of neurons
    n_states : linear dynamics to switch between
    n_iterations : at most, in all stages together
    n_starts : ways to cut the paths into states
    tolerance : gain of the bound in nats per spike, of one iteration of the last stage, below which
        the fit has converged; 0 never stops early

    Raises
    ------
    ValueError : naming the setting that is out of range.

    References
    ----------
    Zoltowski, Pillow & Linderman (2020), "A general recurrent state space framework for modeling
    neural dynamics during decision-making", section 3 (q(x) q(z), without recurrence); Ghahramani &
    Hinton (2000), "Variational learning for switching state-space models".

    Examples
    --------
    >>> from latentspike.simulate import linear_factors
    >>> from latentspike.models.protocol import DataSpec
    >>> data = linear_factors(n_conditions=2, n_trials_per_condition=2, n_neurons=8, seed=0)
    >>> model = SLDS(n_latents=2, n_states=2)
    >>> params = model.init(DataSpec.of(data))
    >>> params["dynamics"]["A"].shape, params["switching"]["P"].shape
    ((2, 2, 2), (2, 2))
    """

    n_latents: int = 3
    n_states: int = 3
    n_iterations: int = 100
    n_starts: int = 3
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("n_latents", "n_states", "n_iterations", "n_starts"):
            as_whole(name, getattr(self, name), 1)
        if not (np.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance must not be negative, got {self.tolerance}")
        if self.n_states > 1 and self._plan.end_of_starts >= self.n_iterations:
            raise ValueError(
                f"n_iterations = {self.n_iterations} are too few for n_starts = {self.n_starts}: "
                f"at least {self.n_starts + 2} are needed"
            )

    @property
    def _plan(self) -> stages.Plan:
        return stages.Plan.of(self.n_iterations, self.n_starts)

    # ---- estimation in steps (`SteppedModel`) ------------------------------------------------

    def init(self, spec: DataSpec, *, key: jax.Array | None = None) -> Params:
        """Parameters before any fit: every neuron at its mean, states alike. ``key`` is not used.

        Returns
        -------
        ``dynamics``: ``A`` and ``Q`` [states, latents, latents], ``B`` [states, latents, inputs],
        ``b`` and ``start`` [states, latents], ``spread`` [states, latents, latents]; ``readout``:
        ``C`` [neurons, latents] and ``d`` [neurons], log counts per bin; ``switching``: ``P``
        [states, states] and ``first`` [states]
        """
        tree, n = estimation.unfitted(spec, self.n_latents), self.n_states
        dynamics = {name: np.repeat(x, n, axis=0) for name, x in tree["dynamics"].items()}
        switching = {"P": np.full((n, n), 1 / n), "first": np.full(n, 1 / n)}
        return tree | {"dynamics": dynamics, "switching": switching}

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

    def begin(self, params: Params, prepared: Prepared, *, key: jax.Array) -> State:
        """Dynamics and readout from moments of the counts; the key decides about clusters."""
        with jax.enable_x64(True):
            state = estimation.first_state(prepared, self.n_latents)
        return state | {"seed": stages.seed_of(key)}

    def advance(self, state: State, prepared: Prepared) -> tuple[State, dict[str, float]]:
        """One iteration; its row has the evidence bound of what it began from."""
        with jax.enable_x64(True):
            after, figures = stages.advance(state, prepared, self._plan, self.n_states)
        return after, figures

    def is_finished(self, state: State) -> bool:
        """Whether every iteration is done, or the last one gained next to nothing."""
        return stages.is_finished(state, self._plan, self.n_states, self.tolerance)

    def finish(self, params: Params, state: State, prepared: Prepared) -> Params:
        """Parameters found, as `init` gives them."""
        return estimation.found(state)

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
        nothing here. Factors are known up to an affine map only. For the states see `states`.

        Parameters
        ----------
        params : fitted; they count per bin, so that bins should be as wide as in the fit
        data : any recording of the same neurons
        """
        return infer_posterior(params, data)

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
            With ``truth``: ``rates`` (Hz), ``factors`` and ``states`` [trials, bins, 1].

        Raises
        ------
        ValueError : if unstable dynamics run away within these bins.
        """
        return simulate_freely(
            params, (n_trials, n_bins), bin_width=bin_width, inputs=inputs, key=key
        )


def states(model: SLDS, params: Params, data: SpikeData) -> np.ndarray:
    """Probability of each state in each bin, [trials, bins, states].

    Parameters
    ----------
    model : an `SLDS`
    params : fitted
    data : any recording of the same neurons; read as `SLDS.infer` reads it

    Raises
    ------
    ValueError : if the parameters are not of such a model.
    """
    if len(params["switching"]["first"]) != model.n_states:
        raise ValueError(
            f"parameters are for {len(params['switching']['first'])} states, the model has "
            f"{model.n_states}"
        )
    return infer_trials(params, data).states
