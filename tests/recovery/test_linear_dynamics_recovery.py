"""Do fits of simulated linear dynamics find them? Bars were set before the first run."""

from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.optimize import linear_sum_assignment

from latentspike import SpikeData
from latentspike.models.linear_dynamics import PLDS, SLDS, states
from latentspike.models.protocol import DataSpec

BIN = 0.02


def estimated(model, data, seed):
    """Fitted parameters."""
    params, prepared = model.init(DataSpec.of(data)), model.prepare(data)
    state = model.begin(params, prepared, key=jax.random.key(seed))
    while not model.is_finished(state):
        state, _ = model.advance(state, prepared)
    return model.finish(params, state, prepared)


def rotation(angle, radius):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return radius * turn


# --- PLDS ---------------------------------------------------------------------------------------


def linear_system(seed, n_trials=100, n_bins=100, n_neurons=30):
    """A rotation and a decay behind 30 neurons of 0.4 spikes per bin; A, C and a recording."""
    rng = np.random.default_rng(seed)
    A = np.zeros((3, 3))
    A[:2, :2], A[2, 2] = rotation(0.15, 0.97), 0.9
    Q = np.eye(3) - A @ A.T
    C, d = 0.5 * rng.normal(size=(n_neurons, 3)), np.log(0.4) + 0.3 * rng.normal(size=n_neurons)
    x, path = rng.normal(size=(n_trials, 3)), []
    for _ in range(n_bins):
        path.append(x)
        x = x @ A.T + rng.multivariate_normal(np.zeros(3), Q, size=n_trials)
    expected = np.exp(np.stack(path, 1) @ C.T + d)
    return A, C, SpikeData(rng.poisson(expected), BIN, truth={"rates": expected / BIN})


def linear_errors(seed, **size):
    """Largest angle between readouts in degrees, and largest error of an eigenvalue."""
    A, C, data = linear_system(seed, **size)
    params = estimated(PLDS(n_latents=3), data, seed)
    angle = np.degrees(subspace_angles(params["readout"]["C"], C).max())
    true, found = (np.linalg.eigvals(x) for x in (A, params["dynamics"]["A"]))
    apart = np.abs(true[:, None] - found)
    return angle, apart[linear_sum_assignment(apart)].max()


def test_a_linear_system_is_found():
    angle, error = linear_errors(0)
    assert angle < 15 and error < 0.05


@pytest.mark.slow
def test_linear_systems_are_found():
    errors = np.array([linear_errors(seed) for seed in range(1, 6)])
    print(errors.round(3).tolist())
    assert (errors[:, 0] < 15).all() and (errors[:, 1] < 0.05).all()


# --- SLDS ---------------------------------------------------------------------------------------


def switching_system(seed, n_trials=30, n_bins=150, n_neurons=30):
    """Three states, each a slow turn around a place of its own, for 50 bins on average."""
    rng = np.random.default_rng(seed)
    places = 2 * np.stack([np.cos([0, 2.1, 4.2]), np.sin([0, 2.1, 4.2])], 1)
    A = np.stack([rotation(angle, 0.85) for angle in (0.3, -0.3, 0.0)])
    b = np.stack([place - turn @ place for place, turn in zip(places, A, strict=True)])
    C, d = 0.5 * rng.normal(size=(n_neurons, 2)), np.full(n_neurons, np.log(0.4))
    labels = np.empty((n_trials, n_bins), int)
    path = np.empty((n_trials, n_bins, 2))
    z = rng.integers(3, size=n_trials)
    x = places[z]
    for time in range(n_bins):
        other = (z + rng.integers(1, 3, size=n_trials)) % 3
        z = np.where(rng.random(n_trials) < 1 / 50, other, z)
        x = np.einsum("nij,nj->ni", A[z], x) + b[z] + 0.15 * rng.normal(size=x.shape)
        labels[:, time], path[:, time] = z, x
    expected = np.exp(path @ C.T + d)
    return labels, SpikeData(rng.poisson(expected), BIN, truth={"rates": expected / BIN})


def share_of_bins_right(labels, probabilities):
    """After the relabelling that makes most bins right."""
    found = probabilities.argmax(2)
    n_states = probabilities.shape[2]
    orders = itertools.permutations(range(n_states))
    return max((np.array(order)[found] == labels).mean() for order in orders)


def overlap(seed, **size):
    labels, data = switching_system(seed, **size)
    model = SLDS(n_latents=2, n_states=3, n_iterations=60)
    params = estimated(model, data, seed)
    return share_of_bins_right(labels, states(model, params, data))


@pytest.mark.slow
def test_switching_states_are_found_in_many_systems():
    shares = np.array([overlap(seed) for seed in range(5)])
    print(shares.round(3).tolist())
    assert (shares > 0.9).all()
