"""How long and how a model is trained; nothing here is searched by value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Selection = Literal["auto", "validation", "heldout", "sample_validation"]

# scalars of training that a search may vary; a model adds its own (`default_hyperparams`)
TRAINING_HYPERPARAMS: dict[str, float] = {"learning_rate": 4e-3, "keep_ratio": 0.7}


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of `fit`.

    Parameters
    ----------
    max_epochs : passes over the training trials
    batch_size : trials per step (spread evenly, so the actual batches may be a little smaller)
    ramp_epochs : epochs over which the KL and L2 penalties rise linearly to their value
    clip_norm : bound on the norm of the gradient
    sample_validation : share of entries held out for the whole run; 0 switches it off
    validation_fraction : share of trials to validate on, where the data come without a split
    smoothing : weight of the newest validation loss in the exponential average
    select : loss to keep the best parameters by. "auto": held-out neurons or bins if there are
        any, else the sample-validation loss if it is on, else the validation loss
    patience : epochs without improvement before training stops; counted after the ramp
    min_improvement : relative improvement that counts
    decay_factor, decay_patience : multiply the learning rate by the factor after so many epochs
        without improvement; 1 switches it off
    min_learning_rate : training stops when decay would go below it
    checkpoint_seconds : least time between two checkpoints

    Raises
    ------
    ValueError
        Naming the setting that is out of range.
    """

    max_epochs: int = 300
    batch_size: int = 64
    ramp_epochs: int = 20
    clip_norm: float = 200.0
    sample_validation: float = 0.0
    validation_fraction: float = 0.2
    smoothing: float = 0.7
    select: Selection = "auto"
    patience: int = 60
    min_improvement: float = 1e-4
    decay_factor: float = 1.0
    decay_patience: int = 10
    min_learning_rate: float = 1e-5
    checkpoint_seconds: float = 20.0

    def __post_init__(self) -> None:
        for name in ("max_epochs", "batch_size", "patience", "decay_patience"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("ramp_epochs", self.ramp_epochs >= 0, "0 or more")
        self._require("clip_norm", self.clip_norm > 0, "positive")
        self._require("sample_validation", 0 <= self.sample_validation < 1, "in [0, 1)")
        self._require("validation_fraction", 0 < self.validation_fraction < 1, "in (0, 1)")
        self._require("smoothing", 0 < self.smoothing <= 1, "in (0, 1]")
        for name in ("min_improvement", "min_learning_rate", "checkpoint_seconds"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        self._require("decay_factor", 0 < self.decay_factor <= 1, "in (0, 1]")
        known = ("auto", "validation", "heldout", "sample_validation")
        self._require("select", self.select in known, f"one of {', '.join(known)}")

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {what}, got {getattr(self, name)!r}")


def check_hyperparams(given: dict[str, float], known: dict[str, float]) -> dict[str, float]:
    """Defaults updated by the given values; an unknown name or a value out of range raises."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(
            f"unknown hyperparameter {unknown[0]!r}; known: {', '.join(sorted(known))}"
        )
    values = {name: float(value) for name, value in (known | given).items()}
    for name, value in values.items():
        inside, what = {
            "keep_ratio": (0 < value <= 1, "in (0, 1]"),
            "dropout": (0 <= value < 1, "in [0, 1)"),
            "learning_rate": (0 < value < float("inf"), "positive and finite"),
        }.get(name, (0 <= value < float("inf"), "finite and not negative"))
        if not inside:
            raise ValueError(f"hyperparameter {name} must be {what}, got {value}")
    return values
