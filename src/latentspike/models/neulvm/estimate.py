"""The fit as a sequence of resumable steps: start, then samples (or maximizations)."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm import narrowing
from latentspike.models.neulvm.climb import best_activity, best_parameters
from latentspike.models.neulvm.first_guess import smoothed_counts
from latentspike.models.neulvm.metric import to_place
from latentspike.models.neulvm.problem import Problem
from latentspike.models.neulvm.sampler import Sampler, log_evidence
from latentspike.models.neulvm.settings import Estimation

State = dict[str, np.ndarray]
Row = dict[str, float]

_START_ITERATIONS, _START_ROUNDS = 20, 2
_NARROW = 1.4  # bins
_FIRST_STEP = 0.01
_EDGE = 0.02  # of a box: a sampler cannot start on its boundary
_BLOCK = 10  # samples per step


def n_steps(settings: Estimation) -> int:
    """Steps of a whole fit (method "hard" may stop earlier)."""
    if settings.method == "hard":
        return settings.n_iterations
    if settings.method == "particles":
        return settings.n_passes
    return _n_warmup(settings) + -(-settings.n_draws // _BLOCK)


def _n_warmup(settings: Estimation) -> int:
    return -(-settings.n_warmup // _BLOCK)


def begin(
    system: Mesoscopic, problem: Problem, settings: Estimation, start: np.ndarray, key: jax.Array
) -> State:
    """The best of several starts, each improved by rounds of Baum–Viterbi.

    Half of them trust the smoothed spikes and take the parameters from them. The others trust the
    parameters of the start and take the activity from those, beginning at spikes that are hardly
    smoothed: that finds volleys, which are narrower than what predicts a bin from its neighbors.
    """
    if settings.method == "particles":
        return narrowing.begin(system, problem, settings, key)
    key_starts, key_run = jax.random.split(key)
    shares = np.asarray(jax.random.uniform(key_starts, (settings.n_starts, start.size)))
    low, high = np.asarray(problem.low), np.asarray(problem.high)
    starts = low + (high - low) * shares
    starts[:2] = start
    widths = (settings.smoothing, settings.smoothing or _NARROW * system.bin_width)
    guesses = [smoothed_counts(system, problem, width) for width in widths]
    found = [
        _improved(system, problem, each, guesses[i % 2], trusts_activity=i % 2 == 0)
        for i, each in enumerate(starts)
    ]
    logits = [_logit((free - low) / (high - low)) for free, _, _ in found]
    values = np.array([each[2] for each in found])
    if settings.method == "sampling":
        pairs = zip(found, logits, strict=True)
        values = np.array(
            [
                log_evidence(system, problem, to_place(each[1] ** 2 / 4), logit)
                for each, logit in pairs
            ]
        )
    if not np.isfinite(values).any():
        raise FloatingPointError("no start has a finite likelihood; narrow the prior boxes")
    best = int(np.nanargmax(values))
    (free, root, _), logit = found[best], logits[best]
    return {
        "step": np.array(0),
        "is_finished": np.array(0),
        "key": np.asarray(jax.random.key_data(key_run)),
        "starts": np.array([each[0] for each in found]),
        "start_values": values,
        "free": free,
        "value": np.array(np.nanmax(values)),
        "root": root,
        "place": to_place(root**2 / 4),
        "logit": logit,
        "log_step": np.array(np.log(_FIRST_STEP)),
        "n_moves": np.array(0),
        "metric_place": to_place(root**2 / 4),
        "metric_logit": logit,
        "draws": np.zeros((settings.n_draws, start.size)),
        "warmup": np.zeros((_n_warmup(settings) * _BLOCK, start.size)),
        "activity": np.zeros(root.shape),
        "squares": np.zeros(root.shape),
    }


def _logit(share: np.ndarray) -> np.ndarray:
    share = np.clip(share, _EDGE, 1 - _EDGE)
    return np.log(share) - np.log1p(-share)


def _improved(
    system: Mesoscopic,
    problem: Problem,
    free: np.ndarray,
    counts: np.ndarray,
    *,
    trusts_activity: bool,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Parameters, activity and log-joint after some rounds from a guess."""
    root = 2 * np.sqrt(counts)
    if trusts_activity:
        free, _ = best_parameters(system, problem, free, counts, n_steps=_START_ITERATIONS)
    value = -np.inf
    for _ in range(_START_ROUNDS):
        n_steps = 3 * _START_ITERATIONS
        root, _ = best_activity(system, problem, free, root, method="lbfgs", n_steps=n_steps)
        free, value = best_parameters(system, problem, free, root**2 / 4, n_steps=_START_ITERATIONS)
    return free, root, value


