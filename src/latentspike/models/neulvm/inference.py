"""Activity of populations given the parameters: sampled, or the most probable; trial by trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.climb import best_activity
from latentspike.models.neulvm.first_guess import best_width, pooled, smoothed_counts
from latentspike.models.neulvm.hmc import Chain, sample_activity
from latentspike.models.neulvm.problem import Problem, make_problem, populations_of
from latentspike.models.neulvm.settings import Estimation
from latentspike.spikes import Posterior, SpikeData

if TYPE_CHECKING:
    from latentspike.models.neulvm.model import NeuLVM

_FIRST_STEP = 0.1
_PER_DRAW = 5  # trajectories at most with the same draw of the parameters
Moments = tuple[np.ndarray, np.ndarray]


def infer_posterior(
    model: NeuLVM, params: dict[str, Any], data: SpikeData, *, n_samples: int, key: jax.Array
) -> Posterior:
    """See `NeuLVM.infer`."""
    if n_samples < 0:
        raise ValueError(f"n_samples must not be negative, got {n_samples}")
    population = populations_of(model.network, model.neurons, data)
    system = Mesoscopic.of(model.network, data.bin_width, model.stepping)
    shape = (data.n_trials, data.n_bins, len(model.network.names))
    mean, spread = np.zeros(shape), np.zeros(shape)
    with jax.enable_x64(True):
        width = model.estimation.smoothing or _common_width(model, system, data)
        for trial in range(data.n_trials):
            problem = _of_trial(model, system, data, trial)
            root = 2 * np.sqrt(smoothed_counts(system, problem, width))
            if n_samples == 0:
                free = np.asarray(params["free"], float)
                root, _ = best_activity(system, problem, free, root, method="lbfgs")
                mean[trial] = root[0] ** 2 / 4
            else:
                free = _parameter_draws(params, n_samples)
                key_trial = jax.random.fold_in(key, trial)
                found = _sampled(
                    system, problem, model.estimation, free, root, n_samples, key=key_trial
                )
                mean[trial], spread[trial] = found
    per_hz = model.network.sizes * data.bin_width
    rate, rate_std = mean / per_hz, spread / per_hz if n_samples else None
    return Posterior(
        rates=rate[..., population],
        rates_std=None if rate_std is None else rate_std[..., population],
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
    parts = [pooled(system, _of_trial(model, system, data, i)) for i in range(data.n_trials)]
    spikes, seen = (np.concatenate(part) for part in zip(*parts, strict=True))
    return best_width(system, spikes, seen)


def _per_draw(n_samples: int) -> int:
    return max(n for n in range(1, _PER_DRAW + 1) if n_samples % n == 0)


def _parameter_draws(params: dict[str, Any], n_samples: int) -> np.ndarray:
    """Parameters of each block of trajectories: posterior draws, or the point; [blocks, free]."""
    n_blocks = n_samples // _per_draw(n_samples)
    draws = np.asarray(params.get("draws", np.zeros((0, 0))), float)
    if not len(draws):
        draws = np.asarray(params["free"], float)[None]
    return draws[np.linspace(0, len(draws) - 1, n_blocks).round().astype(int)]


def _sampled(
    system: Mesoscopic,
    problem: Problem,
    settings: Estimation,
    free: np.ndarray,
    root: np.ndarray,
    n_samples: int,
    *,
    key: jax.Array,
) -> Moments:
    """Mean and standard deviation of the counts of one trial, [bins, K] each."""
    per_draw = _per_draw(n_samples)
    n_warmup = -(-settings.n_warmup // per_draw)
    parts = [root, np.zeros(0), np.log(_FIRST_STEP), 0.0]
    chain = Chain(*[jnp.asarray(x, float) for x in parts])
    total, squares = np.zeros(root.shape), np.zeros(root.shape)
    for block in range(-n_warmup, len(free)):
        chain, _, moments = sample_activity(
            system,
            problem,
            jnp.asarray(free[max(block, 0)]),
            chain,
            jax.random.fold_in(key, block + n_warmup),
            per_draw,
            settings.n_leapfrog,
        )
        if block >= 0:
            total += np.asarray(moments[0]) / len(free)
            squares += np.asarray(moments[1]) / len(free)
    spread = np.sqrt(np.maximum(squares - total**2, 0.0))
    return total[0], spread[0]
