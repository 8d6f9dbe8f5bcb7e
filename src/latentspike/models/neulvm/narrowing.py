"""Parameters from a swarm that narrows: pass after pass over the recording, method "particles"."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit, logit

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.particles import follow, of_trial
from latentspike.models.neulvm.problem import Problem
from latentspike.models.neulvm.settings import Estimation

State = dict[str, np.ndarray]
Row = dict[str, float]

_WIDEST, _LEAST = 1.0, 0.01  # walk of the logits in a trial: first, and smallest
_SHRINK = np.sqrt(10.0)  # of the walk, from pass to pass
_WIDER = 2.0  # than what a pass has found is where the next begins
_LOST = 5.0  # nats below the best: such a pass has lost track of the spikes
_PER_SWARM, _MOST_SWARMS = 25, 8  # samples of an activity that a swarm stands for; of a trial
_EDGE = 0.02  # of a box: the first swarm does not begin on its boundary


def n_steps(settings: Estimation) -> int:
    """Steps of a whole fit."""
    return settings.n_passes


def begin(
    system: Mesoscopic, problem: Problem, settings: Estimation, start: np.ndarray, key: jax.Array
) -> State:
    """Nothing is known: the first pass begins all over the prior boxes, not at the start."""
    n_free, n = len(problem.low), settings.n_passes
    moments = (n, *np.shape(problem.spikes)[:2], system.n_populations)
    return {
        "step": np.array(0),
        "is_finished": np.array(0),
        "key": np.asarray(jax.random.key_data(key)),
        "center": np.zeros(n_free),
        "spread": np.zeros(n_free),
        "walk": np.array(_WIDEST),
        "best_walk": np.array(_WIDEST),
        "values": np.full(n, -np.inf),
        "draws": np.zeros((n, settings.n_draws, n_free)),
        "activity": np.zeros(moments),
        "squares": np.zeros(moments),
    }


def advance(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State
) -> tuple[State, Row]:
    """One pass: where the swarm is found, the next begins, and walks less."""
    step, walk = int(state["step"]), float(state["walk"])
    key = jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(state["key"])), step)
    key_first, key_pass = jax.random.split(key)
    shape = (settings.n_particles, len(problem.low))
    if step == 0:
        shares = np.asarray(jax.random.uniform(key_first, shape), float)
        logits = logit(_EDGE + (1 - 2 * _EDGE) * shares)
    else:
        noise = np.asarray(jax.random.normal(key_first, shape), float)
        logits = state["center"] + state["spread"] * noise
    found = one_pass(system, problem, logits, walk, key=key_pass)
    best = state["values"].max()
    changes: State = {name: state[name].copy() for name in ("values", "draws", "activity")}
    changes["squares"] = state["squares"].copy()
    changes["values"][step] = found["value"]
    changes["draws"][step] = to_parameters(problem, found["lines"][: settings.n_draws])
    changes["activity"][step], changes["squares"][step] = found["counts"], found["squares"]
    if found["value"] >= best - _LOST:
        changes["center"] = found["center"]
        changes["spread"] = _WIDER * found["spread"]
        changes["best_walk"] = np.array(walk)
        changes["walk"] = np.array(max(walk / _SHRINK, _LEAST))
    else:
        changes["walk"] = np.array(np.sqrt(walk * float(state["best_walk"])))
    changes["step"] = np.array(step + 1)
    changes["is_finished"] = np.array(int(step + 1 >= settings.n_passes))
    return state | changes, {"log_likelihood": found["value"], "walk": walk}


def one_pass(
    system: Mesoscopic, problem: Problem, logits: np.ndarray, walk: float, *, key: jax.Array
) -> dict[str, Any]:
    """A swarm that begins at these parameters and sees all trials, one after the other.

    Parameters
    ----------
    logits : [particles, free]
    walk : of the logits, standard deviation over a trial

    Returns
    -------
    ``value``, log-likelihood of the spikes; ``counts`` and ``squares`` [trials, bins, K], moments
    of the activity; ``lines`` [particles, free], mean logits along the line of each particle that
    is left, all of one weight and in no order; ``center`` and ``spread`` [free], of the logits in
    time and over the lines
    """
    n_trials = len(problem.spikes)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    total, squares, value = np.zeros((2, *logits.shape)), np.zeros(logits.shape), 0.0
    lines, within = total
    moments = []
    with jax.enable_x64(False):
        for trial in range(n_trials):
            found = follow(
                system,
                of_trial(problem, trial),
                jnp.asarray(logits, jnp.float32),
                jnp.float32(walk),
                key=jax.random.fold_in(key, trial),
            )
            found = jax.tree.map(lambda x: np.asarray(x, float), found)
            chosen = rng.permutation(_systematic(found.weights, len(logits), rng))
            lines = (lines + found.line_mean / n_trials)[chosen]
            within = (within + found.line_std**2 / n_trials)[chosen]
            squares = (squares + found.line_mean**2 / n_trials)[chosen]
            logits = found.logits[chosen]
            value += float(found.log_likelihood)
            moments.append((found.counts, found.squares))
    between_trials = np.maximum(squares - lines**2, 0.0)
    variance = np.mean(within + between_trials, 0) + lines.var(0)
    counts, squares_of_counts = (np.stack(x) for x in zip(*moments, strict=True))
    return {
        "value": value,
        "counts": counts,
        "squares": squares_of_counts,
        "lines": lines,
        "center": lines.mean(0),
        "spread": np.sqrt(variance),
    }


def _systematic(weights: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Indices in numbers that follow the weights."""
    places = (np.arange(n) + rng.uniform()) / n
    edges = np.cumsum(weights / weights.sum())
    return np.minimum(np.searchsorted(edges, places), len(weights) - 1)


