"""Four clusters turn into three, seen by two of 600 neurons (neuLVM, Fig. 2D and E).

    python -m latentspike.studies.cluster_transition --jobs 2

One second of the network at 60.32 mV, `--seeds` draws of two neurons, each fitted by neuLVM
(a swarm, and Baum–Viterbi as in the paper) and by the method that takes the smoothed spikes for
the activity. Scored over the whole trial and on both sides of the transition: r with the true
activity; the share of its volleys that are found (a peak within a quarter of a cycle, at least half
as high as the volleys are), and of peaks where no volley is; and the moment of the transition. That
is where a step from four to three fits the ratio of the population's frequency to its neurons' rate
best, in windows of 0.25 s, by the same code for true and inferred activity. Every fit that has
ended is a file: the same command goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from latentspike.compare.jobs import Job, run_jobs
from latentspike.dynamics import Mesoscopic
from latentspike.evaluate import cluster_states
from latentspike.models import Fitted
from latentspike.models.neulvm import Estimation
from latentspike.models.neulvm.first_guess import smoothed_counts
from latentspike.models.neulvm.problem import make_problem
from latentspike.studies.cluster_fits import BIN, SMOOTHING, recording
from latentspike.studies.cluster_states import TRANSITION_AT
from latentspike.studies.cluster_transition_figure import Shown
from latentspike.studies.cluster_transition_figure import draw as draw_shown
from latentspike.studies.cluster_transition_table import OTHER, OURS, show
from latentspike.studies.common import arguments, keep, tabulated

N_NEURONS = 600  # of the network
BEFORE, AFTER = 4, 3  # clusters
WINDOW = 0.25  # s
METHODS = ("particles", "hard")
LABELS = {"particles": "swarm", "hard": "Baum–Viterbi"}
TRUE = "true"


def ratio(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequency of the population over the rate of a neuron, in sliding windows.

    Parameters
    ----------
    counts : [bins], spikes of the whole population per bin

    Returns
    -------
    Middles of the windows in s; ratios, NaN in a silent window; whether a window has a clear order.
    """
    found = cluster_states(counts[None], N_NEURONS, bin_width=BIN, window=WINDOW, step=5 * BIN)
    return found.times, found.ratio[0], found.order[0] > 0


def moment(counts: np.ndarray) -> float | None:
    """When four clusters turn into three, in s; None if they do not.

    The step from four to three that is nearest to the `ratio` of clear windows, by least squares.
    It is no transition if less than half of all windows are clear, or the median ratio is not
    nearer to four before it, and to three after it.

    Parameters
    ----------
    counts : [bins], spikes of the whole population per bin
    """
    times, ratios, is_clear = ratio(counts)
    if is_clear.mean() < 0.5:
        return None
    times, ratios = times[is_clear], ratios[is_clear]
    gain = (ratios - AFTER) ** 2 - (ratios - BEFORE) ** 2  # of taking a window for one of four
    n_before = int(np.argmax(np.concatenate([[0.0], np.cumsum(gain)])))
    if n_before in (0, ratios.size):
        return None
    middle = (BEFORE + AFTER) / 2
    if not np.median(ratios[:n_before]) > middle > np.median(ratios[n_before:]):
        return None
    return float(times[n_before - 1 : n_before + 1].mean())


def peaks(counts: np.ndarray, height: float) -> np.ndarray:
    """Bins of the peaks of smoothed activity that have a height, [peaks]."""
    found, _ = find_peaks(_smooth(counts), height=height, distance=5)
    return found


