"""Estimation in steps: rows, checkpoints, exact resume, interruption; with a model of one line."""

import math
import signal
from dataclasses import dataclass

import jax
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.files import load_arrays
from latentspike.models.fitted import Fitted
from latentspike.models.protocol import EstimatedModel, GradientModel, SteppedModel
from latentspike.models.registry import MODELS
from latentspike.spikes import Split
from latentspike.training import NonFiniteLossError, RunOptions, fit

PREPARED = []  # recordings that a model has prepared


@dataclass(frozen=True)
class Walk:
    """A random walk; its row is where it stands."""

    n_steps: int = 4
    last: int = 99
    breaks: float = math.inf

    def init(self, spec, *, key):
        return {"position": np.zeros(2)}

    def infer(self, params, data, *, n_samples, key):
        raise NotImplementedError

    def prepare(self, data):
        PREPARED.append(data)
        if data.n_neurons == 1:
            raise ValueError("one neuron is not enough")
        return data.counts.mean()

    def begin(self, params, prepared, *, key):
        key = np.asarray(jax.random.key_data(key))
        return {"step": np.array(0), "key": key, "position": params["position"] + prepared}

    def advance(self, state, prepared):
        step = int(state["step"])
        rng = np.random.default_rng([*state["key"].tolist(), step])
        position = state["position"] + prepared * rng.normal(size=2)
        value = position[0] if step < self.breaks else math.nan
        return state | {"position": position, "step": np.array(step + 1)}, {"height": value}

    def is_finished(self, state):
        return int(state["step"]) >= min(self.n_steps, self.last)

    def finish(self, params, state, prepared):
        return {"position": state["position"]}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(MODELS, "walk", Walk)
    PREPARED.clear()


def recording(n_trials=1, n_neurons=2):
    return SpikeData(np.random.default_rng(n_trials).poisson(1, (n_trials, 5, n_neurons)), 0.01)


def walk(folder=None, *, model=None, data=None, seed=0, split=None, **options):
    options = RunOptions(folder, **{"show": False} | options)
    data = recording() if data is None else data
    return fit(model or Walk(), data, split=split, options=options, key=jax.random.key(seed))


def interrupt_in(step, how):
    def monitor(state, at):
        if at == step:
            how()
        return {}

    return monitor


def test_it_is_a_model_of_the_third_kind():
    assert isinstance(Walk(), SteppedModel)
    assert not isinstance(Walk(), GradientModel) and not isinstance(Walk(), EstimatedModel)


def test_every_step_leaves_a_row(tmp_path):
    seen = []
    watch = lambda state, step: seen.append((step, int(state["step"]))) or {"twice": 2 * step}  # noqa: E731
    fitted = walk(tmp_path, monitor=watch)
    assert [row["step"] for row in fitted.history] == [0, 1, 2, 3]
    assert [row["twice"] for row in fitted.history] == [0, 2, 4, 6]
    assert seen == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert fitted.history[-1]["height"] == fitted.params["position"][0]
    assert fitted.about["n_steps"] == 4 and fitted.about["stopped"] == "finished after 4 steps"
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0] == "step,height,twice" and len(lines) == 5
    assert any((tmp_path / "tensorboard").iterdir())
    assert len(PREPARED) == 1  # not again in each step


def test_progress_is_shown_in_lines(capsys):
    walk(show=True)
    text = capsys.readouterr().err
    assert text.startswith("step 1/4  height ") and "s left" in text


def test_a_step_that_finishes_early_has_converged():
    fitted = walk(model=Walk(last=2))
    assert len(fitted.history) == 2 and fitted.about["stopped"] == "converged after 2 steps"


def test_interrupted_and_resumed_equals_uninterrupted_steps(tmp_path, same, capsys):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background

    def stop():
        signal.raise_signal(signal.SIGINT)

    whole = walk(tmp_path / "whole")
    for step in (1, 1, 3):  # the first two lose the second step
        with pytest.raises(KeyboardInterrupt):
            walk(tmp_path / "parts", resume=True, monitor=interrupt_in(step, stop), show=True)
        _, header = load_arrays(tmp_path / "parts" / "checkpoint.npz")
        assert len(header["progress"]["history"]) == step
        assert f"stopped after step {step}; resume to continue" in capsys.readouterr().err
    assert not (tmp_path / "parts" / "model.npz").exists()
    resumed = walk(tmp_path / "parts", resume=True)
    assert resumed.history == whole.history and resumed.about == whole.about
    same(resumed.params, whole.params)
    (a, header_a), (b, header_b) = (
        load_arrays(tmp_path / folder / "checkpoint.npz") for folder in ("whole", "parts")
    )
    same(a, b)
    assert header_a == header_b
    same(Fitted.load(tmp_path / "parts").params, Fitted.load(tmp_path / "whole").params)


def test_a_finished_estimation_makes_no_more_steps(tmp_path, same):
    first = walk(tmp_path)
    steps = []
    again = walk(tmp_path, resume=True, monitor=lambda state, step: steps.append(step) or {})
    assert steps == [] and again.history == first.history
    same(again.params, first.params)


def test_the_start_is_kept_too(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        walk(tmp_path, monitor=lambda state, step: (_ for _ in ()).throw(KeyboardInterrupt))
    _, header = load_arrays(tmp_path / "checkpoint.npz")
    assert header["progress"]["history"] == []


def test_all_trials_are_used_unless_a_split_is_given(same):
    data = recording(n_trials=6)
    split = Split(np.arange(2, 6), np.arange(2))
    walk(data=data)
    on_some = walk(data=data, split=split)
    assert [part.n_trials for part in PREPARED] == [6, 4]
    same(on_some.params, walk(data=data.select_trials(split.train)).params)


def test_a_figure_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(NonFiniteLossError, match="height is not finite in step 3"):
        walk(tmp_path, model=Walk(breaks=2))
    _, header = load_arrays(tmp_path / "checkpoint.npz")
    assert len(header["progress"]["history"]) == 2


def test_a_folder_with_steps_is_not_overwritten(tmp_path):
    walk(tmp_path)
    before = (tmp_path / "checkpoint.npz").read_bytes()
    with pytest.raises(FileExistsError, match="already holds a run; resume it"):
        walk(tmp_path)
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


@pytest.mark.parametrize(
    "name, change",
    [
        ("model", {"model": Walk(n_steps=7)}),
        ("data", {"data": recording(n_trials=2)}),
        ("key", {"seed": 1}),
    ],
)
def test_steps_of_another_run_say_what_differs(name, change, tmp_path):
    walk(tmp_path)
    with pytest.raises(ValueError, match=rf"belongs to another run: {name}\S* was"):
        walk(tmp_path, resume=True, **change)


def test_what_the_model_cannot_use_is_refused_before_the_first_step():
    with pytest.raises(ValueError, match="one neuron is not enough"):
        walk(data=recording(n_neurons=1))
    with pytest.raises(ValueError, match="Walk is not learned by gradient"):
        fit(Walk(), recording(), hyperparams={"l2": 1.0}, key=jax.random.key(0))
    with pytest.raises(ValueError, match="not a single observed spike"):
        walk(data=SpikeData(np.zeros((1, 5, 2), int), 0.01))
