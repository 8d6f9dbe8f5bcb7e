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
from latentspike.models import LFADS, Architecture, Fitted
from latentspike.search import (
    PBT,
    RandomSearch,
    SearchOptions,
    SearchResult,
    SearchSettings,
    Space,
    tune,
)
from latentspike.search.defaults import choose_batch_size
from latentspike.simulate import chaotic_rnn
from latentspike.spikes import SpikeData, Split, split_trials
from latentspike.studies.common import arguments, keep, print_table
from latentspike.studies.synthetic_rnn import best_smoothing
from latentspike.training import RunOptions, TrainingSettings, fit

MODEL = LFADS(
    Architecture(
        generator_size=64, n_factors=20, ic_encoder_size=48, ic_size=32, n_inferred_inputs=4,
        ci_encoder_size=48, controller_size=48,
    )
)  # fmt: skip
FIXED = {
    "kl_ic": 1.0, "kl_co": 1.0, "l2_gen": 2000.0, "l2_con": 0.0, "dropout": 0.05,
    "keep_ratio": 1.0, "learning_rate": 0.01,
}  # fmt: skip
# steps of the optimizer are what members need; epochs of small recordings have fewer
STEPS = 600


def draw_trials(data: SpikeData, share: float, seed: int) -> tuple[SpikeData, Split]:
    """A share of the trials and its division 80/20 into training and validation."""
    n = round(share * data.n_trials)
    chosen = np.sort(np.random.default_rng([seed, n]).choice(data.n_trials, n, replace=False))
    part = data.select_trials(chosen) if share < 1 else data
    return part, split_trials(part, validation_fraction=0.2, seed=seed)


def r2_of(params: Any, test: SpikeData) -> float:
    """R² of the true rates on test trials, from 30 posterior draws."""
    posterior = MODEL.infer(params, test, n_samples=30, key=jax.random.key(0))
    return float(rate_r2(test, posterior).mean)


def run_once(
    data: SpikeData, test: SpikeData, share: float, seed: int, options: Any
) -> dict[str, float]:
    """R² of every method on one draw of trials."""
    part, split = draw_trials(data, share, seed)
    batch_size = choose_batch_size(split.train.size)
    n_steps = -(-split.train.size // batch_size)
    per_generation = max(2, round(options.steps / options.generations / n_steps))
    n_epochs = per_generation * options.generations
    key = jax.random.key(seed)

    def search(name: str, algorithm: Any, space: Space, **changes: Any) -> SearchResult:
        folder = options.out / f"{share:g}-{seed}-{name}"
        own = {"ramp_epochs": max(1, n_epochs // 8), "patience": n_epochs, **changes}
        return tune(
            MODEL,
            part,
            split=split,
            space=space,
            search=SearchSettings(algorithm, options.members, per_generation),
            settings=TrainingSettings(batch_size=batch_size, **own),
            options=SearchOptions(folder=folder, resume=True, show=False),
            key=key,
        )

    table_1 = Space.table_1()
    drawn = table_1.updated({"keep_ratio": {"start": "random"}, "learning_rate": DRAWN_RATE})
    decay = {"decay_factor": 0.9, "decay_patience": max(2, n_epochs // 25)}
    start = time.monotonic()
    pbt = search("pbt", PBT(options.generations, patience=options.generations), table_1)
    middle = time.monotonic()
    random = search("random", RandomSearch(options.generations), drawn, **decay)
    fixed = _fixed(part, split, n_epochs, decay, key)
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
        f"  {split.train.size} training trials, seed {seed}: {text}; {options.members} members "
        f"× {n_epochs} epochs, PBT {middle - start:.0f} s; rest {time.monotonic() - middle:.0f} s",
        flush=True,
    )
    return found


# a rate drawn over all of Table 1's range would waste most members of a random search
DRAWN_RATE = {"start": "random", "low": 1e-3}


def _fixed(part: SpikeData, split: Split, n_epochs: int, decay: Any, key: jax.Array) -> Fitted:
    settings = TrainingSettings(
        max_epochs=n_epochs,
        batch_size=choose_batch_size(split.train.size),
        ramp_epochs=max(1, n_epochs // 8),
        patience=n_epochs,
        **decay,
    )
    return fit(
        MODEL,
        part,
        split=split,
        hyperparams=FIXED,
        settings=settings,
        options=RunOptions(show=False),
        key=key,
    )


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "population_based_training")
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
        print_table(f"R² of the true rates on test trials, {share:.0%} of the trials", rows)
        document[f"{share:g}"] = rows
    sizes = {k: getattr(options, k) for k in ("members", "generations", "steps", "network")}
    keep(options.out, {"r2": document, **sizes})
    return document


if __name__ == "__main__":
    main()
