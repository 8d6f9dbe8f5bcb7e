import numpy as np
import pytest

from latentspike.evaluate import decode
from latentspike.simulate import Reaching, reaching
from latentspike.simulate.reaching import _SD

SMALL = Reaching(n_trials_per_condition=4, n_neurons=40, bin_width=0.01)


@pytest.fixture(scope="module")
def data():
    return reaching(SMALL, seed=0)


def test_reaching_has_the_papers_window_bins_and_neurons():
    small = reaching(n_conditions=2, n_trials_per_condition=1, seed=0)
    assert small.counts.shape == (2, 350, 150)
    assert (small.bin_width, small.t_start) == (0.002, -0.25)
    assert small.times[-1] == pytest.approx(0.449)


def test_reaching_rates_are_those_of_motor_cortex():
    rates = reaching(n_trials_per_condition=2, bin_width=0.01, seed=0).truth["rates"]
    assert 5 < rates.mean() < 10
    assert 0 < rates.min() and rates.max() < 120
    per_neuron = rates.mean((0, 1))
    assert per_neuron.max() > 4 * np.median(per_neuron) > 0  # few fast neurons, many slow ones


def test_hand_goes_to_its_target_by_straight_and_curved_paths():
    data = reaching(SMALL, variability=0.0, seed=0)
    place, shape = data.behavior["hand_position"], np.asarray(data.conditions)
    assert np.abs(place[:, data.times < 0]).max() == 0
    assert np.linalg.norm(place[:, -1], axis=1) == pytest.approx(np.full(96, 0.12), abs=1e-3)
    unit = place[:, -1] / np.linalg.norm(place[:, -1], axis=1, keepdims=True)
    across = np.stack([-unit[:, 1], unit[:, 0]], axis=1)
    bulge = np.einsum("tbd,td->tb", place, across)
    side = {name: np.char.endswith(shape, name) for name in ("straight", "left", "right")}
    assert np.abs(bulge[side["straight"]]).max() < 1e-3
    np.testing.assert_allclose(bulge[side["left"]].max(1), 0.04, atol=2e-3)
    np.testing.assert_allclose(bulge[side["right"]].min(1), -0.04, atol=2e-3)


def test_position_is_the_integral_of_velocity(data):
    place, velocity = data.behavior["hand_position"], data.behavior["hand_velocity"]
    slope = np.diff(place, axis=1) / data.bin_width
    middle = (velocity[:, 1:] + velocity[:, :-1]) / 2
    np.testing.assert_allclose(slope, middle, atol=1e-9)


def test_trials_of_a_condition_differ_in_rates_and_paths_unless_they_may_not(data):
    place, rates = data.behavior["hand_position"], data.truth["rates"]
    assert np.abs(place[0, -1] - place[1, -1]).max() > 1e-3
    before = data.times < -0.15
    assert np.abs(rates[0, before] / rates[1, before] - 1).max() > 0.02  # they are planned so
    same = reaching(SMALL, variability=0.0, seed=0)
    np.testing.assert_array_equal(same.truth["rates"][0], same.truth["rates"][1])
    assert not np.array_equal(same.counts[0], same.counts[1])


def test_preparation_says_where_the_hand_will_go_before_it_moves(data):
    ended = np.abs(data.behavior["hand_velocity"][:, -1]).max(axis=1) == 0
    prepared = data.truth["factors"][ended, 0, :4]
    target = data.behavior["hand_position"][ended, -1]
    assert ended.sum() > 50
    np.testing.assert_allclose(prepared[:, :2] * 0.12, target, rtol=0.02, atol=1e-3)
    after = data.times > 0.05
    assert np.abs(data.truth["factors"][:, after, :4]).max() < 0.05


def test_a_pulse_is_shared_by_all_directions():
    data = reaching(SMALL, variability=0.0, seed=0)
    shared = data.truth["factors"][:, :, 4:6]
    assert shared.max() > 0.9
    np.testing.assert_allclose(shared, np.broadcast_to(shared[:1], shared.shape), atol=1e-6)


def test_movement_planes_rotate():
    data = reaching(SMALL, variability=0.0, seed=0)
    x, y = data.truth["factors"][0, :, 6], data.truth["factors"][0, :, 8]  # rightward, straight
    moving = np.hypot(x, y) > 0.1 * np.hypot(x, y).max()
    turned = np.diff(np.unwrap(np.arctan2(y[moving], x[moving])))
    assert (turned < 0).all() or (turned > 0).all()
    assert abs(turned.sum()) > np.pi / 2


def test_velocity_is_linear_in_the_rates_a_tenth_of_a_second_before(data):
    order = np.random.default_rng(0).permutation(data.n_trials)
    args = data.truth["rates"][order], data.behavior["hand_velocity"][order]
    assert decode(*args, bin_width=0.01, lag=0.1).r2.min() > 0.95
    assert decode(*args, bin_width=0.01).mean < 0.9


def test_more_trials_leave_the_population_as_it_was():
    few, many = (reaching(SMALL, n_trials_per_condition=n, variability=0.0, seed=3) for n in (1, 2))
    np.testing.assert_array_equal(few.truth["rates"][0], many.truth["rates"][0])
    np.testing.assert_array_equal(few.counts, reaching(SMALL, n_trials_per_condition=1,
                                                       variability=0.0, seed=3).counts)  # fmt: skip


def test_variability_scales_the_spread_of_all_that_is_drawn():
    spread = [
        np.std(reaching(SMALL, variability=v, seed=0).behavior["hand_position"][:4, -1], axis=0)
        for v in (0.5, 1.0)
    ]
    assert (spread[1] > 1.5 * spread[0]).all()
    assert set(_SD) == {"direction", "distance", "bulge", "duration", "lead"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variability": -1.0}, "variability must be 0 or more"),
        ({"n_neurons": 0}, "n_neurons must be positive"),
        ({"bin_width": 0.003}, "before in bins: .* whole number"),
    ],
)
def test_reaching_rejects(change, message):
    with pytest.raises(ValueError, match=message):
        reaching(SMALL, seed=0, **change)
