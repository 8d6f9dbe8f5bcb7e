"""What is read, what is graded, and what neither: for any data, any keep ratio and both models."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentspike import SpikeData
from latentspike.models.lfads import LFADS, Architecture
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.observations import masked_sums
from latentspike.models.protocol import DataSpec
from latentspike.training import coordinated_dropout, draw_sample_mask
from latentspike.training.trials import (
    Reading,
    put_trials,
    sample_batch,
    training_batch,
    validation_batch,
)

N_TRIALS, N_BINS, N_NEURONS = 5, 6, 7
HELDOUT = [(), (6,), (0, 3)]
EXAMPLES = settings(deadline=None, max_examples=25, derandomize=True)


def recording(heldout, n_forward, missing, seed):
    rng = np.random.default_rng(seed)
    counts = 1 + rng.poisson(2, (N_TRIALS, N_BINS, N_NEURONS))  # no zeros: what is read shows
    observed = rng.random(counts.shape) >= (0.2 if missing else 0.0)
    return SpikeData(
        counts,
        bin_width=0.01,
        observed=observed,
        heldout=np.isin(np.arange(N_NEURONS), heldout),
        n_forward_bins=n_forward,
    )


recordings = st.builds(
    recording,
    heldout=st.sampled_from(HELDOUT),
    n_forward=st.sampled_from([0, 2]),
    missing=st.booleans(),
    seed=st.integers(0, 1000),
)
keep_ratios = st.sampled_from([0.2, 0.5, 0.7, 0.95])
fractions = st.sampled_from([0.0, 0.3])
seeds = st.integers(0, 1000)


def make_batch(data, keep, fraction, seed, index=None):
    index = np.arange(N_TRIALS) if index is None else index
    mask = draw_sample_mask(data, fraction, seed=seed) if fraction else None
    trials, reading = put_trials(data, mask), Reading.of(data, fraction)
    keys = jax.random.split(jax.random.key(seed), N_TRIALS)[index]
    weight = jnp.full(len(index), 1 / len(index))
    batch = training_batch(trials, reading, index, weight, jnp.float32(keep), keys)
    return batch, mask if fraction else np.zeros(data.counts.shape, bool)


def spread_out(data, read):
    """The compact ``read`` at its places among all bins and neurons."""
    full = np.zeros(data.counts.shape)
    full[:, : data.n_read_bins, ~data.heldout] = read
    return full


@EXAMPLES
@given(recordings, keep_ratios, fractions, seeds)
def test_what_is_read_is_not_graded_and_the_rest_is(data, keep, fraction, seed):
    batch, held_out = make_batch(data, keep, fraction, seed)
    read = spread_out(data, batch.read)
    was_read = read != 0
    observed = np.ones(data.counts.shape, bool) if batch.observed is None else batch.observed
    in_loss = np.asarray(observed) & np.asarray(batch.graded)
    assert not (was_read & in_loss).any()
    # an observed entry is read, graded, or held out by sample validation: exactly one of them
    np.testing.assert_array_equal(was_read.astype(int) + in_loss + held_out, data.observed)
    never_read = ~data.readable[None] & data.observed
    assert in_loss[never_read].all() and not was_read[never_read].any()
    scale = keep * (1 - fraction)
    np.testing.assert_allclose(read[was_read], data.counts[was_read] / scale, rtol=1e-5)
    np.testing.assert_array_equal(batch.counts, data.counts)


@EXAMPLES
@given(recordings, fractions, seeds)
def test_without_coordinated_dropout_everything_is_read_and_graded(data, fraction, seed):
    batch, held_out = make_batch(data, 1.0, fraction, seed)
    readable = data.readable[None] & data.observed & ~held_out
    read = spread_out(data, batch.read)
    np.testing.assert_allclose(read, np.where(readable, data.counts, 0) / (1 - fraction), rtol=1e-6)
    assert np.asarray(batch.graded).all()


@EXAMPLES
@given(recordings, seeds)
def test_sample_mask_holds_out_readable_observed_entries_only(data, seed):
    mask = draw_sample_mask(data, 0.4, seed=seed)
    assert not mask[~data.observed].any()
    assert not mask[:, ~data.readable].any()
    np.testing.assert_array_equal(mask, draw_sample_mask(data, 0.4, seed=seed))
    assert not np.array_equal(mask, draw_sample_mask(data, 0.4, seed=seed + 1))


@EXAMPLES
@given(recordings, seeds)
def test_the_sample_batch_grades_held_out_entries_and_reads_the_others(data, seed):
    fraction = 0.3
    mask = draw_sample_mask(data, fraction, seed=seed)
    index = jnp.arange(N_TRIALS)
    weight = jnp.full(N_TRIALS, 1 / N_TRIALS)
    batch = sample_batch(put_trials(data, mask), Reading.of(data, fraction), index, weight)
    np.testing.assert_array_equal(batch.observed, mask)
    readable = data.readable[None] & data.observed & ~mask
    expected = np.where(readable, data.counts, 0) / (1 - fraction)
    np.testing.assert_allclose(spread_out(data, batch.read), expected, rtol=1e-6)


@EXAMPLES
@given(recordings)
def test_validation_reads_whole_trials(data):
    index = jnp.arange(N_TRIALS)
    weight = jnp.full(N_TRIALS, 1 / N_TRIALS)
    batch = validation_batch(put_trials(data), Reading.of(data, 0.0), index, weight)
    readable = data.readable[None] & data.observed
    np.testing.assert_array_equal(spread_out(data, batch.read), np.where(readable, data.counts, 0))
    np.testing.assert_array_equal(batch.graded, np.broadcast_to(~data.readable, data.counts.shape))


@EXAMPLES
@given(recordings, keep_ratios, seeds, st.permutations(range(N_TRIALS)))
def test_a_trials_masks_do_not_depend_on_its_batch(data, keep, seed, order):
    whole, _ = make_batch(data, keep, 0.0, seed)
    part, _ = make_batch(data, keep, 0.0, seed, np.array(order[:3]))
    np.testing.assert_array_equal(part.read, np.asarray(whole.read)[order[:3]])
    np.testing.assert_array_equal(part.graded, np.asarray(whole.graded)[order[:3]])


@EXAMPLES
@given(st.sampled_from([0.3, 0.7, 1.0]), seeds)
def test_the_two_functions_need_no_model_and_no_recording(keep, seed):
    values = jnp.ones((3, 20, 10))
    keys = jax.random.split(jax.random.key(seed), 3)
    read, graded = coordinated_dropout(values, jnp.array(True), keep, keys)
    kept = np.asarray(read) > 0
    assert abs(kept.mean() - keep) <= 5 * np.sqrt(keep * (1 - keep) / kept.size)
    np.testing.assert_array_equal(graded, ~kept if keep < 1 else np.ones_like(kept))


@EXAMPLES
@given(recordings, keep_ratios, fractions, seeds)
def test_the_gradient_passes_at_graded_observed_entries_only(data, keep, fraction, seed):
    """A free prediction of every entry shows where the loss pulls, and that its value is whole."""
    batch, held_out = make_batch(data, keep, fraction, seed)
    time_first = lambda a: None if a is None else np.swapaxes(np.asarray(a), 0, 1)  # noqa: E731
    counts = time_first(batch.counts)

    def loss(prediction):
        error = (prediction - counts) ** 2
        total, _ = masked_sums(error, time_first(batch.observed), time_first(batch.graded))
        return total.sum()

    value, pull = jax.value_and_grad(loss)(jnp.zeros(counts.shape))
    in_loss = data.observed & ~held_out
    assert float(value) == pytest.approx(float((data.counts[in_loss].astype(float) ** 2).sum()))
    graded = np.asarray(batch.graded) & in_loss
    np.testing.assert_array_equal(time_first(pull) != 0, graded)


SMALL = Architecture(
    generator_size=6, n_factors=3, ic_encoder_size=5, ic_size=3, n_inferred_inputs=2,
    ci_encoder_size=5, controller_size=5,
)  # fmt: skip
MODELS = {"lfads": LFADS(SMALL), "linear_autoencoder": LinearAutoencoder()}


@cache
def gradient_of(name, n_forward, fraction):
    """Compiled gradient of a training batch's loss, as a function of counts and masks."""
    data = recording(HELDOUT[1], n_forward, True, 0)
    reading = Reading.of(data, fraction)
    params = MODELS[name].init(DataSpec.of(data), key=jax.random.key(0))
    index, weight = jnp.arange(N_TRIALS), jnp.full(N_TRIALS, 1 / N_TRIALS)

    def loss(params, trials, keep, keys):
        batch = training_batch(trials, reading, index, weight, keep, keys)
        return MODELS[name].loss(params, batch, {"ramp": 1.0}, key=keys)[0]

    return params, jax.jit(jax.grad(loss))


