"""Learning by gradient: masks, epochs, loop, checkpoints. Imports `models` and below."""

from latentspike.training.coordinated_dropout import coordinated_dropout
from latentspike.training.fit import RunOptions, fit
from latentspike.training.loop import CollapsedInputsWarning, NonFiniteLossError
from latentspike.training.sample_validation import draw_sample_mask, sample_validation
from latentspike.training.settings import TrainingSettings

__all__ = [
    "CollapsedInputsWarning",
    "NonFiniteLossError",
    "RunOptions",
    "TrainingSettings",
    "coordinated_dropout",
    "draw_sample_mask",
    "fit",
    "sample_validation",
]
