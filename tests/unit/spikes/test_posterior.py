import numpy as np
import pytest

from latentspike.spikes import Posterior


def posterior(**more):
    base = {"trial_ids": np.arange(2), "neuron_ids": np.arange(3), "bin_width": 0.01}
    return Posterior(**{"rates": np.ones((2, 5, 3)), **base, **more})


def test_arrays_are_the_present_ones():
    got = posterior(factors=np.ones((2, 5, 4)), factors_std=np.ones((2, 5, 4)), n_samples=3)
    assert set(got.arrays()) == {"rates", "factors", "factors_std"}
    assert "with factors, factors_std" in repr(got)


def test_times_are_bin_centers():
    np.testing.assert_allclose(posterior(t_start=-0.02).times[:2], [-0.015, -0.005])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"rates": np.ones((2, 5))}, "rates must have shape"),
        ({"trial_ids": np.arange(3)}, "3 trial_ids"),
        ({"neuron_ids": np.arange(2)}, "2 neuron_ids"),
        ({"rates_std": np.ones((2, 5, 2))}, "rates_std needs rates"),
        ({"factors_std": np.ones((2, 5, 2))}, "factors_std needs factors"),
        ({"factors": np.ones((2, 4, 2))}, "factors must have leading shape"),
        ({"initial_condition": np.ones((3, 4))}, "initial_condition must have leading shape"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(more, message):
    with pytest.raises(ValueError, match=message):
        posterior(**more)
