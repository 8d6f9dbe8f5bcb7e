import jax
import numpy as np
import pytest
from scipy import stats

from latentspike.models.observations import negative_log_likelihood
from latentspike.training.sample_validation import draw_sample_mask
from latentspike.training.trials import Constants, Reading, put_trials


def test_reading_marks_what_may_be_read(spikes):
    reading = Reading.of(spikes, 0.0)
    assert reading == Reading(8, (0, 1, 2, 3, 4), 0.0) and hash(reading)
    np.testing.assert_array_equal(reading.mask(10, 6), spikes.readable)
    assert Reading.of(spikes.replace(heldout=np.zeros(6, bool)), 0.0).neurons is None
    assert reading.compact(np.zeros((3, 10, 6))).shape == (3, 8, 5)


def test_trials_are_stored_small_and_without_needless_masks(spikes, continuous):
    stored = put_trials(spikes)
    assert stored.counts.dtype == spikes.counts.dtype and stored.counts.dtype.itemsize == 1
    np.testing.assert_array_equal(stored.observed, spikes.observed)
    assert stored.sample_mask is None and stored.inputs.shape == (30, 10, 0)
    assert put_trials(continuous).observed is None
    assert put_trials(continuous).counts.dtype == np.float32


@pytest.mark.parametrize("observation", ["poisson", "gaussian"])
def test_constants_complete_the_likelihood(observation, spikes):
    """What the device leaves out and what the host adds make SciPy's likelihood."""
    mask = draw_sample_mask(spikes, 0.3, seed=0)
    constants = Constants.of(spikes, mask, observation)
    predictor = np.linspace(-1, 1, spikes.counts.size).reshape(spikes.counts.shape)
    counts = spikes.counts.astype(float)
    if observation == "poisson":
        exact = -stats.poisson.logpmf(spikes.counts, np.exp(predictor))
    else:
        exact = -stats.norm.logpdf(counts, predictor)
    with jax.enable_x64(True):
        partial = np.asarray(negative_log_likelihood(predictor, counts, observation))
    missing = exact - partial
    graded = spikes.observed & ~mask
    sum_over = lambda where: np.sum(missing, where=where) / spikes.n_trials  # noqa: E731
    assert constants.all_entries == pytest.approx(sum_over(graded), rel=1e-9)
    never_read = spikes.observed & ~spikes.readable
    assert constants.never_read == pytest.approx(sum_over(never_read), rel=1e-9)
    assert constants.sample_entries == pytest.approx(sum_over(mask), rel=1e-9)
    assert constants.n_sample_entries == mask.sum()


def test_constants_do_not_depend_on_how_trials_are_chunked(spikes):
    many = np.concatenate([spikes.counts] * 5)  # 150 trials: three chunks
    data = spikes.replace(
        counts=many, observed=np.concatenate([spikes.observed] * 5), trial_ids=np.arange(150)
    )
    one, five = (Constants.of(d, None, "poisson") for d in (spikes, data))
    assert one.all_entries == pytest.approx(five.all_entries)
    assert one.never_read == pytest.approx(five.never_read)


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_sample_fractions_out_of_range(fraction, spikes):
    with pytest.raises(ValueError, match="sample_validation"):
        draw_sample_mask(spikes, fraction, seed=0)


def test_the_share_of_held_out_entries_is_the_fraction(continuous):
    mask = draw_sample_mask(continuous, 0.2, seed=1)
    assert abs(mask.mean() - 0.2) < 5 * np.sqrt(0.2 * 0.8 / mask.size)
    assert not draw_sample_mask(continuous, 0.0, seed=1).any()
