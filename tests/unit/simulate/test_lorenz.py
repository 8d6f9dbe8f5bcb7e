import numpy as np
import pytest
from scipy.integrate import solve_ivp

from latentspike.simulate import Lorenz, lorenz
from latentspike.simulate.lorenz import _MEAN, _SD

SMALL = Lorenz(n_conditions=6, n_trials_per_condition=2, n_neurons=9, duration=0.5)


def test_lorenz_agrees_with_an_independent_solver():
    data = lorenz(SMALL, seed=0)
    states = data.truth["factors"] * _SD + _MEAN

    def velocity(_, s):
        return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    times = SMALL.speed * SMALL.bin_width * np.arange(data.n_bins)
    solved = solve_ivp(velocity, (0, times[-1]), states[2, 0], t_eval=times, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(states[2, :20], solved.y.T[:20], atol=5e-3)


def test_lorenz_factors_are_standardised_on_the_attractor():
    factors = lorenz(n_conditions=200, n_trials_per_condition=1, n_neurons=2, seed=0).truth[
        "factors"
    ]
    assert np.abs(factors.mean(axis=(0, 1))).max() < 0.15
    assert factors.std(axis=(0, 1)) == pytest.approx(np.ones(3), abs=0.1)
    assert np.abs(factors).max() < 4


def test_lorenz_trials_of_a_condition_share_rates_but_not_spikes():
    data = lorenz(SMALL, seed=0)
    np.testing.assert_array_equal(data.truth["rates"][0], data.truth["rates"][1])
    assert not np.array_equal(data.counts[0], data.counts[1])
    assert data.conditions.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_lorenz_rejects_a_trial_of_half_bins():
    with pytest.raises(ValueError, match="whole number"):
        lorenz(SMALL, duration=0.505, seed=0)
