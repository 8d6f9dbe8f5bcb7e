"""How good an inference is. Imports `spikes` only."""

from latentspike.evaluate.baselines import multi_lag_glm, psth_rates, smoothed_plus_psth
from latentspike.evaluate.bits import (
    BitsPerSpike,
    bits_per_spike,
    co_smoothing_bits,
    forward_bits,
    heldin_bits,
)
from latentspike.evaluate.decoding import Decoding, decode, decode_blind
from latentspike.evaluate.few_shot import FewShot, few_shot_co_smoothing
from latentspike.evaluate.kernel import smooth
from latentspike.evaluate.poisson_regression import PoissonRegression, fit_poisson
from latentspike.evaluate.psth import PsthR2, psth_r2
from latentspike.evaluate.recovery import RateR2, rate_r2
from latentspike.evaluate.table import Score, as_records, format_table, score_table

__all__ = [
    "BitsPerSpike",
    "Decoding",
    "FewShot",
    "PoissonRegression",
    "PsthR2",
    "RateR2",
    "Score",
    "as_records",
    "bits_per_spike",
    "co_smoothing_bits",
    "decode",
    "decode_blind",
    "few_shot_co_smoothing",
    "fit_poisson",
    "format_table",
    "forward_bits",
    "heldin_bits",
    "multi_lag_glm",
    "psth_r2",
    "psth_rates",
    "rate_r2",
    "score_table",
    "smooth",
    "smoothed_plus_psth",
]
