import sys

import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.evaluate.populations import (
    _distances,
    _places,
    find_populations,
    stability_against_number,
)
from latentspike.evaluate.van_rossum import inner_products

BIN = 0.02
NAMES = np.array(["E1", "E2", "I"])


def world(seed, n_neurons=25, n_trials=10, seconds=10.0, spread=0.0):
    """Neurons of two populations that win in turn and of a third with a constant high rate."""
    rng = np.random.default_rng(seed)
    n_bins = round(seconds / BIN)
    winner = (np.cumsum(rng.random((n_trials, n_bins)) < BIN / 3, axis=1) + rng.integers(2)) % 2
    rates = np.stack([np.where(winner == k, 20.0, 5.0) for k in (0, 1)], axis=2)
    rates = np.concatenate([rates, np.full((n_trials, n_bins, 1), 25.0)], axis=2)
    population = rng.permutation(np.r_[0, 0, 0, 1, 1, 1, 2, 2, 2, rng.choice(3, n_neurons - 9)])
    own = np.exp(spread * rng.normal(size=n_neurons))
    counts = rng.poisson(rates[:, :, population] * own * BIN)
    ids = np.array([f"unit {i}" for i in range(n_neurons)])
    return SpikeData(counts, bin_width=BIN, neuron_ids=ids), population


@pytest.mark.parametrize("seed", range(4))
def test_the_populations_of_a_switching_network_are_found(seed):
    data, truth = world(seed)
    found = find_populations(data, 3, n_repeats=5, seed=0)
    assert found.agreement(truth) == found.agreement(NAMES[truth]) == 1
    assert found.stability > 0.95
    assert found.silhouette > 0.3
    everyone = [neuron for group in found.neurons.values() for neuron in group]
    assert sorted(everyone) == sorted(data.neuron_ids)
    assert list(found.neurons) == ["population 1", "population 2", "population 3"]
    assert "unit 0" in found.neurons["population 1"]


