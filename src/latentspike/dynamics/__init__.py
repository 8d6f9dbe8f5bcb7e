"""Equations of neurons and populations, as pure array functions. Imports nothing of the house."""

from latentspike.dynamics.network import Free, Network, Population, Values

__all__ = ["Free", "Network", "Population", "Values"]
