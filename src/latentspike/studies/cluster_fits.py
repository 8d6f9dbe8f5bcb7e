"""One fit of `latentspike.studies.cluster_states`: a second of a few neurons, one unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from latentspike.dynamics import Mesoscopic, Stepping
from latentspike.evaluate import cluster_states
from latentspike.models import Fitted
from latentspike.models.neulvm import Estimation, NeuLVM
from latentspike.models.neulvm.full_observability import fit_fully_observed
from latentspike.models.neulvm.problem import make_problem
from latentspike.simulate import Asynchronous, Clusters, LIFActivity, cluster_network, lif_network
from latentspike.spikes import SpikeData
from latentspike.training import RunOptions, fit

BIN = 0.001  # s, also the step of the network, as in the paper
RATE = 20.0  # Hz, of the unstable asynchronous start
SMOOTHING = 0.0014  # s, Appendix E
# the network of the paper has Euler steps as wide as a bin: an exact membrane would be another one.
# In a volley neurons fire almost surely: a binomial of the mean has 3 to 10 times their variance
STEPPING = Stepping("euler", "refined", has_old=True, max_age=0.2, start="free")
FOUR_CLUSTERS = Clusters(4, period=0.056)  # at 60.32 mV it decays to three after half a second
_FIRST_PART = 0.4  # s, in which it has to last


def run_network(
    strength: float, duration: float, *, seed: int, n_trials: int = 1, n_clusters: int = 0
) -> LIFActivity:
    """The network of example 5.1 from its asynchronous start, or from four clusters."""
    return lif_network(
        cluster_network(strength),
        duration,
        seed=seed,
        time_step=BIN,
        membrane="euler",
        start=FOUR_CLUSTERS if n_clusters else Asynchronous(RATE),
        n_trials=n_trials,
    )


def transition_trial(strength: float, duration: float) -> LIFActivity:
    """The first trial that is in four clusters at its beginning and in three at its end.

    Raises
    ------
    ValueError : if none of twenty is.
    """
    for seed in range(20):
        activity = run_network(strength, duration, seed=seed, n_clusters=4)
        found = cluster_states(activity.counts(BIN)[..., 0], 600, bin_width=BIN)
        early = found.order[0][found.times < _FIRST_PART]
        if (early == 4).all() and found.order[0, -1] == 3:
            return activity
    raise ValueError(f"no transition from four clusters to three at {strength:g} mV in {duration}")


def recording(settings: dict[str, Any]) -> SpikeData:
    """What one fit sees: another network run for each (or the one transition trial)."""
    strength, duration = settings["strength"], settings["duration"]
    if settings["is_transition"]:
        activity = transition_trial(strength, duration)
    else:
        activity = run_network(strength, duration, seed=settings["seed"])
    return activity.record(settings["n_neurons"], BIN, seed=settings["seed"])


def run_fit(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fit one recording by neuLVM and as if it were fully observed; figures of both."""
    data = recording(settings)
    if data.counts.sum() == 0:
        return {"n_spikes": 0}
    estimation = Estimation(smoothing=SMOOTHING, **settings["estimation"])
    model = NeuLVM(cluster_network(free=True), stepping=STEPPING, estimation=estimation)
    options = RunOptions(folder=folder / "run", resume=True)
    fitted = fit(model, data, options=options, key=jax.random.key(settings["seed"]))
    found = _figures(model, fitted, data)
    if settings["n_starts_fully_observed"]:
        found["fully_observed"] = _fully_observed(model, data, settings)
    return found


def _figures(model: NeuLVM, fitted: Fitted, data: SpikeData) -> dict[str, Any]:
    [parameter] = model.parameters(fitted.params).values()
    true = data.truth["population_counts"]
    r = np.corrcoef(np.ravel(fitted.params["training_counts"]), np.ravel(true))[0, 1]
    return {**parameter, "r": float(r), "n_spikes": int(data.counts.sum())}


def _fully_observed(model: NeuLVM, data: SpikeData, settings: dict[str, Any]) -> float:
    system = Mesoscopic.of(model.network, data.bin_width, model.stepping)
    found = fit_fully_observed(
        system,
        make_problem(model.network, system, model.neurons, data),
        seed=settings["seed"],
        width=SMOOTHING,
        n_starts=settings["n_starts_fully_observed"],
    )
    return float(found.free[0])
