"""What a search chooses when it is told nothing."""

import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.search import defaults
from latentspike.training import TrainingSettings
from latentspike.training.task import Task


def recording(n_trials, n_neurons, n_heldout=0, kind="counts"):
    counts = np.ones((n_trials, 4, n_neurons))
    heldout = np.arange(n_neurons) < n_heldout
    return SpikeData(
        counts.astype(int) if kind == "counts" else counts, 0.01, heldout=heldout, kind=kind
    )


@pytest.mark.parametrize(
    ("n_trials", "n_neurons", "generator"),
    [(1000, 30, 64), (96, 71, 64), (800, 50, 100), (800, 200, 200), (800, 1, 64)],
)
def test_networks_grow_with_the_recording(n_trials, n_neurons, generator):
    architecture = defaults.choose_model(recording(n_trials, n_neurons)).architecture
    assert architecture.generator_size == generator
    assert architecture.has_controller
    assert architecture.n_factors <= max(4, n_neurons)


def test_only_held_in_neurons_count():
    assert defaults.choose_model(recording(800, 60, 20)).architecture.generator_size == 64


def test_values_are_gaussian():
    assert defaults.choose_model(recording(9, 5, kind="continuous")).observation == "gaussian"


@pytest.mark.parametrize("n_train", [8, 50, 77, 320, 810, 10_000])
def test_an_epoch_has_five_steps_and_a_generation_enough(n_train):
    settings = defaults.choose_training(n_train, TrainingSettings(ramp_epochs=7))
    assert settings.ramp_epochs == 7
    assert settings.decay_factor < 1
    n_steps = -(-n_train // settings.batch_size)
    assert n_steps >= min(5, n_train // 8)
    epochs = defaults.choose_epochs(n_train, settings.batch_size)
    assert 5 <= epochs <= 40
    assert epochs * n_steps >= 130 or epochs == 40


def task():
    values = np.random.default_rng(0).normal(size=(40, 3, 5))
    data = SpikeData(values, 0.1, kind="continuous")
    train, validation = data.select_trials(slice(0, 32)), data.select_trials(slice(32, 40))
    return Task(LinearAutoencoder(), train, validation, TrainingSettings(batch_size=8))


def test_a_search_fits_the_time():
    longest, seconds = defaults.choose_generations(task(), 12, 33, minutes=1e4)
    shortest, _ = defaults.choose_generations(task(), 12, 33, minutes=1e-6)
    assert seconds > 0
    assert longest == 24
    assert shortest == 6


def test_shorter_generations_may_be_more():
    assert defaults.choose_epochs(32, 8) == 33
    assert defaults.choose_generations(task(), 2, 11, minutes=1e4)[0] == 3 * 24
