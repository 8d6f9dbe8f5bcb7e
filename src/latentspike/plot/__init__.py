"""One function per figure: results and axes in, axes out; nothing is shown or saved unasked.

Every function draws into the axes it is given, or into a new figure without them, and knows
`SpikeData`, `Posterior`, arrays and plain rows only, never a model or a search.
See ``docs/gallery.md``.
"""

from latentspike.plot.activity import raster, rates
from latentspike.plot.behavior import decoding
from latentspike.plot.compared import comparison
from latentspike.plot.fitting import autoencoder_weights, scores, training_curves
from latentspike.plot.latents import factors, factors_3d, inferred_inputs
from latentspike.plot.parameters import parameters
from latentspike.plot.populations import distances, population_stability
from latentspike.plot.psth import psths
from latentspike.plot.save import save
from latentspike.plot.search import (
    all_hyperparameter_trajectories,
    hyperparameter_trajectories,
    search_scores,
)
from latentspike.plot.sensitivity import (
    all_hyperparameter_sensitivities,
    hyperparameter_sensitivity,
    loss_against_r2,
)
from latentspike.plot.spectra import power_spectra
from latentspike.plot.switching import switch_probabilities, switches

__all__ = [
    "all_hyperparameter_sensitivities",
    "all_hyperparameter_trajectories",
    "autoencoder_weights",
    "comparison",
    "decoding",
    "distances",
    "factors",
    "factors_3d",
    "hyperparameter_sensitivity",
    "hyperparameter_trajectories",
    "inferred_inputs",
    "loss_against_r2",
    "parameters",
    "population_stability",
    "power_spectra",
    "psths",
    "raster",
    "rates",
    "save",
    "scores",
    "search_scores",
    "switch_probabilities",
    "switches",
    "training_curves",
]
