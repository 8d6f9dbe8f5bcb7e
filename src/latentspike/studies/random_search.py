"""200 models with random hyperparameters: what validation sees (paper Figs. 1b–c, 4).

    python -m latentspike.studies.random_search            # scaled to two cores
    python -m latentspike.studies.random_search --full     # 3 × 200 models, 3200 training trials

The same draws of five hyperparameters (KL and L2 penalties, dropout) three times on one chaotic
network: (a) plain, (b) with sample validation, (c) with coordinated dropout. Each model keeps the
epoch that its own selection loss likes best. The table has the rank correlation between that loss
and the R² of the true rates. Three plain models are drawn with their rates: underfit is the one
with the highest loss, overfit the one with the lowest, well fit the one with the best R².
"""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np
from scipy.stats import spearmanr

from latentspike.evaluate import rate_r2
from latentspike.models import LFADS, Architecture
from latentspike.search import (
    RandomSearch,
    SearchOptions,
    SearchResult,
    SearchSettings,
    Space,
    tune,
)
from latentspike.search.defaults import seconds_per_generation
from latentspike.simulate import chaotic_rnn
from latentspike.spikes import SpikeData, Split, split_trials
from latentspike.studies.common import (
    arguments,
    keep,
    print_table,
    search_arguments,
    search_executor,
    tabulated,
)
from latentspike.studies.random_search_figures import draw_losses, draw_traces
from latentspike.studies.synthetic_rnn import true_loss
from latentspike.training import TrainingSettings
from latentspike.training.fit import make_task

PLAIN, SAMPLE, DROPOUT = "(a) plain", "(b) sample validation", "(c) coordinated dropout"
KEEP_RATIO = {PLAIN: 1.0, SAMPLE: 1.0, DROPOUT: 0.7}
SMALL = Architecture(
    generator_size=64, n_factors=20, ic_encoder_size=48, ic_size=32, n_inferred_inputs=4,
    ci_encoder_size=48, controller_size=48,
)  # fmt: skip
UNDERFIT, WELL_FIT, OVERFIT = "underfit", "well fit", "overfit"
FULL = Architecture()  # the paper's sizes: generator 100, encoders and controller 64


def space(arm: str) -> Space:
    """Table 1's ranges of the five hyperparameters of Figs. 1b and 4; the others fixed."""
    fixed = {"keep_ratio": KEEP_RATIO[arm], "learning_rate": 4e-3}
    return Space.table_1().updated(fixed)


def settings(arm: str, options: Any) -> TrainingSettings:
    """Of training: alike in all arms but for the entries that sample validation holds out."""
    return TrainingSettings(
        batch_size=128 if options.full else 40,
        ramp_epochs=options.epochs // 8,
        patience=options.epochs,
        decay_factor=0.9,
        decay_patience=6,
        sample_validation=0.2 if arm == SAMPLE else 0.0,
        select="sample_validation" if arm == SAMPLE else "validation",
    )


def scores(result: SearchResult, model: LFADS, validation: SpikeData) -> tuple[list, list]:
    """Selection loss and R² of the true rates on validation trials, for every member."""
    losses, r2 = [], []
    for row in result.members:
        params = result.params_of(row["member"])
        means = model.infer(params, validation, n_samples=0, key=jax.random.key(0))
        losses.append(row["score"])
        r2.append(float(rate_r2(validation, means).mean))
    return losses, r2


def estimate(data: SpikeData, split: Split, model: LFADS, options: Any) -> float:
    """Seconds for all arms, from two measured epochs."""
    task, _ = make_task(model, data, split, settings(PLAIN, options), key=jax.random.key(0))
    return len(KEEP_RATIO) * seconds_per_generation(task, options.members, options.epochs)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "random_search", seeds=1)
    search_arguments(parser)
    parser.add_argument("--full", action="store_true", help="the paper's size")
    parser.add_argument("--estimate", action="store_true", help="only say how long it would take")
    parser.add_argument("--members", type=int, default=None)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--conditions", type=int, default=None, help="of 10 trials each")
    parser.add_argument("--network", type=int, default=1, help="seed of the simulated network")
    options = parser.parse_args(argv)
    options.members = options.members or (200 if options.full else 16)
    options.epochs = options.epochs or (150 if options.full else 80)
    options.conditions = options.conditions or (400 if options.full else 25)
    data = chaotic_rnn(n_conditions=options.conditions, seed=options.network)
    split = split_trials(data, validation_fraction=0.2, seed=0)
    validation = data.select_trials(split.validation)
    limit = true_loss(validation)
    model = LFADS(FULL if options.full else SMALL)
    print(f"{data}; true rates' loss {limit:.0f} nats per trial", flush=True)
    seconds = estimate(data, split, model, options)
    print(
        f"{len(KEEP_RATIO)} × {options.members} models, {options.epochs} epochs: about "
        f"{options.seeds * seconds / 60:.0f} min on this machine",
        flush=True,
    )
    if options.estimate:
        return {"estimated_seconds": options.seeds * seconds}
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in KEEP_RATIO}
    for seed in range(options.seeds):
        for arm in KEEP_RATIO:
            row = _run(arm, data, split, model, seed, options)
            found[arm].append(row)
            _say(arm, row, limit if arm != SAMPLE else None)
        pairs = {arm: (rows[seed]["losses"], rows[seed]["r2"]) for arm, rows in found.items()}
        draw_losses(pairs, limit, options.out / f"loss_against_r2_{seed}.png", apart=SAMPLE)
    with tabulated(options.out):
        show(found, limit)
    document = {"arms": found, "true_loss": limit, "network": options.network}
    sizes = {k: getattr(options, k) for k in ("members", "epochs", "conditions")}
    keep(options.out, document | sizes)
    return document


