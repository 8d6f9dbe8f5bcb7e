"""What a fit reads of a recording."""

import jax
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.dynamics import Network, Population
from latentspike.models.neulvm import Estimation, NeuLVM
from latentspike.models.neulvm.problem import own_scale
from latentspike.models.protocol import DataSpec

POPULATION = np.arange(8) // 4


def test_own_rates_are_those_of_the_fitted_trials(rng):
    observed = rng.random((2, 150, 8)) < 0.8
    data = SpikeData((rng.random((2, 150, 8)) < 0.1).astype(int), 0.004, observed=observed)
    share = rng.uniform(0.01, 0.1, (2, 150, 2))
    scale = own_scale(share, POPULATION, data)
    scaled = np.where(observed, share[..., POPULATION] * scale, 0).sum((0, 1))
    np.testing.assert_allclose(scaled, np.where(observed, data.counts, 0).sum((0, 1)))
    silent = data.replace(counts=np.where(np.arange(8) == 7, 0, data.counts))
    again = own_scale(share, POPULATION, silent)
    assert again[7] == pytest.approx(0.5 / share[..., 1][observed[..., 7]].sum())
    np.testing.assert_array_equal(again[:7], scale[:7])


def test_inferred_rates_follow_the_population_or_are_each_neurons_own(rng):
    network = Network({"E": Population(60, 0.02, 2.0, 0.0)})
    data = SpikeData((rng.random((1, 50, 3)) < 0.05).astype(int), 0.004)
    short = Estimation(n_starts=1, n_warmup=5)
    alike, own = (NeuLVM(network, estimation=short, own_rates=each) for each in (False, True))
    params = alike.init(DataSpec.of(data)) | {"scale": np.array([0.5, 1.0, 3.0])}
    plain, scaled = (
        model.infer(params, data, n_samples=2, key=jax.random.key(0)) for model in (alike, own)
    )
    assert (np.ptp(plain.rates, axis=-1) == 0).all()
    for name in ("rates", "rates_std"):
        wanted = getattr(plain, name) * params["scale"]
        np.testing.assert_allclose(getattr(scaled, name), wanted)
    np.testing.assert_array_equal(plain.population_activity, scaled.population_activity)
