"""Worlds with a known answer. Imports `spikes` only."""
