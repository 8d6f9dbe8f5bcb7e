"""Equations of neurons and populations, as pure array functions. Imports nothing of the house."""

from latentspike.dynamics.network import Network
from latentspike.dynamics.parts import Free, Population, Values
from latentspike.dynamics.stepping import PUBLISHED, Mesoscopic, Stepping

__all__ = ["Free", "Mesoscopic", "Network", "PUBLISHED", "Population", "Stepping", "Values"]
