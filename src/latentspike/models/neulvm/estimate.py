"""The fit as a sequence of resumable steps: start, climbs, joint samples."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.climb import best_activity, best_parameters
from latentspike.models.neulvm.first_guess import smoothed_counts
from latentspike.models.neulvm.hmc import Chain, Scale, sample_activity, sample_jointly, to_free
from latentspike.models.neulvm.joint import by_parameters, terms
from latentspike.models.neulvm.problem import Problem
from latentspike.models.neulvm.settings import Estimation

State = dict[str, np.ndarray]
Row = dict[str, float]

_FIRST_STEP = 0.1
_START_ITERATIONS, _CLIMB_ITERATIONS = 60, 15
_EDGE = 1e-3  # of a box: a sampler cannot start on its boundary
_BLOCK = 10  # joint samples per step


def n_steps(settings: Estimation) -> int:
    """Steps of a whole fit (method "hard" may stop earlier)."""
    if settings.method == "hard":
        return settings.n_climbs
    return settings.n_climbs + -(-settings.n_warmup // _BLOCK) + -(-settings.n_draws // _BLOCK)


def begin(
    system: Mesoscopic, problem: Problem, settings: Estimation, start: np.ndarray, key: jax.Array
) -> State:
    """Smoothed activity, and the best parameters for it from several starts."""
    counts = smoothed_counts(system, problem, settings.smoothing)
    key_starts, key_run = jax.random.split(key)
    shares = np.asarray(jax.random.uniform(key_starts, (settings.n_starts, start.size)))
    low, high = np.asarray(problem.low), np.asarray(problem.high)
    starts = low + (high - low) * shares
    starts[0] = start
    ends, values = [], []
    for each in starts:
        end, value = best_parameters(system, problem, each, counts, n_steps=_START_ITERATIONS)
        ends.append(end)
        values.append(value)
    best = int(np.nanargmax(values))
    n_free, n_draws = start.size, settings.n_draws
    return {
        "step": np.array(0),
        "is_finished": np.array(0),
        "key": np.asarray(jax.random.key_data(key_run)),
        "starts": np.array(ends),
        "start_values": np.array(values),
        "free": ends[best],
        "log_joint": np.array(values[best]),
        "root": 2 * np.sqrt(counts),
        "log_step": np.array(np.log(_FIRST_STEP)),
        "n_moves": np.array(0.0),
        "center": np.zeros(n_free),
        "matrix": np.eye(n_free),
        "coordinates": np.zeros(n_free),
        "draws": np.zeros((n_draws, n_free)),
        "path": np.full((settings.n_climbs, n_free), np.nan),
        "activity": np.zeros(counts.shape),
        "squares": np.zeros(counts.shape),
    }


def advance(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State
) -> tuple[State, Row]:
    """One climb, or one block of joint samples."""
    step = int(state["step"])
    key = jax.random.fold_in(jax.random.wrap_key_data(state["key"]), step)
    if settings.method == "hard":
        changes, row = _hard(system, problem, settings, state)
    elif step < settings.n_climbs:
        changes, row = _climb(system, problem, settings, state, key)
    else:
        changes, row = _sample(system, problem, settings, state, key)
    step += 1
    changes["step"] = np.array(step)
    if step >= n_steps(settings):
        changes["is_finished"] = np.array(1)
    if "free" in changes and step <= settings.n_climbs:
        path = state["path"].copy()
        path[step - 1] = changes["free"]
        changes["path"] = path
    return state | changes, row


def _hard(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State
) -> tuple[State, Row]:
    root, _ = best_activity(system, problem, state["free"], state["root"], method=settings.e_step)
    free, value = best_parameters(system, problem, state["free"], root**2 / 4, n_steps=200)
    before = float(state["log_joint"])
    changes = {"root": root, "free": free, "log_joint": np.array(value), "activity": root**2 / 4}
    has_converged = value - before < settings.tolerance * abs(before) and int(state["step"]) > 0
    changes["is_finished"] = np.array(int(has_converged))
    return changes, {"log_joint": value}


def _climb(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State, key: jax.Array
) -> tuple[State, Row]:
    """Stochastic EM: sample the activity, then maximize in the parameters."""
    chain = _chain(state, free=False)
    chain, visits, _ = sample_activity(
        system,
        problem,
        jnp.asarray(state["free"]),
        chain,
        key,
        settings.n_trajectories,
        settings.n_leapfrog,
    )
    root = np.asarray(chain.root)
    free, value = best_parameters(
        system, problem, state["free"], root**2 / 4, n_steps=_CLIMB_ITERATIONS
    )
    row = {"log_joint": value, "acceptance": float(visits.acceptance.mean())}
    changes = _of_chain(chain, problem, state) | {"free": free, "log_joint": np.array(value)}
    return changes, row


def _sample(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State, key: jax.Array
) -> tuple[State, Row]:
    """A block of joint samples; the first block of all whitens the parameters."""
    changes: State = {}
    block = int(state["step"]) - settings.n_climbs
    n_warmup = -(-settings.n_warmup // _BLOCK)
    if block == 0:
        changes = whitened(system, problem, state) | {"n_moves": np.array(0.0)}
        state = state | changes
    scale = Scale(jnp.asarray(state["center"]), jnp.asarray(state["matrix"]))
    chain, visits, (mean, squares) = sample_jointly(
        system,
        problem,
        scale,
        _chain(state, free=True),
        key,
        jnp.asarray(float(block < n_warmup)),
        _BLOCK,
        settings.n_leapfrog,
    )
    changes |= _of_chain(chain, problem, state)
    changes["coordinates"] = np.asarray(chain.free)
    draws = np.asarray(visits.free)
    changes["free"] = draws[-1]
    if block >= n_warmup:
        first = (block - n_warmup) * _BLOCK
        kept = state["draws"].copy()
        kept[first : first + _BLOCK] = draws[: len(kept) - first]
        n_before = block - n_warmup
        for name, new in (("activity", mean), ("squares", squares)):
            changes[name] = (state[name] * n_before + np.asarray(new)) / (n_before + 1)
        changes["draws"] = kept
    found = terms(system, problem, jnp.asarray(draws[-1]), changes["root"] ** 2 / 4)
    value = float(sum(jnp.sum(x) for x in found))
    changes["log_joint"] = np.array(value)
    return changes, {"log_joint": value, "acceptance": float(visits.acceptance.mean())}


def whitened(system: Mesoscopic, problem: Problem, state: State) -> State:
    """Coordinates in which the curvature of the log-joint in the parameters is 1."""
    low, high = np.asarray(problem.low), np.asarray(problem.high)
    share = np.clip((state["free"] - low) / (high - low), _EDGE, 1 - _EDGE)
    logit = np.log(share) - np.log1p(-share)
    curvature = _curvature(system, problem, logit, state["root"] ** 2 / 4)
    size, axes = np.linalg.eigh(curvature)
    size = np.maximum(np.abs(size), 0.25)  # the prior's own curvature is that of a logistic
    return {
        "center": logit,
        "matrix": axes / np.sqrt(size),
        "coordinates": np.zeros_like(logit),
        "free": np.asarray(to_free(problem, jnp.asarray(logit))),
    }


def _curvature(
    system: Mesoscopic, problem: Problem, logit: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Second derivatives of the negative log-joint in the logits, by differences of gradients."""

    def gradient(logit: np.ndarray) -> np.ndarray:
        share = 1 / (1 + np.exp(-logit))
        _, by_share = by_parameters(system, problem, jnp.asarray(share), counts)
        return np.asarray(by_share) * share * (1 - share)

    width = 1e-4
    rows = [
        (gradient(logit + width * e) - gradient(logit - width * e)) / (2 * width)
        for e in np.eye(logit.size)
    ]
    matrix = np.array(rows).reshape(logit.size, logit.size)
    return (matrix + matrix.T) / 2


