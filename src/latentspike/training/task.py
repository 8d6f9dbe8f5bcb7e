"""A task to learn: a model, the trials it trains and validates on, and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from latentspike.models.protocol import GradientModel
from latentspike.spikes import SpikeData
from latentspike.training.epoch import Program
from latentspike.training.settings import TRAINING_HYPERPARAMS, TrainingSettings
from latentspike.training.trials import Constants, Reading, Trials, put_trials


@dataclass(frozen=True, eq=False)
class Task:
    """What one fit, or every member of a search, has to learn.

    Parameters
    ----------
    model : to train
    train, validation : trials
    settings : of training
    sample_mask : bool [trials, bins, neurons], training entries held out by sample validation
    """

    model: GradientModel
    train: SpikeData
    validation: SpikeData
    settings: TrainingSettings
    sample_mask: np.ndarray | None = None

    @property
    def reading(self) -> Reading:
        """Which entries the model may read."""
        return Reading.of(self.train, self.settings.sample_validation)

    @property
    def known_hyperparams(self) -> dict[str, float]:
        """All hyperparameters of training and model, with their defaults."""
        return TRAINING_HYPERPARAMS | self.model.default_hyperparams()

    @cached_property
    def constants(self) -> tuple[Constants, Constants]:
        """Parts of the losses that depend on the counts alone, of training and validation."""
        observation = self.model.observation
        return (
            Constants.of(self.train, self.sample_mask, observation),
            Constants.of(self.validation, None, observation),
        )

    def program(self, n_devices: int) -> Program:
        """What is compiled, for batches shared by so many devices."""
        return Program(
            model=self.model,
            reading=self.reading,
            batch_size=self.settings.batch_size,
            clip_norm=self.settings.clip_norm,
            n_devices=n_devices,
        )

    def trials(self) -> tuple[Trials, Trials]:
        """Training and validation trials as arrays."""
        return put_trials(self.train, self.sample_mask), put_trials(self.validation)
