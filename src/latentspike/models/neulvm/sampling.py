"""Method "sampling": chains from several starts; swarms say which of them explain the spikes.

A chain stays near the explanation that its start has led it to: what the parameters may be is told
by many short chains, not by few long ones. What each is worth is the probability of the recorded
spikes at its draws, all activities counted, which swarms (`particles`) estimate. Chains that
explain them no worse than the best are kept, and the activity is that of the swarms at their
draws, as a chain moves hardly through the activities.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
from scipy.stats import chi2

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.metric import to_place
from latentspike.models.neulvm.problem import Problem
from latentspike.models.neulvm.sampler import MetricState, Sampler
from latentspike.models.neulvm.settings import Estimation
from latentspike.models.neulvm.starts import improved, starts_of
from latentspike.models.neulvm.swarms import N_SWARMS, follow_at, has_lost_track, places

State = dict[str, np.ndarray]
Row = dict[str, float]

_FIRST_STEP = 0.01
_EDGE = 0.02  # of a box: a sampler cannot start on its boundary
_BLOCK = 10  # samples per step
_NOISE = 5.0  # nats, by which swarms may differ at the same parameters
_FEWEST_SWARMS = 3  # of a chain: its value is their mean


class Plan:
    """The steps of a fit, in order: start, warm-up and draws of every chain; swarms at draws."""

    def __init__(self, settings: Estimation) -> None:
        blocks = lambda n: math.ceil(n / _BLOCK)  # noqa: E731
        self.n_starts = n = settings.n_starts
        self.n_warmup = blocks(settings.n_warmup) * _BLOCK
        self.n_draws = blocks(settings.n_draws / n) * _BLOCK
        self.n_swarms = max(_FEWEST_SWARMS, -(-N_SWARMS // n))  # of each chain
        self.steps: list[tuple[str, int]] = []
        for chain in range(n):
            self.steps.append(("start", chain))
            self.steps += (self.n_warmup + self.n_draws) // _BLOCK * [("sample", chain)]
        self.steps += [("follow", i) for i in range(n * self.n_swarms)]


def n_steps(settings: Estimation) -> int:
    """Steps of a whole fit."""
    return len(Plan(settings).steps)


def begin(
    system: Mesoscopic, problem: Problem, settings: Estimation, start: np.ndarray, key: jax.Array
) -> State:
    """Nothing is computed yet."""
    plan = Plan(settings)
    shape = (*np.shape(problem.spikes)[:2], system.n_populations)
    n, n_followed = plan.n_starts, plan.n_starts * plan.n_swarms
    zeros = lambda *shape: np.zeros(shape)  # noqa: E731
    return {
        "step": np.array(0),
        "is_finished": np.array(0),
        "key": np.asarray(jax.random.key_data(key)),
        "first": np.asarray(start, float),
        "starts": zeros(n, start.size),
        "place": zeros(n, *shape),
        "logit": zeros(n, start.size),
        "metric_place": zeros(n, *shape),
        "metric_logit": zeros(n, start.size),
        "metric_counts": zeros(n, *shape),
        "metric_logits": zeros(n, start.size),
        "metric_n_samples": np.zeros(n, int),
        "log_step": np.full(n, np.log(_FIRST_STEP)),
        "n_samples": np.zeros(n, int),
        "warmup": zeros(n, plan.n_warmup, start.size),
        "draws": zeros(n, plan.n_draws, start.size),
        "activity": zeros(n, *shape),
        "squares": zeros(n, *shape),
        "log_joints": zeros(n),
        "values": zeros(n_followed, shape[0]),
        "followed": zeros(n_followed, *shape),
        "followed_squares": zeros(n_followed, *shape),
    }


def advance(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State
) -> tuple[State, Row]:
    """One step of the plan."""
    plan, step = Plan(settings), int(state["step"])
    kind, which = plan.steps[step]
    state = {name: value.copy() for name, value in state.items()}
    if kind == "start":
        row = _start(system, problem, settings, state, which)
    elif kind == "follow":
        row = _follow(system, problem, settings, state, which)
    else:
        row = _sample(system, problem, settings, state, which)
    state["step"] = np.array(step + 1)
    state["is_finished"] = np.array(int(step + 1 == len(plan.steps)))
    return state, row


def _start(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State, chain: int
) -> Row:
    """A chain begins where rounds of Baum–Viterbi have led its start."""
    key = jax.random.wrap_key_data(jax.numpy.asarray(state["key"]))
    begun = starts_of(system, problem, settings, state["first"], key=key)[chain]
    found = improved(system, problem, begun)
    low, high = np.asarray(problem.low), np.asarray(problem.high)
    share = np.clip((found.free - low) / (high - low), _EDGE, 1 - _EDGE)
    state["starts"][chain] = found.free
    for name in ("place", "metric_place"):
        state[name][chain] = to_place(found.root**2 / 4)
    for name in ("logit", "metric_logit"):
        state[name][chain] = np.log(share) - np.log1p(-share)
    if not np.isfinite(found.value):
        raise FloatingPointError(
            f"start {chain + 1} has no finite likelihood; narrow the prior boxes"
        )
    return {"log_joint": found.value}


def _sample(
    system: Mesoscopic,
    problem: Problem,
    settings: Estimation,
    state: State,
    chain: int,
) -> Row:
    """A block of samples of one chain; before the draws its metric and its steps follow it."""
    plan, first = Plan(settings), int(state["n_samples"][chain])
    is_adapting = first < plan.n_warmup
    rng = np.random.default_rng([*state["key"].tolist(), int(state["step"])])
    sampler = Sampler(
        system,
        problem,
        state["place"][chain],
        state["logit"][chain],
        metric_state=MetricState(*[state[f"metric_{name}"][chain] for name in MetricState._fields]),
        log_step=float(state["log_step"][chain]),
        n_leapfrog=settings.n_leapfrog,
    )
    visits, acceptances, values, total, squares = [], [], [], 0.0, 0.0
    for number in range(first, first + _BLOCK):
        if is_turn(number, plan.n_warmup):
            sampler.follow()
        acceptances.append(sampler.sample(rng, is_adapting=is_adapting))
        counts = sampler.counts
        visits.append(sampler.free)
        values.append(sampler.value)
        total, squares = total + counts / _BLOCK, squares + counts**2 / _BLOCK
    state["place"][chain], state["logit"][chain] = sampler.place, sampler.logit
    for name, value in sampler.metric_state._asdict().items():
        state[f"metric_{name}"][chain] = value
    state["log_step"][chain] = sampler.log_step
    state["n_samples"][chain] = first + _BLOCK
    if is_adapting:
        state["warmup"][chain, first : first + _BLOCK] = visits
    else:
        done = first - plan.n_warmup
        state["draws"][chain, done : done + _BLOCK] = visits
        means = {"activity": total, "squares": squares, "log_joints": np.mean(values)}
        for name, new in means.items():
            state[name][chain] += (new - state[name][chain]) * _BLOCK / (done + _BLOCK)
    row = {"log_joint": sampler.value, "acceptance": float(np.mean(acceptances))}
    return row | {"step_size": float(np.exp(sampler.log_step))}


def is_turn(number: int, n_warmup: int) -> bool:
    """Whether the metric moves before this sample: at doubling intervals, last at four fifths."""
    if number in (5, 10, n_warmup * 4 // 5):
        return number < n_warmup
    return number < n_warmup * 3 // 5 and any(number == 20 * 2**i for i in range(20))


def _follow(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State, which: int
) -> Row:
    """A swarm at one of the draws."""
    plan = Plan(settings)
    chain, number = divmod(which, plan.n_swarms)
    draws = state["draws"][chain]
    free = draws[places(len(draws), plan.n_swarms)[number % len(draws)]]
    key = jax.random.fold_in(
        jax.random.wrap_key_data(jax.numpy.asarray(state["key"])), int(state["step"])
    )
    found = follow_at(system, problem, free, settings.n_particles, key=key)
    state["values"][which] = found.values
    state["followed"][which], state["followed_squares"][which] = found.counts, found.squares
    return {"log_likelihood": float(found.values.sum())}


def worse(n_free: int) -> float:
    """Nats below the best chain at which another one explains the spikes worse.

    So much lies between the top and the edge of the region that holds 95 % of a posterior of this
    many parameters, if it is Gaussian.
    """
    return max(_NOISE, float(chi2.ppf(0.95, n_free)) / 2 if n_free else 0.0)


def summary(settings: Estimation, state: State) -> dict[str, Any]:
    """Draws of the chains that are not worse than the best, and the activity at them.

    The activity of a trial is that of the swarms, or of the chain with the highest log-joint where
    swarms have lost track of the spikes, as they do with hundreds of recorded neurons.
    """
    plan = Plan(settings)
    values = state["values"].reshape(plan.n_starts, plan.n_swarms, -1)
    of_chain = np.mean(values.sum(-1), -1)
    best = int(np.argmax(of_chain))
    is_lost = has_lost_track(values[best])
    if is_lost.any():  # what swarms say is chance, and so many spikes leave one activity
        best = int(np.argmax(state["log_joints"]))
        good = np.arange(plan.n_starts) == best
    else:
        good = of_chain >= of_chain[best] - worse(state["draws"].shape[-1])

    def mean(name: str) -> np.ndarray:
        of_chain = state[name].reshape(plan.n_starts, -1, *state[name].shape[1:])
        return of_chain[good].mean((0, 1))

    lost = is_lost[:, None, None]
    activity = np.where(lost, mean("activity"), mean("followed"))
    squares = np.where(lost, mean("squares"), mean("followed_squares"))
    draws = state["draws"][good]
    return {
        # of one chain: between two that explain the spikes in other ways lies what explains nothing
        "free": state["draws"][best].mean(0),
        "draws": draws.reshape(-1, draws.shape[-1]),
        "n_chains": np.array(len(draws)),
        "warmup": state["warmup"][good].reshape(-1, draws.shape[-1]),
        "starts": state["starts"],
        "start_values": of_chain,
        "training_counts": activity,
        "training_counts_std": np.sqrt(np.maximum(squares - activity**2, 0.0)),
        "is_followed": ~is_lost,
    }


def remarks(params: dict[str, Any]) -> list[str]:
    """A warning if swarms could not tell the activity of every trial."""
    is_followed = np.asarray(params.get("is_followed", True))
    if is_followed.all():
        return []
    return [
        f"Swarms of networks lost track of the spikes in {int((~is_followed).sum())} of "
        f"{is_followed.size} trials, as they do with many recorded neurons: their activity is that "
        "of the chain, which may not have left where it began; or raise estimation.n_particles"
    ]
