"""Draw every figure of `latentspike.plot` and write docs/gallery.md around them.

Run with ``make gallery``. The recording and the "results" are arrays made up below (the truth plus
errors of a plausible size): they show the figures, they are no results of a fit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from latentspike import Posterior, SpikeData, plot
from latentspike.evaluate import (
    find_switches,
    power_spectrum,
    proportion,
    stability_against_number,
)
from latentspike.files import atomic_path

HERE = Path(__file__).parent
DIRECTIONS = ["right", "up", "left", "down"]

# Name of the picture, what it shows, the line of code that draws it (run below, so it works).
FIGURES = [
    ("raster", "Spikes of one trial over the inferred rates. Neurons are sorted by the time of "
     "their peak; dashed: from here on the model predicted without reading.",
     "plot.raster(data, posterior, trial=2, order=by_peak, max_rate=60)"),
    ("raster_true", "The same trial over the true rates, on the same color scale.",
     'plot.raster(data, trial=2, rates="true", order=by_peak, max_rate=60)'),
    ("rates", "True (black) and inferred (blue, ± posterior s.d.) rates, spikes underneath.",
     "plot.rates(data, posterior, trial=2, neurons=[3, 11, 20])"),
    ("psths", "Smoothed spikes (thin, ± s.e. over trials) against mean inferred rates (thick).",
     "plot.psths(data, posterior, neurons=[3, 11, 20])"),
    ("factors", "Factors of single trials over time, colored by condition.",
     "plot.factors(posterior, trials=some, conditions=data.conditions)"),
    ("factors_3d", "First three principal components of the factors; dots mark the start.",
     "plot.factors_3d(posterior, data.conditions, trials=some)"),
    ("inferred_inputs", "Inferred inputs, mean and s.d. over trials.",
     "plot.inferred_inputs(posterior)"),
    ("training_loss", "Training curves, with the loss of the true rates as the floor.",
     "plot.training_curves(history, true_loss=96)"),
    ("training_r2", "Agreement with the true rates over the same run.",
     'plot.training_curves(history, show="r2")'),
    ("autoencoder_weights", "Weights of a linear autoencoder: the diagonal copies noise.",
     "plot.autoencoder_weights(weights)"),
    ("scores", "Scores with standard errors, each beside its baseline.",
     "plot.scores(rows)"),
    ("comparison", "Models on the same test trials: a dot for each seed, their mean with its "
     "standard error over trials. One model failed. Made-up scores.",
     'plot.comparison(compared, metric="co-smoothing bits per spike")'),
    ("decoding", "Decoded (solid) against measured (dashed) hand position.",
     'plot.decoding(hand, decoded, trials=some, conditions=data.conditions, '
     'labels=("x (cm)", "y (cm)"))'),
    ("search_scores", "A search of 16 members: scores over generations, the winning lineage thick. "
     "Simulated toy search.",
     "plot.search_scores(lineage, top=4)"),
    ("hyperparameter_trajectories", "Values of one hyperparameter; color: whose weights of the "
     "first generation they go with. Simulated toy search.",
     'plot.hyperparameter_trajectories(early, "learning_rate")'),
    ("all_hyperparameter_trajectories", "The same for every hyperparameter that varies. Simulated "
     "toy search.",
     "plot.all_hyperparameter_trajectories(lineage)"),
    ("loss_against_r2", "Can a search trust its loss? R² of rates against loss, 200 members a "
     "group. Simulated toy numbers.",
     'plot.loss_against_r2(groups, true_loss=101, label="selection loss (nats per trial)")'),
    ("hyperparameter_sensitivity", "Score of 200 members against a hyperparameter, with a running "
     "median. Simulated toy search.",
     'plot.hyperparameter_sensitivity(members, "learning_rate")'),
    ("all_hyperparameter_sensitivities", "The same for every hyperparameter that varies. Simulated "
     "toy search.",
     "plot.all_hyperparameter_sensitivities(members)"),
    ("power_spectra", "Power spectra of spike trains against a parameter, with the order of the "
     "cluster state. Trains are made up: neurons fire in every m-th cycle.",
     "plot.power_spectra(by_strength, orders=orders, max_frequency=250)"),
    ("switches", "Activity of two competing populations and of a third. Triangles: switches, in "
     "the color of the new winner. Made-up activity.",
     'plot.switches(competing, found, names=["E1", "E2", "I"])'),
    ("switch_probabilities", "Probabilities with 95 % binomial intervals. Made-up counts.",
     "plot.switch_probabilities(pulses)"),
    ("distances", "Van Rossum distances between neurons, ordered by the populations found. Made-up "
     "spike trains.",
     "plot.distances(populations[1])"),
    ("population_stability", "How many populations? Stability between halves of the recording, and "
     "silhouette.",
     "plot.population_stability(populations)"),
    ("parameters", "Fitted parameters within their prior boxes: the recording settles the first, "
     "says nothing about the last. Made-up intervals.",
     "plot.parameters(fitted, boxes, truth=truth)"),
]  # fmt: skip


def made_up(seed: int = 7) -> dict[str, Any]:
    """Arrays of a reaching task: names as the lines of code above use them."""
    rng = np.random.default_rng(seed)
    conditions = np.repeat(np.arange(4), 40)
    times = -0.2 + (np.arange(100) + 0.5) * 0.01
    latents = _latents(conditions, times, rng)
    loadings = rng.normal(size=(3, 30)) * 0.5
    true_rates = np.minimum(14 * np.exp(latents @ loadings), 90)
    wobble = gaussian_filter1d(rng.normal(size=true_rates.shape), 6, axis=1, mode="nearest")
    hand = _reach(conditions, times, rng)
    lineage = _toy_lineage(np.random.default_rng(seed))
    data = SpikeData(
        rng.poisson(true_rates * 0.01), bin_width=0.01, t_start=-0.2, n_forward_bins=15,
        conditions=np.array(DIRECTIONS)[conditions], truth={"rates": true_rates},
    )  # fmt: skip
    posterior = Posterior(
        rates=true_rates * np.exp(0.6 * wobble), rates_std=0.16 * true_rates + 0.8,
        bin_width=0.01, t_start=-0.2, trial_ids=data.trial_ids, neuron_ids=data.neuron_ids,
        factors=_rotated(latents, rng), inferred_inputs=_inputs(conditions, times, rng),
    )  # fmt: skip
    return {
        "plot": plot, "data": data, "posterior": posterior,
        "some": range(0, 160, 8),
        "by_peak": np.argsort(posterior.rates[2].argmax(axis=0)),
        "history": _history(rng), "weights": _weights(rng), "rows": _rows(), "hand": hand,
        "compared": _compared(), "lineage": lineage,
        "early": [row for row in lineage if row["generation"] < 6],
        "members": _toy_members(np.random.default_rng(seed)),
        "groups": _toy_groups(np.random.default_rng(seed)),
        **_toy_populations(np.random.default_rng(seed)), **_toy_parameters(),
        "decoded": hand + 0.5 * gaussian_filter1d(rng.normal(size=hand.shape), 12, axis=1) * 5,
    }  # fmt: skip


def _walk(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    steps = rng.normal(size=shape)
    return gaussian_filter1d(np.cumsum(steps, axis=1) * 0.1, 5, axis=1)


def _latents(conditions: np.ndarray, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A push in the condition's direction that turns into a rotation, [trials, bins, 3]."""
    angle = conditions[:, None] * np.pi / 2
    late = 0.02 * rng.normal(size=(conditions.size, 1))
    since = times - late
    on = 1 / (1 + np.exp(-(since - 0.08) / 0.03))
    strength = 2.2 * on * np.exp(-np.maximum(since - 0.08, 0) / 0.45)
    phase = angle + 10 * np.maximum(since - 0.08, 0)
    turning = [strength * np.cos(phase), strength * np.sin(phase)]
    latents = np.stack([*turning, strength * np.cos(angle + 1) - 0.3], axis=2)
    return latents + 0.05 * _walk(rng, latents.shape)


