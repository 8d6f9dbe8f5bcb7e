import numpy as np
import pytest

from latentspike.spikes.validate import as_counts, as_index, as_mask, as_series, as_vector, as_whole


def test_the_named_id_is_the_one_that_repeats():
    # "b" repeats most, but "a" is the one named: its number must be its own.
    with pytest.raises(ValueError, match="'a' appears 2 times"):
        as_vector("neuron_ids", ["a", "a", "b", "b", "b"], 5, unique=True)


def test_positions_are_right_beyond_the_first_chunk():
    counts = np.zeros((700, 3, 2))
    counts[600, 1, 1] = -2
    with pytest.raises(ValueError, match=r"trial 600, bin 1, neuron 1\] = -2.0 is negative"):
        as_counts(counts)


def test_absurd_counts_are_refused_and_not_turned_into_objects():
    with pytest.raises(ValueError, match="spikes in one bin"):
        as_counts(np.full((1, 1, 1), 1e300))


def test_continuous_values_may_be_anything_finite():
    values = np.array([[[-1.5, 2.0]]])
    np.testing.assert_array_equal(as_counts(values, kind="continuous"), values)
    assert as_counts(values.astype(np.float16), kind="continuous").dtype == np.float32
    with pytest.raises(ValueError, match="is not finite"):
        as_counts(np.array([[[np.inf]]]), kind="continuous")


@pytest.mark.parametrize(
    "counts", [np.ones((1, 2, 1), bool), [[[1], [0]]], np.ones((1, 2, 1), "i8")]
)
def test_whole_numbers_of_any_type_are_counts(counts):
    assert as_counts(counts).dtype == np.uint8


def test_a_missing_mask_costs_no_memory():
    mask = as_mask("observed", None, (1000, 1000, 1000), default=True)
    assert mask.strides == (0, 0, 0) and mask[5, 5, 5]


def test_a_series_without_dimensions_gets_one():
    assert as_series("hand", np.zeros((2, 3), int), (2, 3)).shape == (2, 3, 1)


@pytest.mark.parametrize("selection", [slice(1, 3), [1, 2], np.array([False, True, True, False])])
def test_ways_to_select(selection):
    assert as_index("bins", selection, 4).tolist() == [1, 2]


def test_a_single_index_selects_one():
    assert as_index("bins", -1, 4).tolist() == [3]


def test_tables_do_not_select():
    with pytest.raises(ValueError, match="vector or slice"):
        as_index("bins", np.array([[0, 1]]), 4)


@pytest.mark.parametrize("value", [2.0, "2", None])
def test_only_whole_numbers_are_whole_numbers(value):
    with pytest.raises(ValueError, match="n must be a whole number"):
        as_whole("n", value, 0)
