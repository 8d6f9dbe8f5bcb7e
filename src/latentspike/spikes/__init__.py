"""The recording: SpikeData, binning, alignment, chopping and merging, splits, a first look.

Imports nothing above.
"""

from latentspike.spikes.align import align
from latentspike.spikes.binning import bin_continuous, bin_trials, rebin, resample_series
from latentspike.spikes.chop import Chopping, chop
from latentspike.spikes.data import SpikeData
from latentspike.spikes.inspect import Description, describe
from latentspike.spikes.posterior import Posterior
from latentspike.spikes.sessions import check_sessions, concatenate_trials
from latentspike.spikes.splits import (
    Split,
    hold_out_forward,
    hold_out_neurons,
    k_folds,
    mask_bins,
    split_trials,
)

__all__ = [
    "Chopping",
    "Description",
    "Posterior",
    "SpikeData",
    "Split",
    "align",
    "bin_continuous",
    "bin_trials",
    "check_sessions",
    "chop",
    "concatenate_trials",
    "describe",
    "hold_out_forward",
    "hold_out_neurons",
    "k_folds",
    "mask_bins",
    "rebin",
    "resample_series",
    "split_trials",
]
