"""Single-trial latent population dynamics from spike trains."""

from latentspike.spikes import Posterior, SpikeData

__all__ = ["Posterior", "SpikeData"]
__version__ = "0.1.0"
