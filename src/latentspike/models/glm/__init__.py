"""Poisson GLM with history and coupling filters; needs nemos to be fitted, not to be used."""

from latentspike.models.glm.history import lag_basis
from latentspike.models.glm.model import GLM

__all__ = ["GLM", "lag_basis"]
