"""One table over every figure: what all of them promise."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from latentspike import plot
from latentspike.evaluate import (
    PopulationLabels,
    find_switches,
    power_spectrum,
    proportion,
)

GALLERY = Path(__file__).parents[2] / "docs" / "gallery.md"


@dataclass(frozen=True)
class Case:
    """Arguments by name ("recording" and "inference" stand for the fixtures), and the panels."""

    function: str
    arguments: dict[str, Any]
    panels: int | None = None  # None: one axes, given as `ax`
    labels: tuple[str, str] = ("", "")
    given: dict[str, Any] = field(default_factory=dict)  # keywords of `add_subplot`

    def __str__(self) -> str:
        return f"{self.function}({', '.join(self.arguments)})"


RNG = np.random.default_rng(3)
BOTH = {"data": "recording", "posterior": "inference"}
HISTORY = {
    "epoch": np.arange(1, 9),
    "train_loss": np.linspace(3, 1, 8),
    "valid_loss": np.linspace(3, 1.5, 8),
    "kl_ic": np.linspace(0, 1, 8),
    "r2": np.linspace(0, 0.8, 8),
    "seconds": np.arange(8.0),
}
ROWS = [
    {"metric": "rates R²", "unit": "", "value": 0.8, "baseline": 0.4, "standard_error": 0.05},
    {"metric": "PSTH R²", "unit": "", "value": None, "note": "no conditions"},
]
COMPARED = {
    "metrics": [{"name": "rates R²", "unit": ""}],
    "models": [
        {
            "model": "lfads",
            "runs": [
                {"scores": [{"metric": "rates R²", "value": 0.7}]},
                {"scores": [{"metric": "rates R²", "value": 0.8}]},
                {"failed": "out of memory"},
            ],
            "summary": {"rates R²": {"mean": 0.75, "standard_error": 0.02}},
        },
        {"model": "neulvm", "runs": [{"failed": "out of memory"}], "summary": {}},
    ],
    "best": {"rates R²": "lfads"},
}
PATHS = np.cumsum(RNG.normal(size=(6, 40, 2)), axis=1)
LINEAGE = [
    {
        "generation": generation,
        "member": member,
        "ancestor": 1 if member == 2 else member,
        "reason": "",
        "score": np.nan if (generation, member) == (1, 2) else 3.0 - generation + member,
        "dropout": 0.1 * member + 0.02 * generation,
        "l2_gen": 10.0 ** (member - generation),
    }
    for generation in range(4)
    for member in range(3)
]
MEMBERS = [
    {"member": i, "score": RNG.uniform(1, 2), "dropout": 0.03 * i, "l2_gen": 10.0 ** (i - 8)}
    for i in range(16)
]
SPECTRUM = power_spectrum(RNG.poisson(0.2, (4, 100, 2)), bin_width=0.01, segment=0.5)
COMPETING = np.where(np.arange(400)[None, :, None] // 200 == [0, 1], 20.0, 5.0)
GROUPED = PopulationLabels(
    np.arange(6), np.arange(6) // 2, RNG.uniform(1, 2, (6, 6)), RNG.uniform(size=6), np.ones(3)
)
CASES = [
    Case("raster", {"data": "recording"}, labels=("time (s)", "neuron")),
    Case("raster", {**BOTH, "trial": 1}, labels=("time (s)", "neuron")),
    Case("raster", {"data": "recording", "rates": "true"}, labels=("time (s)", "neuron")),
    Case("rates", {**BOTH, "neurons": [0, 4]}, panels=2, labels=("time (s)", "rate (Hz)")),
    Case("psths", {**BOTH, "neurons": [0, 1]}, panels=2, labels=("time (s)", "rate (Hz)")),
    Case("factors", {"posterior": "inference"}, labels=("time (s)", "factor (a.u.)")),
    Case(
        "factors",
        {"posterior": "inference", "trials": [2], "conditions": list("aabbcc")},
        labels=("time (s)", "factor (a.u.)"),
    ),
    Case(
        "factors_3d",
        {"posterior": "inference", "conditions": list("aabbcc")},
        labels=("PC 1 ", "PC 2 "),
        given={"projection": "3d"},
    ),
    Case("inferred_inputs", {"posterior": "inference"}, labels=("time (s)", "inferred input")),
    Case(
        "inferred_inputs",
        {"posterior": "inference", "trial": 3},
        labels=("time (s)", "inferred input"),
    ),
    Case("training_curves", {"history": HISTORY, "true_loss": 1.0}, labels=("epoch", "nats")),
    Case("training_curves", {"history": HISTORY, "show": "kl"}, labels=("epoch", "nats")),
    Case("training_curves", {"history": HISTORY, "show": "r2"}, labels=("epoch", "R²")),
    Case("autoencoder_weights", {"weights": RNG.normal(size=(6, 6))}, labels=("input", "output")),
    Case("scores", {"rows": ROWS, "label": "score"}, labels=("score", "")),
    Case("comparison", {"results": COMPARED}, labels=("rates R²", "")),
    Case("decoding", {"behavior": PATHS, "prediction": PATHS + 0.1}, labels=("x (a.u.)", "y (a")),
    Case("search_scores", {"lineage": LINEAGE}, labels=("generation", "lower is better")),
    Case(
        "hyperparameter_trajectories",
        {"lineage": LINEAGE, "name": "l2_gen"},
        labels=("generation", "l2_gen"),
    ),
    Case(
        "all_hyperparameter_trajectories",
        {"lineage": LINEAGE},
        panels=2,
        labels=("generation", ""),
    ),
    Case(
        "loss_against_r2",
        {"groups": {"CD": (RNG.uniform(size=9), RNG.uniform(size=9))}, "true_loss": 0.1},
        labels=("loss", "R²"),
    ),
    Case(
        "hyperparameter_sensitivity",
        {"members": MEMBERS, "name": "dropout"},
        labels=("dropout", "lower is better"),
    ),
    Case(
        "all_hyperparameter_sensitivities",
        {"members": MEMBERS},
        panels=2,
        labels=("l2_gen", "lower is better"),
    ),
    Case(
        "power_spectra",
        {"results": {59.0: SPECTRUM, 60.0: SPECTRUM}, "orders": {59.0: 3, 60.0: 2}},
        labels=("J (mV)", "frequency (Hz)"),
    ),
    Case(
        "switches",
        {"activity": COMPETING, "found": find_switches(COMPETING, bin_width=0.01)},
        labels=("time (s)", "activity (Hz)"),
    ),
    Case(
        "switch_probabilities",
        {"results": {"silent stimulated": {"network": proportion(80, 100)}}},
        labels=("", "probability"),
    ),
    Case(
        "parameters",
        {
            "found": {"J": {"value": 60.0, "low": 55.0, "high": 64.0}},
            "boxes": {"J": (10.0, 110.0)},
            "truth": {"J": 61.0},
        },
        labels=("place in the prior box", ""),
    ),
    Case("distances", {"found": GROUPED}, labels=("population", "")),
    Case(
        "population_stability",
        {"results": [GROUPED]},
        labels=("number of populations", "index"),
    ),
]


@pytest.fixture(params=CASES, ids=str)
def case(request, recording, inference):
    """A case with the fixtures put in, and its fresh axes outside of pyplot."""
    chosen: Case = request.param
    known = {"recording": recording, "inference": inference}
    arguments = {
        name: known[value] if isinstance(value, str) and value in known else value
        for name, value in chosen.arguments.items()
    }
    n_panels = 1 if chosen.panels is None else chosen.panels
    figure = Figure(figsize=(4, 3 * n_panels))
    axes = [figure.add_subplot(n_panels, 1, i + 1, **chosen.given) for i in range(n_panels)]
    target = {"ax": axes[0]} if chosen.panels is None else {"axes": axes}
    return chosen, arguments, target, axes


def pixels(figure: Figure) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


def test_the_table_has_every_figure():
    figures = set(plot.__all__) - {"save"}
    assert {case.function for case in CASES} == figures


def test_it_returns_the_axes_it_was_given(case):
    chosen, arguments, target, axes = case
    returned = getattr(plot, chosen.function)(**arguments, **target)
    assert all(a is b for a, b in zip(np.atleast_1d(returned), axes, strict=True))


def test_it_draws_and_labels(case):
    chosen, arguments, target, axes = case
    empty = pixels(axes[0].figure)
    getattr(plot, chosen.function)(**arguments, **target)
    assert (pixels(axes[0].figure) != empty).any(axis=-1).mean() > 0.01
    for ax in axes:
        assert ax.has_data()
        assert chosen.labels[1] in ax.get_ylabel()
    assert chosen.labels[0] in axes[-1].get_xlabel()


def test_it_opens_no_figure_of_its_own(case):
    chosen, arguments, target, _ = case
    before = plt.get_fignums()
    getattr(plot, chosen.function)(**arguments, **target)
    assert plt.get_fignums() == before


def test_without_axes_it_makes_one_figure(case):
    chosen, arguments, _, _ = case
    before = set(plt.get_fignums())
    returned = np.atleast_1d(getattr(plot, chosen.function)(**arguments))
    (number,) = set(plt.get_fignums()) - before
    figure = plt.figure(number)
    assert all(ax.figure is figure for ax in returned)
    plt.close(figure)


def test_it_changes_no_input(case):
    chosen, arguments, target, _ = case
    before = {name: snapshot(value) for name, value in arguments.items()}
    getattr(plot, chosen.function)(**arguments, **target)
    for name, value in arguments.items():
        np.testing.assert_equal(snapshot(value), before[name])


def snapshot(value: Any) -> Any:
    """Deep copy in terms that `assert_equal` compares by content."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: snapshot(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {key: snapshot(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [snapshot(item) for item in value]
    return copy.deepcopy(value)


def test_the_same_picture_twice(case):
    chosen, arguments, target, axes = case
    getattr(plot, chosen.function)(**arguments, **target)
    first = pixels(axes[0].figure)
    again = Figure(figsize=axes[0].figure.get_size_inches())
    axes = [again.add_subplot(len(axes), 1, i + 1, **chosen.given) for i in range(len(axes))]
    getattr(plot, chosen.function)(
        **arguments, **({"ax": axes[0]} if "ax" in target else {"axes": axes})
    )
    assert np.array_equal(first, pixels(again))


@pytest.mark.parametrize("name", sorted(set(plot.__all__) - {"save"}))
def test_the_gallery_shows_it(name):
    page = GALLERY.read_text(encoding="utf-8")
    assert f"plot.{name}(" in page
    assert inspect.getdoc(getattr(plot, name))


def test_the_pictures_of_the_gallery_are_small():
    page = GALLERY.read_text(encoding="utf-8")
    pictures = sorted(GALLERY.with_suffix("").glob("*.png"))
    assert pictures
    for picture in pictures:
        assert f"gallery/{picture.name}" in page
        assert picture.stat().st_size <= 60_000, f"{picture.name} is over 60 kB"