@pytest.mark.parametrize("name", MODELS)
@settings(deadline=None, max_examples=10, derandomize=True)
@given(seed=seeds, keep=st.sampled_from([0.5, 0.7, 1.0]))
def test_values_that_are_neither_read_nor_graded_change_no_gradient(name, seed, keep):
    """Sample-validation entries and missing bins may hold anything; other entries may not."""
    fraction = 0.3
    data = recording(HELDOUT[1], 2, True, seed)
    mask = draw_sample_mask(data, fraction, seed=seed)
    params, gradient = gradient_of(name, 2, fraction)
    keys = jax.random.split(jax.random.key(seed), N_TRIALS)

    def at(where):
        counts = np.where(where, data.counts + 7, data.counts)
        trials = put_trials(data.replace(counts=counts), mask)
        return jax.tree.leaves(gradient(params, trials, jnp.float32(keep), keys))

    original = at(np.zeros(mask.shape, bool))
    for a, b in zip(original, at(mask | ~data.observed), strict=True):
        np.testing.assert_array_equal(a, b)
    changed = at(~mask & data.observed)
    assert any(not np.array_equal(a, b) for a, b in zip(original, changed, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_no_entry_predicts_itself_in_training(name):
    """With what is read fixed, a read entry's value as a *target* pulls on nothing."""
    data = recording(HELDOUT[1], 2, False, 3)
    batch, _ = make_batch(data, 0.6, 0.0, 3)
    model = MODELS[name]
    params = model.init(DataSpec.of(data), key=jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), N_TRIALS)

    @jax.jit
    def gradient(counts):
        loss = lambda p: model.loss(p, batch._replace(counts=counts), {}, key=keys)[0]  # noqa: E731
        return jax.tree.leaves(jax.grad(loss)(params))

    counts, graded = np.asarray(batch.counts), np.asarray(batch.graded)
    original = gradient(counts)
    for a, b in zip(original, gradient(np.where(graded, counts, counts + 5)), strict=True):
        np.testing.assert_array_equal(a, b)
    other = gradient(np.where(graded, counts + 5, counts))
    assert any(not np.array_equal(a, b) for a, b in zip(original, other, strict=True))
