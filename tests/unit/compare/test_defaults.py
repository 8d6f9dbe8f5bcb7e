"""What each model is given where nothing is said."""

import dataclasses
import sys

import numpy as np
import pytest

from latentspike.compare import defaults
from latentspike.compare.settings import check_models
from latentspike.models.neulvm import NeuLVM
from latentspike.spikes import SpikeData


def settled(name, data, **tables):
    return defaults.settle(check_models({name: tables})[name], data)


@pytest.fixture
def taking_turns(rng):
    """Two groups of four neurons that fire in turn, in 24 trials of 1 s at 5 ms; one is silent."""
    phase = np.arange(200) // 50 % 2 == 0
    rates = np.where(phase[:, None] == np.repeat([True, False], 4), 30.0, 2.0)
    rates = np.append(rates, np.zeros((200, 1)), axis=1)
    counts = rng.random((24, 200, 9)) < rates * 0.005
    return SpikeData(counts.astype(int), 0.005, heldout=np.arange(9) == 3)


def test_the_width_of_smoothing_is_chosen_or_given(recording):
    chosen = settled("smoothing", recording)
    assert chosen.notes == (chosen.model.label,)
    given = settled("smoothing", recording, model={"width": 0.123})
    assert given.model.width == 0.123 and given.notes == ()


def test_lfads_has_the_size_of_the_recording_and_what_is_given(recording):
    few = settled("lfads", recording)
    assert few.model.architecture.n_factors == 4 and few.n_samples == 50
    assert few.training.batch_size == 8 and few.training.decay_factor == 0.9
    more = settled(
        "lfads",
        recording,
        model={"architecture": {"n_factors": 3}},
        training={"max_epochs": 7},
        hyperparams={"keep_ratio": 0.9},
        samples=2,
    )
    assert more.model.architecture.n_factors == 3 and more.model.architecture.generator_size == 64
    assert more.training.max_epochs == 7 and more.training.decay_factor == 0.9
    assert more.hyperparams == {"keep_ratio": 0.9} and more.n_samples == 2


def test_neulvm_gets_the_populations_of_the_recording(taking_turns):
    pytest.importorskip("elephant")
    found = settled("neulvm", taking_turns)
    assert isinstance(found.model, NeuLVM)
    assert list(found.model.neurons.values()) == [(0, 1, 2, 3, 8), (4, 5, 6, 7)]
    assert len(found.model.network.free) == 2 * 3 + 4
    assert found.n_trials == 20
    assert found.notes == ("fitted to 20 trials", "2 populations")
    found.model.prepare(taking_turns)
    quick = defaults.reader(found.model, check_models(["neulvm"])["neulvm"])
    assert quick.estimation.n_warmup < found.model.estimation.n_warmup


def test_noise_is_one_population(rng):
    pytest.importorskip("elephant")
    counts = (rng.random((20, 100, 6)) < 0.05).astype(int)
    inputs = rng.normal(size=(20, 100, 2))
    found = settled("neulvm", SpikeData(counts, 0.005, inputs=inputs))
    assert list(found.model.neurons) == ["population 1"]
    assert list(found.model.network.inputs) == ["input 1", "input 2"]


def test_too_few_held_in_neurons_join_the_nearest():
    labels, heldin = np.array([0, 0, 1, 2, 2]), np.array([True, True, True, True, True])
    place = np.array([0.0, 0.1, 4.0, 5.0, 5.1])
    distance = np.abs(place[:, None] - place)
    assert defaults._joined(labels, distance, heldin).tolist() == [0, 0, 1, 1, 1]
    heldin[3:] = False
    assert defaults._joined(labels, distance, heldin).tolist() == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(("n_double", "n_left"), [(0, 0), (3, 3), (30, 0)])
def test_few_second_spikes_are_left_out_for_neulvm_alone(n_double, n_left):
    counts = np.zeros((1, 100, 1), int)
    counts[0, :60, 0] = 1
    counts[0, :n_double, 0] = 2
    data = SpikeData(counts, 0.01)
    test = data.replace(counts=2 * np.ones((1, 100, 1), int))
    found, read, notes = defaults.suited("neulvm", data, test)
    assert data.counts.sum() - found.counts.sum() == n_left
    assert bool(notes) == bool(n_left)
    # what is done to test trials follows from the training trials
    assert read.counts.max() == (2 if n_double == 30 else 1)
    if n_left:
        assert notes[0].startswith("reads one spike per bin at most: 4.8 % of spikes left out")
    assert defaults.suited("lfads", data, test)[:2] == (data, test)


def test_a_missing_library_names_its_extra(monkeypatch, taking_turns):
    monkeypatch.setitem(sys.modules, "elephant.spike_train_dissimilarity", None)
    with pytest.raises(ImportError, match=r"latentspike\[populations\]"):
        settled("neulvm", taking_turns)
    plain = defaults.with_extra("glm", ImportError("No module named 'nemos'"))
    assert "pip install 'latentspike[glm]'" in str(plain)
    assert str(defaults.with_extra("lfads", ImportError("No module named 'x'"))) == (
        "No module named 'x'"
    )


def test_only_what_was_fitted_is_a_parameter(taking_turns):
    network = {"populations": {"E": {"size": 50, "membrane_time": {"low": 0.01, "high": 0.1},
               "resting": 14.0, "threshold": 11.0}}}  # fmt: skip
    found = settled("neulvm", taking_turns, model={"network": network})
    assert found.notes == ("fitted to 20 trials",)
    params = {"free": np.zeros(1), "draws": np.zeros((50, 1)), "rate": np.ones(1)}
    assert defaults.n_parameters("neulvm", params) == 1
    nested = {"a": {"b": np.ones((2, 3))}, "conditions": np.ones(4)}
    assert defaults.n_parameters("smoothing", nested) == 10
    assert defaults.n_parameters("psth", nested) == 6


def test_linear_models_have_as_many_latents_as_the_recording_bears(monkeypatch, recording):
    @dataclasses.dataclass(frozen=True)
    class Linear:
        n_latents: int = 99

    monkeypatch.setitem(defaults.MODELS, "plds", Linear)
    assert settled("plds", recording).model == Linear(2)
    assert settled("plds", recording, model={"n_latents": 4}).model == Linear(4)
    many = SpikeData(np.ones((2, 3, 100), int), 0.01)
    assert settled("plds", many).notes == ("10 latents",)
