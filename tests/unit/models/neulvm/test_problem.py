"""What a fit reads of a recording."""

import jax
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.dynamics import Mesoscopic, Network, Population
from latentspike.models.neulvm import Estimation, NeuLVM, problem
from latentspike.models.neulvm.joint import terms
from latentspike.models.neulvm.problem import ages_of, by_age, make_problem, own_scale
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


def test_neurons_of_one_age_are_counted_together(rng):
    fires = rng.random((2, 60, 90)) < 0.2
    fires[:, 0] = True
    ages = ages_of(fires, np.ones(fires.shape, bool))
    scored = rng.random(fires.shape) < 0.9
    fired, stayed, of_group = by_age(ages, fires, scored)
    assert fired.shape == (2, 60, 32)
    for age in range(-1, 20):
        for found, did in ((fired, fires), (stayed, ~fires)):
            expected = (scored & did & (ages == age)).sum(-1)
            np.testing.assert_array_equal((found * (of_group == age)).sum(-1), expected)
    assert fired.sum() + stayed.sum() == scored.sum()


def test_grouped_neurons_have_the_probability_of_single_ones(rng, monkeypatch):
    network = Network({"E": Population(80, 0.02, 15.0, 5.0), "I": Population(40, 0.02, 15.0, 5.0)})
    observed = rng.random((2, 100, 43)) < 0.97
    data = SpikeData((rng.random((2, 100, 43)) < 0.06).astype(int), 0.004, observed=observed)
    members = {"E": list(range(40)), "I": list(range(40, 43))}
    system = Mesoscopic.of(network, data.bin_width)
    counts = rng.uniform(0.5, 4.0, (2, 100, 2))
    grouped = make_problem(network, system, members, data)
    monkeypatch.setattr(problem, "_ALONE", 40)
    single = make_problem(network, system, members, data)
    assert (grouped.ages.shape[-1], single.ages.shape[-1]) == (35, 43)
    with jax.enable_x64(True):
        (ours, activity), (expected, same) = (
            [np.asarray(x) for x in terms(system, given, np.zeros(0), counts)]
            for given in (grouped, single)
        )
    assert (expected < -100).all()
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    np.testing.assert_array_equal(activity, same)