def _run(
    arm: str, data: SpikeData, split: Split, model: LFADS, seed: int, options: Any
) -> dict[str, Any]:
    start = time.monotonic()
    folder = options.out / f"seed-{seed}" / arm[1]
    n_parts = 4  # checkpoints
    result = tune(
        model,
        data,
        split=split,
        space=space(arm),
        search=SearchSettings(
            RandomSearch(n_parts), options.members, -(-options.epochs // n_parts)
        ),
        settings=settings(arm, options),
        options=SearchOptions(folder, resume=True, executor=search_executor(options)),
        key=jax.random.key(seed),
    )
    validation = data.select_trials(split.validation)
    losses, r2 = scores(result, model, validation)
    chosen = examples(losses, r2) if arm == PLAIN else {}
    for row in chosen.values():
        params = result.params_of(result.members[int(row["model"])]["member"])
        row["roughness"] = roughness(model, params, validation)
    if chosen:
        draw_traces(chosen, result, model, validation, options.out / f"example_rates_{seed}.png")
    correlation = float(np.asarray(spearmanr(losses, r2))[0])
    return {
        "losses": losses,
        "r2": r2,
        "rank_correlation": correlation,
        "seconds": time.monotonic() - start,
        "members": result.members,
        "examples": chosen,
    }


def examples(losses: list[float], r2: list[float]) -> dict[str, dict[str, float]]:
    """Which models stand for underfit, well fit and overfit, with their loss and R².

    Parameters
    ----------
    losses, r2 : of each model [models]

    Returns
    -------
    By name; ``model`` is the place in the lists.

    Examples
    --------
    >>> found = examples([30.0, 20.0, 10.0], [0.1, 0.6, -1.0])
    >>> [(name, row["model"]) for name, row in found.items()]
    [('underfit', 0), ('well fit', 1), ('overfit', 2)]
    """
    places = {
        UNDERFIT: int(np.argmax(losses)),
        WELL_FIT: int(np.argmax(r2)),
        OVERFIT: int(np.argmin(losses)),
    }
    return {
        name: {"model": place, "loss": losses[place], "r2": r2[place]}
        for name, place in places.items()
    }


def roughness(model: LFADS, params: Any, data: SpikeData) -> float:
    """Mean change of inferred rates from bin to bin, relative to that of the true rates."""
    inferred = model.infer(params, data, n_samples=0, key=jax.random.key(0)).rates
    true = data.truth["rates"]
    return float(np.abs(np.diff(inferred, axis=1)).mean() / np.abs(np.diff(true, axis=1)).mean())


def _say(arm: str, row: dict[str, Any], limit: float | None) -> None:
    losses, r2 = np.array(row["losses"]), np.array(row["r2"])
    best = int(losses.argmin())
    line = (
        f"{arm}: rank correlation {row['rank_correlation']:+.2f} ({len(r2)} models); the one with "
        f"the lowest loss ({losses[best]:.1f}) has R² {r2[best]:.3f}; best R² {r2.max():.3f}, "
        f"worst {r2.min():.3f}"
    )
    if limit is not None:
        below = losses < limit
        line += f"; {below.sum()} below the true rates' loss"
        line += f" (mean R² {r2[below].mean():.2f})" if below.any() else ""
    print(f"{line}; {row['seconds']:.0f} s", flush=True)


def show(found: dict[str, list[dict[str, Any]]], limit: float) -> None:
    """Table: rank correlations over seeds, and models below the loss of the true rates.

    Parameters
    ----------
    found : by arm, a row for each seed, as ``results.json`` has them
    limit : loss of the true rates, nats per trial
    """
    n = len(found[PLAIN][0]["r2"])
    print_table(
        f"Rank correlation of selection loss and R² of the true rates, {n} models, by seed",
        {arm: [row["rank_correlation"] for row in rows] for arm, rows in found.items()},
    )
    print_table(
        "R² of the model with the lowest selection loss, by seed",
        {
            arm: [row["r2"][int(np.argmin(row["losses"]))] for row in rows]
            for arm, rows in found.items()
        },
    )
    print(f"\nModels with a loss below that of the true rates, {limit:.1f} nats per trial")
    for arm in (PLAIN, DROPOUT):  # the loss of sample validation is one of fewer entries
        losses, r2 = (np.concatenate([row[key] for row in found[arm]]) for key in ("losses", "r2"))
        below = losses < limit
        mean = f", their mean R² {r2[below].mean():.3f}" if below.any() else ""
        print(f"  {arm:{len(DROPOUT)}s}  {below.sum()} of {below.size}{mean}")


if __name__ == "__main__":
    main()
