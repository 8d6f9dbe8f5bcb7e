"""Worlds with a known answer: chaotic networks, factors, reaches, spiking networks."""

from latentspike.simulate.chaotic_rnn import ChaoticRNN, chaotic_rnn
from latentspike.simulate.examples import cluster_network, winner_take_all
from latentspike.simulate.lif_activity import LIFActivity, neurons_by_population
from latentspike.simulate.lif_current import Pulse
from latentspike.simulate.lif_network import lif_network
from latentspike.simulate.lif_start import Asynchronous, Clusters
from latentspike.simulate.linear_factors import (
    LinearFactors,
    linear_factors,
    noisy_linear_samples,
)
from latentspike.simulate.lorenz import Lorenz, lorenz
from latentspike.simulate.perturb import PulseTrials, pulse_experiment
from latentspike.simulate.reaching import Reaching, reaching

__all__ = [
    "Asynchronous",
    "ChaoticRNN",
    "Clusters",
    "LIFActivity",
    "LinearFactors",
    "Lorenz",
    "Pulse",
    "PulseTrials",
    "Reaching",
    "chaotic_rnn",
    "cluster_network",
    "lif_network",
    "linear_factors",
    "lorenz",
    "neurons_by_population",
    "noisy_linear_samples",
    "pulse_experiment",
    "reaching",
    "winner_take_all",
]
