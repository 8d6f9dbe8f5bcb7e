"""What a search does when it is told nothing: sizes from the data, budget from the machine."""

from __future__ import annotations

import dataclasses
import time

import jax
import numpy as np

from latentspike.models.lfads import LFADS, Architecture
from latentspike.search.local import LocalExecutor
from latentspike.search.member import Order
from latentspike.spikes import SpikeData
from latentspike.training.progress import Progress
from latentspike.training.settings import TrainingSettings
from latentspike.training.task import Task

# steps of the optimizer between two decisions of the algorithm: fewer, and scores are noise
STEPS_PER_GENERATION = 130
FEWEST_MEMBERS, MOST_MEMBERS = 12, 32
FEWEST_GENERATIONS, MOST_GENERATIONS = 6, 24


def choose_model(data: SpikeData) -> LFADS:
    """An input-driven LFADS of a size that suits the recording.

    The paper's networks (100 units in the generator, 20 factors, 4 inferred inputs) for 50 neurons
    or more, smaller ones for smaller recordings, larger ones above 150 neurons.

    Examples
    --------
    >>> data = SpikeData(np.ones((10, 4, 30), int), bin_width=0.01)
    >>> choose_model(data).architecture.generator_size
    64
    """
    n_neurons = int((~data.heldout).sum())
    if n_neurons < 50 or data.n_trials < 200:
        sizes = Architecture(
            generator_size=64,
            n_factors=int(np.clip(n_neurons * 4 // 5, 4, 16)),
            ic_encoder_size=48,
            ic_size=32,
            ci_encoder_size=48,
            controller_size=48,
        )
    elif n_neurons < 150:
        sizes = Architecture()
    else:
        sizes = Architecture(
            generator_size=200,
            n_factors=40,
            ic_encoder_size=128,
            ci_encoder_size=128,
            controller_size=128,
        )
    observation = "poisson" if data.kind == "counts" else "gaussian"
    return LFADS(dataclasses.replace(sizes, observation=observation))


def choose_batch_size(n_train: int) -> int:
    """Trials per step: at least five steps in an epoch, where there are enough trials."""
    return int(np.clip(n_train // 5, 8, 64))


def choose_training(n_train: int, settings: TrainingSettings) -> TrainingSettings:
    """Batches for the recording, and decay of the learning rate.

    The learning rate of a lineage decays where its loss no longer falls, as LFADS is always
    trained: the search's own perturbations are too slow to anneal it.

    Parameters
    ----------
    n_train : training trials
    settings : the rest of the settings
    """
    batch_size = int(np.clip(n_train // 5, 8, 64))
    return dataclasses.replace(settings, batch_size=batch_size, decay_factor=0.9, decay_patience=6)


def choose_epochs(n_train: int, batch_size: int) -> int:
    """Epochs per generation, so that members have moved when they are compared.

    Examples
    --------
    >>> choose_epochs(n_train=810, batch_size=64), choose_epochs(n_train=77, batch_size=15)
    (10, 22)
    """
    return int(np.clip(-(-STEPS_PER_GENERATION // -(-n_train // batch_size)), 5, 40))


def choose_warmup(ramp_epochs: int, epochs_per_generation: int, max_generations: int) -> int:
    """Generations without exploit: while the penalties rise, scores say little about their values.

    No more than a third of the search.

    Examples
    --------
    >>> choose_warmup(20, 10, max_generations=24), choose_warmup(20, 2, max_generations=6)
    (2, 2)
    """
    return min(-(-ramp_epochs // epochs_per_generation), max_generations // 3)


def choose_n_members() -> int:
    """Members for this machine: a multiple of its devices, so that none is idle."""
    devices = jax.local_devices()
    if devices[0].platform != "cpu":
        return MOST_MEMBERS
    n = len(devices)
    return int(np.clip(-(-FEWEST_MEMBERS // n) * n, FEWEST_MEMBERS, MOST_MEMBERS))


def seconds_per_generation(task: Task, n_members: int, epochs_per_generation: int) -> float:
    """Time of a generation on this machine, from the second of two measured epochs.

    The first of them compiles the program that the search then uses.

    Parameters
    ----------
    task : that the members learn
    n_members, epochs_per_generation : of the search
    """
    settings = dataclasses.replace(task.settings, max_epochs=10, patience=10)
    task = dataclasses.replace(task, settings=settings)
    executor = LocalExecutor(task, key=jax.random.key(0), n_members=n_members)
    n = min(n_members, executor.layout.n_slots)
    if executor.layout.kind == "map":  # one after another: one per device tells enough
        n = min(n, executor.layout.n_devices)
    orders = [Order(i, i, task.known_hyperparams, Progress()) for i in range(n)]
    elapsed = 0.0
    for _ in range(2):
        started = time.monotonic()
        executor.train(orders, generation=0, n_epochs=1)
        elapsed = time.monotonic() - started
    return elapsed * -(-n_members // n) * epochs_per_generation


def choose_generations(
    task: Task, n_members: int, epochs_per_generation: int, *, minutes: float
) -> tuple[int, float]:
    """Generations that fit into a time on this machine, by a measurement.

    Parameters
    ----------
    task : that the members learn
    n_members, epochs_per_generation : of the search
    minutes : that it may take; early stop may end it sooner

    Returns
    -------
    n_generations : no fewer than make a search, no more than are of use
    seconds : of one of them
    """
    seconds = seconds_per_generation(task, n_members, epochs_per_generation)
    usual = choose_epochs(task.train.n_trials, task.settings.batch_size)
    most = -(-MOST_GENERATIONS * usual // epochs_per_generation)
    fit = int(60 * minutes / seconds)
    return int(np.clip(fit, FEWEST_GENERATIONS, most)), seconds
