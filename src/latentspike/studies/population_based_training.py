"""Population-based training against random search and a fixed setting, with few and many trials.

    python -m latentspike.studies.population_based_training

A chaotic network with known rates, 10 % and 100 % of the trials. PBT and random search train as
many members for as many epochs, with the same ranges (Table 1); each is chosen by the validation
loss. Random search is given its best chance: keep ratio and learning rate are drawn, too, and the
learning rate decays. "Fixed" is one model with the penalties that were published with LFADS
(2018): KL 1, L2 2000 on the generator, dropout 0.05, no coordinated dropout. All of them are
scored on the same test trials, which none of them sees.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np

from latentspike.evaluate import rate_r2
from latentspike.search import Space
from latentspike.simulate import chaotic_rnn
from latentspike.spikes import SpikeData, split_trials
from latentspike.studies.common import (
    arguments,
    keep,
    print_table,
    search_arguments,
    search_executor,
    tabulated,
)
from latentspike.studies.few_trials import SMALL, Draw, Effort, draw_trials
from latentspike.studies.synthetic_rnn import best_smoothing
from latentspike.studies.table_figure import draw_table

# steps of the optimizer are what members need; epochs of small recordings have fewer
STEPS = 600
# a rate drawn over all of Table 1's range would waste most members of a random search
DRAWN_RATE = {"start": "random", "low": 1e-3}


def r2_of(params: Any, test: SpikeData) -> float:
    """R² of the true rates on test trials, from 30 posterior draws."""
    posterior = SMALL.infer(params, test, n_samples=30, key=jax.random.key(0))
    return float(rate_r2(test, posterior).mean)


def run_once(
    data: SpikeData, test: SpikeData, share: float, seed: int, options: Any
) -> dict[str, float]:
    """R² of every method on one draw of trials."""
    effort = Effort(options.steps, options.generations, options.members)
    part, split = draw_trials(data, share, seed)
    folder = options.out / f"{share:g}-{seed}"
    draw = Draw(part, split, seed, effort, folder, executor=search_executor(options))
    table_1 = Space.table_1()
    drawn = table_1.updated({"keep_ratio": {"start": "random"}, "learning_rate": DRAWN_RATE})
    start = time.monotonic()
    pbt = draw.pbt()
    middle = time.monotonic()
    random = draw.random(drawn)
    fixed = draw.fixed()
    every = [r2_of(random.params_of(row["member"]), test) for row in random.members]
    chosen = int(np.argmin([row["score"] for row in random.members]))
    found = {
        "PBT": r2_of(pbt.best.params, test),
        "random search: chosen by validation loss": every[chosen],
        "random search: median member": float(np.median(every)),
        "random search: best member, if one knew the truth": max(every),
        "fixed setting": r2_of(fixed.params, test),
        "best Gaussian smoothing, if one knew the truth": best_smoothing(test)[0],
    }
    text = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    print(
        f"  {draw.n_train} training trials, seed {seed}: {text}; {options.members} members "
        f"× {effort.all_epochs(draw.n_train)} epochs, PBT {middle - start:.0f} s; rest "
        f"{time.monotonic() - middle:.0f} s",
        flush=True,
    )
    return found


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "population_based_training")
    search_arguments(parser)
    parser.add_argument("--members", type=int, default=12)
    parser.add_argument("--generations", type=int, default=12)
    parser.add_argument("--steps", type=int, default=STEPS, help="of the optimizer, per member")
    parser.add_argument("--conditions", type=int, default=40, help="of 10 trials each")
    parser.add_argument("--network", type=int, default=1, help="seed of the simulated network")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 1.0])
    options = parser.parse_args(argv)
    whole = chaotic_rnn(n_conditions=options.conditions, seed=options.network)
    test_split = split_trials(whole, validation_fraction=0.2, seed=0)
    data, test = test_split.select(whole)
    print(f"{data}; {test.n_trials} test trials", flush=True)
    document: dict[str, Any] = {}
    for share in options.shares:
        rows: dict[str, list[float]] = {}
        for seed in range(options.seeds):
            for name, value in run_once(data, test, share, seed, options).items():
                rows.setdefault(name, []).append(value)
        document[f"{share:g}"] = rows
    with tabulated(options.out):
        for share, rows in document.items():
            title = "R² of the true rates on test trials"
            print_table(f"{title}, learned from {float(share):.0%} of the others", rows)
    panels = {f"{float(share):.0%} of the trials": rows for share, rows in document.items()}
    draw_table(panels, "R² of the true rates", options.out / "r2.png")
    sizes = {k: getattr(options, k) for k in ("members", "generations", "steps", "network")}
    keep(options.out, {"r2": document, **sizes})
    return document


if __name__ == "__main__":
    main()
