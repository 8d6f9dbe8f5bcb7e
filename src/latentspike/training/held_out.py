"""Which network explains neurons that it has not read? Fits compared by held-out neurons."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax

from latentspike.evaluate import BitsPerSpike, co_smoothing_bits
from latentspike.models.neulvm import NeuLVM
from latentspike.spikes import SpikeData
from latentspike.training.fit import RunOptions, fit


def held_out_likelihood(
    models: Mapping[str, NeuLVM],
    data: SpikeData,
    *,
    scored: SpikeData | None = None,
    own_rates: bool = False,
    n_samples: int = 50,
    key: jax.Array,
) -> dict[str, BitsPerSpike]:
    """Bits per spike of held-out neurons under the rate of the population they belong to.

    Every candidate is fitted to the same held-in neurons; the activity that it infers from them
    predicts the spikes of the others. For a choice between numbers of populations: too few mix
    neurons that do different things, too many leave each population few neurons to read.

    Parameters
    ----------
    models : candidates by name; each says in ``neurons`` to which population every neuron belongs,
        held-out ones included, and must leave every population a held-in neuron
    data : recording to fit, with held-out neurons (`latentspike.spikes.hold_out_neurons`)
    scored : other trials of the same neurons to score; by default those that were fitted. Where
        the populations were found by clustering, the held-out neurons' own spikes said where they
        belong: find populations on ``data`` and score others.
    own_rates : scale the rate of each neuron to its own mean in ``data``, so that only its course
        is judged. For real neurons, which differ in rate within a population.
    n_samples : draws of the activity per trial
    key : PRNG key; candidates share it

    Returns
    -------
    By name, as of `co_smoothing_bits`: 0 for each neuron's mean rate, above for better.

    Raises
    ------
    ValueError : without held-out neurons, or if a candidate does not suit the recording.
    """
    if not models:
        raise ValueError("there is no candidate to compare")
    if not data.heldout.any():
        raise ValueError("no neuron is held out: mark some with `hold_out_neurons`")
    scored = data if scored is None else scored.replace(heldout=data.heldout)
    found = {}
    for name, model in models.items():
        try:
            key_fit, key_infer = jax.random.split(key)
            model = dataclasses.replace(model, own_rates=own_rates)
            fitted = fit(model, data, options=RunOptions(show=False), key=key_fit)
            posterior = model.infer(fitted.params, scored, n_samples=n_samples, key=key_infer)
        except ValueError as error:
            raise ValueError(f"candidate {name!r}: {error}") from error
        found[name] = co_smoothing_bits(scored, posterior)
    return found
