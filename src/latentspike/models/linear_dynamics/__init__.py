"""Poisson spikes of linear dynamics, one or several that switch."""

from latentspike.models.linear_dynamics.plds import PLDS

__all__ = ["PLDS"]
