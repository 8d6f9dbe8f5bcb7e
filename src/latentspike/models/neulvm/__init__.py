"""neuLVM: unobserved neurons, explained by a mesoscopic model of whole populations."""

from latentspike.models.neulvm.model import NeuLVM
from latentspike.models.neulvm.settings import Estimation

__all__ = ["Estimation", "NeuLVM"]
