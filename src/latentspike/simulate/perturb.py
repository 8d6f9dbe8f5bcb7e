"""Pulses to a winner-take-all network and to its mesoscopic model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics import Mesoscopic, Network
from latentspike.dynamics.free_run import free_run
from latentspike.simulate.lif_current import Pulse
from latentspike.simulate.lif_network import lif_network
from latentspike.simulate.lif_start import Asynchronous
from latentspike.spikes.validate import as_whole

Kind = Literal["network", "mesoscopic"]
Target = Literal["active", "silent"]

_WINDOW = 0.1  # s before the pulse in which the active population is found
_CONTRAST = 0.5  # of the two activities, beyond which one of them counts as active
_BATCH = 50  # trials that are simulated together


class NoWinner(ValueError):
    """Hardly any trial of a pulse experiment has an active population before the pulse."""


@dataclass(frozen=True, eq=False)
class PulseTrials:
    """Trials in which the active or the silent one of two populations was stimulated.

    Parameters
    ----------
    activity : [trials, bins, K], share of each population that fires in a bin
    was_active : int [trials], which of the pair was active before the pulse, 0 or 1
    stimulated : int [trials], which of the pair was stimulated
    pulse_time : s, from the start of the trials
    bin_width : s
    names : of all populations
    pair : names of the two that compete
    """

    activity: np.ndarray
    was_active: np.ndarray
    stimulated: np.ndarray
    pulse_time: float
    bin_width: float
    names: tuple[str, ...]
    pair: tuple[str, str]


def pulse_experiment(  # noqa: PLR0913  (one call says everything about an experiment)
    network: Network,
    pulse: Pulse,
    *,
    target: Target,
    kind: Kind,
    seed: int,
    n_trials: int = 100,
    pair: tuple[str, str] | None = None,
    bin_width: float = 0.004,
    horizon: float = 0.5,
    time_step: float = 0.0002,
    initial_rate: float = 5.0,
) -> PulseTrials:
    """Stimulate the active or the silent one of two competing populations.

    Every trial runs freely from the asynchronous state until the pulse, by when one of the two has
    won. Half of the trials are stimulated in the first population, half in the second; kept are
    those with a clear winner before the pulse in which the stimulated one is the target. As many
    trials are simulated as it takes. `evaluate.pulse_outcomes` says what happened in them.

    Parameters
    ----------
    network : without free parameters, such as a fitted one (`Network.with_values`)
    pulse : its start is also the time in which a winner emerges (half a second or more is well);
        its ``trials`` must be left out
    target : stimulate the population that is "active" before the pulse, or the "silent" one
    kind : "network" (neuron by neuron) or "mesoscopic"
    seed : of the random numbers
    n_trials : kept trials
    pair : names of the two populations; by default the first two
    bin_width : s, of the activity and of the mesoscopic model, where a pulse that does not fill a
        bin enters with its mean
    horizon : s after the start of the pulse at which trials end
    time_step : s, of the network
    initial_rate : Hz, of every population at the start

    Raises
    ------
    ValueError : if a setting does not fit, or hardly any trial has a winner before the pulse.

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), Fig. 5.

    Examples
    --------
    >>> from latentspike.evaluate import pulse_outcomes
    >>> from latentspike.simulate import Pulse, winner_take_all
    >>> pulse = Pulse(0.6, 0.02, 30.0)
    >>> options = {"kind": "mesoscopic", "seed": 0, "n_trials": 20, "horizon": 0.2}
    >>> trials = pulse_experiment(winner_take_all(), pulse, target="silent", **options)
    >>> outcomes = pulse_outcomes(
    ...     trials.activity, trials.pulse_time, bin_width=trials.bin_width, pair=trials.pair,
    ...     names=trials.names, horizon=0.2,
    ... )
    >>> bool(outcomes.probability("switch").value > 0.5)
    True
    """
    names = _checked(network, pulse, target, kind, pair)
    n_trials = as_whole("n_trials", n_trials, 1)
    places = np.array([network.names.index(name) for name in names])
    n_bins = int(np.ceil((pulse.start + max(horizon, pulse.duration)) / bin_width - 1e-9))
    batch = np.arange(_BATCH) % 2
    kept: list[np.ndarray] = []
    active: list[np.ndarray] = []
    n_kept = n_run = 0
    while n_kept < n_trials:
        plan = _Batch(network, pulse, places[batch], n_bins, bin_width, time_step, initial_rate)
        own_seed = int(np.random.SeedSequence([seed, n_run]).generate_state(1)[0])
        counts = plan.network(own_seed) if kind == "network" else plan.mesoscopic(own_seed)
        activity = counts / network.sizes
        winner = _winner(activity[..., places], round(pulse.start / bin_width), bin_width)
        wanted = winner == (batch if target == "active" else 1 - batch)
        kept.append(activity[wanted])
        active.append(winner[wanted])
        n_kept, n_run = n_kept + int(wanted.sum()), n_run + 1
        if n_run >= 4 and n_kept < 0.05 * n_run * _BATCH:
            raise NoWinner(
                f"only {n_kept} of {n_run * _BATCH} trials have a winner before the pulse at "
                f"{pulse.start:g} s: start it later, or check that the network has two states"
            )
    was_active = np.concatenate(active)[:n_trials]
    stimulated = was_active if target == "active" else 1 - was_active
    found = np.concatenate(kept)[:n_trials]
    return PulseTrials(
        found, was_active, stimulated, pulse.start, bin_width, network.names, (names[0], names[1])
    )


def _checked(
    network: Network, pulse: Pulse, target: str, kind: str, pair: tuple[str, str] | None
) -> tuple[str, ...]:
    """Names of the pair."""
    if network.free_names:
        raise ValueError(
            f"the network has free parameters ({', '.join(network.free_names)}): "
            "fix them with network.with_values(…)"
        )
    for name, value, choices in (("target", target, Target), ("kind", kind, Kind)):
        if value not in get_args(choices):
            raise ValueError(f"{name} must be one of {get_args(choices)}, got {value!r}")
    if pulse.trials is not None:
        raise ValueError("pulse.trials must be left out: the target decides who is stimulated")
    if pulse.start < _WINDOW:
        raise ValueError(
            f"the pulse starts at {pulse.start:g} s: the active population is found in the "
            f"{_WINDOW:g} s before it"
        )
    names = network.names[:2] if pair is None else tuple(pair)
    if len(names) != 2 or len(set(names)) != 2 or set(names) - set(network.names):
        raise ValueError(f"pair must be two of {', '.join(network.names)}, got {names}")
    return names


def _winner(both: np.ndarray, onset: int, bin_width: float) -> np.ndarray:
    """Active one of two populations before a bin, 0 or 1; −1 without a clear one."""
    first = max(0, onset - max(1, round(_WINDOW / bin_width)))
    early = both[:, first:onset].mean(1)
    total = np.maximum(early.sum(-1), 1e-12)
    contrast = (early[:, 0] - early[:, 1]) / total
    return np.where(np.abs(contrast) > _CONTRAST, (contrast < 0).astype(int), -1)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Trials that are simulated together; ``stimulated`` [trials] counts all populations."""

    of: Network
    pulse: Pulse
    stimulated: np.ndarray
    n_bins: int
    bin_width: float
    time_step: float
    rate: float

    def network(self, seed: int) -> np.ndarray:
        """Spikes per bin [trials, bins, K], neuron by neuron."""
        current = {}
        for k in np.unique(self.stimulated):
            trials = np.flatnonzero(self.stimulated == k).tolist()
            current[self.of.names[k]] = replace(self.pulse, trials=trials)
        found = lif_network(
            self.of,
            self.n_bins * self.bin_width,
            seed=seed,
            time_step=self.time_step,
            n_trials=len(self.stimulated),
            start=Asynchronous(self.rate),
            current=current,
        )
        return found.counts(self.bin_width)

    def mesoscopic(self, seed: int) -> np.ndarray:
        """Spikes per bin [trials, bins, K] of the mesoscopic model."""
        k = len(self.of.names)
        edges = np.arange(self.n_bins + 1) * self.bin_width
        end = self.pulse.start + self.pulse.duration
        filled = np.diff(np.clip(edges, self.pulse.start, end)) / self.bin_width
        course = self.pulse.amplitude * filled[:, None]
        current = course * (self.stimulated[:, None, None] == np.arange(k))
        with jax.enable_x64(True):
            system = Mesoscopic.of(self.of, self.bin_width)
            values = jax.tree.map(jnp.asarray, self.of.values())
            keys = jax.random.split(jax.random.key(seed), len(current))
            rates = jnp.full(k, self.rate)
            one = lambda key, current: free_run(  # noqa: E731
                system, values, rates, self.n_bins, current, key=key
            )
            return np.asarray(jax.vmap(one)(keys, jnp.asarray(current)))
