"""Explanations of a recording: a folder or file each. Imports `spikes`; families stay apart."""

from latentspike.models.fitted import Fitted
from latentspike.models.glm import GLM
from latentspike.models.gpfa import GPFA
from latentspike.models.lfads import LFADS, Architecture
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.linear_dynamics import PLDS, SLDS
from latentspike.models.neulvm import NeuLVM
from latentspike.models.psth import PSTH
from latentspike.models.registry import MODELS
from latentspike.models.smoothing import GaussianSmoothing

__all__ = [
    "GLM",
    "GPFA",
    "LFADS",
    "MODELS",
    "PLDS",
    "PSTH",
    "SLDS",
    "Architecture",
    "Fitted",
    "GaussianSmoothing",
    "LinearAutoencoder",
    "NeuLVM",
]
