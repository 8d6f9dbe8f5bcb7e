"""What a run remembers between epochs: best epoch, patience, learning-rate decay."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latentspike.training.settings import TrainingSettings


@dataclass
class Progress:
    """State of the schedule; JSON-able, so that a resumed run continues exactly.

    Parameters
    ----------
    epoch : epochs finished
    smoothed : exponential average of the selection loss
    best, best_epoch : lowest average and its epoch
    reference, reference_epoch : loss and epoch that patience counts from
    decayed_epoch : epoch of the last decay or improvement
    rate_factor : product of the decays so far
    history : one row of figures per epoch
    stopped : why training ended, or None
    """

    epoch: int = 0
    smoothed: float | None = None
    best: float = float("inf")
    best_epoch: int = -1
    reference: float = float("inf")
    reference_epoch: int = 0
    decayed_epoch: int = 0
    rate_factor: float = 1.0
    stopped: str | None = None
    history: list[dict[str, float]] = field(default_factory=list)

    def record(
        self, row: dict[str, float], score: float, settings: TrainingSettings, rate: float
    ) -> bool:
        """Take in one epoch; True if its parameters are the best so far.

        Parameters
        ----------
        row : figures of the epoch
        score : selection loss, lower is better
        settings : smoothing, patience and decay
        rate : learning rate before decay
        """
        s = settings.smoothing
        self.smoothed = score if self.smoothed is None else s * score + (1 - s) * self.smoothed
        self.history.append({"epoch": self.epoch, **row, "selection_smoothed": self.smoothed})
        self.epoch += 1
        is_best = self.smoothed < self.best
        if is_best:
            self.best, self.best_epoch = self.smoothed, self.epoch - 1
        if self.epoch <= settings.ramp_epochs:
            # while the penalties rise the loss may rise too: patience starts after the ramp
            self.reference_epoch = self.decayed_epoch = self.epoch
        improved = self.reference - self.smoothed > settings.min_improvement * abs(self.smoothed)
        if improved or not np.isfinite(self.reference):
            self.reference = self.smoothed
            self.reference_epoch = self.decayed_epoch = self.epoch
        self._decide(settings, rate)
        return is_best

    def _decide(self, settings: TrainingSettings, rate: float) -> None:
        waiting = self.epoch - self.decayed_epoch
        if settings.decay_factor < 1 and waiting >= settings.decay_patience:
            self.rate_factor *= settings.decay_factor
            self.decayed_epoch = self.epoch
        self.stopped = self.reason_to_stop(settings, rate)

    def reason_to_stop(self, settings: TrainingSettings, rate: float) -> str | None:
        """Why training ends here under these settings, or None.

        Parameters
        ----------
        settings : limits, which may differ from those of earlier epochs
        rate : learning rate before decay
        """
        if self.epoch >= settings.max_epochs:
            return f"reached {settings.max_epochs} epochs"
        if self.epoch - self.reference_epoch >= settings.patience:
            return f"no improvement in {settings.patience} epochs"
        if self.rate_factor < 1 and rate * self.rate_factor < settings.min_learning_rate:
            return f"learning rate below {settings.min_learning_rate:g}"
        return None

    def copy(self) -> Progress:
        """Independent copy; rows of the history are shared, for nothing changes them."""
        return dataclasses.replace(self, history=list(self.history))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able copy."""
        document = dataclasses.asdict(self)
        for name in ("best", "reference"):
            document[name] = document[name] if np.isfinite(document[name]) else None
        return document

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Progress:
        """Inverse of `to_dict`."""
        found = dict(document)
        for name in ("best", "reference"):
            found[name] = float("inf") if found[name] is None else found[name]
        return cls(**found)
