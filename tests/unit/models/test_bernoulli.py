"""Statistics of the mask generator; bounds are five standard errors of the exact distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike.models.bernoulli import bernoulli, dropout, dropout_scale, fold

N_TRIALS, N_BINS, N_UNITS = 40, 50, 21


def keys(n=N_TRIALS, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def draw(probability, k=None, **options):
    k = keys() if k is None else k
    return np.asarray(bernoulli(k, probability, N_BINS, N_UNITS, **options))


def within(mean, expected, n):
    spread = np.sqrt(expected * (1 - expected) / n)
    return np.all(np.abs(mean - expected) < 5 * spread)


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.5, 0.7, 0.99])
def test_mean_is_the_probability_everywhere(probability):
    mask = draw(probability)
    assert mask.shape == (N_BINS, N_TRIALS, N_UNITS) and mask.dtype == bool
    assert within(mask.mean(), probability, mask.size)
    for axes in ((0, 1), (0, 2), (1, 2)):  # of each unit, each trial, each bin
        n = mask.size / mask.mean(axes).size
        assert within(mask.mean(axes), probability, n)


def test_nothing_and_everything():
    assert not draw(0.0).any()
    assert draw(1.0).all()


def agreement_is_chance(a, b, probability):
    """Covariance of two independent masks is within five standard errors of zero."""
    a, b = a.ravel() - probability, b.ravel() - probability
    error = probability * (1 - probability) / np.sqrt(a.size)
    return abs(np.mean(a * b)) < 5 * error


@pytest.mark.parametrize("probability", [0.5, 0.8])
def test_neighbors_in_time_trials_and_units_are_independent(probability):
    mask = draw(probability).astype(float)
    half = (N_UNITS + 1) // 2  # units u and u + half share a word
    pairs = {
        "bins": (mask[1:], mask[:-1]),
        "trials": (mask[:, 1:], mask[:, :-1]),
        "units": (mask[..., 1:], mask[..., :-1]),
        "halves of a word": (mask[..., half:], mask[..., : N_UNITS - half]),
        "last unit and next bin's first": (mask[:-1, :, -1], mask[1:, :, 0]),
    }
    for name, (a, b) in pairs.items():
        assert agreement_is_chance(a, b, probability), name


def test_streams_and_steps_are_independent():
    a = draw(0.6, fold(keys(), 0)).astype(float)
    for other in (fold(keys(), 1), fold(keys(), 1 << 16), keys(seed=1), keys()):
        assert agreement_is_chance(a, draw(0.6, other).astype(float), 0.6)


def test_a_trials_mask_depends_on_its_key_alone():
    k = keys()
    together = draw(0.4, k)
    order = np.random.default_rng(0).permutation(N_TRIALS)[:7]
    np.testing.assert_array_equal(draw(0.4, k[order]), together[:, order])
    np.testing.assert_array_equal(draw(0.4, k[5:6])[:, 0], together[:, 5])


def test_axis_order_changes_the_order_only():
    trial_first = draw(0.4, time_first=False)
    assert trial_first.shape == (N_TRIALS, N_BINS, N_UNITS)
    np.testing.assert_array_equal(trial_first, np.swapaxes(draw(0.4), 0, 1))


def test_masks_are_nested_in_the_probability():
    """The same draws serve every probability: a search's members differ in nothing else."""
    assert not np.any(draw(0.3) & ~draw(0.6))


def test_probability_may_be_traced():
    traced = jax.jit(lambda p: bernoulli(keys(), p, N_BINS, N_UNITS))
    np.testing.assert_array_equal(traced(jnp.float32(0.7)), draw(0.7))


def test_inverted_dropout_keeps_the_mean():
    ones = jnp.ones((N_BINS, N_TRIALS, N_UNITS))
    dropped = np.asarray(dropout(ones, keys(), 0.25, 3))
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)}
    assert within((dropped == 0).mean(), 0.25, dropped.size)
    np.testing.assert_array_equal(dropped, dropout_scale(keys(), 0.25, N_BINS, N_UNITS, 3))


def test_dropout_without_keys_or_without_rate_changes_nothing():
    values = jnp.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(dropout(values, None, 0.9, 0), values)
    np.testing.assert_array_equal(dropout(values, keys(3), 0.0, 0), values)


def test_double_precision_draws_the_same_mask():
    single = draw(0.7, time_first=False)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(draw(0.7, time_first=False), single)
