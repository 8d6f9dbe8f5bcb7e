"""Poisson spikes of linear dynamics, one or several that switch."""

from latentspike.models.linear_dynamics.plds import PLDS
from latentspike.models.linear_dynamics.slds import SLDS, states

__all__ = ["PLDS", "SLDS", "states"]