def _chain(state: State, *, free: bool) -> Chain:
    coordinates = state["coordinates"] if free else np.zeros(0)
    parts = (state["root"], coordinates, state["log_step"], state["n_moves"])
    return Chain(*[jnp.asarray(x, float) for x in parts])


def _of_chain(chain: Chain, problem: Problem, state: State) -> State:
    return {
        "root": np.asarray(chain.root),
        "log_step": np.asarray(chain.log_step),
        "n_moves": np.asarray(chain.n_moves),
    }


def summary(settings: Estimation, state: State) -> dict[str, Any]:
    """Parameters and activity that the fit ends with."""
    counts = state["activity"]
    if settings.method == "hard" or settings.n_draws == 0:
        found, draws = state["free"], np.zeros((0, state["free"].size))
        if settings.method == "sampling":
            last = state["path"][settings.n_climbs // 2 :]
            found, counts = last.mean(0), state["root"] ** 2 / 4
        spread = np.zeros(counts.shape)
    else:
        draws = state["draws"]
        found = draws.mean(0)
        spread = np.sqrt(np.maximum(state["squares"] - counts**2, 0.0))
    return {
        "free": found,
        "draws": draws,
        "path": state["path"],
        "starts": state["starts"],
        "start_values": state["start_values"],
        "training_counts": counts,
        "training_counts_std": spread,
    }
