"""Method "sampling": chains from several starts; swarms say which of them explain the spikes.

A chain stays with the explanation that its start has led it to. What each is worth is the
probability of the recorded spikes at its parameters, all activities counted, which a swarm
(`particles`) estimates. Half of the chains go on, those that are not worse in the end are kept, and
the activity is that of swarms at their draws, as a chain moves hardly through the activities.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

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
_WORSE = 5.0  # nats below the best chain: such a chain is not kept


class Plan:
    """The steps of a fit, in order.

    Every start and its first samples; swarms that compare them; warm-up and draws of the better
    half; swarms at their draws.
    """

    def __init__(self, settings: Estimation) -> None:
        blocks = lambda n: math.ceil(n / _BLOCK)  # noqa: E731
        self.n_starts = n = settings.n_starts
        self.n_kept = math.ceil(n / 2)
        self.first = blocks(settings.n_warmup / 2) if n > 1 else 0
        self.last = blocks(settings.n_warmup)
        self.draws = blocks(settings.n_draws / self.n_kept)
        self.n_swarms = -(-N_SWARMS // self.n_kept)  # of each chain
        self.steps: list[tuple[str, int]] = []
        for chain in range(n):
            self.steps += [("start", chain)] + self.first * [("explore", chain)]
        self.steps += [("compare", chain) for chain in range(n) if n > 1]
        for rank in range(self.n_kept):
            self.steps += self.last * [("warm up", rank)] + self.draws * [("draw", rank)]
        self.steps += [("follow", i) for i in range(self.n_kept * self.n_swarms)]

    @property
    def n_warmup(self) -> int:
        """Samples before the draws of a chain."""
        return (self.first + self.last) * _BLOCK


def n_steps(settings: Estimation) -> int:
    """Steps of a whole fit."""
    return len(Plan(settings).steps)


def begin(
    system: Mesoscopic, problem: Problem, settings: Estimation, start: np.ndarray, key: jax.Array
) -> State:
    """Nothing is computed yet."""
    plan = Plan(settings)
    shape = (*np.shape(problem.spikes)[:2], system.n_populations)
    n, n_followed = plan.n_starts, plan.n_kept * plan.n_swarms
    zeros = lambda *shape: np.zeros(shape)  # noqa: E731
    return {
        "step": np.array(0),
        "is_finished": np.array(0),
        "key": np.asarray(jax.random.key_data(key)),
        "first": np.asarray(start, float),
        "starts": zeros(n, start.size),
        "start_values": zeros(n),
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
        "draws": zeros(plan.n_kept, plan.draws * _BLOCK, start.size),
        "activity": zeros(plan.n_kept, *shape),
        "squares": zeros(plan.n_kept, *shape),
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
    elif kind == "compare":
        row = _compare(system, problem, settings, state, which)
    elif kind == "follow":
        row = _follow(system, problem, settings, state, which)
    else:
        row = _sample(system, problem, settings, state, (kind, which))
    state["step"] = np.array(step + 1)
    state["is_finished"] = np.array(int(step + 1 == len(plan.steps)))
    return state, row


def _kept(plan: Plan, state: State) -> np.ndarray:
    """Chains that go on, the best first."""
    return np.argsort(-state["start_values"], kind="stable")[: plan.n_kept]


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
    place: tuple[str, int],
) -> Row:
    """A block of samples of one chain; before the draws its metric and its steps follow it."""
    plan, (kind, which) = Plan(settings), place
    chain = which if kind == "explore" else int(_kept(plan, state)[which])
    is_adapting = kind != "draw"
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
    visits, acceptances, total, squares = [], [], 0.0, 0.0
    first = int(state["n_samples"][chain])
    for number in range(first, first + _BLOCK):
        if is_turn(number, plan.n_warmup):
            sampler.follow()
        acceptances.append(sampler.sample(rng, is_adapting=is_adapting))
        counts = sampler.counts
        visits.append(sampler.free)
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
        state["draws"][which, done : done + _BLOCK] = visits
        for name, new in (("activity", total), ("squares", squares)):
            state[name][which] += (new - state[name][which]) * _BLOCK / (done + _BLOCK)
    row = {"log_joint": sampler.value, "acceptance": float(np.mean(acceptances))}
    return row | {"step_size": float(np.exp(sampler.log_step))}


def is_turn(number: int, n_warmup: int) -> bool:
    """Whether the metric moves before this sample: at doubling intervals, last at four fifths."""
    if number in (5, 10, n_warmup * 4 // 5):
        return number < n_warmup
    return number < n_warmup * 3 // 5 and any(number == 20 * 2**i for i in range(20))


def _compare(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State, chain: int
) -> Row:
    """How probable the spikes are at a chain's last parameters."""
    free = state["starts"][chain]
    if state["n_samples"][chain]:
        free = state["warmup"][chain, state["n_samples"][chain] - 1]
    found = follow_at(system, problem, free, settings.n_particles, key=_key_of(state))
    state["start_values"][chain] = value = float(found.values.sum())
    return {"log_likelihood": value}


def _follow(
    system: Mesoscopic, problem: Problem, settings: Estimation, state: State, which: int
) -> Row:
    """A swarm at one of the draws."""
    plan = Plan(settings)
    rank, number = divmod(which, plan.n_swarms)
    draws = state["draws"][rank]
    free = draws[places(len(draws), plan.n_swarms)[number % len(draws)]]
    found = follow_at(system, problem, free, settings.n_particles, key=_key_of(state))
    state["values"][which] = found.values
    state["followed"][which], state["followed_squares"][which] = found.counts, found.squares
    return {"log_likelihood": float(found.values.sum())}


def _key_of(state: State) -> jax.Array:
    """Of one step."""
    key = jax.random.wrap_key_data(jax.numpy.asarray(state["key"]))
    return jax.random.fold_in(key, int(state["step"]))


def summary(settings: Estimation, state: State) -> dict[str, Any]:
    """Draws of the chains that are not worse than the best, and the activity at them.

    The activity of a trial is that of the swarms, or of the chains where the swarms have lost track
    of the spikes, as they do with hundreds of recorded neurons.
    """
    plan = Plan(settings)
    values = state["values"].reshape(plan.n_kept, plan.n_swarms, -1)
    of_chain = np.mean(values.sum(-1), -1)
    is_lost = has_lost_track(values[int(np.argmax(of_chain))])
    is_telling = not is_lost.any()  # else the values say too little
    best = int(np.argmax(of_chain)) if is_telling else 0
    good = (np.arange(plan.n_kept) == best) | is_telling & (of_chain >= of_chain[best] - _WORSE)

    def mean(name: str) -> np.ndarray:
        of_chain = state[name].reshape(plan.n_kept, -1, *state[name].shape[1:])
        return of_chain[good].mean((0, 1))

    lost = is_lost[:, None, None]
    activity = np.where(lost, mean("activity"), mean("followed"))
    squares = np.where(lost, mean("squares"), mean("followed_squares"))
    draws = state["draws"][good]
    return {
        # of one chain: between two that explain the spikes in other ways lies what explains nothing
        "free": state["draws"][best].mean(0),
        "draws": draws.reshape(-1, draws.shape[-1]),
        "warmup": state["warmup"][_kept(plan, state)[good]].reshape(-1, draws.shape[-1]),
        "starts": state["starts"],
        "start_values": state["start_values"],
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