def advance(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State
) -> tuple[State, Row]:
    """One iteration of Baum–Viterbi, one block of samples, or one pass of a swarm."""
    if settings.method == "particles":
        return narrowing.advance(system, problem, settings, state)
    step = int(state["step"])
    changes, row = (_hard if settings.method == "hard" else _sample)(
        system, problem, settings, state
    )
    changes["step"] = np.array(step + 1)
    if step + 1 >= n_steps(settings):
        changes["is_finished"] = np.array(1)
    return state | changes, row


def _hard(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State
) -> tuple[State, Row]:
    root, _ = best_activity(system, problem, state["free"], state["root"], method=settings.e_step)
    free, value = best_parameters(system, problem, state["free"], root**2 / 4, n_steps=200)
    before = float(state["value"])
    changes = {"root": root, "free": free, "value": np.array(value), "activity": root**2 / 4}
    has_converged = value - before < settings.tolerance * abs(before) and int(state["step"]) > 0
    changes["is_finished"] = np.array(int(has_converged))
    return changes, {"log_joint": value}


def _sample(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State
) -> tuple[State, Row]:
    """A block of samples; in the warm-up the metric follows the chain."""
    step, n_warmup = int(state["step"]), _n_warmup(settings)
    rng = np.random.default_rng([*state["key"].tolist(), step])
    sampler = Sampler(
        system,
        problem,
        state["place"],
        state["logit"],
        metric_point=(state["metric_place"], state["metric_logit"]),
        log_step=float(state["log_step"]),
        n_moves=int(state["n_moves"]),
        n_leapfrog=settings.n_leapfrog,
    )
    visits, acceptances, total, squares = [], [], 0.0, 0.0
    for number in range(step * _BLOCK, (step + 1) * _BLOCK):
        if is_turn(number, n_warmup * _BLOCK):
            sampler.follow()
        acceptances.append(sampler.sample(rng, is_adapting=step < n_warmup))
        counts = sampler.counts
        visits.append(sampler.free)
        total, squares = total + counts / _BLOCK, squares + counts**2 / _BLOCK
    changes: State = {
        "place": sampler.place,
        "logit": sampler.logit,
        "free": visits[-1],
        "log_step": np.array(sampler.log_step),
        "n_moves": np.array(sampler.n_moves),
        "metric_place": sampler.metric_point[0],
        "metric_logit": sampler.metric_point[1],
        "value": np.array(sampler.value),
    }
    name, block = ("warmup", step) if step < n_warmup else ("draws", step - n_warmup)
    kept = state[name].copy()
    kept[block * _BLOCK :][:_BLOCK] = np.array(visits)[: len(kept) - block * _BLOCK]
    changes[name] = kept
    if name == "draws":
        for which, new in (("activity", total), ("squares", squares)):
            changes[which] = (state[which] * block + new) / (block + 1)
    row = {"log_joint": sampler.value, "acceptance": float(np.mean(acceptances))}
    return changes, row | {"step_size": float(np.exp(sampler.log_step))}


def is_turn(number: int, n_warmup: int) -> bool:
    """Whether the metric moves before this sample: at doubling intervals, last at four fifths."""
    if number in (5, 10, n_warmup * 4 // 5):
        return number < n_warmup
    return number < n_warmup * 3 // 5 and any(number == 20 * 2**i for i in range(20))


def summary(settings: Estimation, state: State) -> dict[str, Any]:
    """Parameters and activity that the fit ends with; hard fits have no draws and no spread."""
    if settings.method == "particles":
        return narrowing.summary(settings, state)
    counts, draws = state["activity"], state["draws"]
    found, spread = draws.mean(0), np.sqrt(np.maximum(state["squares"] - counts**2, 0.0))
    if settings.method == "hard":
        found, draws, spread = state["free"], draws[:0], np.zeros(counts.shape)
    return {
        "free": found,
        "draws": draws,
        "warmup": state["warmup"],
        "starts": state["starts"],
        "start_values": state["start_values"],
        "training_counts": counts,
        "training_counts_std": spread,
    }