def to_parameters(problem: Problem, logits: np.ndarray) -> np.ndarray:
    """Parameters [..., free] from logits of their shares of the boxes."""
    low, high = np.asarray(problem.low, float), np.asarray(problem.high, float)
    return low + (high - low) * expit(logits)


def share_of_passes(values: np.ndarray) -> np.ndarray:
    """Weight of each pass: those that kept track of the spikes count alike.

    What their log-likelihoods differ by is chance more than merit.
    """
    has_kept = values >= values.max() - _LOST
    return has_kept / has_kept.sum()


def remarks(params: dict[str, Any]) -> list[str]:
    """A warning if hardly any of the later passes comes near the best one."""
    later = np.asarray(params["start_values"])[len(params["start_values"]) // 2 :]
    n_kept = int((share_of_passes(np.asarray(params["start_values"]))[-later.size :] > 0).sum())
    if 2 * n_kept >= later.size:
        return []
    return [
        f"The swarm lost track of the spikes in {later.size - n_kept} of the last {later.size} "
        "passes; raise estimation.n_particles, or leave fewer parameters free: a swarm suits one "
        "to three"
    ]


def summary(settings: Estimation, state: State) -> dict[str, Any]:
    """Draws of the passes that kept track, in the order of the passes, and the activity."""
    share = share_of_passes(state["values"])
    edges = np.round(np.cumsum(share) * settings.n_draws).astype(int)
    counts = np.diff(np.concatenate([[0], edges]))
    draws = np.concatenate([d[:n] for d, n in zip(state["draws"], counts, strict=True)])
    activity = np.einsum("p,ptbk->tbk", share, state["activity"])
    squares = np.einsum("p,ptbk->tbk", share, state["squares"])
    return {
        "free": draws.mean(0),
        "draws": draws,
        "walk": state["best_walk"],
        "starts": state["draws"].mean(1),
        "start_values": state["values"],
        "training_counts": activity,
        "training_counts_std": np.sqrt(np.maximum(squares - activity**2, 0.0)),
    }


def followed(
    system: Mesoscopic,
    problem: Problem,
    settings: Estimation,
    params: dict[str, Any],
    key: jax.Array,
    n_samples: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the counts of one trial, [bins, K] each.

    Swarms begin at the posterior draws of the parameters and walk as in the fit; there are as many
    as hold the samples asked for, up to eight; those that lost track of the spikes do not count.
    """
    draws = np.atleast_2d(np.asarray(params.get("draws", params["free"]), float))
    low, high = np.asarray(problem.low, float), np.asarray(problem.high, float)
    shares = np.clip((draws - low) / (high - low), 1e-6, 1 - 1e-6)
    places = np.arange(settings.n_particles) * len(draws) // settings.n_particles
    walk = float(params.get("walk", _LEAST))
    n_swarms = min(max(1, -(-n_samples // _PER_SWARM)), _MOST_SWARMS)
    found = [
        one_pass(system, problem, logit(shares)[places], walk, key=jax.random.fold_in(key, i))
        for i in range(n_swarms)
    ]
    share = share_of_passes(np.array([each["value"] for each in found]))
    counts, squares = (
        np.einsum("p,pbk->bk", share, np.stack([each[name][0] for each in found]))
        for name in ("counts", "squares")
    )
    return counts, np.sqrt(np.maximum(squares - counts**2, 0.0))