def test_the_seed_does_not_change_clear_populations():
    data, _ = world(5)
    first, second = (find_populations(data, 3, n_repeats=2, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(first.labels, second.labels)
    again = find_populations(data, 3, n_repeats=2, seed=1)
    np.testing.assert_array_equal(second.agreements, again.agreements)


def test_noise_is_not_stable():
    counts = np.random.default_rng(0).poisson(0.2, (10, 500, 12))
    found = find_populations(SpikeData(counts, bin_width=BIN), 3, seed=0)
    assert abs(found.stability) < 0.2
    assert found.silhouette < 0.1


def test_too_many_populations_are_less_stable_than_the_right_number():
    data, _ = world(2)
    results = stability_against_number(data, (2, 3, 5), n_repeats=10, seed=0)
    assert [r.n_populations for r in results] == [2, 3, 5]
    assert results[1].stability > results[2].stability + 0.02
    assert results[1].silhouette > max(results[0].silhouette, results[2].silhouette)


def test_rates_that_differ_within_populations_need_normalisation():
    data, truth = world(3, n_trials=30, spread=0.5)
    plain = find_populations(data, 3, n_repeats=1, seed=0)
    normal = find_populations(data, 3, normalize="rate", n_repeats=1, seed=0)
    assert plain.agreement(truth) < 0.8
    assert normal.agreement(truth) == 1


def test_the_distance_is_that_of_the_filtered_trains():
    data, _ = world(0, n_neurons=9, n_trials=2, seconds=4.0)
    found = find_populations(data, 3, time_constant=0.3, n_repeats=1, seed=0)
    fine, times = 0.001, (np.arange(200) + 0.5) * BIN
    grid = np.arange(0, 4.0 + 3.0, fine)[:, None] + fine / 2
    filtered = np.where(grid > times, np.exp(-(grid - times) / 0.3), 0) @ data.counts.astype(float)
    lag = filtered[:, :, :, None] - filtered[:, :, None]  # [trials, grid, neurons, neurons]
    expected = np.sqrt((lag**2).sum(axis=(0, 1)) * fine * 2 / 0.3)
    np.testing.assert_allclose(found.distance, expected, rtol=0.01)


def test_the_places_have_the_distances():
    data, _ = world(0, n_neurons=12, n_trials=2)
    gram = inner_products(data, 0.4, "none").gram()
    places = _places(gram)
    assert places.shape == (12, 11)
    between = np.linalg.norm(places[:, None] - places, axis=2)
    np.testing.assert_allclose(between, _distances(gram), atol=1e-6)


def test_halves_share_no_spikes_and_blocks_lose_none():
    data, _ = world(1, n_neurons=10, n_trials=3)
    products = inner_products(data, 0.4, "rate")
    np.testing.assert_array_equal(products.spikes.sum(axis=0), data.counts.sum(axis=(0, 1)))
    assert len(products.blocks) == 9


def test_a_bin_that_some_neuron_lacks_is_left_out_for_all():
    data, _ = world(1, n_neurons=10, n_trials=2)
    observed = np.ones(data.counts.shape, bool)
    observed[1, 100:200, 4] = False
    dirty = np.where(observed, data.counts, 7)
    dirty[1, 100:200] = 3
    clean = data.counts.copy()
    clean[1, 100:200] = 0
    found = find_populations(data.replace(counts=dirty, observed=observed), 3, n_repeats=1, seed=0)
    expected = find_populations(data.replace(counts=clean), 3, n_repeats=1, seed=0)
    np.testing.assert_allclose(found.distance, expected.distance)


def test_forward_bins_are_not_read():
    data, _ = world(1, n_neurons=10, n_trials=2)
    spoiled = data.counts.copy()
    spoiled[:, 400:] = 9
    found = find_populations(
        data.replace(counts=spoiled, n_forward_bins=100), 3, n_repeats=1, seed=0
    )
    expected = find_populations(data.select_bins(0, 400), 3, n_repeats=1, seed=0)
    np.testing.assert_allclose(found.distance, expected.distance)


def test_copies_of_a_train_have_distance_zero_without_a_warning():
    data, _ = world(1, n_neurons=10, n_trials=1)
    twice = data.replace(counts=data.counts[:, :, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]])
    found = find_populations(twice, 5, n_repeats=1, seed=0)
    np.testing.assert_allclose(found.distance[::2, 1::2].diagonal(), 0, atol=1e-6)
    assert (found.labels[::2] == found.labels[1::2]).all()


def test_silent_neurons_are_named():
    data, _ = world(0, n_trials=1)
    counts = data.counts.copy()
    counts[:, :, [3, 17]] = 0
    with pytest.raises(ValueError, match=r"unit 3, unit 17 .*select_neurons"):
        find_populations(data.replace(counts=counts), 3, seed=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_populations": 1}, r"\[2, 8\] for 9 neurons"),
        ({"n_populations": 9}, "got 9"),
        ({"n_repeats": 0}, "n_repeats"),
        ({"time_constant": 0.0}, "time constant"),
        ({"time_constant": 2.0}, "too short"),
        ({"normalize": "z"}, "'z'"),
    ],
)
def test_settings_of_populations_that_do_not_fit_are_refused(settings, message):
    data, _ = world(0, n_neurons=9, n_trials=1)
    with pytest.raises(ValueError, match=message):
        find_populations(data, **{"n_populations": 3, "seed": 0, **settings})


def test_continuous_recordings_and_no_numbers_are_refused():
    data, _ = world(0, n_neurons=9, n_trials=1)
    with pytest.raises(ValueError, match="continuous"):
        find_populations(data.replace(counts=data.counts * 0.5, kind="continuous"), 3, seed=0)
    with pytest.raises(ValueError, match="no number"):
        stability_against_number(data, (), seed=0)


def test_without_elephant_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "elephant.spike_train_dissimilarity", None)
    data, _ = world(0, n_neurons=9, n_trials=1)
    with pytest.raises(ImportError, match=r"latentspike\[populations\]"):
        find_populations(data, 3, seed=0)