def volleys(true: np.ndarray, found: np.ndarray, bins: slice) -> dict[str, Any]:
    """Volleys of the true activity that another activity has, too.

    Parameters
    ----------
    true, found : [bins], spikes of the whole population per bin
    bins : the part of the trial that is scored

    Returns
    -------
    ``seen``, for each volley whether there is a peak within a quarter of a cycle; ``extra``, for
    each peak whether there is no volley.
    """
    smooth = _smooth(true)
    height = 0.5 * float(np.median(smooth[peaks(true, 0.5 * smooth.max())]))
    real, other = peaks(true, height), peaks(found, height)
    near = np.abs(real[:, None] - other[None]) <= max(1, np.median(np.diff(real)) // 4)
    return {
        "seen": near[(real >= bins.start) & (real < bins.stop)].any(1).tolist(),
        "extra": (~near[:, (other >= bins.start) & (other < bins.stop)].any(0)).tolist(),
    }


def _smooth(counts: np.ndarray) -> np.ndarray:
    return gaussian_filter1d(np.asarray(counts, float), SMOOTHING / BIN)


def states(true: np.ndarray, at: float) -> dict[str, slice]:
    """Bins of the whole trial and of both states, by name."""
    n = round(at / BIN)
    whole = slice(0, true.size)
    return {
        "whole trial": whole,
        f"{BEFORE} clusters": slice(0, n),
        f"{AFTER} clusters": slice(n, true.size),
    }


def _correlation(activity: np.ndarray, true: np.ndarray) -> float:
    """Pearson's r; 0 of an activity that does not vary."""
    return float(np.corrcoef(activity, true)[0, 1]) if np.ptp(activity) else 0.0


def scores(true: np.ndarray, activities: dict[str, np.ndarray], at: float) -> dict[str, Any]:
    """How activities, by the name of the method, agree with the true one.

    Parameters
    ----------
    true : [bins], spikes of the whole population per bin
    activities : the same, inferred
    at : moment of the true transition, s
    """
    found: dict[str, Any] = {"moment": {name: moment(x) for name, x in activities.items()}}
    for state, bins in states(true, at).items():
        both = {name: volleys(true, x, bins) for name, x in activities.items()}
        missed = ~np.array(both[OTHER]["seen"], bool)
        found[state] = {
            "n_volleys": missed.size,
            "n_missed_by_other": int(missed.sum()),
            "n_of_these_inferred": int((missed & both[OURS]["seen"]).sum()),
            "n_by_chance": _by_chance(true, activities[OURS], bins, missed),
        }
        for name, activity in activities.items():
            found[state][name] = {
                "r": _correlation(activity[bins], true[bins]),
                "share_seen": float(np.mean(both[name]["seen"])),
                "n_extra": int(np.sum(both[name]["extra"])),
            }
    return found


def _by_chance(true: np.ndarray, found: np.ndarray, bins: slice, missed: np.ndarray) -> float:
    """How many missed volleys meet a peak if the inferred activity comes at any other phase."""
    cycle = round(float(np.median(np.diff(peaks(true, 0.5 * _smooth(true).max())))))
    n = [
        (missed & volleys(true, np.roll(found, shift), bins)["seen"]).sum()
        for shift in range(cycle)
    ]
    return float(np.mean(n))


def inferred(job: Job) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """True activity, that of the fit with its spread, and smoothed spikes; each [bins]."""
    fitted = Fitted.load(job.folder / "run")
    data, model = recording(job.settings), fitted.model
    with jax.enable_x64(True):
        system = Mesoscopic.of(model.network, BIN, model.stepping)
        problem = make_problem(model.network, system, model.neurons, data)
        smooth = smoothed_counts(system, problem, SMOOTHING)
    names = ("training_counts", "training_counts_std")
    mean, spread = (np.asarray(fitted.params[name])[0, :, 0] for name in names)
    return data.truth["population_counts"][0, :, 0], mean, spread, smooth[0, :, 0]


def jobs_of(method: str, options: Any) -> list[Job]:
    """A fit for each draw of neurons."""
    own = {"n_particles": options.particles, "n_passes": options.passes}
    if method == METHODS[1]:
        own = {"n_starts": options.starts, "n_iterations": options.iterations}
    settings = {
        "strength": TRANSITION_AT,
        "n_neurons": options.neurons,
        "is_transition": True,
        "duration": 1.0,
        "estimation": {"method": method, "n_draws": options.draws, **own},
        "n_starts_fully_observed": options.fully_observed_starts if method == METHODS[0] else 0,
    }
    function = "latentspike.studies.cluster_fits:run_fit"
    return [
        Job(options.out / f"fits-{method}" / f"{seed}", function, settings | {"seed": seed})
        for seed in range(options.seeds)
    ]


def draw(jobs: Mapping[str, Job], at: float, path: Path) -> None:
    """Activities around the transition, and the ratio that tells it, of one draw of neurons."""
    activities: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
    for method, job in jobs.items():
        true, mean, spread, smooth = inferred(job)
        label = f"{OURS}, {LABELS[method]}"
        activities |= {TRUE: (true, None), OTHER: (smooth, None), label: (mean, spread)}
    hz = 1 / (N_NEURONS * BIN)
    shown = {
        name: Shown(
            hz * counts,
            None if spread is None else hz * spread,
            *ratio(counts)[:2],
            moment=moment(counts),
        )
        for name, (counts, spread) in activities.items()
    }
    draw_shown(shown, at, path, bin_width=BIN, ylim=(AFTER - 2.2, BEFORE + 1.2))


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "cluster_transition")
    usual = Estimation()
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time, one core each")
    parser.add_argument("--starts", type=int, default=usual.n_starts, help="of a fit")
    parser.add_argument("--draws", type=int, default=usual.n_draws, help="of the posterior")
    parser.add_argument("--particles", type=int, default=usual.n_particles, help="of a swarm")
    parser.add_argument("--passes", type=int, default=usual.n_passes, help="of a swarm")
    iterations = usual.n_iterations
    parser.add_argument("--iterations", type=int, default=iterations, help="of Baum–Viterbi")
    parser.add_argument("--neurons", type=int, default=2, help="observed, of 600")
    parser.add_argument("--fully-observed-starts", type=int, default=20, help="paper: 200; 0: none")
    options = parser.parse_args(argv)
    jobs = {method: jobs_of(method, options) for method in options.methods}
    every = [job for group in jobs.values() for job in group]
    print(f"{len(every)} fits, {options.jobs} at a time", flush=True)
    run_jobs(every, n_processes=options.jobs)
    document: dict[str, Any] = {"neurons": options.neurons}
    for method, group in jobs.items():
        document[method] = [_scored(job) for job in group]
        document["moment"] = document[method][0]["true_moment"]
    with tabulated(options.out):
        for method in jobs:
            seen = f"{options.neurons} of {N_NEURONS} neurons"
            show(document[method], f"Activity from {seen}, by draw ({LABELS[method]})")
    first = {method: group[0] for method, group in jobs.items()}
    draw(first, document["moment"], options.out / "transition.png")
    keep(options.out, document)
    return document


def _scored(job: Job) -> dict[str, Any]:
    """What a fit has found, and its scores."""
    true, mean, _, smooth = inferred(job)
    at = moment(true)
    if at is None:  # `transition_trial` has seen one, in other windows
        raise ValueError("the true activity has no transition by the rule of this study")
    found = scores(true, {OURS: mean, OTHER: smooth}, at)
    return {
        "seed": job.settings["seed"],
        "true_moment": at,
        **(job.result() or {}),
        "scores": found,
    }


if __name__ == "__main__":
    main()
