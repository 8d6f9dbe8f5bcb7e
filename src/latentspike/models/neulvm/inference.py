"""Activity of populations given the parameters: sampled, or the most probable; trial by trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.climb import best_activity
from latentspike.models.neulvm.first_guess import best_width, smoothed_counts
from latentspike.models.neulvm.metric import to_place
from latentspike.models.neulvm.narrowing import followed
from latentspike.models.neulvm.problem import Problem, make_problem, populations_of
from latentspike.models.neulvm.sampler import Sampler
from latentspike.models.neulvm.sampling import is_turn
from latentspike.models.neulvm.settings import Estimation
from latentspike.models.neulvm.swarms import N_SWARMS, follow_at, has_lost_track, places
from latentspike.spikes import Posterior, SpikeData

if TYPE_CHECKING:
    from latentspike.models.neulvm.model import NeuLVM

_FIRST_LOG_STEP = -3.0
_N_LEAPFROG = 12  # of a trajectory; the activity alone needs no long ones
_LEAST = 0.5  # spikes of a population in all networks of a swarm
_WARMUP = 60  # samples at most: the parameters are known, only the step size is to be found
Moments = tuple[np.ndarray, np.ndarray]


def infer_posterior(
    model: NeuLVM, params: dict[str, Any], data: SpikeData, *, n_samples: int, key: jax.Array
) -> Posterior:
    """See `NeuLVM.infer`."""
    if n_samples < 0:
        raise ValueError(f"n_samples must not be negative, got {n_samples}")
    system = Mesoscopic.of(model.network, data.bin_width, model.stepping)
    shape = (data.n_trials, data.n_bins, len(model.network.names))
    mean, spread = np.zeros(shape), np.zeros(shape)
    if model.estimation.method == "particles":
        for trial in range(data.n_trials):
            problem = _of_trial(model, system, data, trial)
            own_key = jax.random.fold_in(key, trial)
            found = followed(system, problem, model.estimation, params, own_key, n_samples)
            mean[trial], spread[trial] = found
        return _posterior(model, params, data, (mean, spread), n_samples)
    with jax.enable_x64(True):
        width = model.estimation.smoothing or _common_width(model, system, data)
        for trial in range(data.n_trials):
            problem = _of_trial(model, system, data, trial)
            own_key = jax.random.fold_in(key, trial)
            found = _by_swarms(system, problem, model.estimation, params, own_key, n_samples)
            if found is not None:
                mean[trial], spread[trial] = found
                continue
            root = 2 * np.sqrt(smoothed_counts(system, problem, width))
            free = np.asarray(params["free"], float)
            root, _ = best_activity(system, problem, free, root, method="lbfgs")
            mean[trial] = root[0] ** 2 / 4
            if n_samples:
                words = np.asarray(jax.random.key_data(own_key))
                rng = np.random.default_rng(words.tolist())
                found = _sampled(system, problem, model.estimation, params, root, rng, n_samples)
                mean[trial], spread[trial] = found
    return _posterior(model, params, data, (mean, spread), n_samples)


def _posterior(
    model: NeuLVM, params: dict[str, Any], data: SpikeData, counts: Moments, n_samples: int
) -> Posterior:
    """Rates from mean and standard deviation of the counts, [trials, bins, K] each."""
    population = populations_of(model.network, model.neurons, data)
    mean, spread = counts
    # silence is no surer than a swarm can tell: a rate of 0 would forbid a spike
    mean = np.maximum(mean, _LEAST / model.estimation.n_particles)
    per_hz = model.network.sizes * data.bin_width
    rate, rate_std = mean / per_hz, spread / per_hz if n_samples else None
    scale = params["scale"] if model.own_rates else np.ones(data.n_neurons)
    return Posterior(
        rates=rate[..., population] * scale,
        rates_std=None if rate_std is None else rate_std[..., population] * scale,
        population_activity=rate,
        population_activity_std=rate_std,
        bin_width=data.bin_width,
        t_start=data.t_start,
        trial_ids=data.trial_ids,
        neuron_ids=data.neuron_ids,
        n_samples=n_samples,
    )


def _of_trial(model: NeuLVM, system: Mesoscopic, data: SpikeData, trial: int) -> Problem:
    one = data.select_trials(slice(trial, trial + 1))
    return make_problem(model.network, system, model.neurons, one)


def _common_width(model: NeuLVM, system: Mesoscopic, data: SpikeData) -> float:
    """Of the first guess, s: the best for all trials together, as single ones may hardly fire."""
    trials = [_of_trial(model, system, data, i) for i in range(data.n_trials)]
    spikes, seen = (np.concatenate([getattr(x, n) for x in trials]) for n in ("spikes", "seen"))
    return best_width(system, spikes, seen)


def _by_swarms(
    system: Mesoscopic,
    problem: Problem,
    settings: Estimation,
    params: dict[str, Any],
    key: jax.Array,
    n_samples: int,
) -> Moments | None:
    """Moments of the counts of one trial by swarms at the posterior draws, [bins, K] each.

    None where there are no draws, no samples were asked for, or the swarms lose track.
    """
    draws = np.asarray(params.get("draws", ()), float)
    if not (len(draws) and n_samples):
        return None
    found = [
        follow_at(
            system, problem, draws[i], settings.n_particles, key=jax.random.fold_in(key, number)
        )
        for number, i in enumerate(places(len(draws), min(N_SWARMS, n_samples)))
    ]
    if has_lost_track(np.stack([each.values for each in found]))[0]:
        return None
    counts = np.mean([each.counts[0] for each in found], 0)
    squares = np.mean([each.squares[0] for each in found], 0)
    return counts, np.sqrt(np.maximum(squares - counts**2, 0.0))


def _sampled(
    system: Mesoscopic,
    problem: Problem,
    settings: Estimation,
    params: dict[str, Any],
    root: np.ndarray,
    rng: np.random.Generator,
    n_samples: int,
) -> Moments:
    """Mean and standard deviation of the counts of one trial, [bins, K] each.

    By a chain, slower to forget where it began than `_by_swarms`, but at home with many recorded
    neurons. Every sample has another posterior draw of the parameters, where there are draws.
    """
    free = np.asarray(params["free"], float)
    draws = np.asarray(params.get("draws", ()), float)
    sampler = Sampler(
        system,
        problem.at(free),
        to_place(root**2 / 4),
        np.zeros(0),
        log_step=_FIRST_LOG_STEP,
        n_leapfrog=_N_LEAPFROG,
    )
    n_warmup = min(settings.n_warmup, _WARMUP)
    for number in range(n_warmup):
        if is_turn(number, n_warmup):
            sampler.follow()
        sampler.sample(rng, is_adapting=True)
    total, squares = np.zeros(root.shape), np.zeros(root.shape)
    for number in range(n_samples):
        if len(draws):
            sampler.use(problem.at(draws[number * len(draws) // n_samples]))
        sampler.sample(rng, is_adapting=False)
        counts = sampler.counts
        total, squares = total + counts / n_samples, squares + counts**2 / n_samples
    return total[0], np.sqrt(np.maximum(squares - total**2, 0.0))[0]
