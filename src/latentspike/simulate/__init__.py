"""Worlds with a known answer: chaotic networks, low-dimensional factors. Imports `spikes` only."""

from latentspike.simulate.chaotic_rnn import ChaoticRNN, chaotic_rnn
from latentspike.simulate.linear_factors import (
    LinearFactors,
    linear_factors,
    noisy_linear_samples,
)
from latentspike.simulate.lorenz import Lorenz, lorenz

__all__ = [
    "ChaoticRNN",
    "LinearFactors",
    "Lorenz",
    "chaotic_rnn",
    "linear_factors",
    "lorenz",
    "noisy_linear_samples",
]