def _rotated(latents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Six factors that mix the three latents, with small errors of their own."""
    mixed = latents @ rng.normal(size=(3, 6))
    return mixed + 0.25 * gaussian_filter1d(rng.normal(size=mixed.shape), 4, axis=1)


def _reach(conditions: np.ndarray, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hand position in cm [trials, bins, 2]: out to a target, a little bent."""
    angle = conditions[:, None] * np.pi / 2 + 0.08 * rng.normal(size=(conditions.size, 1))
    way = 8 / (1 + np.exp(-(times - 0.3) / 0.06))
    bend = 0.4 * rng.normal(size=(conditions.size, 1)) * np.sin(np.pi * way / 8)
    return np.stack(
        [way * np.cos(angle) - bend * np.sin(angle), way * np.sin(angle) + bend * np.cos(angle)],
        axis=2,
    )


def _inputs(conditions: np.ndarray, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    pulse = np.exp(-0.5 * ((times - 0.08) / 0.035) ** 2)
    second = -0.5 * np.exp(-0.5 * ((times - 0.35) / 0.07) ** 2)
    inputs = np.stack([pulse, second], axis=1)[None].repeat(conditions.size, axis=0)
    size = 1 + 0.2 * rng.normal(size=(conditions.size, 1, 1))
    return size * inputs + 0.25 * gaussian_filter1d(rng.normal(size=inputs.shape), 3, axis=1)


def _history(rng: np.random.Generator) -> dict[str, np.ndarray]:
    epoch = np.arange(1, 201)
    fall = 18 * np.exp(-epoch / 22)
    valid = 97.2 + fall + 0.25 * rng.normal(size=epoch.size)
    return {
        "epoch": epoch,
        "train_loss": 96.4 + fall * 1.02 - 0.003 * epoch + 0.12 * rng.normal(size=epoch.size),
        "valid_loss": valid,
        "valid_loss_smoothed": gaussian_filter1d(valid, 5),
        "r2": 0.9 * (1 - np.exp(-epoch / 30)) + 0.006 * rng.normal(size=epoch.size),
    }


def _weights(rng: np.random.Generator) -> np.ndarray:
    basis = np.linalg.qr(rng.normal(size=(40, 5)))[0]
    return 0.3 * np.eye(40) + basis @ basis.T + 0.02 * rng.normal(size=(40, 40))


def _rows() -> list[dict[str, Any]]:
    return [
        {"metric": "co-smoothing bits per spike", "unit": "bits/spike", "value": 0.23,
         "standard_error": 0.012, "baseline": 0.14, "baseline_standard_error": 0.009},
        {"metric": "PSTH R²", "unit": "", "value": 0.81, "baseline": 0.62},
        {"metric": "hand velocity R²", "unit": "", "value": 0.87, "baseline": 0.74},
    ]  # fmt: skip


def _compared() -> dict[str, Any]:
    """Four models of three seeds; one of them failed."""
    name = "co-smoothing bits per spike"
    scored = {"lfads": (0.24, 0.26, 0.25), "plds": (0.21, 0.21, 0.22), "smoothing": (0.14,)}
    rows = [
        {"model": model, "runs": [{"scores": [{"metric": name, "value": v}]} for v in values],
         "summary": {name: {"mean": float(np.mean(values)), "standard_error": 0.012}}}
        for model, values in scored.items()
    ]  # fmt: skip
    rows.append({"model": "neulvm", "runs": [{"failed": "out of memory"}], "summary": {}})
    metrics = [{"name": name, "unit": "bits/spike"}]
    return {"metrics": metrics, "models": rows, "best": {name: "lfads"}}


def _toy_scores(values: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Where a toy model's loss ends and how fast it gets there, [members] each."""
    rate = np.log10(values["learning_rate"]) + 3
    end = 1 + 2 * (values["dropout"] - 0.25) ** 2 + 0.05 * np.log10(values["l2_gen"]) ** 2
    return end + 0.1 * rate**2, 0.02 + 0.4 * np.exp(-2 * rate**2)


def _toy_start(n_members: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "learning_rate": 10 ** rng.uniform(-4.5, -1.8, n_members),
        "dropout": rng.uniform(0, 0.7, n_members),
        "l2_gen": 10 ** rng.uniform(-3, 3, n_members),
    }


def _toy_lineage(rng: np.random.Generator, n_members: int = 16) -> list[dict[str, Any]]:
    """Rows of 20 generations: the worst quarter takes weights over from the best quarter."""
    values, state, rows = _toy_start(n_members, rng), np.full(n_members, 6.0), []
    quarter = n_members // 4
    for generation in range(20):
        end, speed = _toy_scores(values)
        state = state + (end - state) * speed
        scores = state + 0.03 * rng.normal(size=n_members)
        if generation == 2:
            scores[5] = np.nan
        order, ancestors = np.argsort(scores), np.arange(n_members)
        ancestors[order[-quarter:]] = rng.choice(order[:quarter], quarter)
        rows += [
            {"generation": generation, "member": i, "ancestor": int(ancestors[i]), "reason": "",
             "score": scores[i], **{name: column[i] for name, column in values.items()}}
            for i in range(n_members)
        ]  # fmt: skip
        moved = ancestors != np.arange(n_members)
        factors = {name: np.where(moved, rng.uniform(0.6, 1.6, n_members), 1) for name in values}
        values = {name: column[ancestors] * factors[name] for name, column in values.items()}
        values["dropout"] = np.minimum(values["dropout"], 0.7)
        state = state[ancestors]
    return rows


def _toy_members(rng: np.random.Generator) -> list[dict[str, Any]]:
    values = _toy_start(200, rng)
    scores = _toy_scores(values)[0] + np.abs(0.1 * rng.normal(size=200))
    scores[values["learning_rate"] > 0.011] = np.nan
    columns = {"score": scores, **values}
    return [
        {"member": i, **{name: column[i] for name, column in columns.items()}} for i in range(200)
    ]


def _toy_groups(rng: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Without coordinated dropout low losses are of models that copy spikes."""
    copying = rng.uniform(size=200)
    r2 = 0.9 - 4.8 * np.abs(copying - 0.45) ** 1.5 + 0.05 * rng.normal(size=200)
    groups = {"no CD": (110 - 15 * copying + 0.6 * rng.normal(size=200), r2)}
    for name, offset, spread in (("CD", 112, 0.4), ("sample validation", 113, 0.9)):
        r2 = 0.9 * rng.beta(4, 1.2, 200)
        groups[name] = (offset - 12 * r2 + spread * rng.normal(size=200), r2)
    return groups


def _toy_populations(rng: np.random.Generator) -> dict[str, Any]:
    """Cluster states, and two populations that win in turn beside one with a constant rate."""
    orders = {59.0: 3, 60.0: 2, 61.0: 2, 62.0: 2, 63.0: 2, 64.0: 1, 65.0: 1}
    winner = np.repeat([0, 1, 0, 1, 0], [620, 480, 250, 700, 450])
    pair = np.where(winner[:, None] == [0, 1], 20.0, 5.0)
    rates = np.concatenate([pair, np.full((2500, 1), 25.0)], axis=1)
    sizes = np.array([400, 400, 200])
    competing = rng.poisson(rates * 0.004 * sizes)[None] / sizes / 0.004
    trains = rng.poisson(rates[:, np.repeat([0, 1, 2], [10, 9, 6])] * 0.004, (4, 2500, 25))
    counts = {("active", 0): 31, ("active", 1): 26, ("silent", 0): 84, ("silent", 1): 79}
    return {
        "orders": orders,
        "by_strength": {
            strength: power_spectrum(
                _cycles(order, 70 + 1.5 * (strength - 59), rng), bin_width=0.001, segment=0.5
            )
            for strength, order in orders.items()
        },
        "competing": competing,
        "found": find_switches(competing, bin_width=0.004, names=["E1", "E2", "I"]),
        "populations": stability_against_number(SpikeData(trains, bin_width=0.004), seed=0),
        "pulses": {
            f"{kind}\nstimulated": {
                source: proportion(counts[kind, place], 100)
                for place, source in enumerate(["network", "fitted model"])
            }
            for kind in ("active", "silent")
        },
    }  # fmt: skip


def _toy_parameters() -> dict[str, Any]:
    """Values, boxes and truth of the parameters of a population."""
    columns = {
        "E → E": (9.6, 8.9, 10.3, 4.0, 20.0, 10.0),
        "E.membrane_time": (0.022, 0.018, 0.027, 0.008, 0.04, 0.02),
        "E.resting": (15.1, 9.8, 20.9, 5.8, 28.8, 14.4),
        "E.threshold": (4.2, 1.7, 7.1, 1.5, 7.4, 3.7),
    }
    names = ("value", "low", "high")
    return {
        "fitted": {k: dict(zip(names, row[:3], strict=True)) for k, row in columns.items()},
        "boxes": {k: row[3:5] for k, row in columns.items()},
        "truth": {k: row[5] for k, row in columns.items()},
    }


def _cycles(order: int, frequency: float, rng: np.random.Generator) -> np.ndarray:
    """Twenty neurons over 5 s in bins of 1 ms [1, bins, neurons], each in every m-th cycle."""
    counts = np.zeros((1, 5000, 20), int)
    for neuron in range(20):
        drift = np.cumsum(0.0004 * rng.normal(size=5 * 100))
        cycles = np.arange(neuron % order, int(4.9 * frequency), order)
        times = cycles / frequency + 0.0012 * rng.normal(size=cycles.size) + drift[: cycles.size]
        counts[0, np.clip(times * 1000, 0, 4999).astype(int), neuron] = 1
    return counts


def page() -> str:
    """The text of docs/gallery.md."""
    lines = [
        "# Gallery", "",
        "<!-- Written by docs/gallery/make.py (`make gallery`); change it there. -->", "",
        "One function per figure. Each draws into the axes it is given (`ax=` or `axes=`), or "
        "into a new figure, and returns the axes; `plot.save(ax, 'figure.pdf')` writes PNG, SVG "
        "or PDF.", "",
        "The pictures below are drawn from arrays made up in [make.py](gallery/make.py), to show "
        "the figures: they are no results of a fit.",
    ]  # fmt: skip
    for name, caption, code in FIGURES:
        lines += ["", f"## {name}", "", caption, "", "```python", code, "```", ""]
        lines += [f"![{caption}](gallery/{name}.png)"]
    return "\n".join(lines) + "\n"


def shrink(picture: Path) -> None:
    """Keep 256 colors: the repository carries these files."""
    with Image.open(picture) as image:
        small = image.convert("RGB").quantize(256, method=Image.Quantize.FASTOCTREE)
    with atomic_path(picture) as temporary:
        small.save(temporary, format="png", optimize=True)


def main() -> None:
    """Draw all pictures and write the page."""
    mpl.use("Agg")
    world = made_up()
    for name, _, code in FIGURES:
        picture = plot.save(eval(code, dict(world)), HERE / f"{name}.png", dpi=130)
        shrink(picture)
        plt.close("all")
    HERE.with_suffix(".md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
