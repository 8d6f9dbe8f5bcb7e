"""Hand velocity decoded from LFADS trained with few and many trials (paper Fig. 5).

    python -m latentspike.studies.reaching                          # simulated, two cores
    python -m latentspike.studies.reaching --full --recording mc_maze

Three methods: spikes smoothed with a Gaussian of 60 ms, LFADS with a fixed setting, and LFADS with
hyperparameters found by population-based training in the ranges of Table 1. 5, 10, 20 and 100 % of
the trials, of which 80 % train and 20 % validate; so many draws of trials (--seeds) for all shares
but 100 %, which there is once. A fifth of all trials is set aside before: on it everything is
decoded, by optimal linear estimation with five folds, so that shares differ in nothing but the
model. Without --full the sizes are those of a laptop: bins of 20 ms instead of 2, 100 neurons
instead of 150, 1200 simulated trials instead of 2304, 8 members with 600 steps of the optimizer
instead of 20 with 3000, 2 draws instead of 7. monkey_m1 has 96 trials and bins of 50 ms: its shares
are 20, 50 and 100 %, and the decoder is a ridge regression on the last 10 bins.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from latentspike.evaluate import rate_r2
from latentspike.models import LFADS, Architecture
from latentspike.spikes import SpikeData
from latentspike.studies.common import (
    arguments,
    keep,
    search_arguments,
    search_executor,
    tabulated,
)
from latentspike.studies.few_trials import SMALL, Draw, Effort, draw_trials
from latentspike.studies.reaching_figures import draw_paths, draw_r2, mean_se
from latentspike.studies.reaching_recordings import NAMES, Reaches, load

PBT, FIXED = "PBT", "fixed setting"
SMOOTHING = "smoothing, 60 ms"
TUNED = "smoothing, best width on the test trials"
TRUTH = "true rates"
PAPER_WIDTH = 0.06  # s
WIDTHS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15)
_LAPTOP = {"bin_width": 0.02, "neurons": 100, "trials": 50, "members": 8, "generations": 15,
           "steps": 600, "seeds": 2}  # fmt: skip
_FULL = {"bin_width": 0.002, "neurons": 150, "trials": 96, "members": 20, "generations": 30,
         "steps": 3000, "seeds": 7}  # fmt: skip


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    options = _parsed(argv)
    sizes = {"n_neurons": options.neurons}
    if options.recording == "simulated":
        sizes |= {"n_trials_per_condition": options.trials, "seed": options.world}
    reaches = load(options.recording, options.file, bin_width=options.bin_width, sizes=sizes)
    options.shares = options.shares or reaches.shares
    train, test = reaches.divided()
    print(f"{train}; {test.n_trials} test trials", flush=True)
    if options.full or options.estimate:
        seconds = estimate(train, options)
        print(f"about {seconds / 3600:.1f} h on this machine", flush=True)
        if options.estimate:
            return {"estimated_seconds": seconds}
    document = _baselines(reaches, test, options.widths) | _sizes(options)
    velocity: dict[str, list[dict[str, np.ndarray]]] = {}
    for share in options.shares:
        found = [_run(reaches, draw, test) for draw in _draws(train, share, options)]
        document["n_trials"][f"{share:g}"] = round(share * train.n_trials)
        for name in found[0][0]:
            kept = [row[name] for row, _ in found]
            document[name][f"{share:g}"] = {m: [r[m] for r in kept] for m in kept[0]}
        velocity[f"{share:g}"] = [decoded for _, decoded in found]
        document["improvement"][f"{share:g}"] = _improvement(document, f"{share:g}")
    with tabulated(options.out):
        show(document)
    draw_r2(document, SMOOTHING, options.out / "r2_against_trials.png")
    _draw_median(document, velocity, test, options)
    keep(options.out, document)
    return document


def estimate(train: SpikeData, options: Any) -> float:
    """Seconds for all shares and draws, from two measured epochs of each share."""
    total = 0.0
    for share in options.shares:
        draws = list(_draws(train, share, options))
        own = draws[0].pbt_seconds()
        total += len(draws) * own * (1 + 1 / options.members)  # the fixed setting is one more
    return total


def _parsed(argv: list[str] | None) -> Any:
    parser = arguments(__doc__ or "", "reaching")
    search_arguments(parser)
    parser.set_defaults(seeds=None)
    parser.add_argument("--recording", choices=NAMES, default=NAMES[0])
    parser.add_argument("--file", help="of MC_Maze, if LATENTSPIKE_MC_MAZE does not name it")
    parser.add_argument("--full", action="store_true", help="the paper's size")
    parser.add_argument("--estimate", action="store_true", help="only say how long it would take")
    parser.add_argument("--shares", type=float, nargs="+", help="of the trials")
    parser.add_argument("--bin-width", type=float, help="seconds, a multiple of 2 ms")
    parser.add_argument("--neurons", type=int, help="recorded or drawn")
    parser.add_argument("--trials", type=int, help="simulated, for each of 24 conditions")
    parser.add_argument("--world", type=int, default=0, help="seed of the simulated population")
    parser.add_argument("--widths", type=float, nargs="+", default=WIDTHS, help="s, of smoothing")
    parser.add_argument("--members", type=int, help="of PBT")
    parser.add_argument("--generations", type=int, help="of PBT")
    parser.add_argument("--steps", type=int, help="of the optimizer, for each model")
    options = parser.parse_args(argv)
    for name, value in (_FULL if options.full else _LAPTOP).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _sizes(options: Any) -> dict[str, Any]:
    names = ("recording", *_LAPTOP)
    empty = {name: {} for name in ("velocity_r2", "rate_r2", "improvement", "n_trials")}
    return empty | {name: getattr(options, name) for name in names}


def _draws(train: SpikeData, share: float, options: Any) -> Iterator[Draw]:
    """Trials for each of the draws; of all trials there is one."""
    effort = Effort(options.steps, options.generations, options.members)
    model = LFADS(Architecture()) if options.full else SMALL
    for seed in range(1 if share >= 1 else options.seeds):
        part, split = draw_trials(train.replace(behavior={}), share, seed)
        folder = options.out / f"{share:g}-{seed}"
        yield Draw(part, split, seed, effort, folder, model, search_executor(options))


def _baselines(reaches: Reaches, test: SpikeData, widths: Sequence[float]) -> dict[str, Any]:
    """R² of velocity [x, y] without a model: the same for all shares."""
    smoothed = {width: reaches.smoothed(test, width) for width in {*widths, PAPER_WIDTH}}
    best = max(sorted(smoothed), key=lambda width: smoothed[width].mean())
    found = {SMOOTHING: smoothed[PAPER_WIDTH], TUNED: smoothed[best]}
    if "rates" in test.truth:
        found[TRUTH] = reaches.velocity(test.truth["rates"], test).r2
    for name, r2 in found.items():
        print(f"  {name}: R² {r2[0]:.3f} (x), {r2[1]:.3f} (y)", flush=True)
    rows = {name: [float(value) for value in r2] for name, r2 in found.items()}
    return {"baselines": rows, "best_width": best}


def _run(
    reaches: Reaches, draw: Draw, test: SpikeData
) -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray]]:
    """R² of velocity and, where they are known, of rates by both methods; decoded velocity."""
    start = time.monotonic()
    fitted = {FIXED: draw.fixed()}
    middle = time.monotonic()
    fitted[PBT] = draw.pbt().best
    end = time.monotonic()
    rows: dict[str, dict[str, Any]] = {"velocity_r2": {}, "rate_r2": {}}
    velocity = {}
    for method, model in fitted.items():
        posterior = model.infer(test, n_samples=30, key=jax.random.key(0))
        decoded = reaches.velocity(posterior.rates, test)
        velocity[method] = decoded.predictions
        rows["velocity_r2"][method] = [float(value) for value in decoded.r2]
        if "rates" in test.truth:
            rows["rate_r2"][method] = float(rate_r2(test, posterior).mean)
    r2 = ", ".join(f"{m} {np.mean(value):.3f}" for m, value in rows["velocity_r2"].items())
    print(
        f"  {draw.n_train} training trials, draw {draw.seed}: velocity R² {r2}; "
        f"{middle - start:.0f} s and {end - middle:.0f} s",
        flush=True,
    )
    return rows, velocity


def _improvement(document: dict[str, Any], share: str) -> list[float | None]:
    """Of R² by PBT over the fixed setting, in percent, for each draw; x and y averaged before.

    None where R² is not positive: there is no percentage of it.
    """
    rows = document["velocity_r2"][share]
    pairs = zip(*(np.mean(rows[method], axis=1) for method in (PBT, FIXED)), strict=True)
    return [float(100 * (pbt / fixed - 1)) if fixed > 0 else None for pbt, fixed in pairs]


def show(document: dict[str, Any]) -> None:
    """Table: R² without a model, and of every share by both methods, as in ``results.json``."""
    width = f"{1000 * document['best_width']:.0f} ms"
    print(f"\nVelocity R² on the test trials without a model, {document['recording']}")
    for name, (x, y) in document["baselines"].items():
        text = f"{name} ({width})" if name == TUNED else name
        print(f"  {text:{len(TUNED) + 9}s} x {x:.3f}, y {y:.3f}")
    for share in document["velocity_r2"]:
        _show_share(document, share)


def _show_share(document: dict[str, Any], share: str) -> None:
    n_trials = document["n_trials"][share]
    print(f"\n{float(share):.0%}: {n_trials} trials, velocity R² ± s.e. over draws")
    for method, values in document["velocity_r2"][share].items():
        x, y = (_with_error(each) for each in np.transpose(values))
        text = f"x {x}, y {y} (n = {len(values)})"
        if method in document["rate_r2"][share]:
            text += f"; R² of the rates {_with_error(document['rate_r2'][share][method])}"
        print(f"  {method:14s} {text}")
    known = [value for value in document["improvement"][share] if value is not None]
    if known:
        print(f"  improvement by PBT {_with_error(known, '+.1f')} % (n = {len(known)})")


def _with_error(values: Sequence[float] | np.ndarray, form: str = ".3f") -> str:
    """Mean ± standard error; one draw has none."""
    mean, error = mean_se(values)
    return f"{mean:{form}}" + (f" ± {error:{form.lstrip('+')}}" if len(values) > 1 else "")


def _draw_median(
    document: dict[str, Any],
    velocity: dict[str, list[dict[str, np.ndarray]]],
    test: SpikeData,
    options: Any,
) -> None:
    """Paths at the second smallest share, of the draw whose fixed setting is the median one."""
    share = sorted(velocity, key=float)[min(1, len(velocity) - 1)]
    r2 = document["velocity_r2"][share]
    order = np.argsort(np.mean(r2[FIXED], axis=1))
    draw = int(order[(order.size - 1) // 2])
    n_train = round(0.8 * document["n_trials"][share])
    titles = {
        method: f"{method}, {n_train} training trials: R² {np.mean(values[draw]):.2f}"
        for method, values in r2.items()
    }
    draw_paths(test, velocity[share][draw], titles, options.out / "paths.png")


if __name__ == "__main__":
    main()
