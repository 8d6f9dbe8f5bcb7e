"""Do 90 % intervals hold the truth? Parameters from their prior boxes, spikes from the model."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from latentspike.dynamics import Free, Network, Population
from latentspike.dynamics.stepping import Stepping
from latentspike.models.neulvm import Estimation, NeuLVM
from latentspike.models.protocol import DataSpec

# The activity is counted in real numbers with a Gaussian error: a bin must hold some spikes.
NETWORK = Network(
    {"E": Population(100, 0.02, resting=Free(2.5, 4.5), threshold=0.0, refractory=0.004)},
    {"E": {"E": Free(0.0, 2.5)}},
)
MODEL = NeuLVM(
    NETWORK,
    stepping=Stepping("euler", "binomial", has_old=True, max_age=0.06),
    estimation=Estimation(n_starts=2, n_warmup=100, n_draws=200, n_leapfrog=10),
)
BIN, N_BINS, N_NEURONS, N_BEFORE = 0.004, 150, 12, 50


def recording(seed, truth):
    params = {"free": truth, "rate": np.array([20.0]), "n_recorded": np.array([N_NEURONS])}
    key, n_bins = jax.random.key(seed), N_BEFORE + N_BINS
    data = MODEL.simulate(params, n_trials=1, n_bins=n_bins, bin_width=BIN, key=key)
    return data.select_bins(N_BEFORE, n_bins)


def one_fit(seed):
    """Truth, and what a fit says about it."""
    truth = np.random.default_rng(seed).uniform(*NETWORK.bounds)
    data = recording(seed, truth)
    prepared, params = MODEL.prepare(data), MODEL.init(DataSpec.of(data))
    # a trajectory that runs away overflows before it is refused
    with np.errstate(over="ignore"):
        state = MODEL.begin(params, prepared, key=jax.random.key(1000 + seed))
        while not MODEL.is_finished(state):
            state, _ = MODEL.advance(state, prepared)
    return truth, MODEL.identifiability(MODEL.finish(params, state, prepared))


def many_fits(n_sets):
    """Whether intervals cover [sets, free], ranks of the truth, its value, means and shares."""
    columns = []
    for seed in range(n_sets):
        truth, found = one_fit(seed)
        low, high = found.interval
        rank = (found.draws < truth).mean(0)
        columns.append([(low <= truth) & (truth <= high), rank, truth, found.mean, found.share])
    return np.moveaxis(np.array(columns, float), 1, 0)


def test_a_few_fits_know_what_they_know():
    is_covered, ranks, truth, means, shares = many_fits(8)
    # of 8 right intervals fewer than 5 hold the truth once in 200 times
    assert (is_covered.sum(0) >= 5).all()
    assert (np.abs(ranks.mean(0) - 0.5) < 3 * np.sqrt(1 / 12 / 8)).all()
    resting = NETWORK.free_names.index("E.resting")
    assert shares[:, resting].mean() < 0.7  # the spikes do tell something,
    assert np.corrcoef(truth[:, resting], means[:, resting])[0, 1] > 0.7  # and it is right


@pytest.mark.slow
def test_intervals_cover():
    is_covered, ranks, *_ = many_fits(60)
    assert 0.80 <= is_covered.mean() <= 0.97
    assert (np.abs(ranks.mean(0) - 0.5) < 3 * np.sqrt(1 / 12 / 60)).all()
