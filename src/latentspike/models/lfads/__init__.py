"""LFADS: a sequential autoencoder of spike trains. Imports the shared parts of `models`."""

from latentspike.models.lfads.config import Architecture
from latentspike.models.lfads.model import LFADS

__all__ = ["LFADS", "Architecture"]
