"""One function per figure: results and axes in, axes out; nothing is shown or saved unasked.

Every function draws into the axes it is given, or into a new figure without them, and knows
`SpikeData`, `Posterior` and arrays only, never a model. See ``docs/gallery.md``.
"""

from latentspike.plot.activity import raster, rates
from latentspike.plot.behavior import decoding
from latentspike.plot.fitting import autoencoder_weights, scores, training_curves
from latentspike.plot.latents import factors, factors_3d, inferred_inputs
from latentspike.plot.psth import psths
from latentspike.plot.save import save

__all__ = [
    "autoencoder_weights",
    "decoding",
    "factors",
    "factors_3d",
    "inferred_inputs",
    "psths",
    "raster",
    "rates",
    "save",
    "scores",
    "training_curves",
]
