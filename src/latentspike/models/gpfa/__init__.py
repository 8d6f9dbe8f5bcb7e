"""Gaussian-process factor analysis of square-root counts, with missing entries."""

from latentspike.models.gpfa.model import GPFA

__all__ = ["GPFA"]
