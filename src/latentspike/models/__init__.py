"""Explanations of a recording: a folder or file each. Imports `spikes`; families stay apart."""

from latentspike.models.fitted import Fitted
from latentspike.models.lfads import LFADS, Architecture
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.neulvm import NeuLVM
from latentspike.models.registry import MODELS
from latentspike.models.smoothing import GaussianSmoothing

__all__ = [
    "LFADS",
    "MODELS",
    "Architecture",
    "Fitted",
    "GaussianSmoothing",
    "LinearAutoencoder",
    "NeuLVM",
]
