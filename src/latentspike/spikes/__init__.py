"""The recording: SpikeData, binning, alignment, chopping and merging, splits. Imports nothing above."""

from latentspike.spikes.data import SpikeData
from latentspike.spikes.posterior import Posterior

__all__ = ["Posterior", "SpikeData"]
