"""How good an inference is. Imports `spikes` only."""

from latentspike.evaluate.baselines import multi_lag_glm, psth_rates, smoothed_plus_psth
from latentspike.evaluate.bits import (
    BitsPerSpike,
    bits_per_spike,
    co_smoothing_bits,
    forward_bits,
    heldin_bits,
)
from latentspike.evaluate.clusters import ClusterStates, cluster_states
from latentspike.evaluate.decoding import Decoding, decode, decode_blind
from latentspike.evaluate.few_shot import FewShot, few_shot_co_smoothing
from latentspike.evaluate.intervals import Proportion, proportion
from latentspike.evaluate.kernel import smooth
from latentspike.evaluate.poisson_regression import PoissonRegression, fit_poisson
from latentspike.evaluate.populations import (
    PopulationLabels,
    find_populations,
    stability_against_number,
)
from latentspike.evaluate.psth import PsthR2, choose_psth_width, psth_r2
from latentspike.evaluate.pulses import PulseOutcomes, pulse_outcomes
from latentspike.evaluate.recovery import RateR2, rate_r2
from latentspike.evaluate.spectra import Spectrum, power_spectrum
from latentspike.evaluate.switching import Switches, SwitchRate, find_switches, switch_rate
from latentspike.evaluate.table import Score, as_records, format_table, score_table

__all__ = [
    "BitsPerSpike",
    "ClusterStates",
    "Decoding",
    "FewShot",
    "PoissonRegression",
    "PopulationLabels",
    "Proportion",
    "PsthR2",
    "PulseOutcomes",
    "RateR2",
    "Score",
    "Spectrum",
    "SwitchRate",
    "Switches",
    "as_records",
    "bits_per_spike",
    "choose_psth_width",
    "cluster_states",
    "co_smoothing_bits",
    "decode",
    "decode_blind",
    "few_shot_co_smoothing",
    "find_populations",
    "find_switches",
    "fit_poisson",
    "format_table",
    "forward_bits",
    "heldin_bits",
    "multi_lag_glm",
    "power_spectrum",
    "proportion",
    "psth_r2",
    "psth_rates",
    "pulse_outcomes",
    "rate_r2",
    "score_table",
    "smooth",
    "smoothed_plus_psth",
    "stability_against_number",
    "switch_rate",
]
